"""What every decoder is: f(x; z), positive outside, whose gradient in x is the outward normal.

Letters: B scans, N points a scan, D dimension, L code length (0 is allowed).
"""

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor, nn

Field = Callable[[Tensor, Tensor], Tensor]
"""Any ``(points [B,N,D], latent [B,L]) -> sdf [B,N]``: a decoder, or an exact sphere in a test."""


class Decoder(nn.Module):
    """Base of all decoders. A subclass gives ``dimension``, ``latent_size`` and ``forward``."""

    dimension: int
    latent_size: int

    def forward(
        self, points: Float[Tensor, "B N D"], latent: Float[Tensor, "B L"]
    ) -> Float[Tensor, "B N"]:
        """Signed distance of each point to the shape of its row's code, in the points' units."""
        raise NotImplementedError

    def value_and_gradient(
        self, points: Float[Tensor, "B N D"], latent: Float[Tensor, "B L"]
    ) -> tuple[Float[Tensor, "B N"], Float[Tensor, "B N D"]]:
        """F and its gradient in the points, both differentiable once more.

        This default differentiates ``forward``; a subclass may know a closed form.
        """
        return gradient_by_autograd(self, points, latent)


def value_and_gradient(
    field: Field, points: Float[Tensor, "B N D"], latent: Float[Tensor, "B L"]
) -> tuple[Float[Tensor, "B N"], Float[Tensor, "B N D"]]:
    """F and grad f of any field: by its own method where it is a :class:`Decoder`."""
    if isinstance(field, Decoder):
        return field.value_and_gradient(points, latent)
    return gradient_by_autograd(field, points, latent)


def gradient_by_autograd(
    field: Field, points: Float[Tensor, "B N D"], latent: Float[Tensor, "B L"]
) -> tuple[Float[Tensor, "B N"], Float[Tensor, "B N D"]]:
    """F and grad f by reverse differentiation; a graph is kept where gradients are enabled."""
    keep = torch.is_grad_enabled()
    with torch.enable_grad():
        inputs = points if points.requires_grad else points.detach().requires_grad_()
        sdf = field(inputs, latent)
        (gradient,) = torch.autograd.grad(sdf.sum(), inputs, create_graph=keep)
    return (sdf, gradient) if keep else (sdf.detach(), gradient)
