"""The reference implementation of the loss: IGR's own way (Gropp et al. 2020), to compare with."""

from jaxtyping import Float
from torch import Tensor

from shapespace.decoders.base import Field, value_and_gradient
from shapespace.errors import InputError
from shapespace.objectives.igr import IGR
from shapespace.objectives.terms import eikonal
from shapespace.scan import Samples


class PublishedIGR(IGR):
    """The terms of ``IGR`` from two evaluations, as the authors' code computes them.

    One evaluation takes the surface points, the other the space points.
    """

    def terms(
        self, field: Field, samples: Samples, latent: Float[Tensor, "B L"]
    ) -> dict[str, Float[Tensor, " B"]]:
        """The terms ``surface``, ``normal``, ``eikonal`` and ``latent``.

        Args:
            field: f(x; z), positive outside.
            samples: points on the surface and in the space around.
            latent: the code of each scan.

        Raises:
            InputError: if ``outside`` is weighed, which is not published.
        """
        if "outside" in self.weights:
            raise InputError("outside: the published loss has no such term; give outside=0")
        no_space = samples.surface[:, :0]
        on_surface = Samples(samples.surface, samples.normals, no_space)
        surface = super().terms(field, on_surface, latent)
        _, gradient = value_and_gradient(field, samples.space, latent)
        return surface | {"eikonal": eikonal(gradient)}
