"""Objectives of occupancies: cross-entropy of occupancy networks, weighted squares of IM-NET.

A target is inside where its signed distance is negative.

Letters: B scans, K targets, L code length.
"""

from typing import Literal

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from shapespace.decoders.base import Field
from shapespace.errors import positive
from shapespace.objectives.base import Objective
from shapespace.objectives.terms import code_term, targets_of, weights_of, without
from shapespace.scan import Samples


class OccupancyCrossEntropy(Objective):
    """mean binary cross-entropy + latent |z|; f is minus the logit (Mescheder et al. 2019).

    A point is inside with probability 1 / (1 + exp(f)). The weight of the first term is 1. The
    authors take the sum over 2048 points of a shape and codes from an encoder; the mean has the
    same minimum.

    Args:
        latent: weight of the code term.
    """

    needs = frozenset({"signed"})
    kind = "logit"

    def __init__(self, latent: float | str = 1e-3) -> None:
        super().__init__()
        self.weights = weights_of(occupancy=1.0, latent=latent)

    def terms(
        self, field: Field, samples: Samples, latent: Float[Tensor, "B L"]
    ) -> dict[str, Float[Tensor, " B"]]:
        """The terms ``occupancy`` and ``latent``.

        Args:
            field: f(x; z), positive outside.
            samples: their targets are read.
            latent: the code of each scan.
        """
        targets = targets_of(samples, self)
        f = field(targets.points, latent)
        # -log p of the side that is true: softplus(f) inside, softplus(-f) outside.
        side = torch.where(targets.distance < 0, 1.0, -1.0).to(f)
        return {"occupancy": F.softplus(side * f).mean(-1), "latent": code_term(latent, "norm")}

    def for_refinement(self) -> "OccupancyCrossEntropy":
        """The same without the code term: the code is fixed."""
        return without(self, "latent")


class WeightedSquares(Objective):
    """sum w (F - o)^2 / sum w + latent |z|, F = 1/2 - f (IM-NET, Chen and Zhang 2019).

    o is 1 inside and 0 outside. The weight of the first term is 1. In the paper w is the inverse of
    the density of the samples; the authors' torch code (@ab1c1f2) has w = 1. The density of
    prepared targets falls about as 1 / distance, so that "distance" takes w = |d| + margin, which
    is our choice.

    Args:
        sample_weights: "equal" or "distance".
        margin: of "distance", in the store's unit.
        latent: weight of the code term; IM-NET has none, as its codes come from an encoder.
    """

    needs = frozenset({"signed"})
    kind = "clamped"

    def __init__(
        self,
        sample_weights: Literal["equal", "distance"] = "equal",
        margin: float = 0.01,
        latent: float | str = 1e-3,
    ) -> None:
        super().__init__()
        positive(margin=margin)
        self.sample_weights = sample_weights
        self.margin = margin
        self.weights = weights_of(occupancy=1.0, latent=latent)

    def terms(
        self, field: Field, samples: Samples, latent: Float[Tensor, "B L"]
    ) -> dict[str, Float[Tensor, " B"]]:
        """The terms ``occupancy`` and ``latent``.

        Args:
            field: f(x; z), positive outside.
            samples: their targets are read.
            latent: the code of each scan.
        """
        targets = targets_of(samples, self)
        inside = (targets.distance < 0).to(targets.distance)
        squares = (0.5 - field(targets.points, latent) - inside).square()
        weights = torch.ones_like(squares)
        if self.sample_weights == "distance":
            weights = targets.distance.abs() + self.margin
        return {
            "occupancy": (weights * squares).sum(-1) / weights.sum(-1),
            "latent": code_term(latent, "norm"),
        }

    def for_refinement(self) -> "WeightedSquares":
        """The same without the code term: the code is fixed."""
        return without(self, "latent")
