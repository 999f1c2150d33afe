"""HDF5 from a stranger, read safely: the only module that imports h5py.

A dataset is read only when it is reached by a hard link, lies in the file itself, needs no filter
but those that ship with h5py and is not larger than the file can hold; whatever the HDF5 library
raises becomes one line that names the file.
"""

import math
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py  # noqa: TID251
import numpy as np

from shapespace.errors import InputError, one_line

MAGIC = b"\x89HDF\r\n\x1a\n"
"""The first bytes of HDF5."""
MAX_ATTRIBUTE = 1 << 16
"""Bytes of an attribute as the library itself writes them; ours are much smaller."""
SPARE = 1 << 20
"""Bytes kept for what the library writes about the data."""
MAX_COMPRESSION = 1032
"""Deflate never packs more than this many bytes into one (zlib, technical details)."""
FILTERS = (
    h5py.h5z.FILTER_DEFLATE,
    h5py.h5z.FILTER_SHUFFLE,
    h5py.h5z.FILTER_FLETCHER32,
    h5py.h5z.FILTER_LZF,
)
"""Filters that ship with h5py; any other would be code loaded from elsewhere."""
TROUBLE = (OSError, LookupError, ValueError, RuntimeError, TypeError, ArithmeticError, MemoryError)
"""What a damaged or hostile file makes h5py, or numpy with its numbers, raise."""
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
    except TROUBLE as error:
        message = f"{path}: HDF5 error, the file may be damaged or the disk full: {one_line(error)}"
        raise InputError(one_line(message)) from error


def is_hdf5(path: Path) -> bool:
    """Whether the file ``path`` begins as HDF5 does; no for a folder, and where there is none."""
    if not path.is_file():
        return False
    try:
        with path.open("rb") as file:
            return file.read(len(MAGIC)) == MAGIC
    except OSError:
        return False  # reading it will say why


def open_hdf5(path: Path) -> h5py.File:
    """Open ``path`` to read; :class:`InputError` when it is missing, truncated or not HDF5."""
    if not path.is_file():
        raise InputError(f"{path}: there is no such file; check the path")
    try:
        # some network file systems have no locks
        return h5py.File(path, "r", locking="best-effort")
    except (OSError, RuntimeError) as error:
        reason = one_line(error)
        raise InputError(f"{path}: not a readable HDF5 file, fetch it again ({reason})") from error


def create_hdf5(path: Path) -> h5py.File:
    """Create ``path``, or empty it, to write; see :func:`reserve` and :func:`close`."""
    file = h5py.File(path, "w")
    reserve(file, 0)
    return file


def reserve(file: h5py.File, num_bytes: int) -> None:
    """Take room for ``num_bytes`` more from the disk; OSError if it is full.

    The library crashes where it finds out for itself, at closing too: it always has ``SPARE`` left.
    """
    os.posix_fallocate(file.id.get_vfd_handle(), file.id.get_filesize(), num_bytes + SPARE)


def close(file: h5py.File) -> None:
    """Close a file that was created here, and give the room back that it did not need."""
    file.flush()
    path, size = file.filename, file.id.get_filesize()
    file.close()
    os.truncate(path, size)


def attributes(
    parent: h5py.Group, names: Sequence[str], rows: Sequence[str] = ()
) -> dict[str, Any]:
    """The attributes ``names`` of ``parent``, each one text or number, those of ``rows`` arrays.

    :class:`InputError` if one is missing, of another kind or larger than ``MAX_ATTRIBUTE``.
    """
    return {name: _attribute(parent, name, int(name in rows)) for name in names}


def set_attributes(parent: h5py.Group, **values: Any) -> None:
    """Write attributes, text at a fixed length: a damaged heap of others can hang the library."""
    for name, value in values.items():
        if isinstance(value, str):
            text = value.encode("utf-8")
            parent.attrs.create(name, text, dtype=h5py.string_dtype("utf-8", len(text) or 1))
        else:
            parent.attrs[name] = value


def _attribute(parent: h5py.Group, name: str, rank: int) -> Any:
    if name not in parent.attrs:
        raise InputError(f"{_attribute_of(parent, name)} is missing; write the file again")
    found = parent.attrs.get_id(name)
    dtype, shape = found.dtype, found.shape
    empty = found.get_space().get_simple_extent_type() == h5py.h5s.NULL
    # "S" is text of fixed length; that of variable length lies in a heap
    if dtype.kind not in "fiubS" or empty or len(shape) != rank:
        wanted = "a row of numbers" if rank else "one number or text"
        raise InputError(f"{_attribute_of(parent, name)} is not {wanted}; write the file again")
    if math.prod(shape) * dtype.itemsize > MAX_ATTRIBUTE:
        raise InputError(f"{_attribute_of(parent, name)} is too large; write the file again")
    value = np.empty(shape, dtype)
    found.read(value)
    alone: Any = value[()]
    return alone.decode("utf-8", "replace") if isinstance(alone, bytes) else alone


def _attribute_of(parent: h5py.Group, name: str) -> str:
    return f"{parent.file.filename}: attribute {name!r} of {one_line(parent.name)}"


def _where(parent: h5py.Group, name: str) -> str:
    return f"{parent.file.filename}: {one_line(name)!r} in {one_line(parent.name)}"


def member(parent: h5py.Group, key: str) -> h5py.Dataset | h5py.Group:
    """Find the member ``key`` of ``parent``; soft links and links to other files are refused."""
    link = parent.get(key, getlink=True)
    if link is None:
        raise InputError(f"{_where(parent, key)} is missing; write the file again")
    if not isinstance(link, h5py.HardLink):
        where = _where(parent, key)
        raise InputError(f"{where} is a link, which is refused; store the data in the file itself")
    found = parent[key]
    if not isinstance(found, h5py.Dataset | h5py.Group):
        raise InputError(f"{_where(parent, key)} is a named type; a dataset or group is needed")
    return found


def group(parent: h5py.Group, key: str) -> h5py.Group:
    """Find the group ``key`` of ``parent``."""
    found = member(parent, key)
    if isinstance(found, h5py.Group):
        return found
    raise InputError(f"{parent.file.filename}: {one_line(found.name)} must be a group")


def dataset(parent: h5py.Group, key: str, numeric: str = "fiu") -> h5py.Dataset:
    """Find the dataset ``key`` of ``parent``: numbers of the kinds in ``numeric``, stored here.

    :class:`InputError` when it declares more than its file can hold, or needs a foreign filter.
    """
    found = member(parent, key)
    if not isinstance(found, h5py.Dataset):
        raise InputError(f"{_where(parent, key)} is a group; a dataset is needed")
    # first of all, since the shape of a virtual dataset may be looked up in the other files
    if found.is_virtual or found.external:
        where = _where(parent, key)
        raise InputError(f"{where} is stored in other files; copy the data into this file")
    if found.dtype.kind not in numeric or found.shape is None:
        raise InputError(f"{_where(parent, key)} has type {found.dtype}; numbers are needed")
    plist = found.id.get_create_plist()
    filters = [plist.get_filter(i) for i in range(plist.get_nfilters())]
    for number, *_, name in filters:
        if number not in FILTERS:
            where = _where(parent, key)
            raise InputError(f"{where} needs the filter {number} ({name!r}); store it with gzip")
    stored = found.id.get_storage_size()
    packed = MAX_COMPRESSION if filters else 1
    declared = _bytes(found)
    if declared > packed * stored or stored > _size(found.file):
        where = _where(parent, key)
        raise InputError(
            f"{where} declares {declared} bytes but holds {stored}; fetch the file again"
        )
    return found


def offset(found: h5py.Dataset) -> int:
    """Where in its file the bytes of a contiguous, unfiltered dataset begin; 0 for an empty one.

    :class:`InputError` if they do not all lie in the file.
    """
    start = found.id.get_offset()
    declared = _bytes(found)
    if declared == 0:
        return 0
    if start is None or start + declared > _size(found.file):
        where = f"{found.file.filename}: {one_line(found.name)}"
        raise InputError(f"{where} does not lie in the file; fetch it again")
    return start


def read_at(file: h5py.File, offset: int, array: np.ndarray) -> None:
    """Fill the contiguous ``array`` with the bytes from ``offset`` of ``file``, past the library.

    A tenth of what h5py needs for a small read. :class:`InputError` if the file ends before.
    """
    left = memoryview(array.data).cast("B") if array.size else memoryview(b"")
    while left:
        count = os.preadv(file.id.get_vfd_handle(), [left], offset)
        if count == 0:
            raise InputError(f"{file.filename}: ends at byte {offset}; fetch it again")
        left, offset = left[count:], offset + count


def _bytes(found: h5py.Dataset) -> int:
    """What ``found`` declares, where its own ``nbytes`` would overflow."""
    return math.prod(found.shape) * found.dtype.itemsize


def _size(file: h5py.File) -> int:
    """Of the open file, whatever has taken its place since."""
    return os.fstat(file.id.get_vfd_handle()).st_size
