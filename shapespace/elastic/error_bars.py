"""Error bars of a surface with detail: how far it may lie from the true one, place by place.

The variance of the distance to the true surface is a sum of three parts:

    (NOISE off)^2 + (FLOOR size)^2 + (HOLE size (gap / size)^GROWTH)^2

``off`` is the mean distance of the nearest points across the surface: noise of the scan, and detail
finer than the grid. ``size`` is that of the scan, the median distance of its points from their
mean. ``gap`` is the distance to the nearest point: in a hole, the surface is not known, and strays
with about its curvature.

The four numbers were chosen on some people and motions that no training saw, and checked on others
(experiments/unseen_scans). There, about 68 and 95 % of the places lie within one and two standard
deviations: of those that are seen, of those that are not, of hands and of feet. This need not hold
for another kind of shape.

Letters: V vertices, N points.
"""

import numpy as np
from jaxtyping import Float
from scipy.spatial import KDTree

NOISE, FLOOR, HOLE, GROWTH = 0.57, 0.0017, 1.7, 2.63
"""The four numbers of the formula."""
NEIGHBOURS = 8
"""Points whose distance across the surface is averaged."""


def standard_deviation(
    vertices: Float[np.ndarray, "V 3"],
    normals: Float[np.ndarray, "V 3"],
    points: Float[np.ndarray, "N 3"],
    size: float,
) -> Float[np.ndarray, " V"]:
    """Standard deviation of the distance of each vertex to the true surface.

    Args:
        vertices: of a surface with detail.
        normals: unit normals at the vertices.
        points: measured points of the scan, in the frame of the vertices; at least one.
        size: size of the scan, in the unit of the vertices.
    """
    count = min(NEIGHBOURS, len(points))
    found, rows = KDTree(points).query(vertices, count)
    gap = found.reshape(len(vertices), count)[:, 0]
    arm = points[rows.reshape(len(vertices), count)] - vertices[:, None]
    off = np.abs(np.einsum("vkd,vd->vk", arm, normals)).mean(1)
    hole = HOLE * size * (gap / size) ** GROWTH
    return np.sqrt((NOISE * off) ** 2 + (FLOOR * size) ** 2 + hole**2)
