"""The field of a code at many points: values, gradients, its slope, the least value on a ray.

Points are evaluated in parts, so that memory stays bounded. Device and type are those of the code.
No autograd graph is kept. Letters: N points, D dimension, L code length; B codes, K rays of each, S
samples of a ray; t is a depth.
"""

import torch
from jaxtyping import Float
from torch import Tensor

from shapespace.decoders.base import Field, value_and_gradient
from shapespace.errors import at_least

POINTS_PER_CALL = 16384
"""Points, at most, in one call of the field."""
PROBES = 12
"""Points along each side of the box where :func:`lipschitz_estimate` takes |grad f|."""
SHARE = 0.99
"""Share of these points that the estimate bounds."""
SAMPLES = 64
"""Samples of a ray, among which its least f is looked for."""
ROUNDS = 3
"""Rounds in which the place of the least f is looked for between its neighbours."""
FINER = 8
"""Samples of a ray in each of these rounds."""
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


@torch.no_grad()
def least_depths(
    field: Field,
    latent: Float[Tensor, "B L"],
    origins: Float[Tensor, "B K 3"],
    directions: Float[Tensor, "B K 3"],
    *,
    near: Float[Tensor, "B K"],
    far: Float[Tensor, "B K"],
    samples: int = SAMPLES,
    rounds: int = ROUNDS,
) -> Float[Tensor, "B K"]:
    """The depth of the least f on each ray.

    Args:
        field: as :data:`shapespace.decoders.Field`, D = 3.
        latent: the code of each shape.
        origins: where the rays start.
        directions: unit directions of the rays.
        near: first depth of each ray.
        far: last depth of each ray.
        samples: even samples between the depths, at least 2.
        rounds: of finer samples around the least one.
    """
    at_least(2, samples=samples)
    at_least(0, rounds=rounds)
    low = near.detach()
    high = torch.maximum(far.detach(), low)
    best = low
    for round_ in range(rounds + 1):
        count = samples if round_ == 0 else FINER
        share = torch.linspace(0, 1, count, dtype=low.dtype, device=low.device)
        t = low[..., None] + share * (high - low)[..., None]
        f = _on_rays(field, latent, origins=origins, directions=directions, t=t)
        # NaN is never the least value.
        index = f.nan_to_num(torch.inf, torch.inf, -torch.inf).argmin(-1, keepdim=True)
        best = t.gather(-1, index)[..., 0]
        gap = (high - low) / (count - 1)
        low, high = torch.maximum(best - gap, low), torch.minimum(best + gap, high)
    return best


def _on_rays(
    field: Field, latent: Tensor, *, origins: Tensor, directions: Tensor, t: Float[Tensor, "B K S"]
) -> Float[Tensor, "B K S"]:
    """f at S depths of each ray, a bounded number of points at a time."""
    size = max(1, POINTS_PER_CALL // max(t.shape[-1], 1))
    parts = []
    for rows in torch.arange(t.shape[1], device=t.device).split(size):
        x = origins[:, rows, None] + t[:, rows, :, None] * directions[:, rows, None]
        parts.append(field(x.flatten(1, 2), latent).view(t[:, rows].shape))
    return torch.cat(parts, 1) if parts else t
