"""Normals of a bare cloud: a plane through the neighbours of each point, then a consistent side.

Letters: n points, D dimension (2 or 3), k neighbours, C cameras.
"""

import numpy as np
from jaxtyping import Float, Float64, Int32
from scipy.spatial import KDTree

from shapespace.data.prepare.orientation import oriented
from shapespace.scan import NormalsKind

NEIGHBOURS = 16
"""Points that a plane is fitted to, besides its own."""
FLATTEST = 1e-6
"""Neighbours whose spread across is a smaller part of that along (variances) give no plane."""
_CHUNK = 8192


def estimate_normals(
    points: Float[np.ndarray, "n D"], neighbours: int = NEIGHBOURS
) -> Float64[np.ndarray, "n D"]:
    """Unit normals of the planes through each point and its ``neighbours``, on either side.

    A zero row is an unknown normal: the neighbours lie on a line or on top of each other.
    """
    order = KDTree(points).indices
    normals = np.empty(points.shape)
    normals[order] = _fitted(points[order].astype(np.float64), neighbours)[0]
    return normals


def normals_of_cloud(
    points: Float[np.ndarray, "n D"], cameras: Float[np.ndarray, "C D"] | None = None
) -> tuple[Float64[np.ndarray, "n D"], NormalsKind]:
    """Unit normals of a cloud, toward the ``cameras`` that saw it, or outward if there are none.

    cameras: where the points were seen from, in their frame; a single one saw them all. The kind
    is "estimated-unoriented" where the sides cannot be trusted, see ``oriented``.
    Zero rows as of :func:`estimate_normals`.
    """
    if len(points) <= points.shape[1]:
        return np.zeros(points.shape), "estimated-unoriented"
    # neighbours in the tree's own order are near each other in memory
    order = KDTree(points).indices
    near = points[order].astype(np.float64)
    middle = near.mean(axis=0)
    reach = max(float(np.abs(near - middle).max()), np.finfo(float).tiny)
    near = (near - middle) / reach
    eyes = None if cameras is None or not len(cameras) else (cameras - middle) / reach
    fitted, neighbours = _fitted(near, NEIGHBOURS)
    fitted, trusted = oriented(near, fitted, neighbours, eyes)
    normals = np.empty(points.shape)
    normals[order] = fitted
    return normals, "estimated-oriented" if trusted else "estimated-unoriented"


def _fitted(
    points: Float64[np.ndarray, "n D"], neighbours: int
) -> tuple[Float64[np.ndarray, "n D"], Int32[np.ndarray, "n k"]]:
    """Normals of planes, and the neighbours they are fitted to, nearest first."""
    tree, count = KDTree(points), min(neighbours + 1, len(points))
    normals = np.empty(points.shape)
    near = np.empty((len(points), count), np.int32)
    for start in range(0, len(points), _CHUNK):
        rows = slice(start, start + _CHUNK)
        near[rows] = tree.query(points[rows], count)[1].reshape(-1, count)
        ball = points[near[rows]]
        ball -= ball.mean(axis=1, keepdims=True)
        spread, axes = np.linalg.eigh(ball.swapaxes(1, 2) @ ball)
        known = spread[:, 1] > FLATTEST * spread[:, -1]
        normals[rows] = axes[:, :, 0] * known[:, None]
    return normals, near[:, 1:]
