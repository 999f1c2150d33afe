"""Files: atomic writes, locks, output folders, lists of names, folders made by others.

A run folder may come from anybody. :func:`read_inside` reads nothing but regular files below such a
folder, :func:`path_inside` and :func:`folder_inside` give no path outside of it.
"""

import errno
import fcntl
import os
import re
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from shapespace.errors import DiskError, InputError, one_line
from shapespace.scan import is_scan_name

MOST_BYTES = 1 << 28
"""Largest file that :func:`read_inside` reads by default."""
_OF_THE_DISK = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM, errno.EIO)
"""Numbers of errors after which no other file can be written to the same folder either."""


@contextmanager
def replacing(path: str | Path) -> Iterator[Path]:
    """Write a file atomically: readers see the old file or the new one, never a part.

    Yields the name of a temporary file in the same folder, with the same suffix. The temporary
    file replaces ``path`` when the block ends without an exception. After an exception the
    temporary file is removed and ``path`` is unchanged.

    A symbolic link at ``path`` is replaced; the file that it leads to stays as it is.

    Raises:
        DiskError: The disk takes no more files; the message names ``path``.
        InputError: The operating system refuses to write this file; the message names ``path``.
    """
    path = Path(path)
    # Writers choose a format by the suffix. remove_leftovers looks for this pattern.
    part = path.with_name(f".{path.stem}.{os.getpid()}.part{path.suffix}")
    output_folder(path.parent)
    try:
        # A link that somebody left under this name would lead the writer to another file.
        part.unlink(missing_ok=True)
        yield part
        # A rename may reach the disk before the bytes: a power cut would leave an empty file.
        _to_disk(part)
        part.replace(path)
        _to_disk(path.parent)
    except OSError as error:
        kind = DiskError if error.errno in _OF_THE_DISK else InputError
        raise kind(f"{path}: cannot be written ({one_line(error.strerror or error)})") from error
    finally:
        with suppress(OSError):
            part.unlink(missing_ok=True)


def remove_leftovers(path: str | Path) -> None:
    """Remove temporary files of killed processes, as :func:`replacing` makes them.

    No other process may be writing at the same time.

    Args:
        path: file whose temporary files are removed, or a folder, where all are removed.
    """
    path = Path(path)
    is_folder = path.is_dir()
    stem, suffix = (".+", r"(\.\w+)?") if is_folder else map(re.escape, (path.stem, path.suffix))
    written = re.compile(rf"\.{stem}\.\d+\.part{suffix}")
    for part in (path if is_folder else path.parent).iterdir():
        if written.fullmatch(part.name):
            part.unlink(missing_ok=True)


@contextmanager
def alone(lock: str | Path, busy: str | None = None) -> Iterator[None]:
    """Hold a lock file during the block; the end of the process frees the lock too.

    Args:
        lock: path of the lock file, which is made if missing and never removed.
        busy: message of the InputError if another process holds the lock; None waits instead.
    """
    output_folder(Path(lock).parent)
    try:
        # A symbolic link would let another user choose the file that is opened.
        descriptor = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o666)
    except OSError as error:
        raise InputError(f"{lock}: cannot be a lock ({error.strerror}); remove it") from error
    with os.fdopen(descriptor, "w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | (0 if busy is None else fcntl.LOCK_NB))
        except BlockingIOError as error:
            raise InputError(f"{busy}") from error
        yield


def output_folder(path: str | Path) -> Path:
    """Make the folder ``path`` if missing; InputError if no file can be written there."""
    path = Path(path)
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{path}: cannot be an output folder ({one_line(error)})") from error
    if not os.access(path, os.W_OK):
        raise DiskError(f"{path}: the output folder cannot be written; choose another")
    return path


@contextmanager
def empty_again(path: str | Path) -> Iterator[None]:
    """Remove the folders at ``path`` that were made inside the block if it fails and left nothing.

    A mistake of the user then leaves no empty folder behind.
    """
    path = Path(path)
    missing = [each for each in (path, *path.parents) if not each.exists()]
    try:
        yield
    except BaseException:
        for each in missing:
            # A folder with files in it stays.
            with suppress(OSError):
                each.rmdir()
        raise


def path_inside(folder: Path, name: str, suffix: str = "") -> Path:
    """The path of the file ``name + suffix`` in ``folder``, for writing.

    Args:
        folder: The folder of the file.
        name: The name of a scan, or of another file.
        suffix: The ending of the file, such as ".ply".

    Raises:
        InputError: ``name`` cannot be the name of a file in ``folder``, as "../a" cannot.
    """
    if not is_scan_name(name):
        raise InputError(
            f"{one_line(name)!r} cannot name a file in {folder}: a name has printable characters "
            "without '/'; rename the scan"
        )
    return folder / f"{name}{suffix}"


def folder_inside(folder: Path, name: str) -> Path:
    """Make the folder ``name`` in ``folder`` if missing; InputError if it leads elsewhere."""
    path = path_inside(folder, name)
    if path.is_symlink():
        raise InputError(f"{path}: is a symbolic link, nothing is written through it; remove it")
    return output_folder(path)


def read_inside(folder: Path, *parts: str, most: int = MOST_BYTES) -> bytes | None:
    """Read a regular file below ``folder``, whose content nobody vouches for.

    ``folder`` itself may be a link, because the user chose it.

    Args:
        folder: The folder.
        *parts: Names of the folders below it, then that of the file.
        most: The largest file that is read, in bytes.

    Returns:
        The bytes, or None if there is no such file.

    Raises:
        InputError: A part is no name, or a symbolic link; the file is no regular file, is larger
            than ``most``, or cannot be read.
    """
    path = _path_below(folder, parts)
    descriptor = _open_regular(path, folder, parts)
    if descriptor is None:
        return None
    with os.fdopen(descriptor, "rb") as file:
        # One byte more than allowed: the file may grow meanwhile.
        size = os.fstat(descriptor).st_size
        content = file.read(most + 1) if size <= most else b""
    if size > most or len(content) > most:
        raise InputError(f"{path}: is larger than {most} bytes and is not read; remove it")
    return content


def find_inside(folder: Path, *parts: str) -> Path | None:
    """The path of a regular file below ``folder``, or None; errors as in :func:`read_inside`."""
    path = _path_below(folder, parts)
    descriptor = _open_regular(path, folder, parts)
    if descriptor is None:
        return None
    os.close(descriptor)
    return path


def _path_below(folder: Path, parts: Sequence[str]) -> Path:
    """``folder`` and ``parts`` as one path; InputError if a part is no name."""
    for part in parts:
        folder = path_inside(folder, part)
    return folder


def _open_regular(path: Path, folder: Path, parts: Sequence[str]) -> int | None:
    """Open a regular file below ``folder``; None if it is missing, InputError if it is another."""
    try:
        descriptor = _open_below(folder, parts)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise InputError(f"{path}: is not read ({_reason(path, error)})") from error
    if stat.S_ISREG(os.fstat(descriptor).st_mode):
        return descriptor
    os.close(descriptor)
    raise InputError(f"{path}: is not read (no regular file); remove it")


def _open_below(folder: Path, parts: Sequence[str]) -> int:
    """Open a file below ``folder`` without following a link and without waiting for a pipe."""
    *folders, name = parts
    at = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        for each in folders:
            before = at
            at = os.open(each, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=before)
            os.close(before)
        return os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=at)
    finally:
        os.close(at)


def _reason(path: Path, error: OSError) -> str:
    """Why a file below a folder could not be opened; a link among its folders is said to be one."""
    if error.errno in (errno.ELOOP, errno.ENOTDIR):
        links = [each for each in (path, *path.parents) if each.is_symlink()]
        if links:
            return f"{links[0].name} is a symbolic link, which is not followed"
    return one_line(error.strerror or error)


def _to_disk(path: Path) -> None:
    """Wait until the disk has a file, or the names in a folder."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def read_lines(path: str | Path) -> list[str]:
    """Read the lines of a text file, without empty ones; InputError if no line is left."""
    try:
        lines = [line.strip() for line in Path(path).read_text("utf-8-sig").splitlines()]
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot be read ({one_line(error)})") from error
    if not any(lines):
        raise InputError(f"{path}: is empty; one name a line is needed")
    return [line for line in lines if line]
