"""Gradients of a step: what ranks tell each other about codes, and whether all are finite."""

from collections.abc import Callable, Iterable

import torch
import torch.distributed
from jaxtyping import Float
from torch import Tensor
from torch.nn.utils import get_total_norm


def gathered(part: Tensor) -> Tensor:
    """The tensors of all ranks, of equal shapes, along a new first axis."""
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
    """The mean over ranks of a sparse gradient, itself sparse.

    Each rank sends ``num_rows`` rows and their numbers, whatever S is, -1 where it has fewer.
    ``all_gather`` puts a leading axis of ranks before a tensor.
    """
    own = gradient.coalesce()
    (numbers,), values = own.indices(), own.values()
    missing = num_rows - len(numbers)
    numbers = torch.cat([numbers, numbers.new_full((missing,), -1)])
    values = torch.cat([values, values.new_zeros(missing, values.shape[1])])
    numbers, values = all_gather(numbers).flatten(), all_gather(values)
    mean = values.flatten(0, 1) / len(values)
    kept = numbers >= 0
    rows = numbers[kept][None], mean[kept]
    return torch.sparse_coo_tensor(*rows, gradient.shape, check_invariants=False)


def bytes_of_rows(num_rows: int, latent_size: int) -> int:
    """What a rank hands to ``all_gather`` in :func:`mean_of_rows`: rows [L] and their numbers."""
    return num_rows * (4 * latent_size + 8)


def bytes_sent(num_ranks: int, num_numbers: int, row_bytes: int) -> tuple[int, int]:
    """What each rank sends in a step: to sum a gradient of ``num_numbers``, and to spread its rows.

    As rings of ranks do it, with the fewest bytes there can be: a sum of floats by 2 (W-1)/W of
    them, a gathering of ``row_bytes`` by W-1 times those.
    """
    others = num_ranks - 1
    return 4 * 2 * others * num_numbers // num_ranks, others * row_bytes


def gradient_norm(parameters: Iterable[Tensor]) -> Float[Tensor, ""]:
    """Of all gradients together, dense and sparse; not finite if one of them is not."""
    gradients = [p.grad for p in parameters if p.grad is not None]
    return get_total_norm([g.coalesce().values() if g.is_sparse else g for g in gradients])
