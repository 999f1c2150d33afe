"""Results of an unfinished ``prepare``, one small store per scan in the folder STORE.parts.

A result appears under its final name only when it is complete. A run that is killed at any moment
therefore loses only the scans that are being processed. The file name is the stamp, a hash of
source and options: a run with other options never reuses the result.
"""

import hashlib
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float64

from shapespace.config.options import ReadOptions
from shapespace.data.prepare.points import PointOptions
from shapespace.data.sources import Source
from shapespace.data.store.store import ScanStore
from shapespace.data.store.writer import StoreWriter
from shapespace.errors import InputError
from shapespace.scan import PreparedScan
from shapespace.utils.files import alone, remove_leftovers

ALGORITHM = 3
"""Version of the sampling code, part of every stamp.

It is raised when the same source and options would give other points.
"""


def stamp_of(
    source: Source,
    options: PointOptions,
    cameras: Float64[np.ndarray, "C D"] | None,
    reading: ReadOptions = ReadOptions(),
) -> str:
    """Hash everything that decides the result of preparing ``source``.

    The size and the modification time of the file stand for its content, which is not read.

    Args:
        source: the scan to be prepared.
        options: how the scan is sampled.
        cameras: positions of the cameras in the source's frame, or None.
        reading: how the file is read.

    Returns:
        The sha256, hexadecimal.
    """
    try:
        stat = source.path.stat()
    except OSError:
        # A missing file is reported when the scan is read, with the reason.
        stat = None
    facts = {
        "algorithm": ALGORITHM,
        "source": [source.name, str(source.path.resolve()), source.sequence, source.frame],
        "file": None if stat is None else [stat.st_size, stat.st_mtime_ns],
        "options": _facts(options),
        # A reading that is the usual one is left out, as an option is that changes nothing.
        **({} if reading == ReadOptions() else {"reading": asdict(reading)}),
        "cameras": None if cameras is None else cameras.tolist(),
    }
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


def _facts(options: PointOptions) -> dict[str, object]:
    """Return the options as plain data.

    An option that changes nothing is left out: a store that was written before it was invented
    keeps its stamps.
    """
    facts = asdict(options)
    if options.measures_sigma:
        del facts["sigma"]
    if not options.clean:
        del facts["clean"]
    if not options.curvature:
        del facts["curvature"]
    if options.scale is None:
        facts["radius"] = "without stray points"
    return facts


LEFTOVER = r"\.[0-9a-f]{64}\.\d+\.part\.hdf5"
"""Pattern of the temporary files that a killed process leaves in the folder."""
OURS = r"lock|[0-9a-f]{64}\.hdf5"
"""Pattern of the files that ``prepare`` itself writes to the folder."""


@dataclass(frozen=True)
class PartialResults:
    """The folder with the results of an unfinished run. Plain data, which workers can unpickle.

    Args:
        folder: the folder STORE.parts.
        unit: unit of stored lengths, "m" or "radius".
    """

    folder: Path
    unit: str

    def __contains__(self, stamp: str) -> bool:
        return self._path(stamp).exists()

    def is_flat(self, stamp: str) -> bool:
        """Say whether there is a result for ``stamp`` and its scan is 2-D."""
        try:
            return ScanStore(self._path(stamp)).dimension == 2
        except InputError:
            return False

    def write(self, scan: PreparedScan) -> None:
        """Write ``scan`` under its stamp; :class:`InputError` if its name cannot name a scan."""
        with StoreWriter(self._path(scan.stamp), self.unit, scan.points.shape[1]) as writer:
            writer.add(scan)

    def size(self, stamp: str) -> int:
        """Return the size of a result in bytes."""
        return self._path(stamp).stat().st_size

    def read(self, stamp: str) -> PreparedScan | None:
        """Read the scan that was written under ``stamp``.

        Returns:
            The scan, or None if there is no intact result. A damaged file is removed.

        Raises:
            InputError: something that is not a file stands under the name of the result.
        """
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
            message = f"{self._path(stamp)}: is not the store of one scan; remove it"
            raise InputError(message) from error
        return None

    def _path(self, stamp: str) -> Path:
        return self.folder / f"{stamp}.hdf5"


@contextmanager
def partial_results_of(store: Path, unit: str) -> Iterator[PartialResults]:
    """Open the partial results of ``store`` for this process alone.

    The results are removed when the block ends well, and stay when it raises.

    Args:
        store: the store that is being made.
        unit: unit of stored lengths, "m" or "radius".

    Raises:
        InputError: another process is writing the same store.
    """
    folder = store.with_name(f"{store.name}.parts")
    busy = f"{store}: another prepare is writing it; wait for it, or choose another name"
    with alone(folder / "lock", busy):
        # Safe only under the lock: a temporary file could belong to a process that is running.
        remove_leftovers(store)
        _remove(folder, LEFTOVER)
        try:
            yield PartialResults(folder, unit)
        except BaseException:
            # Without any result there is nothing to continue from: the folder goes.
            if not any(folder.glob("*.hdf5")):
                _remove(folder, OURS)
            raise
        _remove(folder, OURS)


def _remove(folder: Path, pattern: str) -> None:
    """Remove the files whose names match, then the folder unless it holds files of the user."""
    for path in folder.iterdir():
        if re.fullmatch(pattern, path.name) and not path.is_dir():
            path.unlink(missing_ok=True)
    with suppress(OSError):
        folder.rmdir()
