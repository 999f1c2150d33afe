"""Where rays meet a surface, and how near they pass, with gradients in field, code and camera.

A hit x = c + t v moves with the weights of the field, with the code and with the ray. Its rate of
change follows from f(c + t v) = 0 (implicit differentiation; IDR, Yariv et al. 2020, eq. 3):

    t = t0 - f(c + t0 v) / (grad f(x0) . v0)

Value and first derivatives of this expression are right, with t0, x0, v0 and the slope as numbers.
No step of the search is differentiated. A ray that misses has the least f along it; its place is a
minimum, so that only f itself moves (envelope theorem).

Frame and unit are those of the field. Letters: B shapes, K rays of each, S samples of a ray, L code
length; c is the origin of a ray, v its unit direction, t a depth.
"""

from typing import NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from shapespace.decoders.base import Field, value_and_gradient
from shapespace.errors import positive
from shapespace.surface.query import SAMPLES, least_depths
from shapespace.surface.sphere_tracing import STEPS, THRESHOLD, box_span, trace

GRAZING = 1e-3
"""Cosine between ray and normal below which a hit has no gradient: it would be without bound."""


class SurfacePoints(NamedTuple):
    """Where rays meet the surfaces of B codes, as functions of field, code and ray.

    Args:
        depth: distance along the ray; infinite without a hit.
        hit: whether the ray meets the surface.
        points: the point of the hit; without a hit, the point of the smallest |f| evaluated.
        normals: unit and outward; zero without a hit.
    """

    depth: Float[Tensor, "B K"]
    hit: Bool[Tensor, "B K"]
    points: Float[Tensor, "B K 3"]
    normals: Float[Tensor, "B K 3"]


def trace_with_gradients(
    field: Field,
    latent: Float[Tensor, "B L"],
    origins: Float[Tensor, "B K 3"],
    directions: Float[Tensor, "B K 3"],
    *,
    extent: float = 1.8,
    steps: int = STEPS,
    threshold: float = THRESHOLD,
    lipschitz: float | None = None,
    relaxation: float = 1.0,
) -> SurfacePoints:
    """The first points of the surfaces on rays, differentiable in field, codes and rays.

    Depth, points and normals of hits have gradients, those of rays without a hit have none, nor
    have those of rays that graze the surface (``GRAZING``). Normals have gradients where the field
    has second derivatives.

    Args:
        field: as :data:`shapespace.decoders.Field`, D = 3.
        latent: the code of each shape, which may be of length 0.
        origins: where the rays start, in the field's frame.
        directions: directions of the rays, of any length but 0.
        extent: half side of the box that is searched, in the field's unit.
        steps: as :func:`~shapespace.surface.sphere_tracing.trace` takes it.
        threshold: the same.
        lipschitz: the same.
        relaxation: the same.

    Raises:
        InputError: for a relaxation out of its range.
        ValueError: for a direction of length 0, or a ray that is not finite.
    """
    found = [
        trace(
            field,
            code,
            origins=start,
            directions=along,
            extent=extent,
            steps=steps,
            threshold=threshold,
            lipschitz=lipschitz,
            relaxation=relaxation,
        )
        for code, start, along in zip(latent.detach(), origins, directions, strict=True)
    ]
    if not found:
        empty = origins[..., 0]
        return SurfacePoints(empty, hit=empty > 0, points=origins, normals=origins)
    hit = torch.stack([one.hit for one in found])
    depth = torch.stack([one.depth for one in found])
    gradient = torch.stack([one.gradient for one in found])
    nearest = torch.stack([one.points for one in found])
    v = directions / torch.linalg.vector_norm(directions, dim=-1, keepdim=True)
    slope = (gradient * v.detach()).sum(-1)
    steep = hit & (slope.abs() > GRAZING * torch.linalg.vector_norm(gradient, dim=-1))
    start = torch.where(hit, depth, 0)
    f = field(origins + start[..., None] * v, latent)
    # A division by zero would make the gradient of the other branch NaN.
    t = start - torch.where(steep, f / torch.where(steep, slope, 1), 0)
    met = hit[..., None]
    points = torch.where(met, origins + t[..., None] * v, nearest)
    _, grown = value_and_gradient(field, points, latent)
    length = torch.linalg.vector_norm(torch.where(met, grown, 1), dim=-1, keepdim=True)
    return SurfacePoints(
        depth=torch.where(hit, t, torch.inf),
        hit=hit,
        points=points,
        normals=torch.where(met, grown / length.clamp(min=1e-12), 0),
    )


def least_values(
    field: Field,
    latent: Float[Tensor, "B L"],
    origins: Float[Tensor, "B K 3"],
    directions: Float[Tensor, "B K 3"],
    *,
    near: Float[Tensor, "B K"],
    far: Float[Tensor, "B K"],
    samples: int = SAMPLES,
) -> Float[Tensor, "B K"]:
    """The least f on each ray between two depths, differentiable in field, codes and rays.

    Negative where the ray goes through the shape; what IDR's mask term is made of.

    Args:
        field: as :data:`shapespace.decoders.Field`, D = 3.
        latent: the code of each shape.
        origins: where the rays start.
        directions: unit directions of the rays.
        near: first depth of each ray.
        far: last depth of each ray; a ray whose last depth is not beyond the first has f at the
            first.
        samples: even samples between the depths; a part thinner than their distance may be missed.
    """
    t = least_depths(
        field, latent, origins=origins, directions=directions, near=near, far=far, samples=samples
    )
    return field(origins + t[..., None] * directions, latent)


def mask_loss(
    least: Float[Tensor, "B K"], inside: Bool[Tensor, "B K"], alpha: float = 50.0
) -> Float[Tensor, " B"]:
    """IDR's mask term of each shape: the mean of BCE(sigmoid(-alpha f), mask) / alpha.

    The mean is over the rays. IDR weighs it by 100 and doubles alpha five times in a training, from
    50 to 1600.

    Args:
        least: the least f on each ray, from :func:`least_values`.
        inside: whether the ray belongs to the silhouette.
        alpha: sharpness, in 1 / the field's unit.
    """
    positive(alpha=alpha)
    logit = torch.where(inside, least, -least) * alpha
    # softplus(alpha f) = -log sigmoid(-alpha f), without overflow.
    return torch.nn.functional.softplus(logit).mean(-1) / alpha


def box_depths(
    origins: Float[Tensor, "B K 3"], directions: Float[Tensor, "B K 3"], extent: float
) -> tuple[Float[Tensor, "B K"], Float[Tensor, "B K"]]:
    """The depths at which rays enter and leave the box [-extent, extent]^3, of B shapes.

    Args:
        origins: where the rays start.
        directions: unit directions of the rays.
        extent: half side of the box.
    """
    flat = origins.detach().reshape(-1, 3), directions.detach().reshape(-1, 3)
    near, far = box_span(*flat, extent=extent, start=None)
    return near.view(origins.shape[:2]), far.view(origins.shape[:2])
