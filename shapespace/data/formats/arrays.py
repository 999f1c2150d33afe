"""NumPy files: NPZ and NPY.

The readers take the bytes of a file. A ``ValueError`` states the reason; ``readers.py`` adds the
name of the file.

Letters: N points, D dimension (2 or 3).
"""

import io

import numpy as np

from shapespace.data.formats.polygons import Arrays

COLUMNS = {2: (2, 2), 3: (3, 3), 4: (2, 4), 6: (3, 6)}
"""Number of columns of a cloud: (end of the point's columns, end of the normal's columns)."""


def read_npz(content: bytes) -> Arrays:
    """Read an NPZ with ``points`` or ``vertices`` and, optionally, ``faces`` and ``normals``."""
    # A pickle runs code of its author when it is loaded.
    with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
        key = next((key for key in ("points", "vertices") if key in arrays), None)
        if key is None:
            raise ValueError(f"no array 'points' or 'vertices', only {sorted(arrays)}")
        faces = _numbers(arrays["faces"], "iu") if "faces" in arrays else None
        normals = _numbers(arrays["normals"]) if "normals" in arrays else None
        return _numbers(arrays[key]), faces, normals


def read_npy(content: bytes) -> Arrays:
    """Read an NPY with one row a point, whose columns are those of :func:`cloud`."""
    return cloud(_numbers(np.load(io.BytesIO(content), allow_pickle=False)))


def cloud(rows: np.ndarray) -> Arrays:
    """Split rows of numbers into points and normals, by the number of columns.

    Args:
        rows: [N,2] or [N,3] points; [N,4] or [N,6] points followed by their normals.
    """
    if rows.ndim != 2 or rows.shape[1] not in COLUMNS:
        raise ValueError(f"an array of shape {rows.shape}; a cloud has 2, 3, 4 or 6 columns")
    points, end = COLUMNS[rows.shape[1]]
    return rows[:, :points], None, rows[:, points:end] if end > points else None


def _numbers(array: np.ndarray, kinds: str = "fiu") -> np.ndarray:
    """Convert to float64, or to int64 if only integer kinds are allowed; refuse other kinds."""
    if array.dtype.kind not in kinds:
        raise ValueError(f"an array of type {array.dtype}; numbers are needed")
    return array.astype(np.float64 if kinds == "fiu" else np.int64)
