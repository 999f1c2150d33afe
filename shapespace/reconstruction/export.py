"""Write meshes to files.

Frame and unit: meshes are written in the frame and unit of the scan that they came from.
Letters: V vertices.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import trimesh
from jaxtyping import Float

from shapespace.config.options import MeshOptions
from shapespace.data.formats.ply import write_ply
from shapespace.errors import InputError
from shapespace.reconstruction.inputs import space_of_meshes
from shapespace.rendering.meshes import BLUE, ORANGE
from shapespace.utils.files import output_folder, path_inside, replacing
from shapespace.utils.progress import progress

UNSURE = 0.02
"""Standard deviation, in the longest side of the mesh, from which a vertex is painted orange."""
MOST_ROUNDING = 1e-5
"""Most error of single precision, in the longest side of the mesh, that is accepted in a PLY."""
MESH_SUFFIXES = (".ply", ".obj", ".off", ".stl", ".glb")


def remark(mesh: trimesh.Trimesh) -> str:
    """Number of faces of a mesh, and whether it is watertight, in a few words."""
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
    share = np.clip(deviation / max(unsure, 1e-300), 0, 1)[:, None]
    colours = np.round(255 * ((1 - share) * np.array(BLUE) + share * np.array(ORANGE)))
    names = ("red", "green", "blue")
    return {"deviation": deviation, **dict(zip(names, colours.T.astype(np.uint8), strict=True))}
