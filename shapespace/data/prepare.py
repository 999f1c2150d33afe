"""From files on disk to a store: what to read, by how many workers, what to tell the user.

The content of the store is the same whatever the number of workers; scans are written in the
order of their names.
"""

import time
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial
from itertools import chain
from multiprocessing import get_context
from pathlib import Path
from typing import Literal

import numpy as np

from shapespace.data.points import NEIGHBOUR, prepare_scan
from shapespace.data.sources import Source, discover, select
from shapespace.data.store import StoreWriter
from shapespace.errors import InputError, one_line
from shapespace.progress import progress as progress_bar
from shapespace.scan import PreparedScan

BOX = 1.8
"""Half side of the published sampling box, in stored units (Gropp et al. 2020)."""

PER_METRE = {"m": 1.0, "cm": 100.0, "mm": 1000.0, "in": 1 / 0.0254}
"""Source units in one metre."""

Outcome = PreparedScan | str
"""A scan, or the reason why there is none."""


@dataclass(frozen=True)
class PrepareSummary:
    """What :func:`prepare` did: names read, (name, reason) skipped, warnings, points, time.

    num_points: of all scans together; ignored: files beside the scans that are not scans.
    """

    read: list[str]
    skipped: list[tuple[str, str]]
    warnings: list[str]
    num_points: int
    seconds: float
    ignored: int = 0

    def __str__(self) -> str:
        lines = [f"scans read: {len(self.read)}, {self.num_points} points, {self.seconds:.1f} s"]
        lines += [f"skipped {one_line(name)}: {reason}" for name, reason in self.skipped]
        lines += [f"warning: {warning}" for warning in self.warnings]
        if self.ignored:
            lines.append(f"other files ignored: {self.ignored}")
        return "\n".join(lines)


def prepare(
    source: str | Path,
    store: str | Path,
    *,
    num_points: int | None = None,
    scans: Sequence[str] | None = None,
    every: int = 1,
    workers: int = 1,
    unit: Literal["m", "cm", "mm", "in"] = "m",
    normalise: bool = False,
    seed: int = 0,
    strict: bool = False,
    progress: bool = True,
) -> PrepareSummary:
    """Read the scans of ``source`` and write them to ``store``, all or nothing.

    Args:
        source: a file, a folder or a D-FAUST layout, see :func:`~.sources.find_sources`.
        store: the file to write; a store that is there is replaced.
        num_points: points a scan; by default 250 000, or all that a smaller cloud has.
        scans: names of the scans to keep, all by default.
        every: keep each n-th frame of each sequence, or each n-th file of a folder.
        workers: processes; with more than one, a script needs its ``__main__`` guard.
        unit: length unit of the source; the store is in metres.
        normalise: scale each scan to radius 1 instead; the store's unit is then "radius".
        seed: of sampling and shuffling, not negative.
        strict: stop at the first bad scan instead of skipping it.
        progress: show a bar on stderr.

    Raises:
        InputError: nothing could be read, or an argument is wrong; nothing is written.
    """
    start = time.monotonic()
    _check_options(num_points, workers, unit, seed)
    found, ignored = discover(Path(source))
    sources = select(found, scans, every)
    scale = None if normalise else PER_METRE[unit]
    work = partial(_outcome, num_points=num_points, seed=seed, scale=scale)
    tally = _Tally(strict)
    with (
        closing(_results(work, sources, workers)) as results,
        progress_bar(results, "prepare", len(sources), "scan", shown=progress) as bar,
    ):
        _write(Path(store), "radius" if normalise else "m", tally, _good(sources, iter(bar), tally))
    seconds = time.monotonic() - start
    return PrepareSummary(
        tally.read, tally.skipped, tally.warnings(), tally.num_points, seconds, ignored
    )


def prepare_file(
    path: str | Path,
    *,
    num_points: int | None = None,
    seed: int = 0,
    scale: float | None = 1.0,
) -> PreparedScan:
    """Read the scan file ``path``, name it by its stem and prepare it.

    scale: source units per stored unit, None for the scan's own radius. :class:`InputError` as
    :func:`~.readers.read_raw` and :func:`prepare_scan`.
    """
    _check_options(num_points, 1, "m", seed)
    return _load(Source(Path(path).stem, Path(path)), num_points, seed, scale)


@dataclass
class _Tally:
    """Counts what was read and skipped while it happens."""

    strict: bool
    read: list[str] = field(default_factory=list)
    skipped: list[tuple[str, str]] = field(default_factory=list)
    outside: list[tuple[float, str]] = field(default_factory=list)
    bare: int = 0
    num_points: int = 0

    def skip(self, name: str, reason: str) -> None:
        if self.strict:
            raise InputError(reason)
        self.skipped.append((name, reason))

    def add(self, scan: PreparedScan) -> None:
        self.read.append(scan.name)
        self.num_points += len(scan.points)
        self.bare += scan.normals is None
        reach = float(np.abs(scan.points).max())
        if reach > BOX:
            self.outside.append((reach, scan.name))

    def nothing(self) -> str:
        reason = self.skipped[0][1] if self.skipped else "no scan was selected"
        rest = len(self.skipped) - 1
        return f"{reason} (and {rest} more that cannot be read)" if rest > 0 else reason

    def warnings(self) -> list[str]:
        lines = []
        if self.outside:
            reach, name = max(self.outside)
            lines.append(
                f"scans that leave the sampling box of ±{BOX}: {len(self.outside)}, the farthest "
                f"{name!r} reaches {reach:.4g}; give their unit, as in --unit mm, or --normalise"
            )
        if self.bare:
            lines.append(f"scans without normals: {self.bare}; they train without the normal term")
        return lines


def _good(
    sources: list[Source], outcomes: Iterator[Outcome], tally: _Tally
) -> Generator[PreparedScan, None, None]:
    for source, outcome in zip(sources, outcomes, strict=True):
        if isinstance(outcome, str):
            tally.skip(source.name, outcome)
        else:
            yield outcome


def _write(store: Path, unit: str, tally: _Tally, scans: Iterator[PreparedScan]) -> None:
    first = next(scans, None)
    if first is None:
        raise InputError(tally.nothing())
    with StoreWriter(store, unit, first.points.shape[1]) as writer:
        for scan in chain([first], scans):
            objection = writer.objection(scan)
            if objection is None:
                writer.add(scan)
                tally.add(scan)
            else:
                tally.skip(scan.name, objection)
        if not tally.read:
            raise InputError(tally.nothing())


def _results(
    work: Callable[[Source], Outcome], sources: list[Source], workers: int
) -> Generator[Outcome, None, None]:
    """What ``work`` makes of the sources, in their order; at most 2 a worker are held."""
    if workers == 1:
        yield from map(work, sources)
        return
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        waiting: deque[Future[Outcome]] = deque()
        for source in sources:
            waiting.append(pool.submit(work, source))
            if len(waiting) == 2 * workers:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


def _outcome(source: Source, num_points: int | None, seed: int, scale: float | None) -> Outcome:
    try:
        return _load(source, num_points, seed, scale)
    except InputError as error:
        return str(error)


def _load(source: Source, num_points: int | None, seed: int, scale: float | None) -> PreparedScan:
    raw, digest = source.load()
    return prepare_scan(
        raw,
        source.name,
        num_points=num_points,
        seed=seed,
        scale=scale,
        source=str(source),
        source_hash=digest,
    )


def _check_options(num_points: int | None, workers: int, unit: str, seed: int) -> None:
    if num_points is not None and num_points <= NEIGHBOUR:
        raise InputError(f"num_points={num_points}: at least {NEIGHBOUR + 1} are needed for sigma")
    if workers < 1:
        raise InputError(f"workers={workers}: give 1 or more")
    if unit not in PER_METRE:
        raise InputError(f"unit={unit!r}: one of {' '.join(PER_METRE)}")
    if seed < 0:
        raise InputError(f"seed={seed}: give 0 or more")
