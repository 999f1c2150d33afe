"""The terms that objectives are made of, each spelt once.

f is a signed distance, positive outside; g its gradient. Each function maps values at the points
of B scans to one number a scan. Letters: B scans, K points a scan, D dimension, L code length.
"""

import torch
from jaxtyping import Float
from torch import Tensor


def on_surface(sdf: Float[Tensor, "B K"]) -> Float[Tensor, " B"]:
    """Mean |f|: zero where every point lies on the zero set (IGR eq. 1)."""
    return sdf.abs().mean(-1)


def eikonal(gradient: Float[Tensor, "B K D"]) -> Float[Tensor, " B"]:
    """Mean (|g| - 1)^2: zero for a distance (IGR eq. 1)."""
    return (torch.linalg.vector_norm(gradient, dim=-1) - 1).square().mean(-1)


def normal_deviation(
    gradient: Float[Tensor, "B K D"], normals: Float[Tensor, "B K D"] | None
) -> Float[Tensor, " B"]:
    """Mean |g - n| over all points, those of unknown (zero or no) normal counting 0 (IGR eq. 1)."""
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
    """Mean max(0, d - f) over the points outside the bounding box of ``surface``, d from the box.

    A shape that lies in the box, widened by ``margin``, is at least as far away as the box is: zero
    for its distance. Says which side is out where a scan has holes.
    """
    low, high = surface.amin(1, keepdim=True) - margin, surface.amax(1, keepdim=True) + margin
    outside = torch.maximum(low - points, points - high).clamp(min=0)
    distance = torch.linalg.vector_norm(outside, dim=-1)
    return ((distance - sdf).clamp(min=0) * (distance > 0)).mean(-1)


def code_norm(latent: Float[Tensor, "B L"]) -> Float[Tensor, " B"]:
    """|z|, not squared; 0 for L = 0 (IGR's training term)."""
    return torch.linalg.vector_norm(latent, dim=-1)


def code_mean_abs(latent: Float[Tensor, "B L"]) -> Float[Tensor, " B"]:
    """Mean |z_k|; 0 for L = 0 (IGR's term when an unseen scan is fitted)."""
    return latent.abs().sum(-1) / max(latent.shape[-1], 1)
