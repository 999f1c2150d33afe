"""The objective of deep level sets (Michalkiewicz et al. 2019): all terms act near the zero set.

Letters: B scans, L code length.
"""

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from shapespace.decoders.base import Field, value_and_gradient
from shapespace.errors import positive
from shapespace.objectives.base import Objective
from shapespace.objectives.terms import (
    code_term,
    eikonal,
    on_surface,
    power_mean,
    smeared_delta,
    targets_of,
    volume,
    weights_of,
    without,
)
from shapespace.scan import Samples


class DeepLevelSets(Objective):
    """(mean delta d^p)^(1/p) + normal (mean delta (1 - |cos|)^p)^(1/p) + eikonal + area + ...

    d is the unsigned distance at targets around the scan, delta a smeared delta of f, cos that of
    the angle between grad f and grad d: the side of a normal does not matter. ``area`` is mean
    delta and ``volume`` the share of the targets that is inside. The weight of the first term is 1.
    The authors' other weights and width are not known to us: the defaults are ours. So is the term
    ``surface``, mean |f| at the surface points: the other terms do not miss a surface where there
    is none, and part of the scan is often left without one. ``surface=0`` is the published energy.

    Args:
        normal: weight of the normal term.
        eikonal: weight of mean (|grad f| - 1)^2.
        area: weight of mean delta.
        volume: weight of the share inside.
        power: p, of both means.
        epsilon: width of the delta, in the store's unit.
        surface: weight of mean |f| at the surface points.
        latent: weight of the code term |z|.
    """

    needs = frozenset({"unsigned", "distance_gradient"})

    def __init__(
        self,
        normal: float | str = 0.1,
        eikonal: float | str = 1.0,
        area: float | str = 0.0,
        volume: float | str = 0.0,
        power: float = 2.0,
        epsilon: float = 0.1,
        surface: float | str = 3.0,
        latent: float | str = 1e-3,
    ) -> None:
        super().__init__()
        positive(power=power, epsilon=epsilon)
        self.power = power
        self.epsilon = epsilon
        self.weights = weights_of(
            distance=1.0,
            normal=normal,
            eikonal=eikonal,
            area=area,
            volume=volume,
            surface=surface,
            latent=latent,
        )

    def terms(
        self, field: Field, samples: Samples, latent: Float[Tensor, "B L"]
    ) -> dict[str, Float[Tensor, " B"]]:
        """The terms of ``weights``.

        Args:
            field: f(x; z), positive outside.
            samples: their targets and surface points are read.
            latent: the code of each scan.
        """
        targets = targets_of(samples, self).unsigned()
        assert targets.gradient is not None, "the objective needs them"
        f, g = value_and_gradient(field, targets.points, latent)
        delta = smeared_delta(f, self.epsilon)
        known = targets.gradient.ne(0).any(-1)
        turned = (1 - F.cosine_similarity(g, targets.gradient, dim=-1).abs()).clamp(min=0) * known
        # delta stands outside of the power: (delta^(1/p) v)^p.
        share = delta.pow(1 / self.power)
        return {
            "distance": power_mean(share * targets.distance, self.power),
            "normal": power_mean(share * turned, self.power),
            "eikonal": eikonal(g),
            "area": delta.mean(-1),
            "volume": volume(f, self.epsilon),
            "surface": on_surface(field(samples.surface, latent)),
            "latent": code_term(latent, "norm"),
        }

    def for_refinement(self) -> "DeepLevelSets":
        """The same without area and volume, which say something of regions without points."""
        return without(self, "area", "volume", "latent")
