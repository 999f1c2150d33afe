"""Samples of a whole zero set by a mesh of it, loose parts included, and their bending energy.

Frame and unit: those of the field, D = 3. Letters: n samples, L code length.
"""

import numpy as np
import trimesh
from jaxtyping import Float
from torch import Tensor

from shapespace.bending.energy import Bending, completed
from shapespace.bending.samples import (
    NEWTON_STEPS,
    OFF_SURFACE,
    ZeroSamples,
    normal_velocity,
    on_zero_set,
    size_of,
)
from shapespace.decoders.base import Field
from shapespace.geometry.spread import farthest_point_sample
from shapespace.surface.mesh import extract_mesh
from shapespace.surface.projection import project

NUM_SAMPLES = 800
"""Samples of a surface for one energy."""
CANDIDATES = 4
"""Random points of the mesh for each sample that is kept: the kept ones are spread evenly."""


def bending(
    field: Field,
    latent: Float[Tensor, " L"],
    direction: Float[Tensor, " L"],
    *,
    extent: float,
    mesh: trimesh.Trimesh | None = None,
    count: int = NUM_SAMPLES,
    seed: int = 0,
) -> Bending:
    """The least strained motion of the zero set of f(.; z) as the code moves along a direction.

    Args:
        field: the field, D = 3.
        latent: the code z.
        direction: d, the change of the code in a unit of time; its length does not change the
            energy.
        extent: half side of the box that holds the zero set, in the field's unit.
        mesh: the whole zero set in the field's frame, if it is known; it is meshed otherwise.
        count: samples of the zero set.
        seed: of the samples.
    """
    if mesh is None:
        samples = zero_samples(field, latent, count=count, extent=extent, seed=seed)
    else:
        samples = samples_of_mesh(field, latent, mesh, count=count, seed=seed)
    speed = normal_velocity(field, latent, direction, samples.points)
    return completed(samples, speed)


def zero_samples(
    field: Field,
    latent: Float[Tensor, " L"],
    *,
    count: int,
    extent: float,
    resolution: int = 48,
    seed: int = 0,
) -> ZeroSamples:
    """Sample the whole zero set in the box [-extent, extent]^3, loose parts included.

    Args:
        field: the field, D = 3.
        latent: its code.
        count: samples, at most.
        extent: half side of the box, in the field's unit.
        resolution: grid nodes along the longest side of the mesh that finds the zero set.
        seed: of the random points.
    """
    mesh = extract_mesh(field, latent, resolution, extent=extent, largest_only=False)
    return samples_of_mesh(field, latent, mesh, count=count, seed=seed)


def samples_of_mesh(
    field: Field,
    latent: Float[Tensor, " L"],
    mesh: trimesh.Trimesh,
    *,
    count: int,
    seed: int = 0,
) -> ZeroSamples:
    """Samples of a zero set that is meshed already, moved to f = 0 by Newton's method.

    Random points by area are thinned to points far from each other, so that no part is missed.
    Points that Newton's method does not bring to the surface are left out.

    Args:
        field: the field, D = 3.
        latent: its code.
        mesh: its zero set, in the field's frame; an empty one gives no samples.
        count: samples, at most.
        seed: of the random points.
    """
    if not len(mesh.faces) or not mesh.area > 0:
        return ZeroSamples(np.zeros((0, 3)), np.zeros((0, 3)))
    drawn = np.asarray(trimesh.sample.sample_surface(mesh, CANDIDATES * count, seed=seed)[0])
    points = drawn[farthest_point_sample(drawn, count)]
    size = size_of(points)
    points = project(field, latent, points=points, steps=NEWTON_STEPS, reach=0.1 * size)
    return on_zero_set(field, latent, points, OFF_SURFACE * size)
