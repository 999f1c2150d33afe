"""Implicit geometric regularisation (Gropp et al. 2020)."""

from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from shapespace.decoders.base import Field, value_and_gradient
from shapespace.objectives.base import Objective
from shapespace.objectives.terms import (
    code_mean_abs,
    code_norm,
    eikonal,
    normal_deviation,
    on_surface,
)
from shapespace.scan import Samples


class IGR(Objective):
    """mean |f| + normal mean |g - n| + eikonal mean (|g| - 1)^2 + latent |z|, per scan.

    The first two terms are taken on the surface, the eikonal term in space only.

    Args:
        normal: weight of the normal term, tau in IGR eq. 1; points without normals count 0.
        eikonal: weight of the eikonal term, lambda in IGR eq. 1.
        latent: weight of the code term.
        latent_term: "norm" is |z| as in the published training, "mean_abs" is mean |z_k| as in
            the published fit of an unseen scan, about 20 times weaker at L = 256.
    """

    def __init__(
        self,
        normal: float = 1.0,
        eikonal: float = 0.1,
        latent: float = 1e-3,
        latent_term: Literal["norm", "mean_abs"] = "norm",
    ) -> None:
        self.weights = {"surface": 1.0, "normal": normal, "eikonal": eikonal, "latent": latent}
        self.latent_term = latent_term

    def terms(
        self, field: Field, samples: Samples, latent: Float[Tensor, "B L"]
    ) -> dict[str, Float[Tensor, " B"]]:
        """The terms ``surface``, ``normal``, ``eikonal`` and ``latent``, from one evaluation."""
        points = torch.cat([samples.surface, samples.space], dim=1)
        sdf, gradient = value_and_gradient(field, points, latent)
        num_surface = samples.surface.shape[1]
        code = code_norm if self.latent_term == "norm" else code_mean_abs
        return {
            "surface": on_surface(sdf[:, :num_surface]),
            "normal": normal_deviation(gradient[:, :num_surface], samples.normals),
            "eikonal": eikonal(gradient[:, num_surface:]),
            "latent": code(latent),
        }

    def for_unseen(self) -> "IGR":
        """The same weights with the code term of the published fit."""
        weights = {name: self.weights[name] for name in ("normal", "eikonal", "latent")}
        return IGR(**weights, latent_term="mean_abs")
