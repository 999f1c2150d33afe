"""What every decoder is: f(x; z), positive outside, whose gradient in x is the outward normal.

Letters: B scans, N points a scan, D dimension, L code length (0 is allowed).
"""

from collections.abc import Callable
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn

Precision = Literal["float32", "tf32", "mixed", "bfloat16"]
"""Of a training step; the weights, their optimiser and the loss stay float32.

float32: all. tf32: TensorFloat-32 on a GPU, float32 elsewhere. mixed: f in float32 where it
is asked for, all else as in bfloat16. bfloat16: all but what coordinates
enter; the gradient of a matrix is rounded once a block of points and then summed in float32.
"""
Field = Callable[[Tensor, Tensor], Tensor]
"""Any ``(points [B,N,D], latent [B,L]) -> sdf [B,N]``: a decoder, or an exact sphere in a test."""


class Decoder(nn.Module):
    """Base of all decoders. A subclass gives ``dimension``, ``latent_size`` and ``forward``.

    precision: of a training step, for subclasses that know more than float32.
    """

    dimension: int
    latent_size: int
    precision: Precision = "float32"

    def bytes_per_point(self) -> int:
        """About how much a training step keeps for each point until its backward.

        This default counts a dozen numbers for each neuron: autograd keeps a graph of a graph.
        """
        neurons = sum(len(weight) for weight in self.parameters() if weight.dim() == 2)
        return 12 * 4 * neurons

    def lipschitz_bound(self) -> float:
        """A number that |grad f| exceeds nowhere, for no code; infinite where none is known."""
        return float("inf")

    def drop_memory(self) -> None:
        """Give back what is kept for further steps of the same size; here nothing is."""

    def forward(
        self, points: Float[Tensor, "B N D"], latent: Float[Tensor, "B L"]
    ) -> Float[Tensor, "B N"]:
        """Signed distance of each point to the shape of its row's code, in the points' units."""
        raise NotImplementedError

    def value_and_gradient(
        self,
        points: Float[Tensor, "B N D"],
        latent: Float[Tensor, "B L"],
        *,
        gradient_from: int = 0,
        value_until: int | None = None,
    ) -> tuple[Float[Tensor, "B V"], Float[Tensor, "B K D"]]:
        """f at ``points[:, :value_until]``, grad f at ``points[:, gradient_from:]``.

        Both can be differentiated once more. This default differentiates ``forward``; a subclass
        may know a closed form.
        """
        return gradient_by_autograd(
            self, points, latent, gradient_from=gradient_from, value_until=value_until
        )

    @torch.no_grad()
    def jacobian(
        self, points: Float[Tensor, "B N D"], latent: Float[Tensor, "B L"]
    ) -> tuple[Float[Tensor, "B N"], Float[Tensor, "B N D"], Float[Tensor, "B N L"]]:
        """F, grad f and df/dz at each point, as numbers without a graph.

        This default differentiates ``forward`` with a code of its own for each point; a subclass
        may know a closed form.
        """
        return jacobian_by_autograd(self, points, latent)


def value_and_gradient(
    field: Field,
    points: Float[Tensor, "B N D"],
    latent: Float[Tensor, "B L"],
    *,
    gradient_from: int = 0,
    value_until: int | None = None,
) -> tuple[Float[Tensor, "B V"], Float[Tensor, "B K D"]]:
    """F of any field at ``points[:, :value_until]``, grad f at ``points[:, gradient_from:]``.

    A :class:`Decoder` has its own method. Points without a gradient cost a third; points without a
    value may be evaluated in lower precision.
    """
    if isinstance(field, Decoder):
        return field.value_and_gradient(
            points, latent, gradient_from=gradient_from, value_until=value_until
        )
    return gradient_by_autograd(
        field, points, latent, gradient_from=gradient_from, value_until=value_until
    )


def gradient_by_autograd(
    field: Field,
    points: Float[Tensor, "B N D"],
    latent: Float[Tensor, "B L"],
    *,
    gradient_from: int = 0,
    value_until: int | None = None,
) -> tuple[Float[Tensor, "B V"], Float[Tensor, "B K D"]]:
    """F and grad f by reverse differentiation; a graph is kept where gradients are enabled."""
    keep = torch.is_grad_enabled()
    with torch.enable_grad():
        asked = points[:, gradient_from:]
        asked = asked if asked.requires_grad else asked.detach().requires_grad_()
        sdf = field(torch.cat([points[:, :gradient_from], asked], dim=1), latent)
        (gradient,) = torch.autograd.grad(sdf.sum(), asked, create_graph=keep)
    sdf = sdf[:, :value_until]
    return (sdf, gradient) if keep else (sdf.detach(), gradient)


def jacobian_by_autograd(
    field: Field, points: Float[Tensor, "B N D"], latent: Float[Tensor, "B L"]
) -> tuple[Float[Tensor, "B N"], Float[Tensor, "B N D"], Float[Tensor, "B N L"]]:
    """F, grad f and df/dz of any field, each point a scan of its own."""
    with torch.enable_grad():
        each = points.detach().reshape(-1, 1, points.shape[-1]).requires_grad_()
        codes = latent.detach().repeat_interleave(points.shape[1], 0).requires_grad_()
        sdf = field(each, codes)
        slopes = torch.autograd.grad(
            sdf.sum(), (each, codes), allow_unused=True, materialize_grads=True
        )
    shape = points.shape[:2]
    gradient, code_gradient = (slope.reshape(*shape, slope.shape[-1]) for slope in slopes)
    return sdf.detach().reshape(shape), gradient, code_gradient
