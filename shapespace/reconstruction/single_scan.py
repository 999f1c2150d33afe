"""Reconstruct one scan by itself: a space of one shape and code length 0, by the ordinary path."""

import math
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

import yaml

from shapespace.config.options import SurfaceOptions
from shapespace.config.recipes import RECIPES, SURFACE
from shapespace.data.extent import RIM, extent_of
from shapespace.data.formats.contents import grouped_accounts
from shapespace.data.prepare.run import prepare_file
from shapespace.data.store.writer import StoreWriter
from shapespace.errors import InputError
from shapespace.reconstruction.export import MESH_SUFFIXES, write_mesh
from shapespace.reconstruction.record import failure, remark, share_far
from shapespace.sampling import NearSurface
from shapespace.scan import PreparedScan
from shapespace.space import TrainedSpace
from shapespace.utils.files import output_folder


@dataclass(frozen=True)
class SurfaceResult:
    """The mesh of one scan; ``str`` gives the lines for the user.

    Args:
        account: what of the scan was not used, mended or left out; "" for nothing.
        path: file of the mesh.
        remark: number of its faces, and whether it is watertight.
        left_out: which points of the scan were not trained on, "" for none.
        failure: why the mesh is not the scan, "" if it is.
    """

    account: str
    path: Path
    remark: str
    left_out: str
    failure: str

    def __str__(self) -> str:
        return "\n".join(self.lines())

    def lines(self) -> list[str]:
        """What was read, where that is worth a line, and what was written."""
        said = "; ".join(part for part in (self.remark, self.left_out, self.failure) if part)
        return [*filter(None, [self.account]), f"wrote {self.path}: {said}"]


STEPS_PER_EPOCH = 50
NUM_HALVINGS = 6
"""How often a recipe with ``schedule: halve`` halves its rate over the run."""


def reconstruct_surface(
    scan: str | Path, out: str | Path, options: SurfaceOptions | None = None
) -> SurfaceResult:
    """Train on one scan and write its surface in the frame and unit of the scan.

    The learning rate falls over ``options.steps``, whatever their number: as half a cosine, or
    halved six times by a recipe with ``schedule: halve``.

    Args:
        scan: scan file: a mesh or a cloud.
        out: mesh to write, in the format of its suffix.
        options: recipe, size of the run and of the mesh.

    Stray points, beyond 1.5 radii, are left out, and counted: the sampling box does not hold them.

    Returns:
        The mesh that was written, and whether it is near to the points of the scan.

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
        scan,
        seed=options.seed,
        scale=None,
        normals=options.normals,
        columns=options.columns,
        sigma=_reads_sigma(options.config or SURFACE),
    )
    if prepared.points.shape[1] != 3:
        raise InputError(
            f"{scan}: a mesh needs points in 3-D; train 2-D scans with shapespace train"
        )
    prepared, left_out = _without_stray(prepared)
    with TemporaryDirectory(prefix="shapespace-") as scratch:
        folder = Path(scratch if options.run is None else options.run)
        store = folder / "scan.hdf5"
        with StoreWriter(store, "radius", 3) as writer:
            writer.add(prepared)
        num_points = min(options.num_points, len(prepared.points))
        space = TrainedSpace.load(_train(options, store, folder, num_points))
    mesh = space.mesh(space.code(prepared.name), prepared.frame, options.resolution)
    return SurfaceResult(
        account="\n".join(grouped_accounts([(str(scan), prepared.account)])),
        path=write_mesh(mesh, Path(out)),
        remark=remark(mesh),
        left_out=left_out,
        failure=failure(share_far(mesh, prepared)),
    )


def _without_stray(scan: PreparedScan) -> tuple[PreparedScan, str]:
    """Leave out the stray points of a scan, and say how many."""
    times = extent_of(scan.points).times(scan.points)
    own = times <= RIM
    if own.all():
        return scan, ""
    said = (
        f"left out {1 - own.mean():.2%} of the points, which lie beyond {RIM:g} radii, up to "
        f"{times.max():.3g} radii away"
    )
    kept = replace(
        scan,
        points=scan.points[own],
        normals=None if scan.normals is None else scan.normals[own],
        sigma=None if scan.sigma is None else scan.sigma[own],
    )
    return kept, said


def _reads_sigma(recipe: str | Path) -> bool:
    """Whether the sampler of a recipe reads sigma; True where it cannot be told.

    A sampler of another class is not imported for this: it may read sigma.
    """
    path = RECIPES.get(str(recipe), Path(recipe))
    try:
        sampler = yaml.safe_load(path.read_text())["model"]["sampler"]
        if sampler["class_path"] not in ("NearSurface", "shapespace.sampling.NearSurface"):
            return True
        return NearSurface(**sampler.get("init_args") or {}).needs_sigma
    except (OSError, ValueError, LookupError, TypeError, AttributeError, yaml.YAMLError):
        # The training says what is wrong with the recipe.
        return True


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
