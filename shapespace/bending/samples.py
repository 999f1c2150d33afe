"""Samples of the zero set of f(.; z), and its normal velocity along a direction of codes.

On the zero set the code z + t d has the surface points x(t) with df/dz . d + v . grad f = 0. The
velocity v along the normal n = grad f / |grad f| is therefore u = -(df/dz . d) / |grad f|.

Frame and unit: those of the field, D = 3. Letters: n samples, K points, L code length.
"""

from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from shapespace.decoders.base import Decoder, Field, jacobian_by_autograd
from shapespace.geometry.spread import farthest_point_sample
from shapespace.surface.projection import project
from shapespace.surface.query import POINTS_PER_CALL

NEWTON_STEPS = 4
"""Steps that move a point to the zero set."""
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


def samples_near(
    field: Field,
    latent: Float[Tensor, " L"],
    starts: Float[np.ndarray, "K 3"],
    *,
    count: int,
    reach: float,
) -> ZeroSamples:
    """Samples of a zero set to which given points are moved by Newton's method, spread evenly.

    Points that Newton's method does not bring to the surface are left out. Parts of the zero set
    that are nearest to none of the points are not sampled.

    Args:
        field: the field, D = 3.
        latent: its code.
        starts: any number K of points, in any order.
        count: samples, at most.
        reach: longest step of a point, in the field's unit.
    """
    points = project(field, latent, points=starts, steps=NEWTON_STEPS, reach=reach)
    found = on_zero_set(field, latent, points, OFF_SURFACE * size_of(starts))
    rows = farthest_point_sample(found.points, count)
    return ZeroSamples(found.points[rows], found.normals[rows])


def on_zero_set(
    field: Field, latent: Float[Tensor, " L"], points: Float[np.ndarray, "K 3"], within: float
) -> ZeroSamples:
    """The points that lie near the zero set, with their normals.

    Args:
        field: the field, D = 3.
        latent: its code.
        points: any number K of points.
        within: largest distance, as |f| / |grad f| tells it, in the field's unit.
    """
    value, gradient, _ = derivatives(field, latent, points)
    slope = np.linalg.norm(gradient, axis=1)
    kept = np.abs(value) <= within * slope
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
