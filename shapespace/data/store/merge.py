"""Merge stores into one, such as the shards that an array of jobs has written."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from shapespace.data.store.store import ScanStore
from shapespace.data.store.writer import StoreWriter
from shapespace.errors import InputError, one_line
from shapespace.utils.launch import parse_shard
from shapespace.utils.progress import progress as progress_bar


def merge(parts: Sequence[str | Path], out: str | Path, progress: bool = True) -> ScanStore:
    """Copy the scans of several stores into one store, whole or not at all.

    Every scan is verified. The content does not depend on the order of the parts. Merged shards
    have the same content as a store that was prepared without shards.

    Args:
        parts: stores to merge.
        out: store to write.
        progress: show a progress bar.

    Returns:
        The new store.

    Raises:
        InputError: a shard is missing, two scans have one name, units or dimensions differ, or a
            scan is damaged.
    """
    stores = [ScanStore(path) for path in parts]
    _check_shards(stores)
    holder: dict[str, ScanStore] = {}
    for store in stores:
        for name in store.names:
            if name in holder:
                both = f"{holder[name].path} and {store.path}"
                raise InputError(
                    f"{both}: each hold a scan {one_line(name)!r}; leave one store out"
                )
            holder[name] = store
    unit, dimension = _alike([store for store in stores if len(store)] or stores[:1])
    with StoreWriter(out, unit, dimension) as writer:
        for name in progress_bar(sorted(holder), "merge", unit="scan", shown=progress):
            writer.add(holder[name].scan(name))
    return ScanStore(out)


def _check_shards(stores: Sequence[ScanStore]) -> None:
    """Raise InputError unless the shards among ``stores`` are all the shards of one run."""
    shards = Counter(parse_shard(store.shard) for store in stores if store.shard)
    totals = sorted({of for _, of in shards})
    if len(totals) > 1:
        raise InputError(f"shards of runs in {totals[0]} and in {totals[1]} parts; merge one run")
    for part in range(1, totals[0] + 1 if totals else 1):
        count = shards[part, totals[0]]
        if count != 1:
            fault = "missing" if count == 0 else "given twice"
            hint = f"each is made by: shapespace prepare ... --shard {part}/{totals[0]}"
            raise InputError(f"shard {part} of {totals[0]} is {fault}; {hint}")


def _alike(stores: Sequence[ScanStore]) -> tuple[str, int]:
    """Unit and dimension that all ``stores`` share; InputError if they differ."""
    first = stores[0]
    for store in stores:
        if store.has_sigma != first.has_sigma:
            raise InputError(
                f"{store.path}: has {'' if store.has_sigma else 'no '}sigma, unlike {first.path}; "
                "prepare all with --sigma or all without"
            )
        if (store.unit, store.dimension) != (first.unit, first.dimension):
            raise InputError(
                f"{store.path}: unit {store.unit}, {store.dimension}-D, but {first.path}: unit "
                f"{first.unit}, {first.dimension}-D; only stores that are alike can be merged"
            )
    return first.unit, first.dimension
