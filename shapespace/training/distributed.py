"""Exchange of code gradients between ranks, its size in bytes, and the norm of all gradients.

Letters: S rows of the code table, L code length, K rows with a gradient, W ranks.
"""

from collections.abc import Callable, Iterable

import torch
import torch.distributed
from jaxtyping import Float
from torch import Tensor
from torch.nn.utils import get_total_norm


def gathered(part: Tensor) -> Tensor:
    """Return the tensors of all ranks, of equal shapes, stacked along a new first axis."""
    if not (torch.distributed.is_available() and torch.distributed.is_initialized()):
        return part[None]
    parts = [torch.empty_like(part) for _ in range(torch.distributed.get_world_size())]
    torch.distributed.all_gather(parts, part.contiguous())
    return torch.stack(parts)


def mean_of_rows(
    gradient: Float[Tensor, "S L"],
    num_rows: int,
    all_gather: Callable[[Tensor], Tensor] = gathered,
) -> Float[Tensor, "S L"]:
    """Return the mean over ranks of a sparse gradient, itself sparse.

    Each rank sends ``num_rows`` rows and their indices, however large the table is.

    Args:
        gradient: sparse gradient of this rank; rows may occur more than once.
        num_rows: number of rows that each rank sends, at least the number of rows that this rank
            has; the same on all ranks.
        all_gather: function that stacks the tensors of all ranks along a new first axis.
    """
    own = gradient.coalesce()
    rows = own.indices()[0]
    values = own.values()
    # all_gather needs equal shapes: a rank with fewer rows pads them with index -1.
    missing = num_rows - len(rows)
    rows = torch.cat([rows, rows.new_full((missing,), -1)])
    values = torch.cat([values, values.new_zeros(missing, values.shape[1])])
    rows = all_gather(rows).flatten()
    values = all_gather(values)
    mean = values.flatten(0, 1) / len(values)
    kept = rows >= 0
    return torch.sparse_coo_tensor(
        rows[kept][None], mean[kept], gradient.shape, check_invariants=False
    )


def share_rows(tables: Iterable[Tensor], num_rows: int, num_ranks: int) -> None:
    """Give every rank the mean over ranks of the gradients of tables, each row once.

    Args:
        tables: with sparse gradients; those without one are passed over.
        num_rows: most rows of a gradient of one rank; the same on all ranks.
        num_ranks: W.
    """
    for table in tables:
        if table.grad is not None:
            shared = mean_of_rows(table.grad, num_rows) if num_ranks > 1 else table.grad
            table.grad = shared.coalesce()


def losses_of_all(rows: Tensor, losses: Tensor, weights: Tensor) -> dict[int, float]:
    """Return the loss of each scan of all ranks, by its row; the largest of several visits.

    Args:
        rows: rows of the scans of this rank.
        losses: their losses.
        weights: their weights; a scan of weight 0 only fills a place.
    """
    own = torch.stack([rows.to(losses).masked_fill(weights == 0, -1), losses])
    found: dict[int, float] = {}
    for row, loss in gathered(own).transpose(1, 2).flatten(0, 1).tolist():
        if row >= 0:
            found[int(row)] = max(loss, found.get(int(row), float("-inf")))
    return found


def bytes_of_rows(num_rows: int, latent_size: int) -> int:
    """Return the bytes that a rank hands to ``all_gather`` in :func:`mean_of_rows`.

    A row has ``latent_size`` floats of 4 bytes and an index of 8 bytes.
    """
    return num_rows * (4 * latent_size + 8)


def bytes_sent(num_ranks: int, num_numbers: int, row_bytes: int) -> tuple[int, int]:
    """Return the bytes that each rank sends in a step, for the decoder and for the codes.

    A ring of W ranks sends the fewest bytes: 2 (W-1)/W of the gradient to sum it, and W-1 times
    the rows to gather them.

    Args:
        num_ranks: number of ranks, W.
        num_numbers: number of floats of the decoder's gradient.
        row_bytes: bytes of the rows of one rank, as :func:`bytes_of_rows` returns them.
    """
    others = num_ranks - 1
    return 4 * 2 * others * num_numbers // num_ranks, others * row_bytes


def gradient_norm(parameters: Iterable[Tensor]) -> Float[Tensor, ""]:
    """Return the norm of all gradients together, dense and sparse; not finite if one is not."""
    gradients = [p.grad for p in parameters if p.grad is not None]
    return get_total_norm([g.coalesce().values() if g.is_sparse else g for g in gradients])
