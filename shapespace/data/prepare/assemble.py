"""The work of ``prepare``: make what is not there yet, then put the store together.

Workers read, sample and write one scan each into a part; this process only counts, and joins the
parts in the order of the names.
"""

from collections.abc import Iterator, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np
from jaxtyping import Float64

from shapespace.data.prepare.partial import PartialResults, partial_results_of, stamp_of
from shapespace.data.prepare.points import PointOptions, prepare_scan
from shapespace.data.sources import Source
from shapespace.data.store.store import ScanStore
from shapespace.data.store.writer import StoreWriter
from shapespace.errors import InputError, one_line
from shapespace.scan import NormalsKind, PreparedScan
from shapespace.utils.progress import progress
from shapespace.utils.timing import Timings
from shapespace.utils.workers import run_in_workers

BOX = 1.8
"""Half side of the published sampling box, in stored units (Gropp et al. 2020)."""
LOST = "the process that read it died, by a crash or for want of memory; remove or repair the file"
Outcome = Timings | str
"""Where the time of a scan went, or the reason why there is none."""
Cameras = Float64[np.ndarray, "C D"]


@dataclass
class Tally:
    """What went into the store. kept: scans of an earlier run; stages: seconds of all workers."""

    read: list[str] = field(default_factory=list)
    skipped: list[tuple[str, str]] = field(default_factory=list)
    num_points: int = 0
    kept: int = 0
    stages: Timings = field(default_factory=Timings)
    far: list[tuple[float, str]] = field(default_factory=list)
    tiny: list[tuple[float, str]] = field(default_factory=list)
    kinds: dict[str, int] = field(default_factory=dict)

    def add(self, scan: PreparedScan) -> None:
        """Count a scan that is written to the store."""
        self.add_stored(scan.name, len(scan.points), scan.normals_kind)
        reach = float(np.abs(scan.points).max())
        if reach > BOX:
            self.far.append((reach, scan.name))
        elif reach < BOX / 100:
            self.tiny.append((reach, scan.name))

    def add_stored(self, name: str, num_points: int, kind: NormalsKind) -> None:
        """Count a scan that stays in the store."""
        self.read.append(name)
        self.num_points += num_points
        self.kinds[kind] = self.kinds.get(kind, 0) + 1

    def add_stages(self, stages: Timings) -> None:
        """Add the time that one scan took."""
        for stage, seconds in stages.items():
            self.stages[stage] = self.stages.get(stage, 0.0) + seconds

    def warnings(self) -> list[str]:
        """What the user should know before training."""
        lines = []
        for kind in ("none", "estimated-unoriented"):
            if count := self.kinds.get(kind):
                lines.append(f"scans with normals {kind}: {count}; they train without normals")
        if self.far:
            reach, name = max(self.far)
            lines.append(
                f"scans beyond the sampling box of ±{BOX}: {len(self.far)}, {name!r} reaches "
                f"{reach:.4g}; if lengths are millimetres give --unit mm, else --normalise"
            )
        if self.tiny:
            reach, name = min(self.tiny)
            lines.append(
                f"scans much smaller than the sampling box of ±{BOX}: {len(self.tiny)}, {name!r} "
                f"reaches {reach:.4g}; check --unit, or give --normalise"
            )
        return lines

    def nothing(self) -> str:
        """Why there is no scan at all, on one line."""
        reasons = "; ".join(reason for _, reason in sorted(self.skipped)[:3])
        return reasons or "no scan was selected; check scans and every"


Job = tuple[Source, str]
"""A source and its stamp."""


@dataclass(frozen=True)
class Assembly:
    """A store to be written to ``path``; a shard ("i/n") may be empty, a whole store ("") not."""

    path: Path
    unit: str
    shard: str
    options: PointOptions
    cameras: Cameras | None
    strict: bool
    shown: bool

    def run(self, sources: Sequence[Source], workers: int) -> Tally:
        """Write the scans of ``sources``; those that an earlier run has done are kept."""
        jobs = [(source, stamp_of(source, self.options, self.cameras)) for source in sources]
        tally = Tally()
        with partial_results_of(self.path, self.unit) as parts:
            store, old = self._old(jobs)
            todo = [job for job in jobs if job[0].name not in old and job[1] not in parts]
            tally.kept = len(jobs) - len(todo)
            self._make(parts, todo, workers, tally)
            bad = {name for name, _ in tally.skipped}
            good = [job for job in jobs if job[0].name not in bad]
            if store is not None and old == set(store.names) == {job[0].name for job in good}:
                for name in store.names:
                    tally.add_stored(name, store.num_points(name), store.normals_kind(name))
            else:
                scans = self._scans(parts, good, store, old)
                self._write(scans, len(good), _dimension(parts, good, store, old), tally)
        tally.skipped.sort()
        return tally

    def _old(self, jobs: Sequence[Job]) -> tuple[ScanStore | None, set[str]]:
        """The store that is there, if it is of this kind, and its scans that are as wanted."""
        try:
            store = ScanStore(self.path)
        except InputError:
            return None, set()
        if (store.unit, store.shard) != (self.unit, self.shard):
            return None, set()
        old: set[str] = set()
        for source, stamp in jobs:
            with suppress(InputError):
                if source.name in store and store.stamp(source.name) == stamp:
                    old.add(source.name)
        return store, old

    def _make(self, parts: PartialResults, todo: list[Job], workers: int, tally: Tally) -> None:
        """Make the part of every job of ``todo`` that can be read."""
        work = partial(_make_part, parts=parts, options=self.options, cameras=self.cameras)
        outcomes = run_in_workers(work, todo, workers, LOST)
        shown = self.shown and bool(todo)
        with (
            closing(outcomes),
            progress(total=len(todo), desc="prepare", unit="scan", shown=shown) as bar,
        ):
            for (source, _), outcome in outcomes:
                bar.update()
                if isinstance(outcome, str):
                    self._skip(tally, source.name, outcome)
                else:
                    tally.add_stages(outcome)

    def _scans(
        self, parts: PartialResults, jobs: Sequence[Job], store: ScanStore | None, old: set[str]
    ) -> Iterator[PreparedScan]:
        """The scans of ``jobs``; one that is damaged is made again."""
        for source, stamp in jobs:
            scan = None
            if store is not None and source.name in old:
                with suppress(InputError):
                    scan = store.scan(source.name)
            scan = scan or parts.read(stamp)
            yield scan or load_scan(source, self.options, self.cameras, stamp)

    def _write(
        self, scans: Iterator[PreparedScan], total: int, dimension: int, tally: Tally
    ) -> None:
        if total == 0 and not self.shard:
            raise InputError(tally.nothing())
        with StoreWriter(self.path, self.unit, dimension, self.shard) as writer:
            for scan in progress(scans, "write", total, "scan", shown=self.shown):
                objection = writer.objection(scan)
                if objection is None:
                    writer.add(scan)
                    tally.add(scan)
                else:
                    self._skip(tally, scan.name, objection)
            if not tally.read and not self.shard:
                raise InputError(tally.nothing())

    def _skip(self, tally: Tally, name: str, reason: str) -> None:
        if self.strict:
            raise InputError(reason)
        tally.skipped.append((name, reason))


def _dimension(
    parts: PartialResults, jobs: Sequence[Job], store: ScanStore | None, old: set[str]
) -> int:
    """2 if all scans lie in the plane, else 3."""
    if store is not None and old and store.dimension == 3:
        return 3
    flat = all(source.name in old or parts.is_flat(stamp) for source, stamp in jobs)
    return 2 if jobs and flat else 3


def load_scan(
    source: Source,
    options: PointOptions,
    cameras: Cameras | None = None,
    stamp: str = "",
    stages: Timings | None = None,
) -> PreparedScan:
    """Read ``source`` and prepare it; :class:`InputError` if it cannot be used."""
    stages = Timings() if stages is None else stages
    with stages("read"):
        raw, digest = source.load()
    dimension = raw.vertices.shape[1]
    if cameras is not None and cameras.shape[1] != dimension:
        raise InputError(f"{source}: is {dimension}-D, the cameras {cameras.shape[1]}-D")
    facts = {"source": str(source), "source_hash": digest, "stamp": stamp, "stages": stages}
    return prepare_scan(raw, source.name, options, cameras=cameras, **facts)


def _make_part(
    job: Job, parts: PartialResults, options: PointOptions, cameras: Cameras | None
) -> Outcome:
    source, stamp = job
    stages = Timings()
    try:
        scan = load_scan(source, options, cameras, stamp, stages)
        with stages("write"):
            parts.write(scan)
    except InputError as error:
        return str(error)
    except (MemoryError, ArithmeticError, ValueError, AssertionError) as error:
        # one odd file of thousands must not end an unattended run
        reason = f"{type(error).__name__} {error}"
        return one_line(f"{source}: cannot be prepared ({reason}); repair or remove it")
    return stages
