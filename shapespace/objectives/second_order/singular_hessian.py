"""The objective of the neural singular Hessian: det H = 0 near the surface (Wang et al. 2023).

Letters: B scans, N surface points, M space points, L code length.
"""

import torch
from jaxtyping import Float
from torch import Tensor

from shapespace.decoders.base import Field, value_and_gradient
from shapespace.decoders.derivatives import value_gradient_hessian
from shapespace.errors import InputError, positive
from shapespace.objectives.base import Objective
from shapespace.objectives.terms import (
    code_term,
    eikonal,
    on_surface,
    repulsion,
    weights_of,
    without,
)
from shapespace.scan import Samples


class SingularHessian(Objective):
    """surface |f| + repulsion exp(-100 |f|) + eikonal ||g| - 1| + singular (|det H| + |det H|) / 2.

    g is grad f and H the Hessian, which has g in its null space where f is a distance. The eikonal
    term is on the surface alone. The two means of |det H| are over surface points and over the
    space points near the surface, the repulsion is over the other space points. Constants are those
    of the authors' code (Neural-Singular-Hessian @681005e).

    The sampler draws the near points first: ``near_share`` says how many of the space points they
    are, one half with ``near: 1, uniform: 1``.

    Args:
        surface: weight of |f|.
        repulsion: weight of exp(-sharpness |f|).
        eikonal: weight of ||g| - 1|.
        singular: weight of the second-order term.
        near_share: share of the space points that lie near the surface, more than 0, at most 1.
        latent: weight of the code term |z|.
        sharpness: 1 / the distance that counts as off the surface.
    """

    needs = frozenset({"second_derivatives"})

    def __init__(
        self,
        surface: float | str = 7000.0,
        repulsion: float | str = 600.0,
        eikonal: float | str = 50.0,
        singular: float | str = "linear 5 0.001 from 0.2 to 0.4",
        near_share: float = 0.5,
        latent: float | str = 1.0,
        sharpness: float = 100.0,
    ) -> None:
        super().__init__()
        positive(sharpness=sharpness)
        if not 0 < near_share <= 1:
            raise InputError(f"near_share={near_share:g}: give a share above 0, at most 1")
        self.near_share = near_share
        self.sharpness = sharpness
        self.weights = weights_of(
            surface=surface,
            repulsion=repulsion,
            eikonal=eikonal,
            singular=singular,
            latent=latent,
        )

    def terms(
        self, field: Field, samples: Samples, latent: Float[Tensor, "B L"]
    ) -> dict[str, Float[Tensor, " B"]]:
        """The terms ``surface``, ``repulsion``, ``eikonal``, ``singular`` and ``latent``.

        The second derivatives are not computed while they weigh nothing.

        Args:
            field: f(x; z), positive outside.
            samples: points on the surface and in the space around, the near ones first.
            latent: the code of each scan.
        """
        count = round(samples.space.shape[1] * self.near_share)
        near, far = samples.space[:, :count], samples.space[:, count:]
        singular = latent.new_zeros(len(latent))
        if self.weight("singular"):
            num_on = samples.surface.shape[1]
            both = torch.cat([samples.surface, near], 1)
            sdf, g, hessian = value_gradient_hessian(field, both, latent)
            sdf, g = sdf[:, :num_on], g[:, :num_on]
            determinants = torch.linalg.det(hessian).abs()
            parts = determinants[:, :num_on].mean(-1), determinants[:, num_on:].mean(-1)
            singular = (parts[0] + parts[1]) / 2
        else:
            sdf, g = value_and_gradient(field, samples.surface, latent)
        away = singular.new_zeros(len(latent))
        if far.shape[1]:
            away = repulsion(field(far, latent), self.sharpness)
        return {
            "surface": on_surface(sdf),
            "repulsion": away,
            "eikonal": eikonal(g, "absolute"),
            "singular": singular,
            "latent": code_term(latent, "norm"),
        }

    def for_refinement(self) -> "SingularHessian":
        """The same without repulsion, which says something of regions without points."""
        return without(self, "repulsion", "latent")
