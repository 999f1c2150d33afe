"""Scans of files, folders and stores in one list, to be reconstructed.

A scan of a store was sampled when the store was written: it is taken as it lies there.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from shapespace.data.sources import Source, find_sources, named
from shapespace.data.store import ScanStore, store_at
from shapespace.errors import InputError
from shapespace.scan import PreparedScan


@dataclass(frozen=True)
class StoredScan:
    """The scan ``name`` of a store, which knows its frame and unit."""

    name: str
    store: ScanStore

    def __str__(self) -> str:
        return f"{self.store.path}/{self.name}"

    def digest(self) -> str:
        """Its checksum in the store, hexadecimal, by which it is known again."""
        return self.store.checksum(self.name)

    def prepared(self) -> PreparedScan:
        """All that is stored of it, with :meth:`digest` as hash; InputError if it is damaged."""
        return replace(self.store.scan(self.name), source=str(self), source_hash=self.digest())


AnySource = Source | StoredScan


def collect_sources(
    paths: Sequence[str | Path], scans: Sequence[str] | None = None
) -> list[AnySource]:
    """The scans of files, folders and stores, in the order of ``paths`` and then of their names.

    scans: names to keep. InputError if one is unknown, nothing is found, or two scans would be
    written to the same name.
    """
    found = [source for path in paths for source in _sources_of(Path(path))]
    kept = found if scans is None else named(found, scans)
    for name, count in Counter(source.name for source in kept).items():
        if count > 1:
            raise InputError(f"{count} scans are called {name!r}: reconstruct them apart")
    return kept


def _sources_of(path: Path) -> Sequence[AnySource]:
    store = store_at(path)
    if store is None:
        return find_sources(path)
    if not store.names:
        raise InputError(f"{path}: holds no scan; prepare some, or merge all shards")
    return [StoredScan(name, store) for name in store.names]
