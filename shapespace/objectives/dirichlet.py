"""The Poisson objective of dual octree networks: Dirichlet energy in place of the eikonal term.

Letters: B scans, L code length.
"""

from jaxtyping import Float
from torch import Tensor

from shapespace.decoders.base import Field
from shapespace.errors import positive
from shapespace.objectives.base import Objective
from shapespace.objectives.terms import (
    code_term,
    evaluated,
    repulsion,
    weights_of,
    without,
)
from shapespace.scan import Samples


class DirichletPoisson(Objective):
    """200 f^2 + |g - n|^2 / D on the surface, 0.1 exp(-40 |f|) + 0.1 |g|^2 / D off it.

    g is grad f and n the normal (Wang et al. 2022, ``possion_grad_loss`` of DualOctreeGNN @4f12ef3,
    without the term of points outside of a box). Squares are means over points and coordinates, as
    there. Between surfaces the minimum is harmonic: f has the right zero set and is no distance.

    Args:
        surface: weight of f^2.
        normal: weight of |g - n|^2 / D; points without normals count 0.
        repulsion: weight of exp(-sharpness |f|).
        dirichlet: weight of |g|^2 / D.
        sharpness: 1 / the distance that counts as off the surface.
        latent: weight of the code term |z|; the authors' codes come from an encoder.
    """

    needs = frozenset({"normals"})
    kind = "clamped"

    def __init__(
        self,
        surface: float | str = 200.0,
        normal: float | str = 1.0,
        repulsion: float | str = 0.1,
        dirichlet: float | str = 0.1,
        sharpness: float = 40.0,
        latent: float | str = 1e-3,
    ) -> None:
        super().__init__()
        positive(sharpness=sharpness)
        self.sharpness = sharpness
        self.weights = weights_of(
            surface=surface, normal=normal, repulsion=repulsion, dirichlet=dirichlet, latent=latent
        )

    def terms(
        self, field: Field, samples: Samples, latent: Float[Tensor, "B L"]
    ) -> dict[str, Float[Tensor, " B"]]:
        """The terms ``surface``, ``normal``, ``repulsion``, ``dirichlet`` and ``latent``.

        Args:
            field: f(x; z), positive outside.
            samples: points on the surface and in the space around.
            latent: the code of each scan.
        """
        at = evaluated(field, samples, latent)
        turned = at.surface.new_zeros(at.surface.shape)
        if samples.normals is not None:
            known = samples.normals.ne(0).any(-1)
            turned = (at.surface_gradient - samples.normals).square().mean(-1) * known
        return {
            "surface": at.surface.square().mean(-1),
            "normal": turned.mean(-1),
            "repulsion": repulsion(at.space, self.sharpness),
            "dirichlet": at.space_gradient.square().mean((-2, -1)),
            "latent": code_term(latent, "norm"),
        }

    def for_refinement(self) -> "DirichletPoisson":
        """The same without repulsion and Dirichlet energy of regions without points."""
        return without(self, "repulsion", "dirichlet", "latent")
