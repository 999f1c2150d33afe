"""The objective of SIREN: points and normals on the surface, nothing else near 0.

Letters: B scans, L code length.
"""

from jaxtyping import Float
from torch import Tensor

from shapespace.decoders.base import Field
from shapespace.errors import positive
from shapespace.objectives.base import Objective
from shapespace.objectives.terms import (
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


class SirenLoss(Objective):
    """3000 |f| + 100 (1 - cos) on the surface, 100 exp(-100 |f|) off it, 50 ||g| - 1| everywhere.

    g is grad f, cos that of its angle with the normal (Sitzmann et al. 2020, ``train_sdf.py``).
    As in the authors' code, each mean is over all points of the step, on and off the surface, so
    that with as many of both a mean over its own points has half the weight.

    Args:
        surface: weight of |f|.
        normal: weight of 1 - cos; points without normals count 0.
        repulsion: weight of exp(-sharpness |f|).
        eikonal: weight of ||g| - 1|.
        latent: weight of the code term |z|; SIREN's spaces use a hypernetwork.
        sharpness: 1 / the distance that counts as off the surface.
    """

    needs = frozenset({"normals"})

    def __init__(
        self,
        surface: float | str = 3000.0,
        normal: float | str = 100.0,
        repulsion: float | str = 100.0,
        eikonal: float | str = 50.0,
        latent: float | str = 1.0,
        sharpness: float = 100.0,
    ) -> None:
        super().__init__()
        positive(sharpness=sharpness)
        self.sharpness = sharpness
        self.weights = weights_of(
            surface=surface, normal=normal, repulsion=repulsion, eikonal=eikonal, latent=latent
        )

    def terms(
        self, field: Field, samples: Samples, latent: Float[Tensor, "B L"]
    ) -> dict[str, Float[Tensor, " B"]]:
        """The terms ``surface``, ``normal``, ``repulsion``, ``eikonal`` and ``latent``.

        Args:
            field: f(x; z), positive outside.
            samples: points on the surface and in the space around.
            latent: the code of each scan.
        """
        at = evaluated(field, samples, latent)
        num_on, num_off = at.surface.shape[1], at.space.shape[1]
        on = num_on / (num_on + num_off)
        slopes = [
            share * eikonal(g, "absolute")
            for share, g in ((on, at.surface_gradient), (1 - on, at.space_gradient))
        ]
        return {
            "surface": on * on_surface(at.surface),
            "normal": on * cosine_deviation(at.surface_gradient, samples.normals),
            "repulsion": (1 - on) * repulsion(at.space, self.sharpness),
            "eikonal": slopes[0] + slopes[1],
            "latent": code_term(latent, "norm"),
        }

    def for_refinement(self) -> "SirenLoss":
        """The same without repulsion, which says something of regions without points."""
        return without(self, "repulsion", "latent")
