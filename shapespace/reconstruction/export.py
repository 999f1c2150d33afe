"""Meshes of a trained space in files: of training scans, of walks between shapes.

Everything is written in the frame and units of the scan it came from.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import trimesh
from jaxtyping import Float

from shapespace.data.formats.ply import write_ply
from shapespace.errors import InputError, at_least, positive
from shapespace.reconstruction.inputs import space_of_meshes
from shapespace.rendering.meshes import BLUE, ORANGE
from shapespace.utils.files import output_folder, replacing
from shapespace.utils.progress import progress

UNSURE = 0.02
"""Deviation, in the mesh's longest side, from which a vertex is painted as unsure."""
MESH_SUFFIXES = (".ply", ".obj", ".off", ".stl", ".glb")


def remark(mesh: trimesh.Trimesh) -> str:
    """Faces and soundness of a mesh in a few words."""
    if len(mesh.faces) == 0:
        return "EMPTY (the field has no zero set: the fit failed or the training was too short)"
    closed = "watertight" if mesh.is_watertight else "NOT watertight"
    return f"{len(mesh.faces)} faces, {closed}"


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


def check_cell(cell: float | None) -> None:
    """InputError if the side of a cell is none."""
    if cell is not None:
        positive(cell=cell)
