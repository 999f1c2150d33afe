"""A field of one code at many points: values, gradients, and how steep it is.

A bounded number of points at a time, on the device and in the type of the code, without a graph.
Letters: N points, D dimension, L code length.
"""

import torch
from jaxtyping import Float
from torch import Tensor

from shapespace.decoders.base import Field, value_and_gradient

POINTS_PER_CALL = 16384
PROBES, SHARE, LEAST_STEEPNESS = 12, 0.99, 0.1
"""Places along a side of the box where |grad f| is asked for, the share of them that the answer
bounds, and the least that is believed."""


@torch.no_grad()
def lipschitz_estimate(field: Field, latent: Float[Tensor, " L"], extent: float = 1.8) -> float:
    """A bound of |grad f| at 99 % of the places of a grid of 12^3 in the box; at least 0.1.

    1 for a distance. The steepest places of a trained field are few, narrow and mostly far from its
    surface; they would make every step shorter.
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
    """The field of one code, a bounded number of points at a time, without a graph."""
    parts = [field(part[None], latent[None])[0] for part in points.split(POINTS_PER_CALL)]
    return torch.cat(parts) if len(points) else points.new_zeros(0)


@torch.no_grad()
def field_gradients(
    field: Field, latent: Float[Tensor, " L"], points: Float[Tensor, "N D"]
) -> tuple[Float[Tensor, " N"], Float[Tensor, "N D"]]:
    """F and grad f of one code."""
    if not len(points):
        return points.new_zeros(0), points
    parts = [
        value_and_gradient(field, part[None], latent[None])
        for part in points.split(POINTS_PER_CALL)
    ]
    return torch.cat([f[0] for f, _ in parts]), torch.cat([slope[0] for _, slope in parts])


def unit(vectors: Float[Tensor, "N 3"]) -> Float[Tensor, "N 3"]:
    """Each vector by its length; zero stays zero."""
    length = torch.linalg.vector_norm(vectors, dim=-1, keepdim=True)
    return torch.where(length > 0, vectors / length, 0)
