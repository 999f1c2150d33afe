"""Preparation of a store: which scans are read, by how many workers, and what the user is told.

Every finished scan is kept in a small store of its own (``partial.py``). At the end they are copied
into one store in the order of their names. The content of the store depends neither on the number
of workers nor on how often the run was stopped.

Letters: C cameras, D dimension (2 or 3).
"""

import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float64

from shapespace.config.options import Normalise, Normals, ReadOptions, Unit
from shapespace.data.formats.contents import grouped_accounts
from shapespace.data.formats.readers import WITH_NAMES
from shapespace.data.prepare.assemble import Assembly, load_scan
from shapespace.data.prepare.counts import PrepareCounts
from shapespace.data.prepare.points import NEIGHBOUR, PointOptions
from shapespace.data.sources import Source, counted, discover, select
from shapespace.data.store.store import ScanStore
from shapespace.data.store.writer import check_target
from shapespace.data.units import per_metre
from shapespace.errors import InputError, at_least, one_line
from shapespace.scan import PreparedScan
from shapespace.utils.launch import parse_shard


@dataclass(frozen=True)
class PrepareSummary:
    """The outcome of :func:`prepare`; ``str`` gives the lines for the user.

    Args:
        store: the file that was written.
        counts: which scans were stored and skipped, and the time they took.
        seconds: wall-clock time of the whole call.
        workers: number of processes.
        ignored: number of files beside the scans that are not scans, by their suffix.
        content: content hash of the store, hexadecimal.
        common: source units per stored unit where all scans have one, found for them; else None.
    """

    store: Path
    counts: PrepareCounts
    seconds: float
    workers: int
    ignored: Counter[str]
    content: str
    common: float | None = None

    def __str__(self) -> str:
        counts = self.counts
        lines = [f"scans: {len(counts.names)}, {counts.num_points} points, {self.seconds:.1f} s"]
        lines += self._speed()
        if self.common is not None:
            lines.append(f"one scale for all: a stored unit is {self.common:.6g} of the source's")
        lines += [f"skipped {one_line(name)}: {reason}" for name, reason in counts.skipped]
        lines += grouped_accounts(counts.accounts)
        estimated = counts.kinds.get("estimated-oriented", 0)
        if estimated:
            lines.append(f"normals estimated, the files have none: {estimated} scans")
        lines += [f"warning: {warning}" for warning in counts.warnings()]
        left = Counter({each: self.ignored[each] for each in WITH_NAMES if self.ignored[each]})
        if left:
            lines.append(
                f"warning: scan files left: {counted(left)}; of a D-FAUST folder its registrations "
                "are taken, or else its raw scans; prepare other files by their own folder"
            )
        if self.ignored:
            lines.append(f"other files ignored: {counted(self.ignored)}")
        return "\n".join([*lines, f"content {self.content[:16]}"])

    def _speed(self) -> list[str]:
        """Say how many scans were reused, and the speed of the new ones with each step's share."""
        reused = self.counts.num_reused
        timings = self.counts.timings
        lines = [f"of these from an earlier run: {reused}"] if reused else []
        num_new = len(self.counts.names) - reused
        busy = sum(timings.values())
        if num_new and busy:
            shares = ", ".join(f"{step} {seconds / busy:.0%}" for step, seconds in timings.items())
            rate = f"{num_new / busy:.2f} scans a second and worker, workers: {self.workers}"
            lines.append(f"{rate}; {shares}")
        return lines


def prepare(
    source: str | Path,
    store: str | Path,
    *,
    num_points: int | None = None,
    scans: Sequence[str] | None = None,
    every: int = 1,
    workers: int = 1,
    shard: str | None = None,
    unit: Unit = "m",
    normalise: Normalise = False,
    normals: Normals = "estimate",
    cameras: Float64[np.ndarray, "C D"] | None = None,
    targets: int = 0,
    sigma: bool = False,
    clean: bool = False,
    curvature: float = 0.0,
    seed: int = 0,
    columns: str | None = None,
    strict: bool = False,
    progress: bool = True,
) -> PrepareSummary:
    """Read the scans of ``source`` and write them to ``store``, all or nothing.

    A run that was stopped continues when the function is called again. A scan that is in the store
    already is kept if its file and the options are unchanged.

    Args:
        source: a file, a folder or a D-FAUST layout, see ``find_sources``.
        store: the file to write. An existing store is replaced.
        num_points: points of each scan. The default is 250 000, or all points of a smaller cloud.
        scans: names of the scans to use. The default is all scans.
        every: use each n-th frame of each sequence, or each n-th file of a folder.
        workers: number of processes. With more than one, a script needs its ``__main__`` guard.
        shard: "i/n" prepares the i-th of n shares of the scans and writes :func:`shard_path`.
        unit: length unit of the source. The store is in metres.
        normalise: True or "each" scales each scan to radius 1 instead; "common" scales all by one
            number, so that the largest has radius 1 and sizes can be compared. Stray points do not
            count. The unit of the store is then "radius". For "common" every scan is read twice,
            by each shard as well.
        normals: "source" keeps the normals of the source; "estimate" also estimates normals for
            clouds without any; "none" stores no normals.
        cameras: positions from which all scans were taken, in the source's frame and unit. They
            decide the outer side of estimated normals.
        targets: number of points around each scan whose distances are stored, see ``targets.py``.
        sigma: measure and store the distance of each point to its 50th neighbour, which takes
            longer than all else. Only samplers without a sigma of their own read it. Targets store
            it in any case.
        clean: leave out what is not the shape, see ``clean.py``; what it was is said.
        curvature: weight of the bend of meshes in the density of their points, such as 1, see
            ``curvature.py``; 0 samples them evenly by area.
        seed: seed of sampling and shuffling, not negative.
        columns: names of the columns of text files, NPY and NPZ, see ``ReadOptions``.
        strict: raise at the first scan that cannot be used, that has points which are NaN or 0 0 0,
            or that has fewer points than asked, instead of mending or skipping it.
        progress: show bars on standard error.

    Raises:
        InputError: no scan could be read, an argument is wrong, or another process is writing the
            same store. The store is unchanged then.
    """
    options = PointOptions(
        num_points=num_points,
        seed=seed,
        scale=None if normalise else per_metre(unit),
        normals=normals,
        num_targets=targets,
        sigma=sigma,
        clean=clean,
        curvature=curvature,
    )
    _check(options)
    at_least(1, workers=workers)
    assembly = Assembly(
        path=Path(store) if shard is None else shard_path(store, *parse_shard(shard)),
        unit="radius" if normalise else "m",
        shard=shard or "",
        options=options,
        reading=ReadOptions(columns, strict),
        cameras=cameras,
        strict=strict,
        shown=progress,
    )
    found, ignored = discover(Path(source))
    sources = select(found, scans, every)
    return _run(assembly, sources, ignored, workers=workers, common=normalise == "common")


def _run(
    assembly: Assembly,
    sources: Sequence[Source],
    ignored: Counter[str],
    workers: int,
    common: bool,
) -> PrepareSummary:
    """Write the share of ``sources`` that belongs to the shard."""
    start = time.monotonic()
    check_target(assembly.path)
    if common:
        assembly = assembly.with_common_scale(sources, workers)
    index, count = parse_shard(assembly.shard) if assembly.shard else (1, 1)
    counts = assembly.run(sources[index - 1 :: count], workers)
    return PrepareSummary(
        store=assembly.path,
        counts=counts,
        seconds=time.monotonic() - start,
        workers=workers,
        ignored=ignored,
        content=ScanStore(assembly.path).content,
        common=assembly.options.scale if common else None,
    )


def prepare_file(
    path: str | Path,
    *,
    num_points: int | None = None,
    seed: int = 0,
    scale: float | None = 1.0,
    normals: Normals = "estimate",
    sigma: bool = False,
    columns: str | None = None,
) -> PreparedScan:
    """Read one scan file and prepare it. The scan is named by the stem of the file.

    Args:
        path: the scan file.
        num_points: number of points. The default is 250 000, or all points of a smaller cloud.
        seed: seed of sampling and shuffling, not negative.
        scale: source units per stored unit, or None for the scan's own radius.
        normals: as in :func:`prepare`.
        sigma: as in :func:`prepare`.
        columns: as in :func:`prepare`.

    Raises:
        InputError: as ``read_raw`` and ``prepare_scan``.
    """
    options = PointOptions(
        num_points=num_points, seed=seed, scale=scale, normals=normals, sigma=sigma
    )
    _check(options)
    return load_scan(Source(Path(path).stem, Path(path)), options, reading=ReadOptions(columns))


def shard_path(store: str | Path, index: int, count: int) -> Path:
    """Name the file of one shard: ``scans.3-of-8.hdf5`` for shard 3 of 8 of ``scans.hdf5``.

    Leading zeros make the names sort by their number.

    Args:
        store: the file of the whole store.
        index: number of the shard, from 1.
        count: number of shards.
    """
    path = Path(store)
    return path.with_name(f"{path.stem}.{index:0{len(str(count))}d}-of-{count}{path.suffix}")


def _check(options: PointOptions) -> None:
    """Raise InputError if an option that a caller gave is wrong."""
    num_points = options.num_points
    if num_points is not None and num_points <= NEIGHBOUR:
        raise InputError(f"num_points={num_points}: at least {NEIGHBOUR + 1} are needed")
    at_least(0, seed=options.seed, targets=options.num_targets)
    if not 0 <= options.curvature < float("inf"):
        raise InputError(f"curvature={options.curvature:g}: give a number, 0 or more")
