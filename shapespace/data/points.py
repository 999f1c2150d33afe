"""From a raw scan to points in the store's frame: sample, centre, scale, measure sigma.

Frame: a stored point is ``(source - centre) / scale``, scale in source units per stored unit.
What a scan becomes depends on its own numbers, its name and the seed alone.

Letters: n points, V vertices, D dimension (2 or 3).
"""

import hashlib

import numpy as np
from jaxtyping import Float32, Float64
from scipy.spatial import KDTree

from shapespace.data.readers import RawScan, double_area_normals
from shapespace.errors import InputError, one_line
from shapespace.scan import Frame, PreparedScan

NUM_POINTS = 250_000
"""Points a scan, as IGR samples D-FAUST (Gropp et al. 2020)."""

NEIGHBOUR = 50
"""Sigma is the distance to this neighbour (Gropp et al. 2020, sec. 4)."""


def prepare_scan(
    raw: RawScan,
    name: str,
    *,
    num_points: int | None = None,
    seed: int = 0,
    scale: float | None = 1.0,
    source: str = "",
    source_hash: str = "",
) -> PreparedScan:
    """Sample, centre and scale ``raw``, and measure sigma.

    A mesh is sampled uniformly by area, with the normals of its faces; a cloud gives its own
    points, a random subset if there are more than asked. The centre is the mean of the points.

    Args:
        raw: in source units.
        name: the scan's name, part of the seed.
        num_points: 250 000 by default, or all that a smaller cloud has.
        seed: of sampling and shuffling.
        scale: source units per stored unit; None for the scan's own radius.
        source: recorded in the store.
        source_hash: recorded in the store.

    Raises:
        InputError: fewer than 51 points, or than asked, or lengths that float32 cannot hold.
    """
    label = one_line(source or name)
    key = int.from_bytes(hashlib.sha256(name.encode("utf-8", "surrogatepass")).digest()[:8], "big")
    rng = np.random.default_rng((seed, key))
    origin = raw.vertices[0 if raw.faces is None else raw.faces[0, 0]]
    if raw.faces is None:
        local, normals = _choose_points(raw, origin, label, num_points, rng)
    else:
        local, normals = _sample_mesh(raw, origin, num_points or NUM_POINTS, rng)
    mean = local.mean(axis=0)
    local -= mean
    radius = float(np.sqrt((local**2).sum(axis=1).max()))
    frame = Frame(origin + mean, radius if scale is None else scale)
    points = _stored(label, local, frame.scale)
    return PreparedScan(
        name=name,
        points=points,
        normals=None if normals is None else normals.astype(np.float32),
        sigma=neighbour_distance(points),
        frame=frame,
        source=source,
        source_hash=source_hash,
        num_source_points=len(raw.vertices),
        num_source_faces=0 if raw.faces is None else len(raw.faces),
        seed=seed,
    )


def neighbour_distance(
    points: Float32[np.ndarray, "n D"], neighbour: int = NEIGHBOUR
) -> Float32[np.ndarray, " n"]:
    """Distance of each point to its ``neighbour``-th nearest other point, n > neighbour."""
    # queries in the tree's own order take half the time
    order = KDTree(points).indices
    near_first = points[order]
    distance = np.empty(len(points), np.float32)
    tree = KDTree(near_first)
    distance[order] = tree.query(near_first, [neighbour + 1])[0][:, 0]  # pyright: ignore[reportArgumentType]
    return distance


def _choose_points(
    raw: RawScan,
    origin: np.ndarray,
    label: str,
    num_points: int | None,
    rng: np.random.Generator,
) -> tuple[Float64[np.ndarray, "n D"], Float64[np.ndarray, "n D"] | None]:
    """Points of a cloud in random order, relative to ``origin``, and their normals."""
    total = len(raw.vertices)
    asked = min(NUM_POINTS, total) if num_points is None else num_points
    if total <= NEIGHBOUR:
        raise InputError(f"{label}: {total} points; a cloud needs at least {NEIGHBOUR + 1}")
    if total < asked:
        raise InputError(
            f"{label}: {total} points, fewer points than asked ({asked}); lower --num-points"
        )
    rows = rng.permutation(total)[:asked]
    return raw.vertices[rows] - origin, None if raw.normals is None else raw.normals[rows]


def _sample_mesh(
    raw: RawScan, origin: np.ndarray, num_points: int, rng: np.random.Generator
) -> tuple[Float64[np.ndarray, "n 3"], Float64[np.ndarray, "n 3"]]:
    """Independent points, uniform by area, relative to ``origin``, and their faces' normals."""
    assert raw.faces is not None
    normals = double_area_normals(raw.vertices, raw.faces)
    area = np.linalg.norm(normals, axis=1)
    faces, normals, area = raw.faces[area > 0], normals[area > 0], area[area > 0]
    heap = np.cumsum(area)
    chosen = np.searchsorted(heap, rng.random(num_points) * heap[-1], side="right")
    chosen = np.minimum(chosen, len(faces) - 1)
    side, along = np.sqrt(rng.random((num_points, 1))), rng.random((num_points, 1))
    a, b, c = (raw.vertices[faces[chosen, i]] - origin for i in range(3))
    points = a + side * ((b - a) + along * (c - b))
    return points, normals[chosen] / area[chosen, None]


def _stored(
    label: str, local: Float64[np.ndarray, "n D"], scale: float
) -> Float32[np.ndarray, "n D"]:
    with np.errstate(all="ignore"):
        points = (local / scale).astype(np.float32)
        reach = np.abs(points).max()
    if not 1e-18 < reach < 1e18:
        raise InputError(
            f"{label}: reaches {np.abs(local).max() / scale:.3g} stored units from its centre, "
            "beyond float32; give its --unit or --normalise"
        )
    return points
