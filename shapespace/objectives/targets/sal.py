"""The objectives of SAL and SALD: unsigned distances to raw scans (Atzmon and Lipman 2020, 2021).

A field that begins as a sphere learns the sign by itself: both f and -f have the same loss, and the
start decides.

Letters: B scans, L code length.
"""

import torch
from jaxtyping import Float
from torch import Tensor

from shapespace.decoders.base import Field, value_and_gradient
from shapespace.objectives.base import Objective
from shapespace.objectives.terms import (
    CodeTerm,
    code_term,
    on_surface,
    targets_of,
    weights_of,
    without,
)
from shapespace.scan import Samples


class SAL(Objective):
    """mean | |f| - h | + latent |z|, h the unsigned distance at targets around the scan (h2).

    The weight of the first term is 1. Constants are those of the authors' code (SAL @4a3359d),
    whose codes come from a variational encoder.

    Args:
        latent: weight of the code term.
        latent_term: what the code term is.
    """

    needs = frozenset({"unsigned"})

    def __init__(self, latent: float | str = 1e-3, latent_term: CodeTerm = "norm") -> None:
        super().__init__()
        self.latent_term: CodeTerm = latent_term
        self.weights = weights_of(distance=1.0, latent=latent)

    def terms(
        self, field: Field, samples: Samples, latent: Float[Tensor, "B L"]
    ) -> dict[str, Float[Tensor, " B"]]:
        """The terms ``distance`` and ``latent``.

        Args:
            field: f(x; z), positive outside.
            samples: their targets are read.
            latent: the code of each scan.
        """
        targets = targets_of(samples, self)
        found = field(targets.points, latent)
        return {
            "distance": _distance_error(found, targets.distance),
            "latent": code_term(latent, self.latent_term),
        }

    def for_refinement(self) -> "SAL":
        """The same without the code term: the code is fixed."""
        return without(self, "latent")


class SALD(Objective):
    """SAL and the gradient of the distance: + gradient mean min(|g - d|_1, |g + d|_1).

    d is the gradient of the unsigned distance and g is grad f; a target without d counts 0. The
    weight of the first term is 1. Constants are those of the authors' auto-decoder (SALD @6402b71):
    ``confs/dfaust_ad.conf``.

    Args:
        gradient: weight of the gradient term.
        latent: weight of the code term.
        latent_term: what the code term is.
    """

    needs = frozenset({"unsigned", "distance_gradient"})

    def __init__(
        self,
        gradient: float | str = 1.0,
        latent: float | str = 1e-3,
        latent_term: CodeTerm = "mean_square",
    ) -> None:
        super().__init__()
        self.latent_term: CodeTerm = latent_term
        self.weights = weights_of(distance=1.0, gradient=gradient, latent=latent)

    def terms(
        self, field: Field, samples: Samples, latent: Float[Tensor, "B L"]
    ) -> dict[str, Float[Tensor, " B"]]:
        """The terms ``distance``, ``gradient`` and ``latent``.

        Args:
            field: f(x; z), positive outside.
            samples: their targets are read.
            latent: the code of each scan.
        """
        targets = targets_of(samples, self).unsigned()
        assert targets.gradient is not None, "the objective needs them"
        f, g = value_and_gradient(field, targets.points, latent)
        same = (g - targets.gradient).abs().sum(-1)
        opposite = (g + targets.gradient).abs().sum(-1)
        known = targets.gradient.ne(0).any(-1)
        return {
            "distance": _distance_error(f, targets.distance),
            "gradient": (torch.minimum(same, opposite) * known).mean(-1),
            "latent": code_term(latent, self.latent_term),
        }

    def for_refinement(self) -> "SALD":
        """The same without the code term: the code is fixed."""
        return without(self, "latent")


class SALIndicator(Objective):
    """SAL with h0, which is 0 on the scan and 1 elsewhere: mean | |f| - 1 | + surface mean |f|.

    The first mean is over the space points, and its weight is 1. It needs a field such as
    tanh(a) + a, and no distances. The constant is that of ``confs/recon_tanh.conf`` (SAL @4a3359d).

    Args:
        surface: weight of mean |f| at the surface points.
        latent: weight of the code term |z|.
    """

    kind = "clamped"

    def __init__(self, surface: float | str = 2.0, latent: float | str = 1e-3) -> None:
        super().__init__()
        self.weights = weights_of(indicator=1.0, surface=surface, latent=latent)

    def terms(
        self, field: Field, samples: Samples, latent: Float[Tensor, "B L"]
    ) -> dict[str, Float[Tensor, " B"]]:
        """The terms ``indicator``, ``surface`` and ``latent``.

        Args:
            field: f(x; z), positive outside.
            samples: points on the surface and in the space around.
            latent: the code of each scan.
        """
        count = samples.surface.shape[1]
        f = field(torch.cat([samples.surface, samples.space], 1), latent)
        return {
            "indicator": (f[:, count:].abs() - 1).abs().mean(-1),
            "surface": on_surface(f[:, :count]),
            "latent": code_term(latent, "norm"),
        }

    def for_refinement(self) -> "SALIndicator":
        """The same without the code term: the code is fixed."""
        return without(self, "latent")


def _distance_error(
    sdf: Float[Tensor, "B K"], distance: Float[Tensor, "B K"]
) -> Float[Tensor, " B"]:
    """mean | |f| - |d| |: zero for a distance of either sign."""
    return (sdf.abs() - distance.abs()).abs().mean(-1)
