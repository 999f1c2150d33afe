"""Check a store, or files before they are prepared."""

from collections.abc import Callable, Sequence
from functools import lru_cache, partial
from pathlib import Path
from typing import Literal

from shapespace.data.check.cloud import cloud_of_scan, cloud_of_source
from shapespace.data.check.measurements import ScanFacts, measure_scan
from shapespace.data.check.report import CheckReport, by_severity
from shapespace.data.check.rules import findings_of
from shapespace.data.check.sets import Setting, findings_of_set
from shapespace.data.sources import Source, find_sources
from shapespace.data.store.store import ScanStore, store_at
from shapespace.data.units import per_metre
from shapespace.errors import InputError, at_least, positive
from shapespace.utils.progress import progress as progress_bar
from shapespace.utils.workers import run_in_workers

LOST = "the process that read it died, for want of memory or by a crash in a library"


def check_scans(
    path: str | Path,
    *,
    workers: int = 1,
    unit: Literal["m", "cm", "mm", "in"] = "m",
    extent: float = 1.8,
    scans: Sequence[str] | None = None,
    progress: bool = True,
) -> CheckReport:
    """Measure every scan of ``path`` and say what is wrong, alone and beside the others.

    Some 20 000 random points of each scan are looked at, 0.1 s a scan; memory is that of one scan
    a worker, and some 2 kB for each scan seen.

    Args:
        path: a store, or what :func:`~shapespace.data.sources.find_sources` accepts.
        workers: processes; with more than one, a script needs its ``__main__`` guard.
        unit: of the files; a store knows its own.
        extent: half side of the sampling box, in stored units.
        scans: names of the scans to look at, all by default.
        progress: show a bar on stderr.

    Raises:
        InputError: there is no such store, file or scan, or an argument is wrong.
    """
    at_least(1, workers=workers)
    positive(extent=extent)
    store = store_at(Path(path))
    if store is None:
        scale = per_metre(unit)
        sources = find_sources(Path(path), scans)
        facts = _measured(partial(_of_source, scale), sources, workers, progress)
    else:
        names = _selected(store, scans)
        if not names:
            raise InputError(f"{path}: holds no scan; prepare some, or merge all shards")
        of_store = partial(_of_store, store.path, store.path.stat().st_mtime_ns)
        facts = _measured(of_store, names, workers, progress)
    setting = Setting(unit if store is None else store.unit, extent)
    found = [finding for scan in facts for finding in findings_of(scan, extent)]
    found += findings_of_set(facts, setting)
    ranked = by_severity(found)
    return CheckReport(str(path), store is not None, setting.unit, extent, tuple(facts), ranked)


def _measured(
    function: Callable[..., ScanFacts],
    items: Sequence[Source] | Sequence[str],
    workers: int,
    progress: bool,
) -> list[ScanFacts]:
    """Facts by name, whatever the order in which they become ready."""
    lost = ScanFacts("", error=LOST, error_kind="unreadable")
    results = run_in_workers(function, items, workers, lost)
    facts: dict[str, ScanFacts] = {}
    with progress_bar(results, "check", len(items), "scan", shown=progress) as bar:
        for item, result in bar:
            name = item if isinstance(item, str) else item.name
            facts[name] = result if result.name else ScanFacts(name, LOST, "unreadable")
    return [facts[name] for name in sorted(facts)]


def _of_source(scale: float, source: Source) -> ScanFacts:
    try:
        raw, digest = source.load()
    except InputError as error:
        return ScanFacts(source.name, str(error), "unreadable")
    return measure_scan(source.name, cloud_of_source(raw, digest, scale))


@lru_cache(1)
def _opened(path: Path, _changed: int) -> ScanStore:
    return ScanStore(path)


def _of_store(path: Path, changed: int, name: str) -> ScanFacts:
    try:
        cloud = cloud_of_scan(_opened(path, changed).scan(name))
    except InputError as error:
        return ScanFacts(name, str(error), "damaged")
    return measure_scan(name, cloud)


def _selected(store: ScanStore, scans: Sequence[str] | None) -> Sequence[str]:
    for name in scans or ():
        store.check_name(name)
    return store.names if scans is None else sorted(set(scans))
