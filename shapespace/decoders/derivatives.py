"""Second derivatives of fields, for training: the Hessian, the Laplacian and products H v.

All are differentiable in weights, codes and points. A :class:`~shapespace.decoders.base.Decoder`
uses its own closed form where it has one; any other field is differentiated automatically.

Letters: B scans, N points a scan, D dimension, L code length. H is the Hessian of f in x.
"""

import torch
from jaxtyping import Float
from torch import Tensor

from shapespace.decoders.base import (
    Decoder,
    Field,
    hessian_by_autograd,
    hessian_vector_by_autograd,
)
from shapespace.errors import InputError


def value_gradient_hessian(
    field: Field, points: Float[Tensor, "B N D"], latent: Float[Tensor, "B L"]
) -> tuple[Float[Tensor, "B N"], Float[Tensor, "B N D"], Float[Tensor, "B N D D"]]:
    """f, grad f and H of any field.

    Args:
        field: a decoder, or any function with the signature of
            :data:`~shapespace.decoders.base.Field`.
        points: of each scan, in the frame of the space.
        latent: the code of each scan.
    """
    if isinstance(field, Decoder):
        return field.value_gradient_hessian(points, latent)
    return hessian_by_autograd(field, points, latent)


def laplacian(
    field: Field, points: Float[Tensor, "B N D"], latent: Float[Tensor, "B L"]
) -> Float[Tensor, "B N"]:
    """The trace of H, the sum of the second derivatives along the axes.

    Args:
        field: a decoder, or any function with its signature.
        points: of each scan, in the frame of the space.
        latent: the code of each scan.
    """
    if isinstance(field, Decoder):
        return field.laplacian(points, latent)
    return hessian_by_autograd(field, points, latent)[2].diagonal(dim1=-2, dim2=-1).sum(-1)


def hessian_vector(
    field: Field,
    points: Float[Tensor, "B N D"],
    latent: Float[Tensor, "B L"],
    vector: Float[Tensor, "B N D"],
) -> Float[Tensor, "B N D"]:
    """H v at each point; 0 for v = grad f where f is a distance.

    Args:
        field: a decoder, or any function with its signature.
        points: of each scan, in the frame of the space.
        latent: the code of each scan.
        vector: v at each point; the result is differentiable in it too.
    """
    if isinstance(field, Decoder):
        return field.hessian_vector(points, latent, vector)
    return hessian_vector_by_autograd(field, points, latent, vector)


def check_second_derivatives(decoder: Decoder) -> None:
    """Raise InputError for a decoder whose second derivatives vanish, such as one of ReLUs."""
    generator = torch.Generator().manual_seed(0)
    like = next(decoder.parameters(), torch.zeros(()))
    points = torch.rand(1, 64, decoder.dimension, generator=generator).to(like) * 2 - 1
    code = 0.1 * torch.randn(1, decoder.latent_size, generator=generator).to(like)
    _, _, hessian = value_gradient_hessian(decoder, points, code)
    if not hessian.any():
        raise InputError(
            f"model.decoder={type(decoder).__name__}: its second derivatives are 0, as those of "
            "ReLUs are, and the objective reads them: give a smooth decoder, such as one of "
            "softplus or sines"
        )


def bytes_of_second_derivatives(decoder: Decoder) -> int:
    """About how many bytes a step with second derivatives keeps for each point.

    Autograd keeps the pass of f, and one like it for each coordinate.
    """
    return (1 + decoder.dimension) * Decoder.bytes_per_point(decoder)
