"""The base of all decoders: f(x; z), a signed distance that is positive outside.

The gradient of f in x is the outward normal.

Letters: B scans, N points a scan, V points whose value is wanted, K points whose gradient is
wanted, D dimension, L code length (0 is allowed).
"""

from collections.abc import Callable
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn

Precision = Literal["float32", "tf32", "mixed", "bfloat16"]
"""Precision of the matrix products of a training step.

Weights, optimiser states and the loss stay float32.

* float32: all products.
* tf32: TensorFloat-32 on a GPU, float32 elsewhere.
* mixed: float32 for f at the points whose value is wanted, bfloat16 for all other products.
* bfloat16: bfloat16 for all products; coordinates enter f in float32. The gradient of a matrix is
  rounded once a block of points, and the blocks are summed in float32.
"""
Field = Callable[[Tensor, Tensor], Tensor]
"""Any ``(points [B,N,D], latent [B,L]) -> sdf [B,N]``: a decoder, or an exact sphere in a test."""


class Decoder(nn.Module):
    """Base of all decoders f(x; z).

    A subclass sets ``dimension`` and ``latent_size`` and writes :meth:`forward`. That is enough to
    train, fit and mesh. Everything else has a default that a subclass may override:

    * :meth:`value_and_gradient`, :meth:`jacobian`, :meth:`value_gradient_hessian`,
      :meth:`laplacian` and :meth:`hessian_vector`, where a closed form is faster than autograd;
    * :meth:`lipschitz_bound`, where a bound of |grad f| is known;
    * :meth:`bytes_per_point` and :meth:`drop_memory`, where the memory of a step is known or kept;
    * ``precision`` and ``zero_latent_columns``, below.

    ``forward`` must treat each scan for itself: row b of the result depends on row b of ``points``
    and of ``latent`` alone. Training differentiates twice, so that every operation needs a second
    derivative. The arguments of ``__init__`` are numbers, strings and booleans with annotations:
    a config sets them by name and a checkpoint stores them.

    Example:
        Balls, whose code is the logarithm of the radius::

            >>> class Ball(Decoder):
            ...     dimension = 3
            ...     latent_size = 1
            ...
            ...     def __init__(self, radius: float = 0.5) -> None:
            ...         super().__init__()
            ...         self.radius = nn.Parameter(torch.tensor(radius))
            ...
            ...     def forward(self, points: Tensor, latent: Tensor) -> Tensor:
            ...         return points.norm(dim=-1) - self.radius * latent.exp()
            >>> f, g = Ball().value_and_gradient(torch.ones(2, 5, 3), torch.zeros(2, 1))
            >>> f.shape, g.shape
            (torch.Size([2, 5]), torch.Size([2, 5, 3]))
    """

    dimension: int
    """D, 3 or 2."""
    latent_size: int
    """L, the length of a code; 0 for a single shape."""
    precision: Precision = "float32"
    """Precision of a training step. A decoder that knows float32 alone ignores other values. The
    precision fallback and :class:`~shapespace.space.TrainedSpace` set it to float32."""
    twice_differentiable: bool = True
    """False if f has no second derivatives in x that a loss could use, as with ReLUs. Objectives
    that need second derivatives refuse such a decoder."""
    zero_latent_columns: bool = False
    """True if f does not depend on the code at the start. Codes must then begin away from 0, or
    neither codes nor columns would ever get a gradient; ``ShapeSpace`` refuses that pair."""

    def bytes_per_point(self) -> int:
        """About how many bytes a training step keeps for each point until its backward pass.

        ``points_per_chunk: auto`` divides the free memory by this number. The default counts a
        dozen numbers a neuron, because autograd keeps a graph of a graph.
        """
        neurons = sum(len(weight) for weight in self.parameters() if weight.dim() == 2)
        return 12 * 4 * neurons

    def lipschitz_bound(self) -> float:
        """An upper bound of |grad f| over all points and all codes; infinite if none is known."""
        return float("inf")

    def drop_memory(self) -> None:
        """Release the buffers that the decoder keeps from step to step. The default keeps none."""

    def forward(
        self, points: Float[Tensor, "B N D"], latent: Float[Tensor, "B L"]
    ) -> Float[Tensor, "B N"]:
        """The signed distance of each point to the shape of its row's code, in the points' unit."""
        raise NotImplementedError

    def value_and_gradient(
        self,
        points: Float[Tensor, "B N D"],
        latent: Float[Tensor, "B L"],
        *,
        gradient_from: int = 0,
        value_until: int | None = None,
    ) -> tuple[Float[Tensor, "B V"], Float[Tensor, "B K D"]]:
        """f at ``points[:, :value_until]`` and grad f at ``points[:, gradient_from:]``.

        Both can be differentiated once more, in the weights, the codes and the points. The default
        differentiates :meth:`forward`; a subclass may know a closed form.

        Args:
            points: of each scan, in the frame of the space.
            latent: the code of each scan.
            gradient_from: the first point whose gradient is wanted.
            value_until: the first point whose value is not wanted any more; None wants all.
        """
        return gradient_by_autograd(
            self, points, latent, gradient_from=gradient_from, value_until=value_until
        )

    def value_gradient_hessian(
        self, points: Float[Tensor, "B N D"], latent: Float[Tensor, "B L"]
    ) -> tuple[Float[Tensor, "B N"], Float[Tensor, "B N D"], Float[Tensor, "B N D D"]]:
        """f, grad f and the Hessian of f in x, each differentiable in weights, codes and points.

        The default differentiates :meth:`forward`; a subclass may know a closed form.
        """
        return hessian_by_autograd(self, points, latent)

    def laplacian(
        self, points: Float[Tensor, "B N D"], latent: Float[Tensor, "B L"]
    ) -> Float[Tensor, "B N"]:
        """The trace of the Hessian, differentiable as :meth:`value_gradient_hessian` is."""
        return self.value_gradient_hessian(points, latent)[2].diagonal(dim1=-2, dim2=-1).sum(-1)

    def hessian_vector(
        self,
        points: Float[Tensor, "B N D"],
        latent: Float[Tensor, "B L"],
        vector: Float[Tensor, "B N D"],
    ) -> Float[Tensor, "B N D"]:
        """The Hessian times a vector at each point, differentiable in the vector too.

        Args:
            points: of each scan, in the frame of the space.
            latent: the code of each scan.
            vector: at each point.
        """
        return hessian_vector_by_autograd(self, points, latent, vector)

    @torch.no_grad()
    def jacobian(
        self, points: Float[Tensor, "B N D"], latent: Float[Tensor, "B L"]
    ) -> tuple[Float[Tensor, "B N"], Float[Tensor, "B N D"], Float[Tensor, "B N L"]]:
        """f, grad f and df/dz at each point, without a graph.

        The default differentiates :meth:`forward` with a code of its own for each point; a subclass
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
    """f of any field at ``points[:, :value_until]`` and grad f at ``points[:, gradient_from:]``.

    A :class:`Decoder` uses its own method, any other field autograd. A point without a gradient
    costs a third of a point with both. A point without a value may be evaluated in lower precision.

    Args:
        field: a decoder, or any function with the signature of :data:`Field`.
        points: of each scan, in the frame of the space.
        latent: the code of each scan.
        gradient_from: the first point whose gradient is wanted.
        value_until: the first point whose value is not wanted any more; None wants all.
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
    """f and grad f of any field by reverse differentiation.

    The graph is kept where gradients are enabled, so that a loss of grad f can be differentiated.

    Args:
        field: any function with the signature of :data:`Field`.
        points: of each scan.
        latent: the code of each scan.
        gradient_from: the first point whose gradient is wanted.
        value_until: the first point whose value is not wanted any more; None wants all.
    """
    keep_graph = torch.is_grad_enabled()
    with torch.enable_grad():
        asked = points[:, gradient_from:]
        asked = asked if asked.requires_grad else asked.detach().requires_grad_()
        sdf = field(torch.cat([points[:, :gradient_from], asked], dim=1), latent)
        # f of a point depends on no other point: the gradient of the sum has each point's own.
        (gradient,) = torch.autograd.grad(sdf.sum(), asked, create_graph=keep_graph)
    sdf = sdf[:, :value_until]
    return (sdf, gradient) if keep_graph else (sdf.detach(), gradient)


def hessian_by_autograd(
    field: Field, points: Float[Tensor, "B N D"], latent: Float[Tensor, "B L"]
) -> tuple[Float[Tensor, "B N"], Float[Tensor, "B N D"], Float[Tensor, "B N D D"]]:
    """f, grad f and the Hessian of any field by differentiating twice.

    The graph is kept where gradients are enabled.

    Args:
        field: any function with the signature of :data:`Field`.
        points: of each scan.
        latent: the code of each scan.
    """
    keep_graph = torch.is_grad_enabled()
    with torch.enable_grad():
        x = points if points.requires_grad else points.detach().requires_grad_()
        sdf, gradient = gradient_by_autograd(field, x, latent)
        rows = [_slope(part, x, keep_graph=True) for part in gradient.unbind(-1)]
        hessian = torch.stack(rows, -2)
    found = sdf, gradient, hessian
    return found if keep_graph else (sdf.detach(), gradient.detach(), hessian.detach())


def hessian_vector_by_autograd(
    field: Field,
    points: Float[Tensor, "B N D"],
    latent: Float[Tensor, "B L"],
    vector: Float[Tensor, "B N D"],
) -> Float[Tensor, "B N D"]:
    """The Hessian of any field times a vector, by differentiating grad f . v.

    Args:
        field: any function with the signature of :data:`Field`.
        points: of each scan.
        latent: the code of each scan.
        vector: at each point; where it depends on the points, that dependence is not followed.
    """
    keep_graph = torch.is_grad_enabled()
    with torch.enable_grad():
        x = points.view_as(points) if points.requires_grad else points.detach().requires_grad_()
        _, gradient = gradient_by_autograd(field, x, latent)
        if not gradient.requires_grad:
            return torch.zeros_like(points)
        (product,) = torch.autograd.grad(
            gradient,
            x,
            vector,
            create_graph=True,
            allow_unused=True,
            materialize_grads=True,
        )
    return product if keep_graph else product.detach()


def _slope(value: Float[Tensor, "B N"], points: Tensor, *, keep_graph: bool) -> Tensor:
    """The gradient of a value in its own point; 0 where it does not depend on the point."""
    if not value.requires_grad:
        return torch.zeros_like(points)
    (slope,) = torch.autograd.grad(
        value.sum(), points, create_graph=keep_graph, allow_unused=True, materialize_grads=True
    )
    return slope


def jacobian_by_autograd(
    field: Field, points: Float[Tensor, "B N D"], latent: Float[Tensor, "B L"]
) -> tuple[Float[Tensor, "B N"], Float[Tensor, "B N D"], Float[Tensor, "B N L"]]:
    """f, grad f and df/dz of any field by reverse differentiation.

    Args:
        field: any function with the signature of :data:`Field`.
        points: of each scan.
        latent: the code of each scan.
    """
    with torch.enable_grad():
        # Each point is a scan of its own with a code of its own, or the derivatives of all points
        # of a scan would be summed in the code that they share.
        each = points.detach().reshape(-1, 1, points.shape[-1]).requires_grad_()
        codes = latent.detach().repeat_interleave(points.shape[1], 0).requires_grad_()
        sdf = field(each, codes)
        gradient, code_gradient = torch.autograd.grad(
            sdf.sum(), (each, codes), allow_unused=True, materialize_grads=True
        )
    shape = points.shape[:2]
    return (
        sdf.detach().reshape(shape),
        gradient.reshape(points.shape),
        code_gradient.reshape((*shape, latent.shape[-1])),
    )
