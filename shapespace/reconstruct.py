"""From scan files to meshes through a trained space: reconstruct, interpolate, mesh.

Everything is written in the frame and units of the scan it came from.
"""

import json
import warnings
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import trimesh
from jaxtyping import Float
from torch import Tensor

from shapespace.data.ply import write_ply
from shapespace.data.points import PointOptions, prepare_scan
from shapespace.data.prepare import PER_METRE
from shapespace.data.readers import READERS
from shapespace.data.sources import Source, find_sources
from shapespace.errors import InputError, at_least, positive
from shapespace.files import output_folder, replacing
from shapespace.fitting import FitResult
from shapespace.interpolate import Stop, interpolate
from shapespace.preview import strip
from shapespace.progress import progress
from shapespace.scan import PreparedScan
from shapespace.space import TrainedSpace, usable_points

MESH_SUFFIXES = (".ply", ".obj", ".off", ".stl", ".glb")


@dataclass(frozen=True)
class Reconstruction:
    """One scan: its code [L], the unweighted terms of its fit, its mesh and the mesh's file."""

    name: str
    code: Float[Tensor, " L"]
    terms: dict[str, float]
    mesh: trimesh.Trimesh
    path: Path


@dataclass
class Reconstructions:
    """What :func:`reconstruct_files` did."""

    done: list[Reconstruction] = field(default_factory=list)
    skipped: list[tuple[str, str]] = field(default_factory=list)

    def lines(self) -> list[str]:
        """One readable line a scan."""
        lines = []
        for item in self.done:
            terms = " ".join(f"{name} {value:.4f}" for name, value in item.terms.items())
            lines.append(f"{item.path}: {remark(item.mesh)}, {terms}")
        return lines + [f"skipped {name}: {reason}" for name, reason in self.skipped]


def remark(mesh: trimesh.Trimesh) -> str:
    """Faces and soundness of a mesh in a few words."""
    if len(mesh.faces) == 0:
        return "EMPTY (the field has no zero set: the fit failed or the training was too short)"
    closed = "watertight" if mesh.is_watertight else "NOT watertight"
    return f"{len(mesh.faces)} faces, {closed}"


def collect_sources(paths: Sequence[str | Path]) -> list[Source]:
    """The scans of files and folders; InputError if two would be written to the same name."""
    sources = [source for path in paths for source in find_sources(Path(path))]
    for name, count in Counter(source.name for source in sources).items():
        if count > 1:
            raise InputError(f"{count} scans are called {name!r}: reconstruct them apart")
    return sources


def reconstruct_files(
    checkpoint: str | Path,
    sources: Sequence[Source],
    out: str | Path,
    *,
    num_points: int = 16384,
    steps: int = 800,
    resolution: int = 256,
    cell: float | None = None,
    batch: int = 8,
    unit: str = "m",
    seed: int = 0,
    strict: bool = False,
) -> Reconstructions:
    """Fit and mesh the scans ``sources``; a bad one is skipped unless ``strict``.

    Writes ``<name>.ply``, ``<name>.json`` (terms and cost) and ``<name>.npy`` (code) to ``out``.
    """
    at_least(1, num_points=num_points, steps=steps, batch=batch)
    at_least(2, resolution=resolution)
    _check_cell(cell)
    space = _space_of_meshes(checkpoint, seed)
    folder = output_folder(out)
    result = Reconstructions()
    prepared = []
    for source in progress(sources, "reading"):
        try:
            prepared.append(prepare_for(space, source, unit, seed))
        except InputError as error:
            if strict:
                raise
            result.skipped.append((source.name, str(error)))
    if not prepared:
        raise InputError("; ".join(reason for _, reason in result.skipped[:3]))
    groups = _groups(prepared, num_points, batch)
    with progress(total=steps * len(groups), desc="fitting", unit="step") as bar:
        for group in groups:
            fitted = space.fit(group, num_points, steps, seed, bar.update)
            for row, scan in enumerate(group):
                mesh = space.mesh(fitted.codes[row], scan.frame, resolution, cell)
                result.done.append(_write(folder, scan, fitted, row, mesh, checkpoint))
    return result


def _space_of_meshes(checkpoint: str | Path, seed: int = 0) -> TrainedSpace:
    at_least(0, seed=seed)
    space = TrainedSpace.load(checkpoint)
    space.check_has_meshes()
    return space


def _check_cell(cell: float | None) -> None:
    if cell is not None:
        positive(cell=cell)


def _groups(scans: Sequence[PreparedScan], num_points: int, batch: int) -> list[list[PreparedScan]]:
    """Scans to be fitted together: at most ``batch``, all with the same number of usable points."""
    by_count: defaultdict[int, list[PreparedScan]] = defaultdict(list)
    for scan in scans:
        by_count[usable_points(scan, num_points)].append(scan)
    return [
        alike[start : start + batch]
        for alike in by_count.values()
        for start in range(0, len(alike), batch)
    ]


def prepare_for(space: TrainedSpace, source: Source, unit: str, seed: int) -> PreparedScan:
    """A scan file in the unit of the space; InputError if it is not of the size of its shapes."""
    raw, digest = source.load()
    if raw.vertices.shape[1] != space.decoder.dimension:
        raise InputError(
            f"{source}: has dimension {raw.vertices.shape[1]}, the space {space.decoder.dimension}"
        )
    scale = None if space.unit == "radius" else PER_METRE[unit]
    options = PointOptions(seed=seed, scale=scale)
    scan = prepare_scan(raw, source.name, options, source=str(source), source_hash=digest)
    reach = float(np.quantile(np.abs(scan.points).max(1), 0.95))
    if reach > space.extent:
        raise InputError(
            f"{source}: reaches to ±{reach:.4g}, the space was trained within ±{space.extent:g}: "
            "give the scan's unit, as in --unit mm, or move it to the frame of the training scans"
        )
    return scan


def interpolate_shapes(
    checkpoint: str | Path,
    shapes: Sequence[str],
    out: str | Path,
    *,
    steps: int = 7,
    resolution: int = 192,
    num_points: int = 4096,
    fit_steps: int = 800,
    unit: str = "m",
    seed: int = 0,
) -> list[Path]:
    """Meshes along the straight lines from shape to shape, and ``strip.png``; the files written."""
    if len(shapes) < 2 or steps < 2:
        raise InputError(f"{len(shapes)} shapes and steps={steps}: give at least two of each")
    at_least(1, num_points=num_points, fit_steps=fit_steps)
    at_least(2, resolution=resolution)
    space = _space_of_meshes(checkpoint, seed)
    folder = output_folder(out)
    stops = [_stop(space, shape, num_points, fit_steps, unit, seed) for shape in shapes]
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
    _check_cell(cell)
    space = _space_of_meshes(checkpoint)
    codes = {name: space.code(name) for name in names}
    folder = output_folder(out)
    return [
        write_mesh(space.mesh(code, space.frame(name), resolution, cell), folder / f"{name}.ply")
        for name, code in progress(codes.items(), "meshing")
    ]


def write_mesh(mesh: trimesh.Trimesh, path: Path) -> Path:
    """Write a mesh in the format of the suffix, whole or not at all.

    PLY is written in double precision where single would move a vertex by more than a
    hundred-thousandth of the mesh's size.
    """
    if path.suffix.lower() not in MESH_SUFFIXES:
        raise InputError(f"{path}: unknown mesh suffix; one of {' '.join(MESH_SUFFIXES)}")
    vertices = np.asarray(mesh.vertices, np.float64)
    moved = np.abs(vertices.astype(np.float32) - vertices).max(initial=0.0)
    size = np.ptp(vertices, axis=0).max() if len(vertices) else 0.0
    with replacing(path) as part:
        if path.suffix.lower() == ".ply" and moved > 1e-5 * size:
            write_ply(part, vertices, np.asarray(mesh.faces, np.int64))
        else:
            mesh.export(part)
    return path


def _stop(
    space: TrainedSpace, shape: str, num_points: int, steps: int, unit: str, seed: int
) -> Stop:
    is_file = Path(shape).exists() or Path(shape).suffix.lower() in READERS or "/" in shape
    if shape in space.names or not is_file:
        return Stop(space.code(shape), space.frame(shape))
    sources = find_sources(Path(shape))
    if len(sources) > 1:
        raise InputError(f"{shape}: holds {len(sources)} scans; give one scan file")
    scan = prepare_for(space, sources[0], unit, seed)
    with progress(total=steps, desc=f"fitting {scan.name}", unit="step") as bar:
        fitted = space.fit([scan], num_points, steps, seed, bar.update)
    return Stop(fitted.codes[0], scan.frame)


def _write(
    folder: Path,
    scan: PreparedScan,
    fitted: FitResult,
    row: int,
    mesh: trimesh.Trimesh,
    checkpoint: str | Path,
) -> Reconstruction:
    terms = {name: float(value[row]) for name, value in fitted.terms.items()}
    code = fitted.codes[row]
    path = write_mesh(mesh, folder / f"{scan.name}.ply")
    with replacing(folder / f"{scan.name}.npy") as part:
        np.save(part, code.cpu().numpy())
    facts = {
        "scan": scan.source,
        "scan_sha256": scan.source_hash,
        "checkpoint": str(checkpoint),
        "terms": terms,
        "steps": fitted.steps,
        "seconds_of_batch": round(fitted.seconds, 3),
        "centre": scan.frame.centre.tolist(),
        "scale": scan.frame.scale,
        "watertight": bool(mesh.is_watertight),
        "faces": len(mesh.faces),
    }
    with replacing(folder / f"{scan.name}.json") as part:
        part.write_text(json.dumps(facts, indent=2) + "\n")
    return Reconstruction(scan.name, code, terms, mesh, path)
