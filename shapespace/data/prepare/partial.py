"""What ``prepare`` has done so far: beside STORE a folder STORE.parts with a small store per scan.

A part appears under its name when it is whole, so that a run killed at any moment loses only the
scans in flight. The name is the stamp of source and options: other options never meet old parts.
"""

import hashlib
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from shapespace.data.prepare.points import PointOptions
from shapespace.data.sources import Source
from shapespace.data.store.store import ScanStore
from shapespace.data.store.writer import StoreWriter
from shapespace.errors import InputError
from shapespace.scan import PreparedScan
from shapespace.utils.files import alone, remove_leftovers

ALGORITHM = 2
"""Part of every stamp: raised when the same source and options would give other points."""


def stamp_of(source: Source, options: PointOptions, cameras: np.ndarray | None) -> str:
    """sha256 of all that decides what ``source`` becomes: its file's size and time stand for it."""
    try:
        stat = source.path.stat()
    except OSError:
        stat = None  # reading it will say why
    facts = {
        "algorithm": ALGORITHM,
        "source": [source.name, str(source.path.resolve()), source.sequence, source.frame],
        "file": None if stat is None else [stat.st_size, stat.st_mtime_ns],
        "options": asdict(options),
        "cameras": None if cameras is None else cameras.tolist(),
    }
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


LEFTOVER = r"\.[0-9a-f]{64}\.\d+\.part\.hdf5"
OURS = r"lock|[0-9a-f]{64}\.hdf5"
"""Names of the files that ``prepare`` itself puts beside a store."""


@dataclass(frozen=True)
class PartialResults:
    """The folder of the parts of a store in the making. Plain data, for the workers."""

    folder: Path
    unit: str

    def __contains__(self, stamp: str) -> bool:
        return self._path(stamp).exists()

    def is_flat(self, stamp: str) -> bool:
        """Whether the part is there and holds a scan in the plane."""
        try:
            return ScanStore(self._path(stamp)).dimension == 2
        except InputError:
            return False

    def write(self, scan: PreparedScan) -> None:
        """Keep ``scan`` under its stamp; :class:`InputError` if its name is none for a scan."""
        with StoreWriter(self._path(scan.stamp), self.unit, scan.points.shape[1]) as writer:
            writer.add(scan)

    def read(self, stamp: str) -> PreparedScan | None:
        """The scan of a part; None if there is none, or a damaged one, which is removed."""
        try:
            with ScanStore(self._path(stamp)) as store:
                scan = store.scan(store.names[0]) if len(store) == 1 else None
        except InputError:
            scan = None
        if scan is not None and scan.stamp == stamp:
            return scan
        try:
            self._path(stamp).unlink(missing_ok=True)
        except OSError as error:
            raise InputError(f"{self._path(stamp)}: is no part of a store; remove it") from error
        return None

    def _path(self, stamp: str) -> Path:
        return self.folder / f"{stamp}.hdf5"


@contextmanager
def partial_results_of(store: Path, unit: str) -> Iterator[PartialResults]:
    """The parts of ``store``, for one process alone; kept only where the block fails."""
    folder = store.with_name(f"{store.name}.parts")
    busy = f"{store}: another prepare is writing it; wait for it, or choose another name"
    with alone(folder / "lock", busy):
        remove_leftovers(store)
        _remove(folder, LEFTOVER)
        try:
            yield PartialResults(folder, unit)
        except BaseException:
            if not any(folder.glob("*.hdf5")):
                _remove(folder, OURS)
            raise
        _remove(folder, OURS)


def _remove(folder: Path, ours: str) -> None:
    """Remove our files whose names match, and the folder unless it holds those of others."""
    for path in folder.iterdir():
        if re.fullmatch(ours, path.name) and not path.is_dir():
            path.unlink(missing_ok=True)
    with suppress(OSError):
        folder.rmdir()
