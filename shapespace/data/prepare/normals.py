"""Normals of a cloud without any: a plane through the neighbours of each point, then orientation.

Letters: n points, D dimension (2 or 3), k neighbours, C cameras.
"""

import numpy as np
from jaxtyping import Float, Float64, Int32
from scipy.spatial import KDTree

from shapespace.data.prepare.orientation import orient_normals
from shapespace.scan import NormalsKind

NEIGHBOURS = 16
"""Number of neighbours that a plane is fitted to, besides the point itself."""
FLATTEST = 1e-6
"""Smallest ratio of the second smallest variance of the neighbours to the largest.

Below it, 3-D neighbours lie on a line to a thousandth of its length: any plane through the line
fits, and the normal is unknown. Above it, the normal is that of the fitted plane. In 2-D both are
the same variance, and the normal is unknown only where all neighbours coincide.
"""
_CHUNK = 8192
"""Number of points whose neighbourhoods are in memory at a time."""


def normals_of_cloud(
    points: Float[np.ndarray, "n D"], cameras: Float[np.ndarray, "C D"] | None = None
) -> tuple[Float64[np.ndarray, "n D"], NormalsKind]:
    """Estimate unit normals of a cloud.

    With ``cameras`` the normals point to the side that the cameras saw, without they point outward.

    Args:
        points: the cloud.
        cameras: positions in the frame of the points from which the cloud was taken. A single
            camera is taken to have seen all points.

    Returns:
        The normals and their kind. A zero row is an unknown normal: its neighbours lie on a line or
        on top of each other. The kind is "estimated-unoriented" where the orientation cannot be
        trusted, see :func:`~shapespace.data.prepare.orientation.orient_normals`.
    """
    if len(points) <= points.shape[1]:
        return np.zeros(points.shape), "estimated-unoriented"
    # Neighbours in the tree's own order are near each other in memory.
    order = KDTree(points).indices
    local = points[order].astype(np.float64)
    # The orientation computes in float32, whose digits are best used within ±1.
    middle = local.mean(axis=0)
    reach = max(float(np.abs(local - middle).max()), np.finfo(float).tiny)
    local = (local - middle) / reach
    local_cameras = None if cameras is None or not len(cameras) else (cameras - middle) / reach
    fitted, neighbours = _fit_planes(local, NEIGHBOURS)
    fitted, trusted = orient_normals(local, fitted, neighbours=neighbours, cameras=local_cameras)
    normals = np.empty(points.shape)
    normals[order] = fitted
    return normals, "estimated-oriented" if trusted else "estimated-unoriented"


def _fit_planes(
    points: Float64[np.ndarray, "n D"], neighbours: int
) -> tuple[Float64[np.ndarray, "n D"], Int32[np.ndarray, "n k"]]:
    """Fit a plane to each point and its neighbours.

    Returns:
        The unit normals, of arbitrary sign, zero where unknown; and the indices of the neighbours,
        nearest first.
    """
    tree = KDTree(points)
    count = min(neighbours + 1, len(points))
    normals = np.empty(points.shape)
    near = np.empty((len(points), count), np.int32)
    for start in range(0, len(points), _CHUNK):
        rows = slice(start, start + _CHUNK)
        near[rows] = tree.query(points[rows], count)[1].reshape(-1, count)
        neighbourhood = points[near[rows]]
        neighbourhood -= neighbourhood.mean(axis=1, keepdims=True)
        # Variances come in ascending order: the first axis is the normal.
        variances, axes = np.linalg.eigh(neighbourhood.swapaxes(1, 2) @ neighbourhood)
        known = variances[:, 1] > FLATTEST * variances[:, -1]
        normals[rows] = axes[:, :, 0] * known[:, None]
    # The nearest of all is the point itself.
    return normals, near[:, 1:]
