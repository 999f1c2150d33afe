"""Ranks tell each other the rows of their batches, and nothing else."""

import math

import pytest
import torch

from shapespace.training.distributed import gradient_norm, mean_of_rows

S, L = 1000, 3


def gradient(rows, seed):
    values = torch.randn(len(rows), L, generator=torch.Generator().manual_seed(seed))
    return torch.sparse_coo_tensor(torch.tensor([rows], dtype=torch.long), values, (S, L))


def exchanged(gradients, num_rows):
    """What each rank gets, and the bytes that it sent."""
    sent = []
    for one in gradients:
        parts = []

        def record(part, parts=parts):
            parts.append(part)
            return part[None]

        mean_of_rows(one, num_rows, record)
        sent.append(parts)
    results = []
    for one in gradients:
        together = iter([torch.stack(parts) for parts in zip(*sent, strict=True)])
        results.append(mean_of_rows(one, num_rows, lambda _, t=together: next(t)))
    return results, [sum(p.numel() * p.element_size() for p in parts) for parts in sent]


@pytest.mark.parametrize(
    "rows", [[[1, 2], [2, 7]], [[5], [5]], [[3, 3], [999, 0]], [[], []], [[], [4, 4]]]
)
def test_the_mean_is_that_of_dense_gradients(rows):
    gradients = [gradient(own, seed) for seed, own in enumerate(rows)]
    found, sent = exchanged(gradients, 2)
    mean = torch.stack([one.to_dense() for one in gradients]).mean(0)
    for one in found:
        torch.testing.assert_close(one.to_dense(), mean)
        used = {row for own in rows for row in own}
        assert set(one.coalesce().indices()[0].tolist()) == used
    assert sent == [2 * (8 + 4 * L)] * 2


def test_the_norm_is_that_of_all_gradients():
    dense, table = torch.zeros(4, requires_grad=True), torch.zeros(S, L, requires_grad=True)
    dense.grad, table.grad = torch.full((4,), 2.0), gradient([1, 1], 0)
    whole = torch.cat([dense.grad, table.grad.to_dense().flatten()])
    assert float(gradient_norm([dense, table, torch.zeros(2)])) == pytest.approx(whole.norm())
    dense.grad[1] = math.nan
    assert not torch.isfinite(gradient_norm([dense, table]))
