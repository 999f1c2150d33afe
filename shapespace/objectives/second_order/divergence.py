"""The objectives of DiGS and StEik: SIREN's without normals, and a second derivative that is small.

Letters: B scans, M space points, L code length.
"""

import torch
from jaxtyping import Float
from torch import Tensor

from shapespace.decoders.base import Field, value_and_gradient
from shapespace.decoders.derivatives import hessian_vector, laplacian
from shapespace.errors import positive
from shapespace.objectives.base import Objective
from shapespace.objectives.terms import (
    Evaluated,
    code_term,
    cosine_deviation,
    eikonal,
    evaluated,
    on_surface,
    repulsion,
    weights_of,
    without,
)
from shapespace.scan import Samples


class DiGS(Objective):
    """surface |f| + repulsion exp(-100 |f|) + eikonal ||g| - 1| + divergence |laplacian f|.

    g is grad f (Ben-Shabat et al. 2022). Each term is a mean over its own points: on the surface;
    off it; over both; and off it, where |laplacian f| is clamped to 0.1..50. The divergence has its
    full weight in the first fifth of a run and fades out until two fifths: it leads away from poor
    minima and is wrong where f bends. Constants are those of the authors' code for single surfaces
    (DiGS @e2226c1). Normals may be used, too, without their side: 1 - |cos|, as there.

    Args:
        surface: weight of |f|.
        normal: weight of 1 - |cos|; 0 in runs without normals.
        repulsion: weight of exp(-sharpness |f|).
        eikonal: weight of ||g| - 1|.
        divergence: weight of the second-order term.
        latent: weight of the code term |z|; 1 in the authors' spaces of shapes.
        sharpness: 1 / the distance that counts as off the surface.
    """

    needs = frozenset({"second_derivatives"})

    def __init__(
        self,
        surface: float | str = 3000.0,
        normal: float | str = 0.0,
        repulsion: float | str = 100.0,
        eikonal: float | str = 50.0,
        divergence: float | str = "linear 100 0 from 0.2 to 0.4",
        latent: float | str = 1.0,
        sharpness: float = 100.0,
    ) -> None:
        super().__init__()
        positive(sharpness=sharpness)
        self.sharpness = sharpness
        self.weights = weights_of(
            surface=surface,
            normal=normal,
            repulsion=repulsion,
            eikonal=eikonal,
            divergence=divergence,
            latent=latent,
        )

    def terms(
        self, field: Field, samples: Samples, latent: Float[Tensor, "B L"]
    ) -> dict[str, Float[Tensor, " B"]]:
        """The terms of ``weights``.

        The second derivatives are not computed while they weigh nothing.

        Args:
            field: f(x; z), positive outside.
            samples: points on the surface and in the space around.
            latent: the code of each scan.
        """
        at = evaluated(field, samples, latent)
        bend = latent.new_zeros(len(latent))
        if self.weight("divergence"):
            bend = self.divergence(field, samples.space, latent)
        return _first_order(self, at, samples, latent) | {"divergence": bend}

    def divergence(
        self, field: Field, space: Float[Tensor, "B M D"], latent: Float[Tensor, "B L"]
    ) -> Float[Tensor, " B"]:
        """mean |laplacian f|, each clamped to 0.1..50.

        Args:
            field: f(x; z).
            space: points off the surface.
            latent: the code of each scan.
        """
        return laplacian(field, space, latent).abs().clamp(0.1, 50).mean(-1)

    def for_refinement(self) -> "DiGS":
        """The same without repulsion, which says something of regions without points."""
        return without(self, "repulsion", "latent")


class StEik(DiGS):
    """DiGS with the second derivative along the gradient, |g H g| / |g|^2 (Yang et al. 2023).

    H is the Hessian. H g is 0 for every distance, so that the term is right at the minimum, unlike
    DiGS'. Constants are those of the authors' code for the surface benchmark (StEik @396917f).

    Args:
        surface: weight of |f|.
        normal: weight of 1 - |cos|; 0 in runs without normals.
        repulsion: weight of exp(-sharpness |f|).
        eikonal: weight of ||g| - 1|.
        divergence: weight of the second-order term.
        latent: weight of the code term |z|.
        sharpness: 1 / the distance that counts as off the surface.
    """

    def __init__(
        self,
        surface: float | str = 2000.0,
        normal: float | str = 0.0,
        repulsion: float | str = 100.0,
        eikonal: float | str = 50.0,
        divergence: float | str = "linear 100 0 from 0.2 to 0.4",
        latent: float | str = 1.0,
        sharpness: float = 100.0,
    ) -> None:
        super().__init__(surface, normal, repulsion, eikonal, divergence, latent, sharpness)

    def divergence(
        self, field: Field, space: Float[Tensor, "B M D"], latent: Float[Tensor, "B L"]
    ) -> Float[Tensor, " B"]:
        """mean |g H g| / (|g|^2 + 1e-5).

        Args:
            field: f(x; z).
            space: points off the surface.
            latent: the code of each scan.
        """
        _, g = value_and_gradient(field, space, latent)
        bent = (g * hessian_vector(field, space, latent, g)).sum(-1)
        return (bent.abs() / (g.square().sum(-1) + 1e-5)).mean(-1)


def _first_order(
    objective: DiGS, at: Evaluated, samples: Samples, latent: Float[Tensor, "B L"]
) -> dict[str, Float[Tensor, " B"]]:
    """The terms without second derivatives.

    Args:
        objective: whose sharpness is taken.
        at: f and grad f at the samples.
        samples: their normals are read.
        latent: the code of each scan.
    """
    return {
        "surface": on_surface(at.surface),
        "normal": cosine_deviation(at.surface_gradient, samples.normals, oriented=False),
        "repulsion": repulsion(at.space, objective.sharpness),
        "eikonal": eikonal(torch.cat([at.surface_gradient, at.space_gradient], 1), "absolute"),
        "latent": code_term(latent, "norm"),
    }
