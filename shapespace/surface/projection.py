"""Points moved to the zero set of a field, and the normals there.

Frame and unit: the field's. Letters: K points, L code length.
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
    points: Float[np.ndarray, "K 3"],
    steps: int,
    reach: float,
) -> Float[np.ndarray, "K 3"]:
    """Points moved by Newton's method along grad f, x - f g / |g|^2, towards f = 0.

    A step is no longer than ``reach``; where it would not lower |f| the point stays.
    """
    if steps == 0 or len(points) == 0:
        return points
    return _on_device(points, latent, lambda start: _moved(field, latent, start, steps, reach))


def outward_normals(
    field: Field, latent: Float[Tensor, " L"], points: Float[np.ndarray, "K 3"]
) -> Float[np.ndarray, "K 3"]:
    """Grad f at the points, of length 1; zero where it is zero."""
    return _on_device(points, latent, lambda place: unit(field_gradients(field, latent, place)[1]))


def _moved(
    field: Field, latent: Tensor, points: Float[Tensor, "K 3"], steps: int, reach: float
) -> Float[Tensor, "K 3"]:
    value, slope = field_gradients(field, latent, points)
    for _ in range(steps):
        square = slope.square().sum(-1, keepdim=True)
        step = -value[:, None] * slope / square.clamp(min=torch.finfo(square.dtype).tiny)
        length = step.norm(dim=-1, keepdim=True)
        moved = points + step * (reach / length.clamp(min=reach))
        moved_value, moved_slope = field_gradients(field, latent, moved)
        better = moved_value.abs() < value.abs()
        points = torch.where(better[:, None], moved, points)
        value = torch.where(better, moved_value, value)
        slope = torch.where(better[:, None], moved_slope, slope)
    return points


def _on_device(
    points: Float[np.ndarray, "K 3"], latent: Tensor, work: Callable[[Tensor], Tensor]
) -> Float[np.ndarray, "K 3"]:
    return work(torch.from_numpy(np.asarray(points)).to(latent)).double().cpu().numpy()
