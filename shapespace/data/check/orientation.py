"""Which way the normals look: outward, all of them, and how much of the surface is missing.

Letters: n points, K neighbours, D dimension (2 or 3), R directions. Sign: outward is positive.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float64

from shapespace.data.check.spacing import Spacing

ROWS = 8000
"""Points whose neighbours' normals are compared; a share of 0.1 % is some 60 pairs of them."""
DIRECTIONS = 400
"""Directions in which the outermost points are asked."""
TOWARD = 0.3
"""Cosine from which on a normal says whether it looks outward or inward."""


@dataclass(frozen=True)
class Sides:
    """What the normals of a scan say; unknown (zero) ones are left out.

    opposed: share of the neighbours on one sheet that look to opposite sides. inward: share of
    directions whose outermost point looks inward. outward: mean of ``(p - c).n`` over the mean of
    ``|p - c|``, positive when the normals of a closed surface look outward. openness: length of the
    area's mean normal, 0 on a closed surface, 0.5 on a hemisphere; away: its direction.
    """

    opposed: float
    inward: float
    outward: float
    openness: float
    away: Float64[np.ndarray, " D"]


def sides_of(
    points: Float64[np.ndarray, "n D"],
    normals: Float64[np.ndarray, "n D"],
    near: Spacing,
    shape: Bool[np.ndarray, " n"],
) -> Sides:
    """Judge the normals of the points that belong to the shape."""
    known = np.linalg.norm(normals, axis=1) > 0.5
    own = shape & known
    if not own.any():
        return Sides(0.0, 0.0, 0.0, 0.0, np.zeros(points.shape[1]))
    local, outer = points[own] - points[own].mean(axis=0), normals[own]
    area = near.spacing[own] ** (points.shape[1] - 1) + 1e-300
    mean = area @ outer / area.sum()
    along = np.einsum("nd,nd->n", local, outer)
    away = float(area @ np.linalg.norm(local, axis=1))
    return Sides(
        opposed=_opposed(points, normals, near, known),
        inward=_inward(local, outer),
        outward=float(area @ along) / (away or 1.0),
        openness=float(np.linalg.norm(mean)),
        away=mean / (np.linalg.norm(mean) or 1.0),
    )


def _opposed(
    points: Float64[np.ndarray, "n D"],
    normals: Float64[np.ndarray, "n D"],
    near: Spacing,
    known: Bool[np.ndarray, " n"],
) -> float:
    """Share of opposite normals among neighbours on one sheet.

    The two sides of a finger are no neighbours in this sense: the step from one to the other goes
    along their normals.
    """
    index, distance = near.index[:ROWS], near.distance[:ROWS]
    here, there = normals[: len(index), None], normals[index]
    step = points[index] - points[: len(index), None]
    cosine = (here * there).sum(axis=2)
    rise = np.maximum(np.abs((here * step).sum(axis=2)), np.abs((there * step).sum(axis=2)))
    sheet = (np.abs(cosine) > 0.7) & (rise < 0.3 * distance)
    sheet &= known[: len(index), None] & known[index]
    return float((cosine[sheet] < 0).mean()) if sheet.any() else 0.0


def _inward(local: Float64[np.ndarray, "n D"], normals: Float64[np.ndarray, "n D"]) -> float:
    towards = np.random.default_rng(0).normal(size=(DIRECTIONS, local.shape[1]))
    towards /= np.linalg.norm(towards, axis=1, keepdims=True)
    outermost = (towards.astype(np.float32) @ local.T.astype(np.float32)).argmax(axis=1)
    cosine = np.einsum("rd,rd->r", normals[outermost], towards)
    telling = np.abs(cosine) > TOWARD
    return float((cosine[telling] < 0).mean()) if telling.any() else 0.0
