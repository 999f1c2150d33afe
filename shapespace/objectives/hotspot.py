"""The objective of HotSpot: the logarithm of screened heat is nearly a distance (Wang et al. 2025).

Letters: B scans, L code length.
"""

import torch
from jaxtyping import Float
from torch import Tensor

from shapespace.decoders.base import Field
from shapespace.objectives.base import Objective
from shapespace.objectives.terms import (
    code_term,
    eikonal,
    evaluated,
    on_surface,
    value_at,
    weights_of,
    without,
)
from shapespace.scan import Samples
from shapespace.utils.schedules import weight_of


def heat(
    sdf: Float[Tensor, "B K"], gradient: Float[Tensor, "B K D"], absorption: float
) -> Float[Tensor, " B"]:
    """mean exp(-2 a |f|) (|g|^2 + 1) / 2: the energy of screened heat u = exp(-a |f|).

    |grad u|^2 / a^2 + u^2 is twice the integrand, so that among fields that are 0 on the surface
    the minimum solves a^2 u - laplacian u = 0. There f = -log(u) / a, which differs from the
    distance by O(1/a).

    Args:
        sdf: f at points uniform in the space.
        gradient: g there.
        absorption: a, per unit of the store.
    """
    squared = gradient.square().sum(-1)
    return (torch.exp(-2 * absorption * sdf.abs()) * (squared + 1)).mean(-1) / 2


class HotSpot(Objective):
    """surface mean |f| + heat mean exp(-2 a |f|) (|g|^2 + 1) / 2 + eikonal mean ||g| - 1|.

    g is grad f; the first mean is over the surface points, the others over the space points, which
    should be uniform: the authors weigh their samples by the inverse of the density. Defaults are
    the authors' weights, 500, 20 and 1, with an absorption that rises from 4 to 15. Over which part
    of the run it rises is our choice.

    Args:
        surface: weight of mean |f|.
        heat: weight of the energy of screened heat.
        eikonal: weight of the eikonal term; it rises to 3 in some of the authors' runs.
        absorption: a, per unit of the store: a number or a schedule.
        latent: weight of the code term |z|.
    """

    def __init__(
        self,
        surface: float | str = 500.0,
        heat: float | str = 20.0,
        eikonal: float | str = 1.0,
        absorption: float | str = "linear 4 15 from 0 to 1",
        latent: float | str = 1.0,
    ) -> None:
        super().__init__()
        self.absorption = weight_of(absorption, "absorption")
        self.weights = weights_of(surface=surface, heat=heat, eikonal=eikonal, latent=latent)

    def terms(
        self, field: Field, samples: Samples, latent: Float[Tensor, "B L"]
    ) -> dict[str, Float[Tensor, " B"]]:
        """The terms ``surface``, ``heat``, ``eikonal`` and ``latent``.

        Args:
            field: f(x; z), positive outside.
            samples: points on the surface and in the space around.
            latent: the code of each scan.
        """
        at = evaluated(field, samples, latent)
        absorption = value_at(self.absorption, self.progress)
        return {
            "surface": on_surface(at.surface),
            "heat": heat(at.space, at.space_gradient, absorption),
            "eikonal": eikonal(at.space_gradient, "absolute"),
            "latent": code_term(latent, "norm"),
        }

    def for_refinement(self) -> "HotSpot":
        """The same without heat, which says something of regions without points."""
        return without(self, "heat", "latent")
