"""Add scans to a trained space or take some out, in a new checkpoint from which to train on.

Letters: L code length.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from shapespace.checkpoint import read_checkpoint, write_checkpoint
from shapespace.checkpoint_scans import with_scans
from shapespace.codes import row_of
from shapespace.config.options import FitOptions, Start
from shapespace.data.names import subjects_of
from shapespace.data.sources import StoredScan
from shapespace.data.store.store import ScanStore
from shapespace.encoders.factors import FactorCodes
from shapespace.errors import InputError
from shapespace.reconstruction.inputs import check_store, prepare_for
from shapespace.reconstruction.method import alike, fit_scans, num_rounds
from shapespace.scan import PreparedScan
from shapespace.space import TrainedSpace
from shapespace.utils.files import output_folder
from shapespace.utils.progress import progress

BATCH = 8
"""Scans that are fitted together."""


def drop_scans(checkpoint: str | Path, names: Sequence[str], out: str | Path) -> tuple[str, ...]:
    """Write a checkpoint without some of its scans.

    Args:
        checkpoint: file of a trained space.
        names: scans to take out.
        out: checkpoint to write; may be ``checkpoint`` itself.

    Returns:
        The names of the scans that are left.

    Raises:
        InputError: a name is unknown, no scan is named or none would be left, or ``out`` exists and
            is no checkpoint.
    """
    space = TrainedSpace.load(checkpoint, "cpu")
    known, gone = set(space.names), set(names)
    for name in names:
        if name not in known:
            row_of(space.names, name)  # raises, with the nearest name as a hint
    left = tuple(name for name in space.names if name not in gone)
    if not gone or not left:
        what = f"all {len(known)} scans would go" if gone else "no scan is named"
        raise InputError(f"{checkpoint}: {what}; name some of them, not all")
    _check_output(Path(out))
    write_checkpoint(with_scans(read_checkpoint(checkpoint), left), Path(out))
    return left


def add_scans(
    checkpoint: str | Path,
    store: str | Path,
    out: str | Path,
    names: Sequence[str] | None = None,
    start: Start = "mean",
) -> tuple[str, ...]:
    """Write a checkpoint with further scans of a store.

    Scans that the space has already stay as they are.

    Args:
        checkpoint: file of a trained space.
        store: store with the new scans, in the unit and dimension of the space.
        out: checkpoint to write; may be ``checkpoint`` itself.
        names: scans to add, in the order in which their codes are appended; all by default.
        start: first code of each new scan.

    Returns:
        The names of the scans that were added.

    Raises:
        InputError: no scan is new, a known name has another frame in the store, the store has
            another unit or dimension, or ``out`` exists and is no checkpoint.
    """
    space, scans = TrainedSpace.load(checkpoint), ScanStore(store)
    check_store(space, scans)
    wanted = list(dict.fromkeys(scans.names if names is None else names))
    frames, known = {name: scans.frame(name) for name in wanted}, set(space.names)
    space.codes.check_frames(wanted, list(frames.values()))
    new = [name for name in wanted if name not in known]
    if not new:
        raise InputError(
            f"{store}: all {len(wanted)} scans are in {checkpoint} already; nothing is to be added"
        )
    _check_output(Path(out))
    codes = _start_codes(space, [StoredScan(name, scans) for name in new], start)
    added = {name: (frames[name], code) for name, code in zip(new, codes, strict=True)}
    content = read_checkpoint(checkpoint)
    write_checkpoint(with_scans(content, [*space.names, *new], added), Path(out))
    return tuple(new)


def _check_output(path: Path) -> None:
    """Raise InputError, before any work, if ``path`` is a foreign file or cannot be written."""
    output_folder(path.parent)
    if path.exists():
        try:
            read_checkpoint(path)
        except InputError as error:
            raise InputError(
                f"{path}: exists and is not a checkpoint; choose another name"
            ) from error


def _start_codes(
    space: TrainedSpace, sources: Sequence[StoredScan], start: Start
) -> Sequence[Float[Tensor, " L"]]:
    """First codes of new scans."""
    if start == "fit":
        return _fitted(space, sources)
    mean = space.codes.table.weight.mean(0).cpu()
    return [mean if start == "mean" else torch.zeros_like(mean)] * len(sources)


def _fitted(space: TrainedSpace, sources: Sequence[StoredScan]) -> Sequence[Float[Tensor, " L"]]:
    """Codes that fit the scans as they lie in the store, without a pose: training has none."""
    options = {source.name: _options_of(space, source.name) for source in sources}
    codes: dict[str, Float[Tensor, " L"]] = {}
    with progress(total=len(sources), desc="fitting", unit="scan", parts=True) as bar:
        for begin in range(0, len(sources), BATCH):
            batch = sources[begin : begin + BATCH]
            scans = [prepare_for(space, source, unit="auto", seed=0) for source in batch]
            for group, fit in _groups(scans, options):
                advance = partial(bar.update_parts, num_rounds(fit), len(group))
                fitted = fit_scans(fit, space, group, on_round=advance)
                found = fitted.codes.cpu()
                codes |= {scan.name: code for scan, code in zip(group, found, strict=True)}
    return [codes[source.name] for source in sources]


def _options_of(space: TrainedSpace, name: str) -> FitOptions:
    """How a new scan is fitted: a subject that is known keeps its identity."""
    known = space.codes.subjects if isinstance(space.codes, FactorCodes) else ()
    subject = subjects_of([name])[0] if known else ""
    return FitOptions(pose="none", identity_of=subject if subject in known else None)


def _groups(
    scans: Sequence[PreparedScan], options: Mapping[str, FitOptions]
) -> list[tuple[list[PreparedScan], FitOptions]]:
    """Scans that can be fitted together, with their options."""
    groups: defaultdict[FitOptions, list[PreparedScan]] = defaultdict(list)
    for scan in scans:
        groups[options[scan.name]].append(scan)
    return [(group, fit) for fit, found in groups.items() for group in alike(found, fit.num_points)]
