"""Meshes of a trained space in files: of training scans, of walks between shapes.

Everything is written in the frame and units of the scan it came from.
"""

import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
import trimesh
from jaxtyping import Float

from shapespace.data.collect import AnySource, StoredScan
from shapespace.data.ply import write_ply
from shapespace.data.points import PointOptions, prepare_scan
from shapespace.data.prepare import PER_METRE
from shapespace.data.readers import READERS
from shapespace.data.sources import Source, find_sources
from shapespace.data.store import ScanStore
from shapespace.errors import InputError, at_least, positive
from shapespace.files import output_folder, replacing
from shapespace.fitting.problem import median_distance
from shapespace.interpolate import Stop, interpolate
from shapespace.preview import strip
from shapespace.progress import progress
from shapespace.render import BLUE, ORANGE
from shapespace.scan import Frame, PreparedScan
from shapespace.space import TrainedSpace

UNSURE = 0.02
"""Deviation, in the mesh's longest side, from which a vertex is painted as unsure."""
ANOTHER_SIZE = 2.0
"""A scan that is so many times as large as the shapes is not one of them."""
MESH_SUFFIXES = (".ply", ".obj", ".off", ".stl", ".glb")


def remark(mesh: trimesh.Trimesh) -> str:
    """Faces and soundness of a mesh in a few words."""
    if len(mesh.faces) == 0:
        return "EMPTY (the field has no zero set: the fit failed or the training was too short)"
    closed = "watertight" if mesh.is_watertight else "NOT watertight"
    return f"{len(mesh.faces)} faces, {closed}"


def prepare_for(
    space: TrainedSpace, source: AnySource, unit: str, seed: int, num_points: int | None = None
) -> PreparedScan:
    """A scan in the unit of the space; InputError if it is not of the size of its shapes.

    unit: of a file; "auto" takes the one in which the scan is nearest in size to the shapes. A
    store has its own. num_points: that are sampled of a mesh; None takes as many as a store gets.
    """
    if isinstance(source, StoredScan):
        check_store(space, source.store)
        scan, remedy = source.prepared(), "prepare it with its unit, as in --unit mm"
    else:
        scan = _from_file(space, source, unit, seed, num_points)
        remedy = "give the scan's unit, as in --unit mm"
    reach = float(np.quantile(np.abs(scan.points).max(1), 0.95))
    if reach > space.extent:
        raise InputError(
            f"{source}: reaches to ±{reach:.4g}, the space was trained within ±{space.extent:g}: "
            f"{remedy}, or move it to the frame of the training scans"
        )
    return scan


def check_store(space: TrainedSpace, store: ScanStore) -> None:
    """InputError if the scans of a store have another unit or dimension than the space."""
    _check_dimension(space, store.path, store.dimension)
    if store.unit != space.unit:
        how = "with" if space.unit == "radius" else "without"
        raise InputError(
            f"{store.path}: its unit is {store.unit}, that of the space {space.unit}; "
            f"prepare the scans {how} --normalise"
        )


def _from_file(
    space: TrainedSpace, source: Source, unit: str, seed: int, num_points: int | None
) -> PreparedScan:
    raw, digest = source.load()
    _check_dimension(space, source, raw.vertices.shape[1])
    unit = likely_unit(space, raw.vertices) if unit == "auto" else unit
    scale = None if space.unit == "radius" else PER_METRE[unit]
    options = PointOptions(None if raw.faces is None else num_points, seed, scale)
    return prepare_scan(raw, source.name, options, source=str(source), source_hash=digest)


def _check_dimension(space: TrainedSpace, what: object, dimension: int) -> None:
    if dimension != space.decoder.dimension:
        raise InputError(f"{what}: has dimension {dimension}, the space {space.decoder.dimension}")


def likely_unit(space: TrainedSpace, vertices: Float[np.ndarray, "n D"]) -> str:
    """The unit in which a scan is nearest in size to the shapes of a space; m if none is near."""
    if space.unit == "radius" or space.size is None or not len(vertices):
        return "m"
    size = float(median_distance(torch.from_numpy(np.asarray(vertices, np.float64))[None]))
    off = {unit: abs(np.log(size / each / space.size)) for unit, each in PER_METRE.items()}
    unit = min(off, key=lambda name: off[name])
    return unit if off[unit] < np.log(ANOTHER_SIZE) else "m"


def unit_of(space: TrainedSpace, frame: Frame) -> str:
    """The unit of a source whose scan was prepared for a space."""
    names = {each: unit for unit, each in PER_METRE.items()}
    other = f"1/{frame.scale:g} m"
    return "radius" if space.unit == "radius" else names.get(frame.scale, other)


def interpolate_shapes(
    checkpoint: str | Path,
    shapes: Sequence[str],
    out: str | Path,
    *,
    steps: int = 7,
    resolution: int = 192,
    unit: str = "auto",
    seed: int = 0,
) -> list[Path]:
    """Meshes along the straight lines from shape to shape, and ``strip.png``; the files written."""
    if len(shapes) < 2 or steps < 2:
        raise InputError(f"{len(shapes)} shapes and steps={steps}: give at least two of each")
    at_least(2, resolution=resolution)
    space = space_of_meshes(checkpoint, seed)
    folder = output_folder(out)
    stops = [_stop(space, shape, unit, seed) for shape in shapes]
    places = interpolate(stops, steps)
    meshes, paths = [], []
    for number, place in enumerate(progress(places, "meshing")):
        mesh = space.mesh(place.code, place.frame, resolution)
        meshes.append(mesh)
        paths.append(write_mesh(mesh, folder / f"{number:03d}.ply"))
    try:
        paths.append(strip(meshes, folder / "strip.png"))
    except InputError as error:
        warnings.warn(f"no strip.png: {error}", stacklevel=2)
    return paths


def mesh_names(
    checkpoint: str | Path,
    names: Sequence[str],
    out: str | Path,
    resolution: int = 256,
    cell: float | None = None,
) -> list[Path]:
    """Meshes of training scans, in their frames; the files written."""
    at_least(2, resolution=resolution)
    check_cell(cell)
    space = space_of_meshes(checkpoint)
    codes = {name: space.code(name) for name in names}
    folder = output_folder(out)
    return [
        write_mesh(space.mesh(code, space.frame(name), resolution, cell), folder / f"{name}.ply")
        for name, code in progress(codes.items(), "meshing")
    ]


def write_mesh(
    mesh: trimesh.Trimesh, path: Path, deviation: Float[np.ndarray, " V"] | None = None
) -> Path:
    """Write a mesh in the format of the suffix, whole or not at all.

    PLY is written in double precision where single would move a vertex by more than a
    hundred-thousandth of the mesh's size. ``deviation``, how sure each vertex is, goes into a PLY
    as a property and as a colour: blue where it is 0, orange from a fiftieth of the mesh's size.
    """
    if path.suffix.lower() not in MESH_SUFFIXES:
        raise InputError(f"{path}: unknown mesh suffix; one of {' '.join(MESH_SUFFIXES)}")
    vertices = np.asarray(mesh.vertices, np.float64)
    moved = np.abs(vertices.astype(np.float32) - vertices).max(initial=0.0)
    size = np.ptp(vertices, axis=0).max() if len(vertices) else 0.0
    with replacing(path) as part:
        if path.suffix.lower() == ".ply" and (moved > 1e-5 * size or deviation is not None):
            more = {} if deviation is None else _coloured(deviation, UNSURE * size)
            write_ply(part, vertices, np.asarray(mesh.faces, np.int64), more)
        else:
            mesh.export(part)
    return path


def _coloured(deviation: Float[np.ndarray, " V"], unsure: float) -> dict[str, np.ndarray]:
    share = np.clip(deviation / max(unsure, 1e-300), 0, 1)[:, None]
    colours = np.round(255 * ((1 - share) * np.array(BLUE) + share * np.array(ORANGE)))
    names = ("red", "green", "blue")
    return {"deviation": deviation, **dict(zip(names, colours.T.astype(np.uint8), strict=True))}


def _stop(space: TrainedSpace, shape: str, unit: str, seed: int) -> Stop:
    is_file = Path(shape).exists() or Path(shape).suffix.lower() in READERS or "/" in shape
    if shape in space.names or not is_file:
        return Stop(space.code(shape), space.frame(shape))
    sources = find_sources(Path(shape))
    if len(sources) > 1:
        raise InputError(f"{shape}: holds {len(sources)} scans; give one scan file")
    scan = prepare_for(space, sources[0], unit, seed)
    fitted = space.fit([scan])
    shift = fitted.poses.shift[0].double().cpu().numpy()
    return Stop(fitted.codes[0], Frame(scan.frame.to_source(-shift[None])[0], scan.frame.scale))


def space_of_meshes(checkpoint: str | Path, seed: int = 0) -> TrainedSpace:
    """The space of a checkpoint; InputError if its shapes have no meshes, or for a bad seed."""
    at_least(0, seed=seed)
    space = TrainedSpace.load(checkpoint)
    space.check_has_meshes()
    return space


def check_cell(cell: float | None) -> None:
    """InputError if the side of a cell is none."""
    if cell is not None:
        positive(cell=cell)
