"""Adam for a table of which a step moves a few rows: the codes of the scans in the batch.

Letters: S rows, L columns.
"""

from collections.abc import Callable, Iterable
from typing import Any, Literal

import torch
from torch import Tensor

from shapespace.errors import positive

Schedule = Literal["halve", "cosine"]
Optimiser = Literal["adam", "muon"]
CodeOptimiser = Literal["rows", "dense"]
SMALLEST_MATRIX = 16
"""Rows and columns of a matrix that is worth orthogonalising."""


class RowAdam(torch.optim.Optimizer):
    """Each row is moved by an Adam of its own (Kingma and Ba 2015), which counts its own visits.

    A row moves only in steps whose sparse gradient holds it, by what a single Adam would have done
    that saw the gradients of this row alone: ``lr`` is a length per visit, however many other rows
    there are and whenever the row was first seen. (torch.optim.SparseAdam corrects all rows by the
    number of steps of the table, so that rows that are rarely seen begin with steps up to six times
    too long.) A step costs what its rows cost.

    Args:
        params: tables [S, L] with sparse gradients.
        lr: length of a step.
        betas: decay of the mean and of the mean square of the gradients.
        eps: added to the root of the mean square.
    """

    def __init__(
        self,
        params: Iterable[Tensor],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
    ) -> None:
        positive(lr=lr, eps=eps)
        super().__init__(params, {"lr": lr, "betas": betas, "eps": eps})

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Move the rows that the gradients hold."""
        for group in self.param_groups:
            for table in group["params"]:
                if table.grad is not None:
                    self._move(table, table.grad.coalesce(), group)

    def _move(self, table: Tensor, gradient: Tensor, group: dict[str, Any]) -> None:
        state, (beta1, beta2) = self._state_of(table), group["betas"]
        rows, values = gradient.indices()[0], gradient.values()
        visits = state["visits"][rows] + 1
        mean = state["mean"][rows].lerp_(values, 1 - beta1)
        square = state["square"][rows].lerp_(values.square(), 1 - beta2)
        first, second = (_correction(beta, visits).to(mean) for beta in (beta1, beta2))
        root = (square / second).sqrt_().add_(group["eps"])
        table.index_add_(0, rows, mean / first / root, alpha=-group["lr"])
        for name, value in (("visits", visits), ("mean", mean), ("square", square)):
            state[name].index_copy_(0, rows, value)

    def _state_of(self, table: Tensor) -> dict[str, Tensor]:
        """Visits [S], mean and mean square [S, L], all zero before the first step."""
        state = self.state[table]
        if not state:
            state["visits"] = table.new_zeros(len(table))  # whole numbers, as torch restores them
            state["mean"], state["square"] = torch.zeros_like(table), torch.zeros_like(table)
        return state


def _correction(beta: float, visits: Tensor) -> Tensor:
    """1 - beta^visits [K, 1], in double precision: beta is near 1."""
    return 1 - (beta ** visits.double())[:, None]


def decoder_optimisers(
    parameters: Iterable[Tensor], optimiser: Optimiser, lr: float, matrix_lr: float
) -> list[torch.optim.Optimizer]:
    """Adam with ``lr`` for all, or for what Muon does not take.

    Muon (Jordan et al. 2024) moves matrices by their orthogonalised momentum, scaled to the size of
    an Adam step of ``matrix_lr`` (Liu et al. 2025).
    """
    parameters = list(parameters)
    if optimiser == "adam":
        return [torch.optim.Adam(parameters, lr, fused=True)]
    large = [p.dim() == 2 and min(p.shape) >= SMALLEST_MATRIX for p in parameters]
    matrices = [p for p, is_large in zip(parameters, large, strict=True) if is_large]
    others = [p for p, is_large in zip(parameters, large, strict=True) if not is_large]
    if not matrices:
        raise ValueError(
            f"optimiser='muon': no matrix of the decoder has {SMALLEST_MATRIX} rows and columns; "
            "take 'adam', or a wider decoder"
        )
    muon = torch.optim.Muon(matrices, matrix_lr, weight_decay=0, adjust_lr_fn="match_rms_adamw")
    return [torch.optim.Adam(others, lr, fused=True), muon]


def code_optimiser(
    table: Iterable[Tensor], optimiser: CodeOptimiser, lr: float
) -> torch.optim.Optimizer:
    """A table's: an Adam for each row, or the published one that moves all rows in every step."""
    return RowAdam(table, lr) if optimiser == "rows" else torch.optim.Adam(table, lr)
