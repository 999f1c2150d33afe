"""Orientation of the normals of a scan, and how much of the surface is missing.

Letters: n points, K neighbours, D dimension (2 or 3), R directions. Sign: outward is positive.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float64

from shapespace.data.spacing import Spacing

ROWS = 8000
"""Number of points whose neighbours' normals are compared. A share of 0.1 % is some 60 pairs."""
DIRECTIONS = 400
"""Number of random directions in which the outermost point of the scan is looked up."""
TOWARD = 0.3
"""Absolute cosine between the outermost point's normal and the direction above which it counts.

Below it the normal is nearly at right angles to the direction, and says neither outward nor inward.
"""
PARALLEL = 0.7
"""Absolute cosine between two normals above which the points may lie on one sheet."""
IN_SHEET = 0.3
"""Share of a step between neighbours below which its part along either normal is small.

Two points with a larger part lie on two sheets, such as the two sides of a finger.
"""


@dataclass(frozen=True)
class NormalsOrientation:
    """Orientation of the normals of a scan. Unknown (zero) normals are left out.

    Args:
        opposed: share of opposite normals among neighbours on one sheet.
        inward: share of directions whose outermost point has an inward normal.
        outward: mean of ``(p - c).n`` over the mean of ``|p - c|``, for points p about their mean
            c. It is positive on a closed surface whose normals point outward.
        openness: length of the area's mean normal, 0 on a closed surface, 0.5 on a hemisphere.
        away: direction of the area's mean normal, away from the open side.
    """

    opposed: float
    inward: float
    outward: float
    openness: float
    away: Float64[np.ndarray, " D"]


def measure_orientation(
    points: Float64[np.ndarray, "n D"],
    normals: Float64[np.ndarray, "n D"],
    near: Spacing,
    shape: Bool[np.ndarray, " n"],
) -> NormalsOrientation:
    """Measure how the normals of the shape are oriented.

    Args:
        points: the cloud.
        normals: unit normals, zero rows where unknown.
        near: the neighbours of every point.
        shape: the points that belong to the shape. Only ``opposed`` takes the others too.
    """
    # Normals have length 1 or 0 here.
    known = np.linalg.norm(normals, axis=1) > 0.5
    own = shape & known
    if not own.any():
        return NormalsOrientation(
            opposed=0.0, inward=0.0, outward=0.0, openness=0.0, away=np.zeros(points.shape[1])
        )
    local = points[own] - points[own].mean(axis=0)
    own_normals = normals[own]
    # The area (2-D: length) that a point stands for; the summand avoids 0 / 0 where all coincide.
    area = near.spacing[own] ** (points.shape[1] - 1) + 1e-300
    mean = area @ own_normals / area.sum()
    along = np.einsum("nd,nd->n", local, own_normals)
    distance = float(area @ np.linalg.norm(local, axis=1))
    return NormalsOrientation(
        opposed=_opposed(points, normals, near=near, known=known),
        inward=_inward(local, own_normals),
        outward=float(area @ along) / (distance or 1.0),
        openness=float(np.linalg.norm(mean)),
        away=mean / (np.linalg.norm(mean) or 1.0),
    )


def _opposed(
    points: Float64[np.ndarray, "n D"],
    normals: Float64[np.ndarray, "n D"],
    near: Spacing,
    known: Bool[np.ndarray, " n"],
) -> float:
    """Measure the share of opposite normals among neighbours on one sheet.

    The two sides of a finger are not neighbours on one sheet: the step from one to the other leads
    along their normals.
    """
    index = near.index[:ROWS]
    distance = near.distance[:ROWS]
    own = normals[: len(index), None]
    other = normals[index]
    step = points[index] - points[: len(index), None]
    cosine = (own * other).sum(axis=2)
    rise = np.maximum(np.abs((own * step).sum(axis=2)), np.abs((other * step).sum(axis=2)))
    sheet = (np.abs(cosine) > PARALLEL) & (rise < IN_SHEET * distance)
    sheet &= known[: len(index), None] & known[index]
    return float((cosine[sheet] < 0).mean()) if sheet.any() else 0.0


def _inward(local: Float64[np.ndarray, "n D"], normals: Float64[np.ndarray, "n D"]) -> float:
    """Measure the share of directions whose outermost point has an inward normal.

    Nothing lies beyond the outermost point, so that its side is known without a closed surface.
    """
    directions = np.random.default_rng(0).normal(size=(DIRECTIONS, local.shape[1]))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    outermost = (directions.astype(np.float32) @ local.T.astype(np.float32)).argmax(axis=1)
    cosine = np.einsum("rd,rd->r", normals[outermost], directions)
    counted = np.abs(cosine) > TOWARD
    return float((cosine[counted] < 0).mean()) if counted.any() else 0.0
