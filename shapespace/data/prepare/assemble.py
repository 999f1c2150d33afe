"""The work of ``prepare``: process the scans that are missing, then write the store.

Every worker reads, samples and writes one scan at a time, each into a small store of its own
(``partial.py``). The main process only counts, and copies the scans into the store in the order of
their names.

Letters: C cameras, D dimension (2 or 3).
"""

import shutil
from collections.abc import Iterator, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
from jaxtyping import Float64

from shapespace.config.options import ReadOptions
from shapespace.data.prepare.clean import cleaned
from shapespace.data.prepare.counts import PrepareCounts
from shapespace.data.prepare.partial import PartialResults, partial_results_of, stamp_of
from shapespace.data.prepare.points import PointOptions, own_radius, prepare_scan
from shapespace.data.sources import Source
from shapespace.data.store.store import ScanStore
from shapespace.data.store.writer import StoreWriter
from shapespace.errors import InputError, one_line
from shapespace.scan import PreparedScan
from shapespace.utils.progress import progress
from shapespace.utils.timing import Timings
from shapespace.utils.workers import run_in_workers

LOST = "the process that read it died, by a crash or for want of memory; remove or repair the file"
TIMES = 5.0
"""A scan more than this times as large as the median does not set a common scale."""
Outcome = Timings | str
"""The seconds that a scan took by step, or the reason why it cannot be used."""
Cameras = Float64[np.ndarray, "C D"]


StampedSource = tuple[Source, str]
"""A source and its stamp."""


@dataclass(frozen=True)
class _Existing:
    """The store that an earlier run wrote, or None, and the names of its scans with our stamp."""

    store: ScanStore | None
    names: set[str]


@dataclass(frozen=True)
class Assembly:
    """A store to be written.

    Args:
        path: the file.
        unit: unit of stored lengths, "m" or "radius".
        shard: "i/n" for one of n shards, which may be empty, or "" for a whole store, which must
            hold a scan.
        options: how the scans are sampled.
        reading: how their files are read.
        cameras: positions in the source's frame from which the scans were taken, or None.
        strict: raise at the first scan that cannot be used instead of skipping it.
        shown: show bars on standard error.
    """

    path: Path
    unit: str
    shard: str
    options: PointOptions
    reading: ReadOptions
    cameras: Cameras | None
    strict: bool
    shown: bool

    def with_common_scale(self, sources: Sequence[Source], workers: int) -> "Assembly":
        """Return the same with one scale for a set: the largest radius of its scans.

        Every scan is read. One more than ``TIMES`` times as large as the median is out of scale,
        and does not count; nor does one that cannot be read. The scale is 1 if none can be.
        """
        work = partial(_own_radius, reading=self.reading, clean=self.options.clean)
        found = run_in_workers(work, sources, workers, lost=0.0)
        total = len(sources)
        with (
            closing(found),
            progress(found, "measure", total, unit="scan", shown=self.shown) as bar,
        ):
            radii = np.array([radius for _, radius in bar if radius > 0])
        scale = float(radii[radii <= TIMES * np.median(radii)].max()) if len(radii) else 1.0
        return replace(self, options=replace(self.options, scale=scale))

    def run(self, sources: Sequence[Source], workers: int) -> PrepareCounts:
        """Write the scans of ``sources`` to the store; results of an earlier run are reused.

        Raises:
            InputError: no scan could be used, or one could not and ``strict`` is set.
        """
        selected = [(source, self._stamp(source)) for source in sources]
        counts = PrepareCounts(
            metres=self.options.scale == 1.0,
            normalised=self.unit == "radius",
            clean=self.options.clean,
        )
        with partial_results_of(self.path, self.unit) as results:
            existing = self._existing(selected)
            missing = [
                (source, stamp)
                for source, stamp in selected
                if source.name not in existing.names and stamp not in results
            ]
            counts.num_reused = len(selected) - len(missing)
            self._process(results, missing, workers, counts=counts, total=len(selected))
            skipped = {name for name, _ in counts.skipped}
            usable = [item for item in selected if item[0].name not in skipped]
            wanted = {source.name for source, _ in usable}
            if existing.store is not None and existing.names == set(existing.store.names) == wanted:
                # The store holds exactly these scans already: it is not written again.
                for name in existing.store.names:
                    counts.add_stored(
                        name,
                        existing.store.num_points(name),
                        kind=existing.store.normals_kind(name),
                        account=existing.store.account(name),
                    )
            else:
                scans = self._scans(results, usable, existing)
                dimension = _dimension(results, usable, existing)
                self._write(scans, len(usable), dimension, counts=counts)
        counts.skipped.sort()
        return counts

    def _stamp(self, source: Source) -> str:
        return stamp_of(source, self.options, cameras=self.cameras, reading=self.reading)

    def _existing(self, selected: Sequence[StampedSource]) -> _Existing:
        """Open the store of an earlier run, if its unit and shard are those of this run."""
        try:
            store = ScanStore(self.path)
        except InputError:
            return _Existing(None, set())
        same = (self.unit, self.shard, self.options.measures_sigma)
        if (store.unit, store.shard, store.has_sigma) != same:
            return _Existing(None, set())
        names: set[str] = set()
        for source, stamp in selected:
            # A damaged entry counts as missing, and is made again.
            with suppress(InputError):
                if source.name in store and store.stamp(source.name) == stamp:
                    names.add(source.name)
        return _Existing(store, names)

    def _process(
        self,
        results: PartialResults,
        missing: list[StampedSource],
        workers: int,
        counts: PrepareCounts,
        total: int,
    ) -> None:
        """Write a partial result for every scan of ``missing`` that can be read.

        The store itself will hold ``total`` scans.
        """
        sizes: list[int] = []
        work = partial(
            _write_partial_result,
            results=results,
            options=self.options,
            reading=self.reading,
            cameras=self.cameras,
        )
        outcomes = run_in_workers(work, missing, workers, lost=LOST)
        shown = self.shown and bool(missing)
        with (
            closing(outcomes),
            progress(total=len(missing), desc="prepare", unit="scan", shown=shown) as bar,
        ):
            for done, ((source, stamp), outcome) in enumerate(outcomes, start=1):
                bar.update()
                if isinstance(outcome, str):
                    self._skip(counts, source.name, outcome)
                else:
                    counts.add_timings(outcome)
                    sizes.append(results.size(stamp))
                    # At 1, 2, 4, 8, ... results: each is then of twice as many scans.
                    if len(sizes).bit_count() == 1:
                        left = len(missing) - done + total
                        self._check_room(left * sum(sizes) / len(sizes))

    def _check_room(self, needed: float) -> None:
        """Raise InputError unless so many bytes are free, for partial results and the store."""
        free = shutil.disk_usage(self.path.parent).free
        if needed > free:
            raise InputError(
                f"{self.path}: needs {needed:.0f} bytes more, and {free} are free; "
                "make room, choose another disk, or lower --num-points"
            )

    def _scans(
        self, results: PartialResults, usable: Sequence[StampedSource], existing: _Existing
    ) -> Iterator[PreparedScan]:
        """Yield the scans of ``usable``, one at a time; a damaged one is made again."""
        for source, stamp in usable:
            scan = None
            if existing.store is not None and source.name in existing.names:
                with suppress(InputError):
                    scan = existing.store.scan(source.name)
            scan = scan or results.read(stamp)
            yield scan or load_scan(
                source, self.options, self.cameras, stamp=stamp, reading=self.reading
            )

    def _write(
        self, scans: Iterator[PreparedScan], total: int, dimension: int, counts: PrepareCounts
    ) -> None:
        """Write the store; a scan whose name or dimension does not fit is skipped."""
        if total == 0 and not self.shard:
            raise InputError(counts.why_empty())
        with StoreWriter(self.path, self.unit, dimension, shard=self.shard) as writer:
            for scan in progress(scans, "write", total, unit="scan", shown=self.shown):
                objection = writer.objection(scan)
                if objection is None:
                    writer.add(scan)
                    counts.add(scan)
                else:
                    self._skip(counts, scan.name, objection)
            if not counts.names and not self.shard:
                raise InputError(counts.why_empty())

    def _skip(self, counts: PrepareCounts, name: str, reason: str) -> None:
        if self.strict:
            raise InputError(reason)
        counts.skipped.append((name, reason))


def _dimension(
    results: PartialResults, usable: Sequence[StampedSource], existing: _Existing
) -> int:
    """Return 2 if all scans are 2-D, else 3: then the 2-D scans are skipped."""
    if existing.store is not None and existing.names and existing.store.dimension == 3:
        return 3
    flat = all(source.name in existing.names or results.is_flat(stamp) for source, stamp in usable)
    return 2 if usable and flat else 3


def load_scan(
    source: Source,
    options: PointOptions,
    cameras: Cameras | None = None,
    stamp: str = "",
    timings: Timings | None = None,
    reading: ReadOptions = ReadOptions(),
) -> PreparedScan:
    """Read ``source`` and prepare it.

    Args:
        source: the scan file, or one frame of it.
        options: how the scan is sampled.
        cameras: positions in the source's frame from which the scan was taken, or None.
        stamp: recorded in the store, see :func:`~shapespace.data.prepare.partial.stamp_of`.
        timings: takes the seconds of "read" and "clean", and those that ``prepare_scan`` adds.
        reading: how the file is read.

    Raises:
        InputError: the scan cannot be used; or it is 2-D and the cameras 3-D, or the reverse; or
            ``reading`` is strict, and a cloud has fewer points than asked.
    """
    timings = Timings() if timings is None else timings
    with timings("read"):
        raw, digest = source.load(reading)
    if options.clean:
        with timings("clean"):
            raw = cleaned(raw)
    dimension = raw.vertices.shape[1]
    if cameras is not None and cameras.shape[1] != dimension:
        raise InputError(f"{source}: is {dimension}-D, the cameras {cameras.shape[1]}-D")
    wanted = options.num_points or 0
    if reading.strict and raw.faces is None and len(raw.vertices) < wanted:
        raise InputError(
            f"{source}: {len(raw.vertices)} points, fewer points than asked ({wanted}); lower "
            "--num-points, or leave out --strict to draw some of them again"
        )
    return prepare_scan(
        raw,
        source.name,
        options,
        cameras=cameras,
        source=str(source),
        source_hash=digest,
        stamp=stamp,
        timings=timings,
    )


def _write_partial_result(
    item: StampedSource,
    results: PartialResults,
    options: PointOptions,
    reading: ReadOptions,
    cameras: Cameras | None,
) -> Outcome:
    """Prepare one scan in a worker and write its partial result."""
    source, stamp = item
    timings = Timings()
    try:
        scan = load_scan(source, options, cameras, stamp=stamp, timings=timings, reading=reading)
        with timings("write"):
            results.write(scan)
    except InputError as error:
        return str(error)
    except (MemoryError, ArithmeticError, ValueError, AssertionError) as error:
        # One odd file of thousands must not end an unattended run.
        reason = f"{type(error).__name__} {error}"
        return one_line(f"{source}: cannot be prepared ({reason}); repair or remove it")
    return timings


def _own_radius(source: Source, reading: ReadOptions, clean: bool) -> float:
    """Measure the radius of one scan; 0 if it cannot be read."""
    try:
        raw = source.load(reading)[0]
        return own_radius(cleaned(raw) if clean else raw, source.name)
    except (InputError, MemoryError, ArithmeticError, ValueError, AssertionError):
        # The scan is read again for the store, and skipped there with the reason.
        return 0.0
