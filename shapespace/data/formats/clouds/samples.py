"""Samples of a signed distance as DeepSDF prepares them: NPZ with the arrays ``pos`` and ``neg``.

Each row is x y z d, d the distance, positive outside. They are the targets of a scan. Its surface
points are where d changes sign between a sample and its nearest one on the other side.

Letters: M samples, V surface points.
"""

import numpy as np
from jaxtyping import Float64
from scipy.spatial import KDTree

from shapespace.data.formats.contents import Contents

CLOSEST = 0.5
"""Share of the pairs of samples that give a surface point, those that are closest together."""


def read_deepsdf(positive: np.ndarray, negative: np.ndarray) -> Contents:
    """Read the samples outside and inside; ValueError if they are none.

    Rows with NaN, which DeepSDF's own preparation writes, are left out.
    """
    parts = [np.asarray(part, np.float64) for part in (positive, negative)]
    for name, part in zip(("pos", "neg"), parts, strict=True):
        if part.ndim != 2 or part.shape[1] != 4:
            raise ValueError(f"array {name!r} of shape {part.shape}; rows of x y z d are needed")
    outside, inside = (part[np.isfinite(part).all(axis=1)] for part in parts)
    lost = sum(map(len, parts)) - len(outside) - len(inside)
    if not len(outside) or not len(inside):
        raise ValueError("no sample is outside, or none inside; both are needed for a surface")
    if outside[:, 3].min() < 0 or inside[:, 3].max() > 0:
        raise ValueError("'pos' holds a negative distance, or 'neg' a positive one")
    return Contents(
        crossings(outside, inside),
        used=("samples pos neg of DeepSDF, with surface points between them",),
        repaired=(f"left out: {lost} samples, NaN",) if lost else (),
        samples=np.concatenate([outside, inside]),
    )


def crossings(
    outside: Float64[np.ndarray, "M 4"], inside: Float64[np.ndarray, "m 4"]
) -> Float64[np.ndarray, "V 3"]:
    """The points between neighbours of different sign where the distance is 0 on a straight line.

    The distance is nearly linear over a short way, so that the closest pairs are taken.
    """
    found = KDTree(outside[:, :3]).query(inside[:, :3])
    gap, row = np.asarray(found[0]), np.asarray(found[1])
    keep = gap <= np.quantile(gap, CLOSEST)
    start, end = inside[keep], outside[row[keep]]
    rise = end[:, 3] - start[:, 3]
    # Two samples on the surface itself: either is a point of it.
    share = np.where(rise > 0, -start[:, 3] / np.where(rise > 0, rise, 1.0), 0.0)
    return start[:, :3] + share[:, None] * (end[:, :3] - start[:, :3])
