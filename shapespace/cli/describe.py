"""Text of ``shapespace info``: a description of a store or a checkpoint."""

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

from shapespace.checkpoint import CHECKPOINT
from shapespace.data.formats.contents import grouped_accounts
from shapespace.data.store.hdf5 import is_hdf5
from shapespace.data.store.store import ScanStore
from shapespace.errors import InputError, one_line, printable
from shapespace.sharing.bundle import is_bundle, read_space
from shapespace.utils.kinds import kind_of
from shapespace.utils.progress import progress

SHOWN = 10
"""Number of scans that are named unless all are asked for."""
EITHER = "give a store or a checkpoint"
"""What ``shapespace info`` takes."""


def describe(path: str | Path, all_names: bool = False) -> str:
    """Describe a store (HDF5) or a checkpoint, one fact a line.

    With ``all_names`` every scan is listed, not only the first ten.

    Raises:
        InputError: ``path`` is neither a store nor a checkpoint.
    """
    path = Path(path)
    lines = _store_lines(path, all_names) if _is_hdf5(path) else _checkpoint_lines(path, all_names)
    return "\n".join(lines)


def faults(path: str | Path) -> list[str]:
    """Read the whole store and list what is damaged, one line each.

    Raises:
        InputError: ``path`` is not a store.
    """
    if not _is_hdf5(Path(path)):
        raise InputError(f"{path}: is no store; only those have checksums to verify")
    store = ScanStore(path)
    verified = progress(store.verify(), "verify", len(store), unit="scan")
    return [fault for fault in verified if fault is not None]


def _is_hdf5(path: Path) -> bool:
    kind = kind_of(path)
    if kind == "a folder" and (path / CHECKPOINT).is_file():
        raise InputError(f"{path}: is the folder of a run; give {path / CHECKPOINT}")
    if is_bundle(path):
        return False
    if not path.is_file():
        raise InputError(f"{path}: {f'is {kind}' if kind else 'no such file'}; {EITHER}")
    if not kind:
        raise InputError(f"{path}: is neither a store nor a checkpoint; {EITHER}")
    return is_hdf5(path)


def _store_lines(path: Path, all_names: bool) -> list[str]:
    store = ScanStore(path)
    if not len(store):
        return [f"{path}: store without scans"]
    counts = [store.num_points(name) for name in store.names]
    kinds = Counter(store.normals_kind(name) for name in store.names)
    shard = f", shard {store.shard}" if store.shard else ""
    num_with_targets = sum(store.num_targets(name) > 0 for name in store.names)
    with_targets = f"; with targets: {num_with_targets}" if num_with_targets else ""
    first = store.names[0]
    points, _, sigma = store.read(first)
    size = " x ".join(f"{side:.3f}" for side in np.ptp(points, axis=0))
    return [
        f"{path}: store of {len(store)} scans, dimension {store.dimension}, unit {store.unit}"
        f"{shard}, content {store.content[:16]}",
        f"points a scan: {min(counts)} to {max(counts)}; normals: "
        f"{', '.join(f'{kind} {count}' for kind, count in kinds.items())}{with_targets}",
        f"first scan: size {size}, "
        f"{'no sigma' if sigma is None else f'median sigma {np.median(sigma):.4f}'}, "
        f"from {one_line(store.source(first))}",
        *grouped_accounts(zip(map(one_line, store.names), store.accounts(), strict=True)),
        *_names(store.names, all_names),
    ]


def _checkpoint_lines(path: Path, all_names: bool) -> list[str]:
    from shapespace.objectives.base import FIELDS
    from shapespace.space import TrainedSpace

    space = TrainedSpace.load(path)
    content = read_space(path)
    weights = sum(weight.numel() for weight in space.decoder.parameters())
    norms = space.codes.table.weight.norm(dim=1)
    parts = space.codes.extra_repr()
    field = "" if space.kind == "distance" else f", f is {FIELDS[space.kind]}"
    return [
        f"{path}: space of {len(space.codes)} shapes, dimension {space.decoder.dimension}, "
        f"code length {space.decoder.latent_size}, unit {space.unit}",
        f"{type(space.decoder).__name__} with {weights} weights, objective "
        f"{type(space.objective).__name__}{field}, box ±{space.extent}",
        f"trained for {_epochs_done(content)} epochs, {content['global_step']} steps, by version "
        f"{content['shapespace']['version']}",
        *([f"codes of two parts: {parts}"] if parts else []),
        f"code norms: {norms.min():.3f} to {norms.max():.3f}, mean {norms.mean():.3f}",
        *_names(space.names, all_names),
    ]


def _epochs_done(content: dict[str, Any]) -> int:
    # Not content["epoch"]: it is one less in a checkpoint saved within the run than in the last.
    return content["loops"]["fit_loop"]["epoch_progress"]["current"]["processed"]


def _names(names: tuple[str, ...], all_names: bool) -> list[str]:
    shown = names if all_names else names[:SHOWN]
    more = len(names) - len(shown)
    rest = [f"  ... and {more} more, see --names"] if more else []
    return [*(f"  {printable(name)}" for name in shown), *rest]
