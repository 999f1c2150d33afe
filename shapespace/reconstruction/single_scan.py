"""One scan to one mesh: a space of one shape and code length 0, by the ordinary path."""

import math
from pathlib import Path
from tempfile import TemporaryDirectory

from shapespace.config.recipes import SURFACE
from shapespace.data.prepare.points import NormalsSource
from shapespace.data.prepare.run import prepare_file
from shapespace.data.store.writer import StoreWriter
from shapespace.errors import InputError, at_least
from shapespace.reconstruction.export import MESH_SUFFIXES, remark, write_mesh
from shapespace.space import TrainedSpace
from shapespace.utils.files import output_folder

STEPS_PER_EPOCH = 50
HALVINGS = 6


def reconstruct_surface(
    scan: str | Path,
    out: str | Path,
    config: str | Path | None = None,
    steps: int = 2000,
    num_points: int = 1024,
    resolution: int = 256,
    run: str | Path | None = None,
    seed: int = 0,
    normals: NormalsSource = "estimate",
) -> str:
    """Train on the one scan, write its surface in its own frame and units; a line that says so.

    The run folder goes away with the call unless ``run`` names one, from which a stopped call goes
    on. The learning rate falls over ``steps``, whatever their number: as half a cosine, or halved
    six times by a recipe that says ``schedule: halve``. normals: as
    :func:`~shapespace.data.prepare.run.prepare` takes them.
    """
    if Path(out).suffix.lower() not in MESH_SUFFIXES:
        raise InputError(f"{out}: unknown mesh suffix; one of {' '.join(MESH_SUFFIXES)}")
    at_least(1, steps=steps, num_points=num_points)
    at_least(2, resolution=resolution)
    output_folder(Path(out).parent)
    if run is not None:
        output_folder(run)
    prepared = prepare_file(scan, seed=seed, scale=None, normals=normals)
    if prepared.points.shape[1] != 3:
        raise InputError(
            f"{scan}: a mesh needs points in 3-D; train 2-D scans with shapespace train"
        )
    with TemporaryDirectory(prefix="shapespace-") as scratch:
        folder = Path(scratch if run is None else run)
        store = folder / "scan.hdf5"
        with StoreWriter(store, "radius", 3) as writer:
            writer.add(prepared)
        count = min(num_points, len(prepared.points))
        checkpoint = _train(config or SURFACE, store, folder, steps, count, seed)
        space = TrainedSpace.load(checkpoint)
    mesh = space.mesh(space.code(prepared.name), prepared.frame, resolution)
    return f"wrote {write_mesh(mesh, Path(out))}: {remark(mesh)}"


def _train(
    config: str | Path, store: Path, folder: Path, steps: int, num_points: int, seed: int
) -> Path:
    from shapespace.training.cli import train

    epochs = math.ceil(steps / STEPS_PER_EPOCH)
    options = {
        "config": config,
        "seed_everything": seed,
        "model.seed": seed,
        "data.seed": seed,
        "data.store": store,
        "data.num_points": num_points,
        "data.repeats": STEPS_PER_EPOCH,
        "model.halve_every": math.ceil(epochs / (HALVINGS + 1)),
        "trainer.max_epochs": epochs,
        "trainer.default_root_dir": folder,
    }
    return train([f"--{name}={value}" for name, value in options.items()])
