"""The scans of a checkpoint put in order, left out and added, each with all that belongs to it.

Letters: S scans before, K after, L code length.
"""

from collections.abc import Mapping, Sequence
from copy import copy
from typing import Any

import torch
from jaxtyping import Float, Int, Shaped
from torch import Tensor

from shapespace.codes import plain_scans, row_of
from shapespace.scan import Frame

TABLE, SCANS = "codes.table.weight", "codes._extra_state"
"""Keys of the codes in the state of a module."""
PLACE = "ScanData"
"""Key of the place in the data, as ``ScanData.state_dict`` tells it."""


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
