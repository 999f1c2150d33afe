"""Whether spheres traced with a step factor meet the surface where exact rays through its mesh do.

Frame and unit: the field's. Letters: K rays, L code length.
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
"""Of a ray, before it is sampled: so many that the factor decides, not the sampling."""
BEHIND, LOOKS = 4.0, 24
"""A hit that is so many cells behind the mesh's is looked at closely, at so many places."""


def ray_check(
    field: Field,
    latent: Float[Tensor, " L"],
    surface: ZeroSurface,
    extent: float,
    lipschitz: float,
    count: int = 1024,
    seed: int = 0,
) -> dict[str, float]:
    """Trace rays at the surface with steps of f and of f / steepest, and compare with its mesh.

    Rays come from all sides, aimed at places within a band of the surface; those that enter the box
    inside the shape are left out. The columns are those of
    :data:`shapespace.diagnostics.sdf.MEANING` about rays.
    """
    origins, directions = _rays(field, latent, surface, extent, count, seed)
    depth = mesh_depth(surface, origins.double().cpu().numpy(), directions.double().cpu().numpy())
    numbers = {"rays": float(len(origins))}
    if not len(origins):
        return numbers
    for name, bound in (("one", 1.0), ("safe", lipschitz)):
        rays = field, latent, origins, directions, extent
        hits = trace(*rays, steps=STEPS, lipschitz=bound)
        passed = _passed(field, latent, surface, origins, directions, depth, hits, bound)
        numbers[f"overshoot_{name}"] = float(hits.overshot.double().mean())
        numbers[f"passed_{name}"] = float(passed.mean())
        numbers[f"steps_{name}"] = float(hits.steps.double().mean())
        found = hits.depth.double().cpu().numpy()
    both = np.isfinite(found) & np.isfinite(depth)
    numbers["ray_mismatch"] = float((np.isfinite(found) != np.isfinite(depth)).mean())
    apart = np.abs(found[both] - depth[both])
    numbers["ray_depth"] = float(np.median(apart)) if len(apart) else np.nan
    return numbers


def mesh_depth(
    surface: ZeroSurface, origins: Float[np.ndarray, "K 3"], directions: Float[np.ndarray, "K 3"]
) -> Float[np.ndarray, " K"]:
    """Distance along each unit direction to the first triangle, infinite for none.

    Embree finds the triangle in single precision, its plane tells where in double.
    """
    face = RayScene(surface.mesh.vertices, surface.mesh.faces).first(origins, directions)
    corner, normal = surface.mesh.triangles[face, 0], surface.mesh.face_normals[face]
    with np.errstate(divide="ignore", invalid="ignore"):
        depth = ((corner - origins) * normal).sum(1) / (directions * normal).sum(1)
    return np.where((face >= 0) & np.isfinite(depth), depth, np.inf)


def _rays(
    field: Field, latent: Tensor, surface: ZeroSurface, extent: float, count: int, seed: int
) -> tuple[Tensor, Tensor]:
    # The seed alone would repeat the draws that pick the triangles.
    rng = np.random.default_rng((seed, 1))
    aims, normals = surface.sampled(count, seed)
    aims = aims + normals * rng.uniform(-surface.band, surface.band, (count, 1))
    directions = rng.normal(size=(count, 3))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    rays = aims - 4 * extent * directions, directions  # 4 extents away is outside the box
    origins, directions = (torch.from_numpy(part).to(latent) for part in rays)
    near, far = box_span(origins, directions, extent, None)
    outside = field_values(field, latent, origins + near[:, None] * directions) > 0
    kept = outside & (near < far)
    return origins[kept], directions[kept]


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
    """Rays whose hit is behind a place where f is clearly negative: a part was overlooked.

    The mesh says where to look, f alone decides.
    """
    reach = BEHIND * surface.cell
    behind = hits.depth.double().cpu().numpy() > depth + reach
    rows = np.flatnonzero(behind)
    passed = np.zeros(len(depth), bool)
    if len(rows):
        along = torch.from_numpy(depth[rows, None] + np.linspace(0, reach, LOOKS)).to(latent)
        places = origins[rows, None] + along[..., None] * directions[rows, None]
        values = field_values(field, latent, places.reshape(-1, 3)).reshape(along.shape)
        passed[rows] = (values.amin(1) < -THRESHOLD * lipschitz).cpu().numpy()
    return passed
