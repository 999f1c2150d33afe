"""The content of a checkpoint with other scans: some added, some dropped, in another order.

Letters: S scans of a table, K rows that are kept, L code length.
"""

from collections.abc import Mapping, Sequence
from copy import copy
from typing import Any

import torch
from jaxtyping import Float, Int, Shaped
from torch import Tensor

from shapespace.checkpoint import PLACE, SCANS
from shapespace.codes import plain_scans, row_of
from shapespace.data.names import subjects_of
from shapespace.encoders.factors import IDENTITY, TABLE, with_subjects
from shapespace.errors import InputError, one_line
from shapespace.scan import Frame


def with_scans(
    content: dict[str, Any],
    names: Sequence[str],
    new: Mapping[str, tuple[Frame, Float[Tensor, " L"]]] | None = None,
) -> dict[str, Any]:
    """The content of a checkpoint with other scans, in a given order; ``content`` stays as it is.

    Each scan keeps its code, its frame and the optimiser state of its row. A new scan begins with
    an optimiser state of zeros. An epoch that was begun begins again, because its order was that of
    other rows. Everything else is the same.

    Args:
        content: of a checkpoint.
        names: of the scans, in the order of their rows.
        new: frame and code of each scan that the checkpoint does not have.

    Raises:
        InputError: for a name that is neither in the checkpoint nor in ``new``.
    """
    new = new or {}
    before = content["state_dict"][SCANS]["names"]
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
    each = [(which, len(before))]
    if IDENTITY in state:
        num_identities = len(state[IDENTITY])
        tables, subjects = with_subjects(
            state, before, names, subjects_of=subjects_of, table=state[TABLE]
        )
        state |= tables
        each.append((torch.tensor(subjects), num_identities))
    try:
        changed |= _of_other_rows(content, each)
    except (KeyError, TypeError, ValueError, IndexError, AttributeError, ArithmeticError) as error:
        raise InputError(
            f"optimiser states or position of the checkpoint are damaged ({one_line(error, 100)})"
        ) from error
    return changed


def _of_other_rows(
    content: dict[str, Any], each: Sequence[tuple[Int[Tensor, " _"], int]]
) -> dict[str, Any]:
    """Optimiser states and position of a checkpoint, as far as it has them, for other rows.

    ``each`` has, of each table that the optimiser of the codes moves, the rows that are wanted and
    how many it had.
    """
    changed: dict[str, Any] = {}
    if "optimizer_states" in content:
        *others, of_codes = content["optimizer_states"]
        changed["optimizer_states"] = [*others, _of_rows(of_codes, each)]
    if PLACE in content:
        visits = content[PLACE]["visits"]
        length = content[PLACE]["visits_of_an_epoch"]
        changed[PLACE] = content[PLACE] | {"visits": visits - visits % length}
    return changed


def _of_rows(
    optimiser: dict[str, Any], each: Sequence[tuple[Int[Tensor, " _"], int]]
) -> dict[str, Any]:
    """The state of the codes' optimiser for other rows of each table; a new row begins at 0.

    Every tensor of the state has a row for each scan, but for scalars, such as step counts.
    """

    def picked(value: Any, which: Tensor, count: int) -> Any:
        if not isinstance(value, Tensor) or not value.dim():
            return value
        if len(value) != count:
            raise ValueError(f"{len(value)} rows for a table of {count}")
        # New rows have numbers beyond the rows before, or -1: both lead to the row of zeros.
        rows = torch.where((which < 0) | (which >= len(value)), len(value), which)
        return torch.cat([value, torch.zeros_like(value[:1])])[rows]

    state = {
        table: {name: picked(value, *each[table]) for name, value in values.items()}
        for table, values in optimiser["state"].items()
    }
    return optimiser | {"state": state}


def _picked(
    rows: Shaped[Tensor, "S *L"],
    which: Int[Tensor, " K"],
    more: Sequence[Shaped[Tensor, "*L"]],
) -> Shaped[Tensor, "K *L"]:
    """Rows ``which`` of a table: ``rows``, followed by ``more``."""
    return torch.cat([rows, *(row.to(rows)[None] for row in more)])[which]
