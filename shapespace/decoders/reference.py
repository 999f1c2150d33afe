"""The reference implementation of the network: IGR's own way (Gropp et al. 2020), to compare with.

Letters: B scans, N points a scan, V points whose value is wanted, K points whose gradient is
wanted, D dimension, L code length.
"""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from shapespace.decoders.base import Decoder, gradient_by_autograd
from shapespace.decoders.mlp import SkipMLP


class PublishedMLP(SkipMLP):
    """A ``SkipMLP`` with the same weights and values, trained as the authors' code does.

    In training the code is concatenated to every point, softplus is torch's own, and grad f comes
    from autograd with a graph. The recipe ``igr-published`` trains with this class, so that its
    time is that of the published formulation. A trained decoder is evaluated, meshed and fitted as
    any ``SkipMLP``.
    """

    def forward(
        self, points: Float[Tensor, "B N D"], latent: Float[Tensor, "B L"]
    ) -> Float[Tensor, "B N"]:
        """f at ``points``, positive outside."""
        if not self.training:
            return super().forward(points, latent)
        code = latent[:, None].expand(-1, points.shape[1], -1)
        inputs = torch.cat([code, points], -1).flatten(0, 1)
        hidden = inputs
        for index, linear in enumerate(self.linears()):
            if index and index == self.skip:
                hidden = torch.cat([hidden, inputs], -1) / 2**0.5
            hidden = linear(hidden)
            if index + 1 < len(self.layers):
                hidden = F.softplus(hidden, self.beta)
        return hidden.view(points.shape[:2])

    def value_and_gradient(
        self,
        points: Float[Tensor, "B N D"],
        latent: Float[Tensor, "B L"],
        *,
        gradient_from: int = 0,
        value_until: int | None = None,
    ) -> tuple[Float[Tensor, "B V"], Float[Tensor, "B K D"]]:
        """f at ``points[:, :value_until]`` and grad f at ``points[:, gradient_from:]``.

        Args:
            points: of each scan.
            latent: the code of each scan.
            gradient_from: the first point whose gradient is wanted.
            value_until: the first point whose value is not wanted any more; None wants all.
        """
        if not self.training:
            return super().value_and_gradient(
                points, latent, gradient_from=gradient_from, value_until=value_until
            )
        return gradient_by_autograd(
            self, points, latent, gradient_from=gradient_from, value_until=value_until
        )

    def bytes_per_point(self) -> int:
        """The default of all decoders, which counts a graph that is differentiated twice."""
        return Decoder.bytes_per_point(self)
