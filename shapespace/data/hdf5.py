"""HDF5 from a stranger, read safely: the only module that imports h5py.

A dataset is read only when it is reached by a hard link, lies in the file itself and is not larger
than the file can hold; whatever the HDF5 library raises becomes one line that names the file.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py  # noqa: TID251

from shapespace.errors import InputError, one_line

MAX_COMPRESSION = 1032
"""Deflate never packs more than this many bytes into one (zlib, technical details)."""

Dataset = h5py.Dataset
File = h5py.File
Group = h5py.Group


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Turn what h5py raises inside the block into an :class:`InputError` that names ``path``."""
    try:
        yield
    except InputError:
        raise
    except (OSError, KeyError, ValueError, RuntimeError, TypeError) as error:
        message = f"{path}: HDF5 error, the file may be damaged or the disk full: {one_line(error)}"
        raise InputError(one_line(message)) from error


def open_hdf5(path: Path) -> h5py.File:
    """Open ``path`` to read; :class:`InputError` when it is missing, truncated or not HDF5."""
    if not path.is_file():
        raise InputError(f"{path}: there is no such file; check the path")
    try:
        return h5py.File(path, "r")
    except OSError as error:
        reason = one_line(error)
        raise InputError(f"{path}: not a readable HDF5 file, fetch it again ({reason})") from error


def create_hdf5(path: Path) -> h5py.File:
    """Create ``path``, or empty it, to write."""
    return h5py.File(path, "w")


def attributes(parent: h5py.Group) -> dict[str, Any]:
    """Read the attributes of ``parent``."""
    return dict(parent.attrs)


def member(parent: h5py.Group, key: str) -> h5py.Dataset | h5py.Group:
    """Find the member ``key`` of ``parent``; soft links and links to other files are refused."""
    link = parent.get(key, getlink=True)
    where = f"{parent.file.filename}: {one_line(key)!r} in {one_line(parent.name)}"
    if link is None:
        raise InputError(f"{where} is missing; write the file again")
    if not isinstance(link, h5py.HardLink):
        raise InputError(f"{where} is a link, which is refused; store the data in the file itself")
    found = parent[key]
    if not isinstance(found, h5py.Dataset | h5py.Group):
        raise InputError(f"{where} is a named type; a dataset or group is needed")
    return found


def group(parent: h5py.Group, key: str) -> h5py.Group:
    """Find the group ``key`` of ``parent``."""
    found = member(parent, key)
    if isinstance(found, h5py.Group):
        return found
    raise InputError(f"{parent.file.filename}: {one_line(found.name)} must be a group")


def dataset(parent: h5py.Group, key: str, numeric: str = "fiu") -> h5py.Dataset:
    """Find the dataset ``key`` of ``parent``: numbers of the kinds in ``numeric``, stored here.

    :class:`InputError` when it declares more than its file can hold.
    """
    found = member(parent, key)
    where = f"{parent.file.filename}: {one_line(key)!r} in {one_line(parent.name)}"
    if not isinstance(found, h5py.Dataset):
        raise InputError(f"{where} is a group; a dataset is needed")
    if found.dtype.kind not in numeric or found.shape is None:
        raise InputError(f"{where} has type {found.dtype}; numbers are needed")
    if found.is_virtual or found.external:
        raise InputError(f"{where} is stored in other files; copy the data into this file")
    stored = found.id.get_storage_size()
    packed = MAX_COMPRESSION if found.id.get_create_plist().get_nfilters() else 1
    if found.nbytes > packed * stored or stored > Path(parent.file.filename).stat().st_size:
        raise InputError(
            f"{where} declares {found.nbytes} bytes but holds {stored}; fetch the file again"
        )
    return found
