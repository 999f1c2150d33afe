"""The field of one code at many points: values, gradients, and an estimate of its slope.

Points are evaluated in parts, so that memory stays bounded. Device and type are those of the code.
No autograd graph is kept. Letters: N points, D dimension, L code length.
"""

import torch
from jaxtyping import Float
from torch import Tensor

from shapespace.decoders.base import Field, value_and_gradient

POINTS_PER_CALL = 16384
"""Points, at most, in one call of the field."""
PROBES = 12
"""Points along each side of the box where :func:`lipschitz_estimate` takes |grad f|."""
SHARE = 0.99
"""Share of these points that the estimate bounds."""
LEAST_STEEPNESS = 0.1
"""Smallest estimate: a step of sphere tracing is |f| divided by it, so it must not vanish."""


@torch.no_grad()
def lipschitz_estimate(field: Field, latent: Float[Tensor, " L"], extent: float = 1.8) -> float:
    """A bound of |grad f| at 99 % of the points of a grid in the box; no bound for all points.

    The steepest places of a trained field are few and narrow, and most are far from its surface. A
    bound for all of them would make every step of sphere tracing shorter.

    Args:
        field: the field, D = 3.
        latent: its code.
        extent: half side of the box, in the field's unit.

    Returns:
        The estimate, at least 0.1; 1 for a distance, and for a field without a finite gradient.
    """
    axis = (torch.arange(PROBES, device=latent.device) + 0.5) / PROBES * 2 * extent - extent
    points = torch.cartesian_prod(axis, axis, axis).to(latent)
    length = torch.linalg.vector_norm(field_gradients(field, latent, points)[1], dim=-1)
    length = length[length.isfinite()]
    return max(LEAST_STEEPNESS, float(length.quantile(SHARE))) if len(length) else 1.0


@torch.no_grad()
def field_values(
    field: Field, latent: Float[Tensor, " L"], points: Float[Tensor, "N D"]
) -> Float[Tensor, " N"]:
    """f at points.

    Args:
        field: the field.
        latent: its code.
        points: any number of points.
    """
    parts = [field(part[None], latent[None])[0] for part in points.split(POINTS_PER_CALL)]
    return torch.cat(parts) if len(points) else points.new_zeros(0)


@torch.no_grad()
def field_gradients(
    field: Field, latent: Float[Tensor, " L"], points: Float[Tensor, "N D"]
) -> tuple[Float[Tensor, " N"], Float[Tensor, "N D"]]:
    """f and grad f at points.

    Args:
        field: the field.
        latent: its code.
        points: any number of points.
    """
    if not len(points):
        return points.new_zeros(0), points
    parts = [
        value_and_gradient(field, part[None], latent[None])
        for part in points.split(POINTS_PER_CALL)
    ]
    values = torch.cat([value[0] for value, _ in parts])
    return values, torch.cat([gradient[0] for _, gradient in parts])


def unit(vectors: Float[Tensor, "N 3"]) -> Float[Tensor, "N 3"]:
    """Each vector divided by its length; a zero vector stays zero."""
    length = torch.linalg.vector_norm(vectors, dim=-1, keepdim=True)
    return torch.where(length > 0, vectors / length, 0)
