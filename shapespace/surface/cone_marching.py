"""Beams of parallel rays in a box: where they enter and leave it, and how far they are free.

Letters: K rays, L code length; depths are distances along a ray, in the field's unit.
"""

import torch
from jaxtyping import Float
from torch import Tensor

from shapespace.decoders.base import Field
from shapespace.errors import positive
from shapespace.surface.query import field_values, lipschitz_estimate

CLOSE = 1.25
"""A beam ends where the free ball is smaller than this many times its radius."""


@torch.no_grad()
def march(
    field: Field,
    latent: Float[Tensor, " L"],
    origins: Float[Tensor, "K 3"],
    directions: Float[Tensor, "K 3"],
    radius: float,
    extent: float = 1.8,
    start: Float[Tensor, " K"] | None = None,
    steps: int = 64,
    lipschitz: float | None = None,
) -> Float[Tensor, " K"]:
    """Depth up to which the cylinder of ``radius`` about each ray is free; inf if all of it is.

    For bundles of parallel rays: each of them may start there. A ball of radius R = f / steepest
    about a point of the axis holds the cylinder for sqrt(R^2 - radius^2) on. Bodies that the box
    cuts open are taken as closed: a cylinder that begins inside is not free. The other arguments
    are those of :func:`trace`.
    """
    positive(radius=radius)
    origins, directions = checked_rays(latent, origins, directions)
    lipschitz = lipschitz_estimate(field, latent, extent) if lipschitz is None else lipschitz
    near, far = box_span(origins, directions, extent + radius, start)
    free, rows = torch.full_like(near, torch.inf), torch.nonzero(near <= far)[:, 0]
    free[rows] = near[rows]
    for _ in range(steps):
        points = origins[rows] + free[rows, None] * directions[rows]
        ball = field_values(field, latent, points) / lipschitz
        clear = ball > CLOSE * radius
        rows, ball = rows[clear], ball[clear]
        free[rows] += (ball**2 - radius**2).sqrt()
        out = free[rows] > far[rows]
        free[rows[out]] = torch.inf
        rows = rows[~out]
        if not len(rows):
            break
    return free


def checked_rays(latent: Tensor, origins: Tensor, directions: Tensor) -> tuple[Tensor, Tensor]:
    """Rays where the code is, with directions of length 1."""
    origins, directions = origins.detach().to(latent), directions.detach().to(latent)
    length = torch.linalg.vector_norm(directions, dim=-1, keepdim=True)
    good = torch.isfinite(origins).all(-1) & torch.isfinite(length[:, 0]) & (length[:, 0] > 0)
    if not good.all():
        row = int(torch.nonzero(~good)[0, 0])
        raise ValueError(
            f"ray {row} from {origins[row].tolist()} along {directions[row].tolist()}: give finite "
            "origins and directions of a length that is not 0"
        )
    return origins, directions / length


def box_span(
    origins: Tensor, directions: Tensor, extent: float, start: Tensor | None
) -> tuple[Tensor, Tensor]:
    """Depths at which each ray enters and leaves the box; enters after it leaves: never."""
    parallel = directions == 0
    slope = torch.where(parallel, 1, directions)
    first, second = (-extent - origins) / slope, (extent - origins) / slope
    within = origins.abs() <= extent
    low = torch.where(parallel, torch.where(within, -torch.inf, torch.inf), first.minimum(second))
    high = torch.where(parallel, torch.where(within, torch.inf, -torch.inf), first.maximum(second))
    near, far = low.amax(-1).clamp(min=0), high.amin(-1)
    return near if start is None else near.maximum(start.to(near)), far
