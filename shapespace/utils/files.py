"""Files: atomic writes, locks, output folders, lists of names."""

import fcntl
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from shapespace.errors import InputError, one_line


@contextmanager
def replacing(path: str | Path) -> Iterator[Path]:
    """Write a file atomically: readers see the old file or the new one, never a part.

    Yields the name of a temporary file in the same folder, with the same suffix. The temporary
    file replaces ``path`` when the block ends without an exception. After an exception the
    temporary file is removed and ``path`` is unchanged.

    Raises:
        InputError: The operating system refuses to write; the message names ``path``.
    """
    path = Path(path)
    # Writers choose a format by the suffix. remove_leftovers looks for this pattern.
    part = path.with_name(f".{path.stem}.{os.getpid()}.part{path.suffix}")
    output_folder(path.parent)
    try:
        yield part
        # A rename may reach the disk before the bytes: a power cut would leave an empty file.
        _to_disk(part)
        part.replace(path)
        _to_disk(path.parent)
    except OSError as error:
        raise InputError(
            f"{path}: cannot be written ({one_line(error.strerror or error)})"
        ) from error
    finally:
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
        raise InputError(f"{path}: the output folder cannot be written; choose another")
    return path


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
