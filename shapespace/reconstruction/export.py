"""What is written of shapes: meshes, and the facts of a reconstruction.

Frame and unit: meshes are written in the frame and unit of the scan that they came from.
Letters: V vertices.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import trimesh
from jaxtyping import Float

from shapespace.config.options import MeshOptions
from shapespace.data.formats.ply import write_ply
from shapespace.errors import InputError
from shapespace.fitting.result import FitResult
from shapespace.reconstruction.inputs import space_of_meshes, unit_of
from shapespace.reconstruction.record import (
    facts_of_fit,
    facts_of_surface,
    remark,
    share_far,
    share_without_points,
    verdict,
)
from shapespace.rendering.meshes import blue_to_orange
from shapespace.scan import PreparedScan
from shapespace.space import TrainedSpace
from shapespace.utils.files import output_folder, path_inside, replacing
from shapespace.utils.progress import progress

UNSURE = 0.02
"""Standard deviation, in the longest side of the mesh, from which a vertex is painted orange."""
MOST_ROUNDING = 1e-5
"""Most error of single precision, in the longest side of the mesh, that is accepted in a PLY."""
MESH_SUFFIXES = (".ply", ".obj", ".off", ".stl", ".glb")


def mesh_names(
    checkpoint: str | Path,
    names: Sequence[str],
    out: str | Path,
    resolution: int = 256,
    cell: float | None = None,
) -> list[Path]:
    """Write the shapes of training scans as meshes, in the frames of the scans.

    Args:
        checkpoint: file of a trained space.
        names: names of training scans.
        out: folder for the meshes, ``<name>.ply``.
        resolution: grid nodes along the longest side of a mesh.
        cell: side of a grid cell in the unit of the scan, in place of ``resolution``.

    Returns:
        The files that were written.
    """
    meshing = MeshOptions(resolution=resolution, cell=cell)
    space = space_of_meshes(checkpoint)
    codes = {name: space.code(name) for name in names}
    folder = output_folder(out)
    # All names are checked before the first shape is meshed.
    files = {name: path_inside(folder, name, ".ply") for name in names}
    paths = []
    for name, code in progress(codes.items(), "meshing", unit="mesh"):
        mesh = space.mesh(code, space.frame(name), meshing.resolution, meshing.cell)
        paths.append(write_mesh(mesh, files[name]))
    return paths


def write_mesh(
    mesh: trimesh.Trimesh, path: Path, deviation: Float[np.ndarray, " V"] | None = None
) -> Path:
    """Write a mesh in the format of the suffix, whole or not at all.

    A PLY file is in double precision if single precision would move a vertex by more than
    ``MOST_ROUNDING``, as it does far from the origin.

    Args:
        mesh: mesh to write.
        path: file; its suffix is one of ``MESH_SUFFIXES``.
        deviation: standard deviation of each vertex, in the unit of the mesh. It goes into a PLY
            file as a property and as a colour, from blue at 0 to orange at ``UNSURE``.

    Returns:
        ``path``.

    Raises:
        InputError: the suffix is unknown or the file cannot be written.
    """
    if path.suffix.lower() not in MESH_SUFFIXES:
        raise InputError(f"{path}: unknown mesh suffix; one of {' '.join(MESH_SUFFIXES)}")
    vertices = np.asarray(mesh.vertices, np.float64)
    moved = np.abs(vertices.astype(np.float32) - vertices).max(initial=0.0)
    size = np.ptp(vertices, axis=0).max() if len(vertices) else 0.0
    with replacing(path) as part:
        own_writer = moved > MOST_ROUNDING * size or deviation is not None
        if path.suffix.lower() == ".ply" and own_writer:
            more = {} if deviation is None else _coloured(deviation, UNSURE * size)
            write_ply(part, vertices, np.asarray(mesh.faces, np.int64), more)
        else:
            mesh.export(part)
    return path


def _coloured(deviation: Float[np.ndarray, " V"], unsure: float) -> dict[str, np.ndarray]:
    """Vertex properties of a PLY file: the deviation, and its colour between blue and orange."""
    colours = np.round(255 * blue_to_orange(deviation / max(unsure, 1e-300)))
    names = ("red", "green", "blue")
    return {"deviation": deviation, **dict(zip(names, colours.T.astype(np.uint8), strict=True))}


def facts_of_reconstruction(
    space: TrainedSpace,
    scan: PreparedScan,
    fitted: FitResult,
    row: int,
    *,
    mesh: trimesh.Trimesh,
    deviation: Float[np.ndarray, " V"] | None,
    made_by: dict[str, Any],
    more: dict[str, Any],
) -> dict[str, Any]:
    """The facts of the reconstruction of one scan, as its .json file holds them.

    Args:
        space: the space that reconstructed the scan.
        scan: the scan.
        fitted: the fit of its batch.
        row: of the scan in the batch.
        mesh: the reconstruction, in the frame of the source.
        deviation: standard deviation at each vertex, in the unit of the source; None if unknown.
        made_by: all that the result depends on beside the scan.
        more: further facts, those of the meshing among them.
    """
    facts = {
        "scan": scan.source,
        "scan_sha256": scan.source_hash,
        "account": scan.account,
        "checkpoint": str(space.path),
        "made_by": made_by,
        "remark": remark(mesh),
        "unit": unit_of(space, scan.frame),
        "centre": scan.frame.centre.tolist(),
        "scale": scan.frame.scale,
        **facts_of_fit(fitted, row, space.unit),
        **facts_of_surface(deviation, scan.frame.scale, space.unit),
        "share_far": share_far(mesh, scan),
        "share_without_points": share_without_points(mesh, scan, float(fitted.sizes[row])),
        **more,
    }
    return facts | {"verdict": verdict(facts)}
