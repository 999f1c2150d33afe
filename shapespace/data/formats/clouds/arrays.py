"""NumPy files: NPZ and NPY.

The readers take the bytes of a file. A ``ValueError`` states the reason; ``readers.py`` adds the
name of the file.

Letters: N points.
"""

import io
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from shapespace.data.formats.clouds.columns import cloud, named_cloud
from shapespace.data.formats.clouds.samples import read_deepsdf
from shapespace.data.formats.contents import Contents
from shapespace.data.formats.words import listed
from shapespace.errors import NoScanError

PARTS = {
    "points": ("points", "vertices", "verts", "xyz", "pc", "pointcloud", "point_cloud", "pos"),
    "faces": ("faces", "triangles", "tris"),
    "normals": ("normals", "vertex_normals", "normal"),
}
"""Names of the arrays of a scan, in lower case."""
VOLUME = ("sdf", "tsdf", "udf", "occupanc", "signed_dist")
"""Beginnings of the names of arrays that hold a distance or a side for each point of space."""


def read_npz(content: bytes, chosen: Sequence[str] | None = None) -> Contents:
    """Read the points or the mesh of an NPZ, and name its other arrays.

    Known are points or vertices, faces and normals, under their usual names, and the layout of
    Occupancy Networks, whose points stay in the frame that ``loc`` and ``scale`` belong to. The
    samples of DeepSDF are read as ``samples.py`` says. One array alone is read as an NPY.

    Args:
        content: the file.
        chosen: names of the columns, for points that have more than three.

    Raises:
        NoScanError: the arrays are samples of a volume, which are no scan.
    """
    # A pickle runs code of its author when it is loaded.
    with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
        keys = {key.lower(): key for key in arrays.files}
        if {"pos", "neg"} <= keys.keys():
            return read_deepsdf(*(_numbers(arrays[keys[side]]) for side in ("pos", "neg")))
        _check_no_samples(keys)
        used = {what: _key(keys, names) for what, names in PARTS.items()}
        # np.savez names an array that is given without a name arr_0.
        at = used["points"] or ("arr_0" if arrays.files == ["arr_0"] else None)
        if at is None:
            raise ValueError(f"no array 'points' or 'vertices', only {sorted(arrays.files)}")
        points = _numbers(arrays[at])
        faces = _numbers(arrays[used["faces"]], "iu") if used["faces"] else None
        normals = _numbers(arrays[used["normals"]]) if used["normals"] else None
    taken = {at, *used.values()}
    rest = [key for key in arrays.files if key not in taken]
    stay = " (the points stay in the frame of the file)" if {"loc", "scale"} <= set(rest) else ""
    unused = (f"array {listed(rest)}{stay}",) if rest else ()
    if normals is None and points.ndim == 2 and points.shape[1] > 3:
        contents = cloud(points, chosen=chosen)
        more = (*contents.unused, *unused)
        return replace(contents, faces=faces, unused=more)
    return Contents(points, faces, normals, unused=unused)


def read_npy(content: bytes, chosen: Sequence[str] | None = None) -> Contents:
    """Read an NPY with one row a point.

    Args:
        content: the file.
        chosen: names of the columns that the user gave; else fields of the array, or its numbers,
            say what they mean.
    """
    array = np.load(io.BytesIO(content), allow_pickle=False)
    if array.dtype.names is None or chosen is not None:
        return cloud(_numbers(array), chosen=chosen)
    if array.ndim != 1 or any(array.dtype[name].shape for name in array.dtype.names):
        raise ValueError(f"an array of shape {array.shape} and type {array.dtype}")
    return named_cloud([(name, _numbers(array[name])) for name in array.dtype.names])


def _key(keys: Mapping[str, str], names: Sequence[str]) -> str | None:
    """The array with one of these names; ValueError if there are two."""
    found = [keys[name] for name in names if name in keys]
    if len(found) > 1:
        raise ValueError(f"arrays {found[0]!r} and {found[1]!r} both; which is the scan?")
    return found[0] if found else None


def _check_no_samples(keys: Mapping[str, str]) -> None:
    """Refuse samples of a volume: points of space with a distance, or with inside or outside."""
    mesh = _key(keys, PARTS["faces"]) is not None and "vertices" in keys
    volume = [key for key in keys if key.startswith(VOLUME)]
    if volume and not mesh:
        what = f"array {keys[volume[0]]!r}"
    else:
        return
    raise NoScanError(
        f"no scan but samples of a volume ({what}); give the mesh or the points of its surface"
    )


def _numbers(array: np.ndarray, kinds: str = "fiu") -> np.ndarray:
    """Convert to float64, or to int64 if only integer kinds are allowed; refuse other kinds."""
    if array.dtype.kind not in kinds:
        raise ValueError(f"an array of type {array.dtype}; numbers are needed")
    return array.astype(np.float64 if kinds == "fiu" else np.int64)
