"""Read HDF5 files from strangers safely. This is the only module that imports h5py.

A dataset is read only if a hard link leads to it, it lies in the file itself, it needs no filter
but those that ship with h5py, and it is not larger than the file can hold. Every error of the HDF5
library becomes one line that names the file.

Without these checks, an HDF5 file can point at any file of the machine, load code from elsewhere,
and declare terabytes in a few kilobytes. No check protects from faults of the HDF5 library itself,
which a mutated file has been seen to crash, about once in thousands of files.
"""

import math
import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py  # noqa: TID251
import numpy as np

from shapespace.errors import InputError, one_line
from shapespace.utils.kinds import HDF5, kind_of

MAX_ATTRIBUTE = 1 << 16
"""Largest attribute that is read, in bytes; the attributes of a store are much smaller."""
SPARE = 1 << 20
"""Bytes that are kept free for the metadata that the library writes."""
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
"""Exceptions that h5py raises for a damaged or hostile file, or numpy for its numbers."""
Dataset = h5py.Dataset
File = h5py.File
Group = h5py.Group


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Turn an exception of h5py inside the block into an InputError that names ``path``."""
    try:
        yield
    except InputError:
        raise
    except TROUBLE as error:
        message = f"{path}: HDF5 error, the file may be damaged or the disk full: {_words(error)}"
        raise InputError(one_line(message)) from error


def _words(error: Exception) -> str:
    """What an error of the library says, without names and numbers of the system."""
    found = re.search(r"error message = '([^']*)'", str(error))
    return found[1] if found else one_line(error)


def is_hdf5(path: Path) -> bool:
    """True if the file ``path`` begins as HDF5 does; False for a folder or a missing file."""
    if not path.is_file():
        return False
    try:
        with path.open("rb") as file:
            return file.read(len(HDF5)) == HDF5
    except OSError:
        return False  # a later read gives the reason


def open_hdf5(path: Path) -> h5py.File:
    """Open ``path`` for reading.

    Raises:
        InputError: the file is missing, truncated or not HDF5.
    """
    kind = kind_of(path)
    if kind in ("a folder", "a checkpoint"):
        raise InputError(f"{path}: is {kind}; give a store, as shapespace prepare writes it")
    if not path.is_file():
        raise InputError(f"{path}: there is no such file; check the path")
    try:
        # Some network file systems have no locks.
        return h5py.File(path, "r", locking="best-effort")
    except (OSError, RuntimeError) as error:
        reason = _words(error)
        raise InputError(f"{path}: not a readable HDF5 file, fetch it again ({reason})") from error


def create_hdf5(path: Path) -> h5py.File:
    """Create or empty ``path`` for writing; end with :func:`close`."""
    file = h5py.File(path, "w")
    reserve(file, 0)
    return file


def reserve(file: h5py.File, num_bytes: int) -> None:
    """Reserve disk space for ``num_bytes`` more; OSError if the disk is full.

    The HDF5 library crashes if it finds a full disk itself, even while it closes a file. So there
    are always ``SPARE`` bytes left for it.
    """
    os.posix_fallocate(file.id.get_vfd_handle(), file.id.get_filesize(), num_bytes + SPARE)


def close(file: h5py.File) -> None:
    """Close a file from :func:`create_hdf5` and free the reserved space that it did not need."""
    file.flush()
    path = file.filename
    size = file.id.get_filesize()
    file.close()
    os.truncate(path, size)


def attributes(
    parent: h5py.Group, names: Sequence[str], rows: Sequence[str] = ()
) -> dict[str, Any]:
    """Read attributes of a group.

    Args:
        parent: the group.
        names: names of the attributes.
        rows: names of those attributes that are 1-D arrays; each other one is a text or a number.

    Returns:
        Value of each attribute by its name.

    Raises:
        InputError: an attribute is missing, of another kind, or larger than ``MAX_ATTRIBUTE``.
    """
    return {name: _attribute(parent, name, int(name in rows)) for name in names}


def set_attributes(parent: h5py.Group, **values: Any) -> None:
    """Write attributes of a group; text is stored at a fixed length."""
    # HDF5 keeps text of variable length in a heap, and a damaged heap can hang the library. So
    # such text is neither written here nor read.
    for name, value in values.items():
        if isinstance(value, str):
            text = value.encode("utf-8")
            parent.attrs.create(name, text, dtype=h5py.string_dtype("utf-8", len(text) or 1))
        else:
            parent.attrs[name] = value


def _attribute(parent: h5py.Group, name: str, rank: int) -> Any:
    """One attribute of ``rank`` 0 or 1, checked before memory is taken for it."""
    if name not in parent.attrs:
        raise InputError(f"{_attribute_of(parent, name)} is missing; write the file again")
    found = parent.attrs.get_id(name)
    dtype = found.dtype
    shape = found.shape
    empty = found.get_space().get_simple_extent_type() == h5py.h5s.NULL
    # "S" is text of fixed length; the kind "O" of variable length is refused.
    if dtype.kind not in "fiubS" or empty or len(shape) != rank:
        wanted = "a row of numbers" if rank else "one number or text"
        raise InputError(f"{_attribute_of(parent, name)} is not {wanted}; write the file again")
    if math.prod(shape) * dtype.itemsize > MAX_ATTRIBUTE:
        raise InputError(f"{_attribute_of(parent, name)} is too large; write the file again")
    value = np.empty(shape, dtype)
    found.read(value)
    unwrapped: Any = value[()]
    return unwrapped.decode("utf-8", "replace") if isinstance(unwrapped, bytes) else unwrapped


def _attribute_of(parent: h5py.Group, name: str) -> str:
    """Name of an attribute for an error message."""
    return f"{parent.file.filename}: attribute {name!r} of {one_line(parent.name)}"


def _where(parent: h5py.Group, name: str) -> str:
    """Name of a member for an error message."""
    return f"{parent.file.filename}: {one_line(name)!r} in {one_line(parent.name)}"


def member(parent: h5py.Group, key: str) -> h5py.Dataset | h5py.Group:
    """Find the member ``key`` of ``parent``; refuse soft links and links to other files."""
    # The kind of the link is read before the link is followed: an external link makes the library
    # open another file, which may be any file that this process may read, or a pipe that blocks.
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
    """Find a dataset of numbers, and check it before memory is taken for it.

    Args:
        parent: group that holds it.
        key: its name.
        numeric: numpy kinds of numbers that are accepted.

    Raises:
        InputError: it is missing, no dataset of numbers, stored in other files, larger than its
            file can hold, or compressed by a filter that does not ship with h5py.
    """
    found = member(parent, key)
    if not isinstance(found, h5py.Dataset):
        raise InputError(f"{_where(parent, key)} is a group; a dataset is needed")
    # This check comes first: to find the shape of a virtual dataset, the library may open the files
    # that its parts lie in.
    if found.is_virtual or found.external:
        where = _where(parent, key)
        raise InputError(f"{where} is stored in other files; copy the data into this file")
    if found.dtype.kind not in numeric or found.shape is None:
        raise InputError(f"{_where(parent, key)} has type {found.dtype}; numbers are needed")
    # The library loads an unknown filter as a plug-in, which is foreign code.
    plist = found.id.get_create_plist()
    filters = [plist.get_filter(i) for i in range(plist.get_nfilters())]
    for number, *_, name in filters:
        if number not in FILTERS:
            where = _where(parent, key)
            raise InputError(f"{where} needs the filter {number} ({name!r}); store it with gzip")
    # A header may declare any shape, and chunks that were never written read as zeros. The bytes
    # that are stored bound what a dataset holds: just as many without a filter, and at most
    # MAX_COMPRESSION times as many with one. The stored size is itself only a claim of the header,
    # so it must not exceed the file.
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
    """Offset in the file of the first byte of a contiguous, unfiltered dataset; 0 if it is empty.

    Raises:
        InputError: its bytes do not all lie in the file.
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
    """Fill an array with bytes of a file, without the HDF5 library.

    A training step reads a small window of each scan of the batch. For a window of 8000 points,
    h5py took 32 us and this function takes 14 us.

    Args:
        file: an open file.
        offset: position of the first byte; see the function :func:`offset`.
        array: contiguous array to fill, of the type in which the numbers are stored.

    Raises:
        InputError: the file ends before the array is full.
    """
    left = memoryview(array.data).cast("B") if array.size else memoryview(b"")
    while left:
        # One call may return fewer bytes than asked for, and returns none at the end of the file,
        # which may have been cut since the offsets were checked.
        count = os.preadv(file.id.get_vfd_handle(), [left], offset)
        if count == 0:
            raise InputError(f"{file.filename}: ends at byte {offset}; fetch it again")
        left = left[count:]
        offset += count


def _bytes(found: h5py.Dataset) -> int:
    """Bytes that a dataset declares, as an integer of any size: its own ``nbytes`` can overflow."""
    return math.prod(found.shape) * found.dtype.itemsize


def _size(file: h5py.File) -> int:
    """Size of the open file itself, even if another file has taken its name since."""
    return os.fstat(file.id.get_vfd_handle()).st_size
