"""Robust losses of residuals, and their weights for iterated least squares.

Letters: P problems, M residuals.
"""

from typing import Literal, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

Loss = Literal["squares", "huber", "geman-mcclure"]


class Robust(NamedTuple):
    """The loss of a residual r: r^2 / 2 for small ones, less for large ones.

    * squares: r^2 / 2.
    * huber: |r| width - width^2 / 2 where |r| exceeds ``width`` (Huber 1964).
    * geman-mcclure: width^2 / 2 * r^2 / (r^2 + width^2), at most width^2 / 2 (Geman and McClure
      1987). Residuals far above ``width`` pull no more.

    Args:
        loss: the name of the loss.
        width: the residual at which the robust losses leave r^2 / 2.
    """

    loss: Loss = "squares"
    width: float = 1.0

    def cost(self, r: Float[Tensor, "P M"]) -> Float[Tensor, "P M"]:
        """The loss of each residual."""
        if self.loss == "squares":
            return 0.5 * r.square()
        if self.loss == "huber":
            size = r.abs()
            within = size.clamp(max=self.width)
            return within * (size - 0.5 * within)
        square = self.width**2
        return 0.5 * square * r.square() / (r.square() + square)

    def weight(self, r: Float[Tensor, "P M"]) -> Float[Tensor, "P M"]:
        """The derivative of the loss divided by the residual: 1 for small residuals."""
        if self.loss == "squares":
            return torch.ones_like(r)
        if self.loss == "huber":
            return self.width / r.abs().clamp(min=self.width)
        return (self.width**2 / (r.square() + self.width**2)).square()
