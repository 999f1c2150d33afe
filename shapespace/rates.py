"""Learning rates over a run, and which optimiser moves which part of a decoder."""

import math
from collections.abc import Iterable
from typing import Literal

import torch
from torch import Tensor

from shapespace.row_adam import RowAdam

Schedule = Literal["halve", "cosine"]
Optimiser = Literal["adam", "muon"]
CodeOptimiser = Literal["rows", "dense"]
SMALLEST_MATRIX = 16
"""Rows and columns of a matrix that is worth orthogonalising."""


def cosine(done: float, warm_up: float) -> float:
    """Factor of a rate after the fraction ``done`` of a run.

    Rises evenly over the fraction ``warm_up``, falls to 0 as half a cosine over the whole.
    """
    rise = min(1.0, done / warm_up) if warm_up else 1.0
    return rise * (0.5 + 0.5 * math.cos(math.pi * min(done, 1.0)))


def halved(epoch: int, every: int) -> float:
    """Factor of a rate that is halved every so many epochs (IGR, Gropp et al. 2020, supplement)."""
    return 0.5 ** (epoch // every)


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
