"""Points around a scan with their distances to it, from which SAL and DeepSDF learn.

SAL (Atzmon & Lipman 2020) learns from unsigned distances to a raw scan, DeepSDF (Park et al. 2019)
from signed distances to a closed mesh. Both draw most points near the surface. The distances are to
the source itself, to all its triangles or points, not to the points that were sampled from it.

Frame: that of the store, distances in its units. Sign: positive outside.
Letters: n points, m targets, M samples of a file, E = D + 1 (a point and its distance), V vertices,
F faces, D dimension.
"""

import numpy as np
from jaxtyping import Float64, Int64
from scipy.spatial import KDTree

from shapespace.data.extent import extent_of
from shapespace.data.formats.readers import RawScan
from shapespace.errors import InputError
from shapespace.scan import PreparedScan, Targets

NEAR = 0.45
"""Share of the targets at the scale of sigma, and again of those at the scale of the radius.

The remaining tenth is uniform in a box.
"""
SPREAD = 0.1
"""Standard deviation of the targets at the scale of the radius, in radii of the scan."""
MARGIN = 0.2
"""The sides of the box are longer than those of the scan's bounding box by this share."""
INSIDE = 0.5
"""Absolute winding number above which a point is inside: halfway between 0 outside and 1 inside."""


def surface_targets(
    raw: RawScan, scan: PreparedScan, count: int, rng: np.random.Generator
) -> Targets:
    """Draw ``count`` points around ``scan`` and measure their distances to ``raw``.

    45 % are points of the scan moved by N(0, sigma^2), each by its own sigma. 45 % are points of
    the scan moved by N(0, (radius / 10)^2). The rest is uniform in the scan's bounding box widened
    by a fifth. The order is random.

    Args:
        raw: the source in its own frame. Distances are to its triangles, or to its points where it
            is a cloud.
        scan: the scan prepared from ``raw``.
        count: number of targets.
        rng: source of all random numbers.

    Returns:
        The targets in the store's frame. Their distances are signed where the mesh is closed
        (:func:`is_closed`), whether its faces are wound outward or inward.

    Raises:
        InputError: ``raw`` is a mesh and libigl is missing.
    """
    points = _around(scan, count, rng).astype(np.float32)
    vertices = scan.frame.to_store(raw.vertices)
    queries = points.astype(np.float64)
    if raw.faces is None:
        distance = KDTree(vertices).query(queries)[0] if count else np.empty(0)
        return Targets(points, np.asarray(distance, np.float32), signed=False)
    signed = is_closed(welded(raw.vertices, raw.faces))
    distance = _mesh_distance(queries, vertices, faces=raw.faces, signed=signed)
    return Targets(points, distance.astype(np.float32), signed)


def given_targets(
    samples: Float64[np.ndarray, "M E"],
    scan: PreparedScan,
    count: int,
    rng: np.random.Generator,
) -> Targets:
    """The targets that a file holds itself, in random order.

    Args:
        samples: points in the source's frame and their signed distances.
        scan: the scan prepared from the same file.
        count: number of targets, at most; 0 for all.
        rng: source of the order.
    """
    rows = rng.permutation(len(samples))[: count or len(samples)]
    points = scan.frame.to_store(samples[rows, :-1])
    distance = samples[rows, -1] / scan.frame.scale
    return Targets(points.astype(np.float32), distance.astype(np.float32), signed=True)


def welded(
    vertices: Float64[np.ndarray, "V 3"], faces: Int64[np.ndarray, "F 3"]
) -> Int64[np.ndarray, "F 3"]:
    """Number the corners of the faces so that vertices at the same position share one number.

    An STL file needs it: each of its triangles has three vertices of its own.
    """
    return np.unique(vertices, axis=0, return_inverse=True)[1].reshape(-1)[faces]


def is_closed(faces: Int64[np.ndarray, "F 3"]) -> bool:
    """Say whether every edge belongs to two faces that run through it in opposite directions."""
    starts = faces.ravel()
    ends = np.roll(faces, -1, axis=1).ravel()
    size = int(faces.max()) + 1
    # One number for each directed edge, and one for the same edge in the other direction.
    forward = np.sort(starts * size + ends)
    backward = np.sort(ends * size + starts)
    once = (forward[1:] != forward[:-1]).all() and (starts != ends).all()
    return bool(once and (forward == backward).all())


def _around(scan: PreparedScan, count: int, rng: np.random.Generator) -> Float64[np.ndarray, "m D"]:
    """Draw the points of the targets, in the store's frame."""
    assert scan.sigma is not None
    surface = scan.points.astype(np.float64)
    near = round(NEAR * count)
    # Both shares are rounded up for some counts; together they must not exceed the count.
    wide = min(near, count - near)
    rows = rng.integers(len(surface), size=near + wide)
    # Stray points set neither the radius nor the box.
    own = surface[extent_of(surface).holds(surface)]
    radius = np.sqrt((own**2).sum(axis=1).max())
    deviation = np.append(scan.sigma[rows[:near]], np.full(wide, SPREAD * radius))
    moved = surface[rows] + deviation[:, None] * rng.normal(size=(near + wide, surface.shape[1]))
    low = own.min(axis=0)
    high = own.max(axis=0)
    margin = MARGIN / 2 * (high - low)
    shape = (count - near - wide, surface.shape[1])
    uniform = rng.uniform(low - margin, high + margin, size=shape)
    return rng.permutation(np.concatenate([moved, uniform]))


def _mesh_distance(
    points: Float64[np.ndarray, "m 3"],
    vertices: Float64[np.ndarray, "V 3"],
    faces: Int64[np.ndarray, "F 3"],
    signed: bool,
) -> Float64[np.ndarray, " m"]:
    """Measure the distance to the triangles, negative inside if ``signed``."""
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
    # The absolute value: inside a mesh whose faces are wound inward the number is -1.
    inside = np.abs(igl.fast_winding_number(vertices, faces, points)) > INSIDE
    return np.where(inside, -distance, distance)
