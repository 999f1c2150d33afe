"""The check of a store, or of files before they are prepared."""

from collections.abc import Callable, Sequence
from functools import lru_cache, partial
from pathlib import Path

from shapespace.config.options import ReadOptions, Unit
from shapespace.data.check.cloud import cloud_of_scan, cloud_of_source
from shapespace.data.check.measurements import ScanFacts, measure_scan
from shapespace.data.check.report import CheckReport, by_severity
from shapespace.data.check.rules import findings_of
from shapespace.data.check.sets import Setting, findings_of_set
from shapespace.data.extent import check_not_far
from shapespace.data.sources import Source, find_sources
from shapespace.data.store.store import ScanStore, store_at
from shapespace.data.units import per_metre
from shapespace.errors import InputError, NoScanError, at_least, positive
from shapespace.utils.progress import progress as progress_bar
from shapespace.utils.workers import run_in_workers

LOST = "the process that read it died, for want of memory or by a crash in a library"


def check_scans(
    path: str | Path,
    *,
    workers: int = 1,
    unit: Unit = "m",
    extent: float = 1.8,
    scans: Sequence[str] | None = None,
    columns: str | None = None,
    progress: bool = True,
) -> CheckReport:
    """Measure every scan of ``path`` and say what is wrong with it, alone and beside the others.

    The check examines 20 000 random points of each scan, in 0.1 s. Each worker holds one scan in
    memory. The measurements of each scan take some 2 kB.

    Args:
        path: a store, or what :func:`~shapespace.data.sources.find_sources` accepts.
        workers: number of processes. With more than one, a script needs its ``__main__`` guard.
        unit: length unit of the files. A store has its own unit.
        extent: half side of the sampling box, in stored units.
        scans: names of the scans to check. The default is all scans.
        columns: names of the columns of text files, NPY and NPZ, see ``ReadOptions``.
        progress: show a bar on standard error.

    Raises:
        InputError: there is no such store or file, no scan in it, no scan of that name, or an
            argument is wrong.
    """
    at_least(1, workers=workers)
    positive(extent=extent)
    store = store_at(Path(path))
    if store is None:
        scale = per_metre(unit)
        sources = find_sources(Path(path), scans)
        measure = partial(_measure_source, scale, ReadOptions(columns))
        facts = _measure_all(measure, sources, workers=workers, progress=progress)
        if all(scan.error_kind == "no scan" for scan in facts):
            raise InputError(facts[0].error)
    else:
        names = _selected(store, scans)
        if not names:
            raise InputError(f"{path}: holds no scan; prepare some, or merge all shards")
        measure = partial(_measure_stored, store.path, store.path.stat().st_mtime_ns)
        facts = _measure_all(measure, names, workers=workers, progress=progress)
    setting = Setting(unit if store is None else store.unit, extent)
    found = [finding for scan in facts for finding in findings_of(scan, extent)]
    found += findings_of_set(facts, setting)
    return CheckReport(
        path=str(path),
        is_store=store is not None,
        unit=setting.unit,
        extent=extent,
        facts=tuple(facts),
        findings=by_severity(found),
    )


def _measure_all(
    measure: Callable[..., ScanFacts],
    items: Sequence[Source] | Sequence[str],
    workers: int,
    progress: bool,
) -> list[ScanFacts]:
    """Measure all items by some workers, and sort the facts by name."""
    lost = ScanFacts("", error=LOST, error_kind="unreadable")
    results = run_in_workers(measure, items, workers, lost=lost)
    facts: dict[str, ScanFacts] = {}
    with progress_bar(results, "check", len(items), unit="scan", shown=progress) as bar:
        for item, result in bar:
            name = item if isinstance(item, str) else item.name
            # ``lost`` has no name: a worker died, and cannot say of which scan.
            facts[name] = result if result.name else ScanFacts(name, LOST, "unreadable")
    return [facts[name] for name in sorted(facts)]


def _measure_source(scale: float, reading: ReadOptions, source: Source) -> ScanFacts:
    try:
        raw, digest = source.load(reading)
    except NoScanError as error:
        return ScanFacts(source.name, str(error), "no scan")
    except InputError as error:
        return ScanFacts(source.name, str(error), "unreadable")
    try:
        check_not_far(str(source), raw.vertices, raw.faces)
    except InputError as error:
        return ScanFacts(source.name, str(error), "far")
    return measure_scan(source.name, cloud_of_source(raw, digest, scale))


@lru_cache(1)
def _opened(path: Path, _changed: int) -> ScanStore:
    """Open a store once per worker, and again if its modification time ``_changed`` differs."""
    return ScanStore(path)


def _measure_stored(path: Path, changed: int, name: str) -> ScanFacts:
    try:
        cloud = cloud_of_scan(_opened(path, changed).scan(name))
    except InputError as error:
        return ScanFacts(name, str(error), "damaged")
    return measure_scan(name, cloud)


def _selected(store: ScanStore, scans: Sequence[str] | None) -> Sequence[str]:
    for name in scans or ():
        store.check_name(name)
    return store.names if scans is None else sorted(set(scans))
