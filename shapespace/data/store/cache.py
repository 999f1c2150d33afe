"""A copy of a store on a disk near by, for those that lie on a network file system."""

import shutil
from pathlib import Path

from shapespace.data.store.store import ScanStore
from shapespace.errors import InputError
from shapespace.utils.files import alone, output_folder, remove_leftovers, replacing
from shapespace.utils.progress import progress


def cached_path(store: ScanStore, folder: str | Path) -> Path:
    """Where the copy of ``store`` in ``folder`` lies; its name holds the content."""
    return Path(folder) / f"{store.path.stem}-{store.content[:16]}{store.path.suffix}"


def copy_to_cache(store: ScanStore, folder: str | Path) -> Path:
    """Copy ``store`` into ``folder`` unless it is there, verify the copy and return its path.

    Processes that ask for the same copy wait for the first. :class:`InputError` if the disk is too
    small, or the copy differs from what was written at prepare.
    """
    target = cached_path(store, folder)
    with alone(output_folder(folder) / f".{target.name}.lock"):
        if not target.exists():
            remove_leftovers(target)
            _check_room(store.path, target.parent)
            with replacing(target) as part:
                shutil.copyfile(store.path, part)
                verify_store(ScanStore(part), f"verify {target}")
    return target


def verify_store(store: ScanStore, desc: str = "verify") -> None:
    """Read all of ``store``; :class:`InputError` names the first scan that is damaged."""
    for fault in progress(store.verify(), desc, len(store), "scan"):
        if fault is not None:
            raise InputError(fault)


def _check_room(path: Path, folder: Path) -> None:
    needed, free = path.stat().st_size, shutil.disk_usage(folder).free
    if needed > free:
        raise InputError(
            f"{folder}: {free / 1e9:.1f} GB free, {path} has {needed / 1e9:.1f} GB; "
            "give another data.cache or none"
        )
