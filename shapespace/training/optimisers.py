"""Optimisers of decoder and codes: Adam, Muon, and an Adam of its own for each row of a table.

Letters: S rows of the table, L columns, K rows with a gradient.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Literal

import torch
from torch import Tensor

from shapespace.errors import at_least, positive

RateSchedule = Literal["halve", "cosine"]
Optimiser = Literal["adam", "muon"]
CodeOptimiser = Literal["rows", "dense"]
SMALLEST_MATRIX = 16
"""Fewest rows and columns of a matrix that Muon takes."""


class RowAdam(torch.optim.Optimizer):
    """Adam (Kingma and Ba 2015) with moments and a step count of its own for each row of a table.

    A row moves only in steps whose sparse gradient contains the row. The row then moves as by an
    Adam that has seen the gradients of this row alone. So ``lr`` is the step length per visit,
    however many rows there are and whenever a row is first seen. A step costs time in proportion
    to the rows that move.

    torch.optim.SparseAdam corrects the bias of all rows by the number of steps of the table.
    There, the first steps of rows that are rarely seen are up to six times too long.

    Args:
        params: tables [S, L] with sparse gradients.
        lr: step length.
        betas: decay rates of the mean and of the mean square of the gradients.
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
        """Move the rows that the gradients contain; ``closure`` is not used."""
        for group in self.param_groups:
            for table in group["params"]:
                if table.grad is not None:
                    self._move(table, table.grad.coalesce(), group)

    def _move(self, table: Tensor, gradient: Tensor, group: dict[str, Any]) -> None:
        """Move the rows [K] of one table by their gradient [K, L], as Adam does."""
        state = self._state_of(table)
        beta1, beta2 = group["betas"]
        rows = gradient.indices()[0]
        values = gradient.values()
        visits = state["visits"][rows] + 1
        mean = state["mean"][rows].lerp_(values, 1 - beta1)
        square = state["square"][rows].lerp_(values.square(), 1 - beta2)
        first, second = (_correction(beta, visits).to(mean) for beta in (beta1, beta2))
        root = (square / second).sqrt_().add_(group["eps"])
        table.index_add_(0, rows, mean / first / root, alpha=-group["lr"])
        # The state of the other rows is neither read nor written.
        for name, value in (("visits", visits), ("mean", mean), ("square", square)):
            state[name].index_copy_(0, rows, value)

    def _state_of(self, table: Tensor) -> dict[str, Tensor]:
        """Return number of visits [S], mean and mean square [S, L]; zero before the first step."""
        state = self.state[table]
        if not state:
            # Floats, because load_state_dict casts the state to the type of the table.
            state["visits"] = table.new_zeros(len(table))
            state["mean"] = torch.zeros_like(table)
            state["square"] = torch.zeros_like(table)
        return state


def _correction(beta: float, visits: Tensor) -> Tensor:
    """Return 1 - beta^visits [K, 1], in double precision because beta is near 1."""
    return 1 - (beta ** visits.double())[:, None]


def decoder_optimisers(
    parameters: Iterable[Tensor], optimiser: Optimiser, lr: float, matrix_lr: float
) -> list[torch.optim.Optimizer]:
    """Return the optimisers of a decoder: one Adam, or an Adam and a Muon.

    Muon (Jordan et al. 2024) moves matrices by their orthogonalised momentum, scaled to the size of
    an Adam step of ``matrix_lr`` (Liu et al. 2025). Adam moves all other parameters.

    Args:
        parameters: parameters of decoder and objective.
        optimiser: "adam" or "muon".
        lr: step length of Adam.
        matrix_lr: step length of Muon.

    Raises:
        ValueError: "muon" without a matrix of at least SMALLEST_MATRIX rows and columns.
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
    """Return the optimiser of a code table.

    Args:
        table: the table, as the one parameter in the iterable.
        optimiser: "rows" for :class:`RowAdam`; "dense" for the published Adam, which moves all
            rows in every step.
        lr: step length.
    """
    return RowAdam(table, lr) if optimiser == "rows" else torch.optim.Adam(table, lr)


def shapes_of_state(
    optimiser: torch.optim.Optimizer, parameter: Tensor
) -> dict[str, tuple[int, ...]]:
    """Return the shapes of the tensors that an optimiser keeps for a parameter, by name.

    A fused Adam does not compare them, and reads beyond the end of shorter ones.
    """
    shape = tuple(parameter.shape)
    if isinstance(optimiser, RowAdam):
        return {"visits": shape[:1], "mean": shape, "square": shape}
    if isinstance(optimiser, torch.optim.Muon):
        return {"momentum_buffer": shape}
    return {"step": (), "exp_avg": shape, "exp_avg_sq": shape}


def check_steps(
    rates: Mapping[str, float], warm_up: float, halve_every: int, gradient_clip: float | None
) -> None:
    """Raise ValueError for rates, a course of them or a shortening of steps that cannot be.

    Args:
        rates: positive and finite, by name.
        warm_up: fraction of the run over which rates rise; 0 or more, below 1.
        halve_every: a number of epochs, at least 1.
        gradient_clip: norm to which gradients are shortened, positive; None shortens none.
    """
    positive(**rates, gradient_clip=1.0 if gradient_clip is None else gradient_clip)
    at_least(1, halve_every=halve_every)
    if not 0 <= warm_up < 1:
        raise ValueError(f"warm_up={warm_up:g}: give a fraction of the run, 0 or more, below 1")
