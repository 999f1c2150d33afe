"""Writing files so that a reader never meets half of one."""

import fcntl
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from shapespace.errors import InputError, one_line


@contextmanager
def replacing(path: str | Path) -> Iterator[Path]:
    """A temporary name to write to; it takes the place of ``path`` when the block ends well.

    The bytes are on the disk before the rename, the folder after it. On an exception the
    temporary file is removed and ``path`` is as it was. The suffix is kept, for writers that
    choose a format by it. An OSError becomes an :class:`InputError` that names ``path``.
    """
    path = Path(path)
    part = path.with_name(f".{path.stem}.{os.getpid()}.part{path.suffix}")  # see remove_leftovers
    output_folder(path.parent)
    try:
        yield part
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
    """Remove what killed processes left of writing ``path``, or any file of the folder ``path``.

    No other may be writing it now.
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
    """Hold the lock file ``lock``, which ends with the process at the latest.

    While another process holds it: :class:`InputError` ``busy``, or wait if that is None.
    """
    output_folder(Path(lock).parent)
    try:
        # a link would let others choose which file is opened
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
    """The folder ``path``, made if missing; InputError if nothing can be written to it."""
    path = Path(path)
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{path}: cannot be an output folder ({one_line(error)})") from error
    if not os.access(path, os.W_OK):
        raise InputError(f"{path}: the output folder cannot be written; choose another")
    return path


def _to_disk(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def read_lines(path: str | Path) -> list[str]:
    """The lines of a text file that are not empty; InputError if there are none."""
    try:
        lines = [line.strip() for line in Path(path).read_text("utf-8-sig").splitlines()]
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot be read ({one_line(error)})") from error
    if not any(lines):
        raise InputError(f"{path}: is empty; one name a line is needed")
    return [line for line in lines if line]
