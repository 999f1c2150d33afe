"""Copy a store from a network file system to a local disk."""

import shutil
from pathlib import Path

from shapespace.data.store.store import ScanStore
from shapespace.errors import InputError
from shapespace.utils.files import alone, output_folder, remove_leftovers, replacing
from shapespace.utils.progress import progress


def cached_path(store: ScanStore, folder: str | Path) -> Path:
    """Path of the copy of ``store`` in ``folder``; its name has the first digits of the content."""
    return Path(folder) / f"{store.path.stem}-{store.content[:16]}{store.path.suffix}"


def copy_to_cache(store: ScanStore, folder: str | Path) -> Path:
    """Copy ``store`` into ``folder``, unless the copy is there, and verify it.

    Of several processes that ask for the same copy, one copies and the others wait.

    Returns:
        The path of the copy.

    Raises:
        InputError: the disk is too small, or the copy differs from the store as it was prepared.
    """
    target = cached_path(store, folder)
    # The content is part of the name, so the copy of an older store is never taken for this one.
    # A copy gets its name only after it is verified.
    with alone(output_folder(folder) / f".{target.name}.lock"):
        if not target.exists():
            remove_leftovers(target)
            _check_room(store.path, target.parent)
            with replacing(target) as part:
                shutil.copyfile(store.path, part)
                verify_store(ScanStore(part), f"verify {target}")
    return target


def verify_store(store: ScanStore, desc: str = "verify") -> None:
    """Read all of ``store``; raise InputError that names the first damaged scan."""
    for fault in progress(store.verify(), desc, total=len(store), unit="scan"):
        if fault is not None:
            raise InputError(fault)


def _check_room(path: Path, folder: Path) -> None:
    """Raise InputError if the disk of ``folder`` has no room for the file ``path``."""
    needed = path.stat().st_size
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise InputError(
            f"{folder}: {free / 1e9:.1f} GB free, {path} has {needed / 1e9:.1f} GB; "
            "give another data.cache or none"
        )
