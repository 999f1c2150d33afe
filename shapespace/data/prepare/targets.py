"""Distances at points around a scan: what SAL and DeepSDF learn from.

SAL (Atzmon & Lipman 2020) learns from unsigned distances to a raw scan, DeepSDF (Park et al. 2019)
from signed ones to a closed mesh. Both draw most points near the surface. Distances are to the
source itself, all its triangles or points, not to the points that were chosen of it.

Frame: that of the store; distances in its units. Sign: positive outside. Letters: m targets,
V vertices, F faces, D dimension.
"""

import numpy as np
from jaxtyping import Float64, Int64
from scipy.spatial import KDTree

from shapespace.data.formats.readers import RawScan
from shapespace.errors import InputError
from shapespace.scan import PreparedScan, Targets

NEAR = 0.45
"""Share of targets at the scale of sigma, and again at that of the radius; the rest fills a box."""
SPREAD = 0.1
"""Standard deviation of the wider half, in radii of the scan."""
MARGIN = 0.2
"""How much longer the box is than the scan's own."""


def surface_targets(
    raw: RawScan, scan: PreparedScan, count: int, rng: np.random.Generator
) -> Targets:
    """Distances at ``count`` points around ``scan``, in random order.

    45 % are a point of the scan moved by N(0, sigma^2), sigma that point's own; 45 % a point moved
    by N(0, (radius / 10)^2); the rest is uniform in the scan's bounding box widened by a fifth.

    raw: the source, in its own frame: distances are to its triangles, or to its points where it is
    a cloud. They are signed where the triangles close (:func:`is_closed`), whichever way they are
    wound. InputError for a mesh where libigl is missing.
    """
    points = _around(scan, count, rng).astype(np.float32)
    vertices, queries = scan.frame.to_store(raw.vertices), points.astype(np.float64)
    if raw.faces is None:
        distance = KDTree(vertices).query(queries)[0] if count else np.empty(0)
        return Targets(points, np.asarray(distance, np.float32), signed=False)
    signed = is_closed(welded(raw.vertices, raw.faces))
    distance = _mesh_distance(queries, vertices, raw.faces, signed)
    return Targets(points, distance.astype(np.float32), signed)


def welded(
    vertices: Float64[np.ndarray, "V 3"], faces: Int64[np.ndarray, "F 3"]
) -> Int64[np.ndarray, "F 3"]:
    """The faces with one number for all vertices at the same place, as STL files need it."""
    return np.unique(vertices, axis=0, return_inverse=True)[1].reshape(-1)[faces]


def is_closed(faces: Int64[np.ndarray, "F 3"]) -> bool:
    """Whether every edge belongs to two faces, once in each direction."""
    starts, ends = faces.ravel(), np.roll(faces, -1, axis=1).ravel()
    size = int(faces.max()) + 1
    forth, back = np.sort(starts * size + ends), np.sort(ends * size + starts)
    once = (forth[1:] != forth[:-1]).all() and (starts != ends).all()
    return bool(once and (forth == back).all())


def _around(scan: PreparedScan, count: int, rng: np.random.Generator) -> Float64[np.ndarray, "m D"]:
    surface = scan.points.astype(np.float64)
    near = round(NEAR * count)
    wide = min(near, count - near)
    rows = rng.integers(len(surface), size=near + wide)
    radius = np.sqrt((surface**2).sum(axis=1).max())
    sigma = np.append(scan.sigma[rows[:near]], np.full(wide, SPREAD * radius))
    moved = surface[rows] + sigma[:, None] * rng.normal(size=(near + wide, surface.shape[1]))
    low, high = surface.min(axis=0), surface.max(axis=0)
    margin = MARGIN / 2 * (high - low)
    shape = (count - near - wide, surface.shape[1])
    filling = rng.uniform(low - margin, high + margin, size=shape)
    return rng.permutation(np.concatenate([moved, filling]))


def _mesh_distance(
    points: Float64[np.ndarray, "m 3"],
    vertices: Float64[np.ndarray, "V 3"],
    faces: Int64[np.ndarray, "F 3"],
    signed: bool,
) -> Float64[np.ndarray, " m"]:
    """Distance to the triangles, negative inside if ``signed``."""
    try:
        import igl
    except ImportError as error:
        raise InputError("targets of a mesh need libigl: pip install libigl") from error
    if not len(points):
        return np.empty(0)
    faces = np.ascontiguousarray(faces)
    distance = np.sqrt(igl.point_mesh_squared_distance(points, vertices, faces)[0])
    if not signed:
        return distance
    # either winding: of an inward mesh it is -1 inside
    inside = np.abs(igl.fast_winding_number(vertices, faces, points)) > 0.5
    return np.where(inside, -distance, distance)
