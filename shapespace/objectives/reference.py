"""The published way to evaluate the loss of IGR (Gropp et al. 2020), to compare with."""

from jaxtyping import Float
from torch import Tensor

from shapespace.decoders.base import Field, value_and_gradient
from shapespace.errors import InputError
from shapespace.objectives.igr import IGR
from shapespace.objectives.terms import eikonal
from shapespace.scan import Samples


class PublishedIGR(IGR):
    """The same terms from two evaluations, one of the surface and one of the space points."""

    def terms(
        self, field: Field, samples: Samples, latent: Float[Tensor, "B L"]
    ) -> dict[str, Float[Tensor, " B"]]:
        """``surface``, ``normal``, ``eikonal`` and ``latent``; there is no ``outside``."""
        if "outside" in self.weights:
            raise InputError("outside: the published loss has no such term; give outside=0")
        nowhere = samples.surface[:, :0]
        surface = super().terms(field, Samples(samples.surface, samples.normals, nowhere), latent)
        _, gradient = value_and_gradient(field, samples.space, latent)
        return surface | {"eikonal": eikonal(gradient)}
