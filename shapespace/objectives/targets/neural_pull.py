"""The objective of NeuralPull: a step of f along grad f ends on the surface (Ma et al. 2021).

Letters: B scans, L code length.
"""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from shapespace.decoders.base import Field, value_and_gradient
from shapespace.objectives.base import Objective
from shapespace.objectives.terms import code_term, targets_of, weights_of, without
from shapespace.scan import Samples


class NeuralPull(Objective):
    """mean | y - f g/|g| - x | + latent |z|, x the point of the surface nearest to the target y.

    g is grad f. The nearest point is y - d grad d, d the unsigned distance; a target without
    grad d counts 0. The weight of the first term is 1. The start as a sphere decides the sign. The
    authors' released code has a Chamfer distance of the pulled points in place of this formula of
    their paper.

    Args:
        latent: weight of the code term.
    """

    needs = frozenset({"unsigned", "distance_gradient"})

    def __init__(self, latent: float | str = 1e-3) -> None:
        super().__init__()
        self.weights = weights_of(pull=1.0, latent=latent)

    def terms(
        self, field: Field, samples: Samples, latent: Float[Tensor, "B L"]
    ) -> dict[str, Float[Tensor, " B"]]:
        """The terms ``pull`` and ``latent``.

        Args:
            field: f(x; z), positive outside.
            samples: their targets are read.
            latent: the code of each scan.
        """
        targets = targets_of(samples, self).unsigned()
        assert targets.gradient is not None, "the objective needs them"
        f, g = value_and_gradient(field, targets.points, latent)
        pulled = targets.points - f.unsqueeze(-1) * F.normalize(g, dim=-1)
        nearest = targets.points - targets.distance.unsqueeze(-1) * targets.gradient
        known = targets.gradient.ne(0).any(-1)
        missed = torch.linalg.vector_norm(pulled - nearest, dim=-1)
        return {"pull": (missed * known).mean(-1), "latent": code_term(latent, "norm")}

    def for_refinement(self) -> "NeuralPull":
        """The same without the code term: the code is fixed."""
        return without(self, "latent")
