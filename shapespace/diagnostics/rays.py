"""Check of sphere tracing: traced rays against exact intersections with the mesh of the zero set.

Frame and unit are those of the field. Letters: K rays, L code length.
"""

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from shapespace.decoders.base import Field
from shapespace.diagnostics.zero_set import ZeroSurface
from shapespace.geometry.rays import RayScene
from shapespace.surface.query import field_values
from shapespace.surface.sphere_tracing import THRESHOLD, Hits, box_span, trace

STEPS = 40
"""Sphere tracing steps of a ray before it is sampled, enough that the step factor decides."""
BEHIND = 4.0
"""A hit is checked if it lies this many cells of the mesh behind the hit with the mesh."""
CHECKS = 24
"""Samples of f between the two hits in that check."""


def ray_check(
    field: Field,
    latent: Float[Tensor, " L"],
    surface: ZeroSurface,
    extent: float,
    lipschitz: float,
    count: int = 1024,
    seed: int = 0,
) -> dict[str, float]:
    """Trace rays with steps of f and of f / lipschitz, and compare the hits with those of the mesh.

    Rays come from all sides and aim at points within the band of the surface. Rays that enter the
    box inside the shape are left out.

    Args:
        field: the field.
        latent: code of the shape.
        surface: zero set of the field.
        extent: half side of the box.
        lipschitz: estimate of the largest |grad f|; its inverse is the safe step factor.
        count: rays that are drawn.
        seed: seed of the rays.

    Returns:
        The columns about rays, see :data:`shapespace.diagnostics.sdf.MEANING`; only the number of
        rays if none is left.
    """
    origins, directions = _rays(field, latent, surface, extent=extent, count=count, seed=seed)
    depth = mesh_depth(surface, origins.double().cpu().numpy(), directions.double().cpu().numpy())
    numbers = {"rays": float(len(origins))}
    if not len(origins):
        return numbers
    for name, bound in (("one", 1.0), ("safe", lipschitz)):
        hits = trace(
            field,
            latent,
            origins=origins,
            directions=directions,
            extent=extent,
            steps=STEPS,
            lipschitz=bound,
        )
        passed = _passed(
            field,
            latent,
            surface=surface,
            origins=origins,
            directions=directions,
            depth=depth,
            hits=hits,
            lipschitz=bound,
        )
        numbers[f"overshoot_{name}"] = float(hits.overshot.double().mean())
        numbers[f"passed_{name}"] = float(passed.mean())
        numbers[f"steps_{name}"] = float(hits.steps.double().mean())
        traced = hits.depth.double().cpu().numpy()
    # The depths of the last loop, which are those of the safe steps.
    both = np.isfinite(traced) & np.isfinite(depth)
    numbers["ray_mismatch"] = float((np.isfinite(traced) != np.isfinite(depth)).mean())
    apart = np.abs(traced[both] - depth[both])
    numbers["ray_depth"] = float(np.median(apart)) if len(apart) else np.nan
    return numbers


def mesh_depth(
    surface: ZeroSurface, origins: Float[np.ndarray, "K 3"], directions: Float[np.ndarray, "K 3"]
) -> Float[np.ndarray, " K"]:
    """Depth of the first triangle along each ray; infinite for a ray that misses the mesh.

    Args:
        surface: the zero set.
        origins: starts of the rays.
        directions: unit directions of the rays.
    """
    # Embree works in single precision. Its index of the triangle is kept, and the depth is computed
    # again in double precision from the plane of that triangle.
    face = RayScene(surface.mesh.vertices, surface.mesh.faces).first(origins, directions)
    corner = surface.mesh.triangles[face, 0]
    normal = surface.mesh.face_normals[face]
    with np.errstate(divide="ignore", invalid="ignore"):
        depth = ((corner - origins) * normal).sum(1) / (directions * normal).sum(1)
    return np.where((face >= 0) & np.isfinite(depth), depth, np.inf)


def _rays(
    field: Field, latent: Tensor, surface: ZeroSurface, extent: float, count: int, seed: int
) -> tuple[Tensor, Tensor]:
    """Origins outside the box and unit directions of rays at points within the band."""
    # The seed alone would repeat the draws that pick the triangles.
    rng = np.random.default_rng((seed, 1))
    aims, normals = surface.sampled(count, seed)
    aims = aims + normals * rng.uniform(-surface.band, surface.band, (count, 1))
    directions = rng.normal(size=(count, 3))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    # 4 extents from a point of the box is outside the box, whose diagonal is 2 sqrt(3) extents.
    origins = torch.from_numpy(aims - 4 * extent * directions).to(latent)
    along = torch.from_numpy(directions).to(latent)
    near, far = box_span(origins, along, extent, start=None)
    outside = field_values(field, latent, origins + near[:, None] * along) > 0
    kept = outside & (near < far)
    return origins[kept], along[kept]


def _passed(
    field: Field,
    latent: Tensor,
    surface: ZeroSurface,
    origins: Tensor,
    directions: Tensor,
    depth: Float[np.ndarray, " K"],
    hits: Hits,
    lipschitz: float,
) -> Bool[np.ndarray, " K"]:
    """Rays whose hit lies behind a point where f is clearly negative: they missed the front.

    The mesh only says where to sample f, because it approximates the zero set. The sign of f
    decides.
    """
    reach = BEHIND * surface.cell
    behind = hits.depth.double().cpu().numpy() > depth + reach
    rows = np.flatnonzero(behind)
    passed = np.zeros(len(depth), bool)
    if len(rows):
        along = torch.from_numpy(depth[rows, None] + np.linspace(0, reach, CHECKS)).to(latent)
        points = origins[rows, None] + along[..., None] * directions[rows, None]
        values = field_values(field, latent, points.reshape(-1, 3)).reshape(along.shape)
        passed[rows] = (values.amin(1) < -THRESHOLD * lipschitz).cpu().numpy()
    return passed
