"""Samples of the whole zero set of f(.; z), and its normal velocity along a direction of codes.

On the zero set the code z + t d has the surface points x(t) with df/dz . d + v . grad f = 0. The
velocity v along the normal n = grad f / |grad f| is therefore u = -(df/dz . d) / |grad f|.

Frame and unit: those of the field, D = 3. Letters: n samples, V vertices, L code length.
"""

from typing import NamedTuple

import numpy as np
import torch
import trimesh
from jaxtyping import Float
from torch import Tensor

from shapespace.decoders.base import Decoder, Field, jacobian_by_autograd
from shapespace.geometry.spread import farthest_point_sample
from shapespace.surface.mesh import extract_mesh
from shapespace.surface.projection import project
from shapespace.surface.query import POINTS_PER_CALL

CANDIDATES = 4
"""Random points of the mesh for each sample that is kept: the kept ones are spread evenly."""
NEWTON_STEPS = 4
"""Steps that move a point of the mesh to the zero set."""
OFF_SURFACE = 1e-3
"""Distance from the zero set, in units of the shape's size, from which a sample is none."""


class ZeroSamples(NamedTuple):
    """Points of a zero set, spread evenly over all of its components.

    Args:
        points: on the zero set.
        normals: outward unit normals, grad f / |grad f|.
    """

    points: Float[np.ndarray, "n 3"]
    normals: Float[np.ndarray, "n 3"]

    @property
    def size(self) -> float:
        """Root of the mean squared distance from the middle, in the field's unit; 0 if empty."""
        return size_of(self.points)


def size_of(points: Float[np.ndarray, "n 3"]) -> float:
    """Root of the mean squared distance of points from their mean; 0 without points."""
    if not len(points):
        return 0.0
    return float(np.sqrt(np.square(points - points.mean(0)).sum(1).mean()))


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
    value, gradient, _ = derivatives(field, latent, points)
    slope = np.linalg.norm(gradient, axis=1)
    kept = np.abs(value) <= OFF_SURFACE * size * slope
    kept &= slope > 0
    return ZeroSamples(points[kept], gradient[kept] / slope[kept, None])


def normal_velocity(
    field: Field,
    latent: Float[Tensor, " L"],
    direction: Float[Tensor, " L"],
    points: Float[np.ndarray, "n 3"],
) -> Float[np.ndarray, " n"]:
    """-(df/dz . d) / |grad f| at points: the speed of the level set along its outward normal.

    Args:
        field: the field.
        latent: the code z.
        direction: d, how the code changes in a unit of time.
        points: where the speed is wanted.

    Returns:
        The speeds, in the field's unit a unit of time; 0 where grad f is 0.
    """
    _, gradient, code = derivatives(field, latent, points)
    slope = np.linalg.norm(gradient, axis=1)
    along = code @ direction.detach().double().cpu().numpy()
    return np.divide(-along, slope, out=np.zeros(len(points)), where=slope > 0)


def derivatives(
    field: Field, latent: Float[Tensor, " L"], points: Float[np.ndarray, "n 3"]
) -> tuple[Float[np.ndarray, " n"], Float[np.ndarray, "n 3"], Float[np.ndarray, "n L"]]:
    """f, grad f and df/dz at points, in double precision.

    Args:
        field: a decoder, which may know a closed form, or any field.
        latent: its code.
        points: any number of points.
    """
    if not len(points):
        return np.zeros(0), np.zeros((0, 3)), np.zeros((0, len(latent)))
    at = torch.from_numpy(np.asarray(points)).to(latent)
    parts = []
    for part in at.split(POINTS_PER_CALL):
        if isinstance(field, Decoder):
            found = field.jacobian(part[None], latent[None])
        else:
            found = jacobian_by_autograd(field, part[None], latent[None])
        parts.append([each[0].double().cpu().numpy() for each in found])
    value, gradient, code = (np.concatenate(each) for each in zip(*parts, strict=True))
    return value, gradient, code
