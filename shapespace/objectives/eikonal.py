"""Variants of IGR's objective: potentials of the slope, L^p distances, angles, area and volume.

Letters: B scans, L code length.
"""

from typing import Literal

from jaxtyping import Float
from torch import Tensor

from shapespace.decoders.base import Field
from shapespace.errors import positive
from shapespace.objectives.base import Objective
from shapespace.objectives.terms import (
    Potential,
    area,
    code_term,
    cosine_deviation,
    dual,
    eikonal,
    evaluated,
    normal_deviation,
    on_surface,
    repulsion,
    volume,
    weights_of,
    without,
)
from shapespace.scan import Samples

NormalTerm = Literal["difference", "cosine", "abs_cosine"]


class EikonalVariant(Objective):
    """mean |f| + normal + eikonal + repulsion + area + volume + latent |z|, each by choice.

    The defaults are IGR's terms (Gropp et al. 2020). DRLSE (Li et al. 2010) is
    ``potential="double_well"``. With ``p`` other than 2, f becomes the distance in the norm |x|_p,
    whose slope in the ordinary norm is not 1; p = 1 gives distances of city blocks.

    Args:
        normal: weight of the normal term; points without normals count 0.
        eikonal: weight of the mean potential of |g| at the space points.
        potential: "square" (IGR), "absolute", "single_well" or "double_well" (DRLSE).
        p: of the norm that distances are measured in, 1 to infinity.
        normal_term: "difference" |g - n|, "cosine" 1 - cos, or "abs_cosine" 1 - |cos|, for which
            the side of a normal does not matter.
        normal_power: p of the mean over the points of the two cosine terms (Michalkiewicz 2019).
        repulsion: weight of mean exp(-sharpness |f|) at the space points (SIREN).
        area: weight of the smeared area of the zero set, a mean over the space points.
        volume: weight of the share of the space points that is inside.
        sharpness: of the repulsion, 1 / distance.
        epsilon: width of the smeared zero set of area and volume, in the store's unit.
        latent: weight of the code term |z|.
    """

    def __init__(
        self,
        normal: float | str = 1.0,
        eikonal: float | str = 0.1,
        potential: Potential = "square",
        p: float = 2.0,
        normal_term: NormalTerm = "difference",
        normal_power: float = 1.0,
        repulsion: float | str = 0.0,
        area: float | str = 0.0,
        volume: float | str = 0.0,
        sharpness: float = 100.0,
        epsilon: float = 0.05,
        latent: float | str = 1e-3,
    ) -> None:
        super().__init__()
        positive(sharpness=sharpness, epsilon=epsilon, normal_power=normal_power)
        dual(p)
        self.potential: Potential = potential
        self.p = p
        self.normal_term = normal_term
        self.normal_power = normal_power
        self.sharpness = sharpness
        self.epsilon = epsilon
        if p != 2 or potential == "double_well":
            # Near the surface f measures along the normal, but its slope is not 1 everywhere.
            self.kind = "clamped"
        self.weights = weights_of(
            surface=1.0,
            normal=normal,
            eikonal=eikonal,
            repulsion=repulsion,
            area=area,
            volume=volume,
            latent=latent,
        )

    def terms(
        self, field: Field, samples: Samples, latent: Float[Tensor, "B L"]
    ) -> dict[str, Float[Tensor, " B"]]:
        """The terms of ``weights``.

        Args:
            field: f(x; z), positive outside.
            samples: points on the surface and in the space around.
            latent: the code of each scan.
        """
        at = evaluated(field, samples, latent)
        if self.normal_term == "difference":
            normal = normal_deviation(at.surface_gradient, samples.normals)
        else:
            normal = cosine_deviation(
                at.surface_gradient,
                samples.normals,
                oriented=self.normal_term == "cosine",
                power=self.normal_power,
            )
        return {
            "surface": on_surface(at.surface),
            "normal": normal,
            "eikonal": eikonal(at.space_gradient, self.potential, self.p),
            "repulsion": repulsion(at.space, self.sharpness),
            "area": area(at.space, at.space_gradient, self.epsilon),
            "volume": volume(at.space, self.epsilon),
            "latent": code_term(latent, "norm"),
        }

    def for_refinement(self) -> "EikonalVariant":
        """The same without terms that say something of regions without points."""
        return without(self, "repulsion", "area", "volume", "latent")
