"""Points moved to the zero set of a field, and the normals there.

Frame and unit: those of the field. Letters: K points, D dimension, L code length.
"""

from collections.abc import Callable

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from shapespace.decoders.base import Field
from shapespace.surface.query import field_gradients, unit


def project(
    field: Field,
    latent: Float[Tensor, " L"],
    points: Float[np.ndarray, "K D"],
    steps: int,
    reach: float,
) -> Float[np.ndarray, "K D"]:
    """Move points towards f = 0 by Newton's method along grad f: x - f g / |g|^2.

    A step that would not lower |f| is not taken.

    Args:
        field: the field.
        latent: its code; device and type of the work are those of the code.
        points: where to start.
        steps: number of steps; 0 returns the points as they are.
        reach: largest length of a step, in the field's unit.

    Returns:
        The moved points.
    """
    if steps == 0 or len(points) == 0:
        return points
    return _with_tensor(
        points,
        latent,
        lambda start: _newton(field, latent, points=start, steps=steps, reach=reach),
    )


def outward_normals(
    field: Field, latent: Float[Tensor, " L"], points: Float[np.ndarray, "K 3"]
) -> Float[np.ndarray, "K 3"]:
    """grad f / |grad f| at points, zero where grad f is zero.

    Args:
        field: the field, positive outside.
        latent: its code.
        points: where the normals are wanted.
    """
    return _with_tensor(points, latent, lambda at: unit(field_gradients(field, latent, at)[1]))


def _newton(
    field: Field, latent: Tensor, points: Float[Tensor, "K D"], steps: int, reach: float
) -> Float[Tensor, "K D"]:
    """The points after some Newton steps; see :func:`project`."""
    value, gradient = field_gradients(field, latent, points)
    for _ in range(steps):
        square = gradient.square().sum(-1, keepdim=True)
        step = -value[:, None] * gradient / square.clamp(min=torch.finfo(square.dtype).tiny)
        length = step.norm(dim=-1, keepdim=True)
        moved = points + step * (reach / length.clamp(min=reach))
        moved_value, moved_gradient = field_gradients(field, latent, moved)
        # Where grad f is wrong or tiny, a Newton step may lead away from the surface.
        better = moved_value.abs() < value.abs()
        points = torch.where(better[:, None], moved, points)
        value = torch.where(better, moved_value, value)
        gradient = torch.where(better[:, None], moved_gradient, gradient)
    return points


def _with_tensor(
    points: Float[np.ndarray, "K D"], latent: Tensor, work: Callable[[Tensor], Tensor]
) -> Float[np.ndarray, "K D"]:
    """``work`` on points as a tensor on the device and in the type of the code."""
    return work(torch.from_numpy(np.asarray(points)).to(latent)).double().cpu().numpy()
