"""The terms that objectives are made of.

f is a signed distance, positive outside; g is its gradient, n a unit normal that points outward.
Each function takes values at the points of B scans and gives one number a scan.

Letters: B scans, N surface points, K points a scan, D dimension, L code length.
"""

import torch
from jaxtyping import Float
from torch import Tensor


def on_surface(sdf: Float[Tensor, "B K"]) -> Float[Tensor, " B"]:
    """mean |f|: zero if every point lies on the zero set (IGR eq. 1)."""
    return sdf.abs().mean(-1)


def eikonal(gradient: Float[Tensor, "B K D"]) -> Float[Tensor, " B"]:
    """mean (|g| - 1)^2: zero for a distance (IGR eq. 1)."""
    return (torch.linalg.vector_norm(gradient, dim=-1) - 1).square().mean(-1)


def normal_deviation(
    gradient: Float[Tensor, "B K D"], normals: Float[Tensor, "B K D"] | None
) -> Float[Tensor, " B"]:
    """mean |g - n|: zero if grad f is the normal at every point (IGR eq. 1).

    The mean is over all points. A point of unknown normal, a zero row or no normals at all, counts
    0.
    """
    if normals is None:
        return gradient.new_zeros(gradient.shape[0])
    known = normals.ne(0).any(-1)
    return (torch.linalg.vector_norm(gradient - normals, dim=-1) * known).mean(-1)


def beyond_the_box(
    sdf: Float[Tensor, "B K"],
    points: Float[Tensor, "B K D"],
    surface: Float[Tensor, "B N D"],
    margin: float,
) -> Float[Tensor, " B"]:
    """mean max(0, d - f), d the distance to the bounding box of the surface points.

    A shape inside the box is at least as far from a point as the box is, so that its distance has
    no loss. Points inside the box count 0. The term says which side is outside where a scan has
    holes.

    Args:
        sdf: f at the points.
        points: in the space around.
        surface: the points of the scan.
        margin: by which the box is widened on each side, in the store's unit.
    """
    low = surface.amin(1, keepdim=True) - margin
    high = surface.amax(1, keepdim=True) + margin
    outside = torch.maximum(low - points, points - high).clamp(min=0)
    distance = torch.linalg.vector_norm(outside, dim=-1)
    return ((distance - sdf).clamp(min=0) * (distance > 0)).mean(-1)


def code_norm(latent: Float[Tensor, "B L"]) -> Float[Tensor, " B"]:
    """|z|, not squared; 0 for L = 0 (IGR's training term)."""
    return torch.linalg.vector_norm(latent, dim=-1)


def code_mean_abs(latent: Float[Tensor, "B L"]) -> Float[Tensor, " B"]:
    """mean |z_k|; 0 for L = 0 (IGR's term when an unseen scan is fitted)."""
    return latent.abs().sum(-1) / max(latent.shape[-1], 1)
