"""NumPy files: NPZ and NPY.

The reader takes the bytes of a file. A ``ValueError`` gives the reason; ``readers.py`` adds the
name of the file.
"""

import io

import numpy as np

from shapespace.data.formats.polygons import Arrays

COLUMNS = {2: (2, 2), 3: (3, 3), 4: (2, 4), 6: (3, 6)}
"""Columns of a cloud: end of the points, end of the normals."""


def read_npz(content: bytes) -> Arrays:
    """NPZ with ``points`` or ``vertices`` and, optionally, ``faces`` and ``normals``."""
    with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
        key = next((key for key in ("points", "vertices") if key in arrays), None)
        if key is None:
            raise ValueError(f"no array 'points' or 'vertices', only {sorted(arrays)}")
        faces = _numbers(arrays["faces"], "iu") if "faces" in arrays else None
        normals = _numbers(arrays["normals"]) if "normals" in arrays else None
        return _numbers(arrays[key]), faces, normals


def read_npy(content: bytes) -> Arrays:
    """NPY: one row a point, its columns as in :func:`cloud`."""
    return cloud(_numbers(np.load(io.BytesIO(content), allow_pickle=False)))


def cloud(rows: np.ndarray) -> Arrays:
    """Points of 2 or 3 columns, or 2-D points and normals of 4, or 3-D ones of 6."""
    if rows.ndim != 2 or rows.shape[1] not in COLUMNS:
        raise ValueError(f"an array of shape {rows.shape}; a cloud has 2, 3, 4 or 6 columns")
    points, end = COLUMNS[rows.shape[1]]
    return rows[:, :points], None, rows[:, points:end] if end > points else None


def _numbers(array: np.ndarray, kinds: str = "fiu") -> np.ndarray:
    if array.dtype.kind not in kinds:
        raise ValueError(f"an array of type {array.dtype}; numbers are needed")
    return array.astype(np.float64 if kinds == "fiu" else np.int64)
