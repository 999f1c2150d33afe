"""Reconstruct one scan by itself: a space of one shape and code length 0, by the ordinary path."""

import math
from pathlib import Path
from tempfile import TemporaryDirectory

from shapespace.config.options import SurfaceOptions
from shapespace.config.recipes import SURFACE
from shapespace.data.formats.contents import grouped_accounts
from shapespace.data.prepare.run import prepare_file
from shapespace.data.store.writer import StoreWriter
from shapespace.errors import InputError
from shapespace.reconstruction.export import MESH_SUFFIXES, remark, write_mesh
from shapespace.space import TrainedSpace
from shapespace.utils.files import output_folder

STEPS_PER_EPOCH = 50
NUM_HALVINGS = 6
"""How often a recipe with ``schedule: halve`` halves its rate over the run."""


def reconstruct_surface(
    scan: str | Path, out: str | Path, options: SurfaceOptions | None = None
) -> str:
    """Train on one scan and write its surface in the frame and unit of the scan.

    The learning rate falls over ``options.steps``, whatever their number: as half a cosine, or
    halved six times by a recipe with ``schedule: halve``.

    Args:
        scan: scan file: a mesh or a cloud.
        out: mesh to write, in the format of its suffix.
        options: recipe, size of the run and of the mesh.

    Returns:
        A line that names the mesh and says whether it is watertight; before it, a line that says
        what of the scan was not used, mended or left out, if anything.

    Raises:
        InputError: the scan cannot be used or is 2-D, or an output cannot be written.
    """
    options = options or SurfaceOptions()
    if Path(out).suffix.lower() not in MESH_SUFFIXES:
        raise InputError(f"{out}: unknown mesh suffix; one of {' '.join(MESH_SUFFIXES)}")
    # Outputs are checked first: a mistake must not cost a training.
    output_folder(Path(out).parent)
    if options.run is not None:
        output_folder(options.run)
    prepared = prepare_file(
        scan, seed=options.seed, scale=None, normals=options.normals, columns=options.columns
    )
    if prepared.points.shape[1] != 3:
        raise InputError(
            f"{scan}: a mesh needs points in 3-D; train 2-D scans with shapespace train"
        )
    with TemporaryDirectory(prefix="shapespace-") as scratch:
        folder = Path(scratch if options.run is None else options.run)
        store = folder / "scan.hdf5"
        with StoreWriter(store, "radius", 3) as writer:
            writer.add(prepared)
        num_points = min(options.num_points, len(prepared.points))
        space = TrainedSpace.load(_train(options, store, folder, num_points))
    mesh = space.mesh(space.code(prepared.name), prepared.frame, options.resolution)
    wrote = f"wrote {write_mesh(mesh, Path(out))}: {remark(mesh)}"
    return "\n".join([*grouped_accounts([(str(scan), prepared.account)]), wrote])


def _train(options: SurfaceOptions, store: Path, folder: Path, num_points: int) -> Path:
    """The checkpoint of a training on the one scan of ``store``."""
    # Lightning takes seconds to import, and a scan that cannot be read does not need it.
    from shapespace.training.cli import train

    epochs = math.ceil(options.steps / STEPS_PER_EPOCH)
    arguments = {
        "config": options.config or SURFACE,
        "seed_everything": options.seed,
        "model.seed": options.seed,
        "data.seed": options.seed,
        "data.store": store,
        "data.num_points": num_points,
        "data.repeats": STEPS_PER_EPOCH,
        "model.halve_every": math.ceil(epochs / (NUM_HALVINGS + 1)),
        "trainer.max_epochs": epochs,
        "trainer.default_root_dir": folder,
    }
    return train([f"--{name}={value}" for name, value in arguments.items()])
