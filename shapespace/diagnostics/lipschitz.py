"""How steep a field is at most in its box: what was found, what is likely, what is certain.

In a box, which is convex, the largest |grad f| is the Lipschitz constant of f: a step of |f|
divided by it never passes the surface.

Letters: N points, D dimension, L code length, S points that climb.
"""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from shapespace.decoders.base import Decoder, Field
from shapespace.surface.query import field_gradients

GROUPS, STARTS = 8, 8
"""Groups that climb by themselves, and points of each that do."""
ROUNDS, TRIES, REACH, SHRINK = 24, 6, 0.05, 0.8
"""Rounds of the climb, places tried in each around a point, how far away at first, in extents, and
the factor of that from round to round."""


@dataclass(frozen=True)
class Lipschitz:
    """Three answers to how large |grad f| gets in the box.

    found: the largest that was met, a lower bound of the constant. likely: an estimate from above,
    not a guarantee. certain: a bound that holds everywhere, infinite where none is known.
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
    """Climb to where |grad f| is largest in [-extent, extent]^D.

    The points, with their |grad f|, fall into 8 groups at random; from the steepest of each, places
    around are tried, nearer from round to round. With M1 >= M2 the two largest of the groups,
    M1 is found and M1 + (M1 - M2) likely: the estimate of the end of a distribution by Robson and
    Whitlock (1964). Where all groups come to the same summit both agree.
    """
    rng = np.random.default_rng(seed)
    finite = np.flatnonzero(np.isfinite(length))
    certain = field.lipschitz_bound() if isinstance(field, Decoder) else np.inf
    if not len(finite):
        return Lipschitz(np.nan, np.nan, certain)
    groups = np.array_split(rng.permutation(finite), min(GROUPS, len(finite)))
    tops = [group[np.argsort(length[group])[-STARTS:]] for group in groups]
    rows = np.concatenate(tops)
    reached = _climbed(field, latent, points[rows], length[rows], extent, rng)
    ends = np.cumsum([len(top) for top in tops])[:-1]
    summits = sorted(float(group.max()) for group in np.split(reached, ends))
    return Lipschitz(summits[-1], 2 * summits[-1] - summits[-2:][0], certain)


def _climbed(
    field: Field,
    latent: Tensor,
    points: Float[np.ndarray, "S D"],
    length: Float[np.ndarray, " S"],
    extent: float,
    rng: np.random.Generator,
) -> Float[np.ndarray, " S"]:
    """The |grad f| that each point climbs to."""
    points, length, reach = points.copy(), length.copy(), REACH * extent
    rows = np.arange(len(points))
    for _ in range(ROUNDS):
        moved = points[:, None] + reach * rng.normal(size=(len(points), TRIES, points.shape[1]))
        moved = moved.clip(-extent, extent)
        found = gradient_lengths(field, latent, moved.reshape(-1, points.shape[1]))
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
    """|grad f| at the points."""
    slope = field_gradients(field, latent, torch.from_numpy(points).to(latent))[1]
    return torch.linalg.vector_norm(slope.double(), dim=-1).cpu().numpy()
