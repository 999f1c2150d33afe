"""Lipschitz constant of a field in its box: a lower bound, an estimate and a guaranteed bound.

A box is convex. The largest |grad f| in the box is therefore the Lipschitz constant of f there, and
a step of length |f| divided by this constant never passes through the surface.

Letters: N points, D dimension, L code length, S points that climb.
"""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from shapespace.decoders.base import Decoder, Field
from shapespace.surface.query import field_gradients

GROUPS = 8
"""Groups of points, each of which climbs to a maximum of its own."""
STARTS = 8
"""Points of each group that climb, those with the largest |grad f|."""
ROUNDS = 24
"""Rounds of the climb."""
TRIES = 6
"""Random points tried around each climbing point in a round."""
REACH = 0.05
"""Standard deviation of each coordinate of the offsets in the first round, in extents."""
SHRINK = 0.8
"""Factor of that deviation from round to round."""


@dataclass(frozen=True)
class Lipschitz:
    """Three values of the Lipschitz constant of a field in its box.

    Args:
        found: largest |grad f| that was found, a lower bound of the constant.
        likely: estimate of the constant from above, which is no guarantee.
        certain: upper bound that holds everywhere; infinite for a field without a known bound.
    """

    found: float
    likely: float
    certain: float


@torch.no_grad()
def lipschitz(
    field: Field,
    latent: Float[Tensor, " L"],
    points: Float[np.ndarray, "N D"],
    length: Float[np.ndarray, " N"],
    extent: float,
    seed: int = 0,
) -> Lipschitz:
    """Estimate the Lipschitz constant of ``field(., latent)`` in [-extent, extent]^D.

    The points are divided at random into 8 groups. The steepest points of each group climb by
    random search to a larger |grad f|. With M1 >= M2 the two largest maxima of the groups, M1 is
    the lower bound and M1 + (M1 - M2) is the estimate from above: the estimate of the end of a
    distribution by Robson and Whitlock (1964). Both agree where all groups reach the same maximum.

    Args:
        field: the field.
        latent: code of the shape.
        points: points of the box.
        length: |grad f| at the points; points where it is not finite are left out.
        extent: half side of the box.
        seed: seed of groups and climb.

    Returns:
        The three values. The first two are NaN without a finite point.
    """
    rng = np.random.default_rng(seed)
    finite = np.flatnonzero(np.isfinite(length))
    certain = field.lipschitz_bound() if isinstance(field, Decoder) else np.inf
    if not len(finite):
        return Lipschitz(np.nan, np.nan, certain)
    groups = np.array_split(rng.permutation(finite), min(GROUPS, len(finite)))
    tops = [group[np.argsort(length[group])[-STARTS:]] for group in groups]
    rows = np.concatenate(tops)
    # All groups climb in one batch, for fewer calls of the field.
    reached = _climbed(
        field, latent, points=points[rows], length=length[rows], extent=extent, rng=rng
    )
    ends = np.cumsum([len(top) for top in tops])[:-1]
    maxima = sorted(float(group.max()) for group in np.split(reached, ends))
    # With a single group (a single finite point) there is no second maximum: [-2:][0] is the first.
    return Lipschitz(maxima[-1], 2 * maxima[-1] - maxima[-2:][0], certain)


def _climbed(
    field: Field,
    latent: Tensor,
    points: Float[np.ndarray, "S D"],
    length: Float[np.ndarray, " S"],
    extent: float,
    rng: np.random.Generator,
) -> Float[np.ndarray, " S"]:
    """Largest |grad f| that a random search from each point reaches.

    A gradient of |grad f| would need second derivatives of f, which a field need not have.
    """
    points = points.copy()
    length = length.copy()
    reach = REACH * extent
    rows = np.arange(len(points))
    for _ in range(ROUNDS):
        moved = points[:, None] + reach * rng.normal(size=(len(points), TRIES, points.shape[1]))
        # Clipped, not drawn again: the maximum often lies on the border of the box.
        moved = moved.clip(-extent, extent)
        found = gradient_lengths(field, latent, moved.reshape(-1, points.shape[1]))
        # A point where the gradient is not finite is never the best one.
        found = np.nan_to_num(found, nan=-np.inf, posinf=-np.inf).reshape(len(points), TRIES)
        best = found.argmax(1)
        higher = found[rows, best] > length
        points[higher] = moved[rows, best][higher]
        length = np.where(higher, found[rows, best], length)
        reach *= SHRINK
    return length


def gradient_lengths(
    field: Field, latent: Float[Tensor, " L"], points: Float[np.ndarray, "N D"]
) -> Float[np.ndarray, " N"]:
    """|grad f| at points of the box.

    Args:
        field: the field.
        latent: code of the shape.
        points: the points.
    """
    slope = field_gradients(field, latent, torch.from_numpy(points).to(latent))[1]
    return torch.linalg.vector_norm(slope.double(), dim=-1).cpu().numpy()
