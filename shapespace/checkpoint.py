"""Checkpoints: written whole or not at all, read with tensors and plain data only.

A checkpoint is a zip file as torch writes it; its checksums are compared when it is read.
"""

import os
import pickle
import shutil
import zipfile
from collections.abc import Mapping, Sequence
from copy import copy
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float, Int, Shaped
from torch import Tensor

from shapespace.codes import plain_scans, row_of
from shapespace.errors import InputError, one_line
from shapespace.scan import Frame
from shapespace.utils.files import replacing

FORMAT = 1
CHECKPOINT, PREVIOUS, BEST = "last.ckpt", "previous.ckpt", "best.ckpt"
"""Names in a run folder: the newest, the one before it, that of the lowest loss."""
TRUSTED = ("shapespace", "torch", "pytorch_lightning")
TRUST_VARIABLE = "SHAPESPACE_TRUST"
"""Environment variable with further packages, separated by commas, whose classes may be built."""
TABLE, SCANS = "codes.table.weight", "codes._extra_state"
"""Keys of the codes in the state of a module."""
PLACE = "ScanData"
"""Key of the place in the data, as ``ScanData.state_dict`` tells it."""


def read_checkpoint(path: str | Path) -> dict[str, Any]:
    """The content of a shapespace checkpoint on the CPU; InputError for anything else.

    Nothing in the file is executed (``weights_only=True``) and no class outside shapespace, torch,
    pytorch_lightning and the packages in SHAPESPACE_TRUST is named by it.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"{path}: no such checkpoint; a run keeps its newest in <run>/last.ckpt")
    try:
        _check_bytes(path)
        content = torch.load(path, map_location="cpu", weights_only=True)  # noqa: TID251
    except Exception as error:
        reason = (
            "it holds more than tensors and plain data, or is damaged"
            if isinstance(error, pickle.UnpicklingError)
            else one_line(error, 120)
        )
        raise InputError(f"{path}: is not a readable checkpoint ({reason})") from error
    kind = content.get("shapespace") if isinstance(content, dict) else None
    if not isinstance(kind, dict) or "hyper_parameters" not in content:
        raise InputError(
            f"{path}: is not a shapespace checkpoint; give one made by shapespace train"
        )
    if kind.get("format") != FORMAT:
        raise InputError(
            f"{path}: has checkpoint format {kind.get('format')}, this version reads {FORMAT}"
        )
    _check_class_paths(path, content["hyper_parameters"])
    return content


def write_checkpoint(content: dict[str, Any], path: Path, also: Sequence[str] = ()) -> None:
    """Write ``content`` so that at every moment a whole checkpoint lies in the folder of ``path``.

    What was ``last.ckpt`` becomes ``previous.ckpt``. also: further names of the same file.
    InputError if it cannot be written; then all is as before.
    """
    with replacing(path) as part:
        try:
            with part.open("wb") as file:
                torch.save(content, file)
        except RuntimeError as error:
            # torch's writer replaces what the disk said by words of its own
            said = error.__context__
            raise said if isinstance(said, OSError) else OSError(None, one_line(error)) from error
        if path.name == CHECKPOINT and path.exists():
            _name_also(path, path.with_name(PREVIOUS))
    for name in also:
        _name_also(path, path.with_name(name))


def newest_checkpoint(folder: Path) -> tuple[Path | None, str]:
    """The checkpoint to go on from, and what is to be said about it; None if there is none.

    InputError if there are some and none can be read.
    """
    last, previous = folder / CHECKPOINT, folder / PREVIOUS
    if not last.exists():
        return (previous, "") if previous.exists() else (None, "")
    try:
        read_checkpoint(last)
    except InputError as error:
        if not previous.exists():
            raise
        read_checkpoint(previous)
        return previous, f"{error}; taking {previous}"
    return last, ""


def _name_also(path: Path, other: Path) -> None:
    """Give the file ``path`` a second name, or a copy where the disk knows no links."""
    with replacing(other) as part:
        try:
            os.link(path, part)
        except OSError:
            shutil.copyfile(path, part)


def _check_bytes(path: Path) -> None:
    """OSError if the bytes are not those that were written; torch does not look."""
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            damaged = archive.testzip()
        if damaged is not None:
            raise OSError(f"damaged: the checksum of {damaged} does not hold")


def _check_class_paths(path: Path, value: object) -> None:
    if isinstance(value, dict):
        named = value.get("class_path")
        trusted = (*TRUSTED, *os.environ.get(TRUST_VARIABLE, "").split(","))
        if named is not None and str(named).partition(".")[0] not in trusted:
            raise InputError(
                f"{path}: names the class {one_line(named)!r}, which is not part of shapespace; if "
                f"you trust it, set {TRUST_VARIABLE}={one_line(str(named).partition('.')[0])}"
            )
        for item in value.values():
            _check_class_paths(path, item)
    elif isinstance(value, list | tuple):
        for item in value:
            _check_class_paths(path, item)


def with_scans(
    content: dict[str, Any],
    names: Sequence[str],
    new: Mapping[str, tuple[Frame, Float[Tensor, " L"]]] | None = None,
) -> dict[str, Any]:
    """The content of a checkpoint whose scans are ``names``, in that order; ``content`` stays.

    Each scan keeps its code, its frame and what the optimiser knows of its row; those of ``new``,
    which were not there, begin with the frame and code given and an optimiser that has seen
    nothing. Nothing else changes, but an epoch that was begun begins anew, because its order was
    that of other rows. InputError for a name that is neither there nor in ``new``.
    """
    new, before = new or {}, content["state_dict"][SCANS]["names"]
    assert len({*before, *new}) == len(before) + len(new) and len(set(names)) == len(names)
    if list(names) == before:
        return content
    rows = {name: row for row, name in enumerate([*before, *new])}
    which = torch.tensor([rows[n] if n in rows else row_of(before, n) for n in names]).long()
    state = copy(content["state_dict"])
    state[TABLE] = _picked(state[TABLE], which, [code for _, code in new.values()])
    more = plain_scans(list(new), [frame for frame, _ in new.values()])
    facts = {key: [*values, *more[key]] for key, values in state[SCANS].items()}
    state[SCANS] = {key: [values[row] for row in which.tolist()] for key, values in facts.items()}
    changed = content | {"state_dict": state}
    changed["hyper_parameters"] = content["hyper_parameters"] | {"num_scans": len(names)}
    if "optimizer_states" in content:
        *others, of_codes = content["optimizer_states"]
        changed["optimizer_states"] = [*others, _of_rows(of_codes, which, len(new))]
    if PLACE in content:
        visits, length = content[PLACE]["visits"], content[PLACE]["visits_of_an_epoch"]
        changed[PLACE] = content[PLACE] | {"visits": visits - visits % length}
    return changed


def _of_rows(optimiser: dict[str, Any], which: Int[Tensor, " K"], num_new: int) -> dict[str, Any]:
    """The state of the codes' optimiser: of its tensors, all but scalars have a row for a scan."""

    def picked(value: Any) -> Any:
        if not isinstance(value, Tensor) or not value.dim():
            return value
        return _picked(value, which, [torch.zeros_like(value[0])] * num_new)

    state = {
        table: {name: picked(value) for name, value in values.items()}
        for table, values in optimiser["state"].items()
    }
    return optimiser | {"state": state}


def _picked(
    rows: Shaped[Tensor, "S *L"],
    which: Int[Tensor, " K"],
    more: Sequence[Shaped[Tensor, "*L"]],
) -> Shaped[Tensor, "K *L"]:
    """Rows of ``rows`` and, counted on, of ``more``."""
    return torch.cat([rows, *(row.to(rows)[None] for row in more)])[which]
