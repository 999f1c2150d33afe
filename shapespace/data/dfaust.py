"""The two layouts of D-FAUST (Bogo et al. 2017), read a frame at a time.

Registrations: ``registrations_{m,f}.hdf5`` with ``faces`` (F,3), zero-based, and one dataset
``<subject>_<sequence>`` of shape (V,3,T) for each sequence, T frames in metres.
Raw scans: ``scans/<subject>/<sequence>/<sequence>.<frame>.ply``.
"""

from pathlib import Path

import numpy as np

from shapespace.data import hdf5
from shapespace.data.readers import RawScan, check_faces, checked
from shapespace.errors import InputError, one_line

SUFFIXES = (".hdf5", ".h5")


def list_sequences(path: Path) -> dict[str, int]:
    """Number of frames of each sequence of a registration file, in order of their names.

    Only shapes and ``faces`` are read. :class:`InputError` if the file breaks the layout.
    """
    with hdf5.naming(path), hdf5.open_hdf5(path) as file:
        if "faces" not in file:
            raise InputError(f"{path}: no 'faces' dataset, so not a D-FAUST registration file")
        shapes = {name: hdf5.dataset(file, name).shape for name in sorted(file) if name != "faces"}
        if not shapes:
            raise InputError(f"{path}: no sequence beside 'faces'; fetch the file again")
        for name, shape in shapes.items():
            _check_shape(path, name, shape, next(iter(shapes.values()))[0])
        _read_faces(path, file, next(iter(shapes.values()))[0])
    return {name: shape[2] for name, shape in shapes.items()}


def read_frame(path: Path, sequence: str, frame: int) -> RawScan:
    """The registered mesh of one frame; :class:`InputError` if it holds NaN or was damaged."""
    with hdf5.naming(path), hdf5.open_hdf5(path) as file:
        vertices = np.asarray(hdf5.dataset(file, sequence)[:, :, frame], np.float64)
        faces = _read_faces(path, file, len(vertices))
    try:
        return checked(vertices, faces)
    except ValueError as error:
        where = f"{path}: frame {frame} of {sequence!r}"
        raise InputError(one_line(f"{where} cannot be used: {error}")) from error


def scan_files(folder: Path) -> list[Path]:
    """The raw scans under ``folder``, the folder ``scans`` or its parent, sorted; else none."""
    root = folder / "scans" if (folder / "scans").is_dir() else folder
    return sorted(
        path for path in root.glob("*/*/*.ply") if path.name.startswith(f"{path.parent.name}.")
    )


def _check_shape(path: Path, name: str, shape: tuple[int, ...], num_vertices: int) -> None:
    where = f"{path}: sequence {one_line(name)!r} of shape {shape}"
    if len(shape) != 3 or shape[1] != 3:
        raise InputError(f"{where}; the axes must be (vertices, 3, frames)")
    if shape[2] == 0:
        raise InputError(f"{where} has no frame; remove it")
    if shape[0] != num_vertices:
        raise InputError(f"{where}, another has {num_vertices} vertices; one 'faces' fits one")


def _read_faces(path: Path, file: hdf5.File, num_vertices: int) -> np.ndarray:
    faces = np.asarray(hdf5.dataset(file, "faces", numeric="iu")[...], np.int64)
    try:
        check_faces(faces, num_vertices)
    except ValueError as error:
        raise InputError(f"{path}: {error}") from error
    return faces
