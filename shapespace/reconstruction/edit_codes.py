"""Scans added to a trained space and taken out of it, in a new checkpoint to train on from.

Letters: L code length.
"""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any, Literal

import torch
from jaxtyping import Float
from torch import Tensor

from shapespace.checkpoint import read_checkpoint, with_scans, write_checkpoint
from shapespace.codes import row_of
from shapespace.data.sources import StoredScan
from shapespace.data.store.store import ScanStore
from shapespace.errors import InputError
from shapespace.reconstruction.inputs import check_store, prepare_for
from shapespace.reconstruction.method import FitOptions, alike
from shapespace.space import TrainedSpace
from shapespace.utils.files import output_folder
from shapespace.utils.progress import progress

Start = Literal["mean", "zero", "fit"]
"""The code of a new scan: the mean of those there are, 0, or the one that fits it best."""
BATCH = 8
"""Scans that are fitted together."""


def drop_scans(checkpoint: str | Path, names: Sequence[str], out: str | Path) -> tuple[str, ...]:
    """Write the space without the scans ``names`` to ``out``; the names that are left.

    InputError for a name that is not there, if none would be left, or if ``out`` exists and is no
    checkpoint.
    """
    space = TrainedSpace.load(checkpoint, "cpu")
    known, gone = set(space.names), set(names)
    for name in names:
        if name not in known:
            row_of(space.names, name)
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
    """Write the space with further scans of a store to ``out``; the names of those.

    names: of the store's scans, in the order in which they are appended; all by default. Those that
    are there already stay as they are. InputError if one of these is another shape, if nothing is
    new, for a store of another unit or dimension, or if ``out`` exists and is no checkpoint.
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
    """InputError, before any work is done, if ``path`` is another file or cannot be written."""
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
    if start == "fit":
        return _fitted(space, sources)
    mean = space.codes.table.weight.mean(0).cpu()
    return [mean if start == "mean" else torch.zeros_like(mean)] * len(sources)


def _fitted(space: TrainedSpace, sources: Sequence[StoredScan]) -> Sequence[Float[Tensor, " L"]]:
    """The codes that fit scans as they lie in the store: a code that is trained has no pose."""
    fit, codes = FitOptions(pose="none"), dict[str, Any]()
    with progress(total=fit.rounds * len(sources), desc="fitting", unit="round") as bar:
        for begin in range(0, len(sources), BATCH):
            batch = sources[begin : begin + BATCH]
            scans = [prepare_for(space, source, "auto", fit.seed) for source in batch]
            for group in alike(scans, fit.num_points):
                found = fit(space, group, partial(bar.update, len(group))).codes.cpu()
                codes |= {scan.name: code for scan, code in zip(group, found, strict=True)}
    return [codes[source.name] for source in sources]
