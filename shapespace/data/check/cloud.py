"""What is looked at of one scan: some thousand random points, whatever it comes from.

Frame: stored units, about the scan's centre, as training sees it.

Letters: n points looked at, V vertices, F faces, D dimension (2 or 3).
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64, Int64

from shapespace.data.formats.readers import RawScan, double_area_normals
from shapespace.data.prepare.points import NEIGHBOUR, NUM_POINTS
from shapespace.data.prepare.targets import welded
from shapespace.errors import InputError, one_line
from shapespace.scan import NormalsKind, PreparedScan

LOOKED_AT = 20_000
"""Points that are looked at: every neighbour of every one is found in 40 ms."""


@dataclass(frozen=True)
class Cloud:
    """Points of one scan, a random subset, and what is known of the whole.

    normals: as they are, a zero row is unknown; None if there are none. reach: largest coordinate
    of all points that training may see. offset: distance of their mean from the centre. origin:
    distance of the centre from the source's origin, in stored units. num_points: points of the
    source or of the store; prepared: points that training has or will have. sigma: their median
    noise scale, None where it is to be guessed. moments: of all vertices, see :func:`moments`.
    """

    points: Float64[np.ndarray, "n D"]
    normals: Float64[np.ndarray, "n D"] | None
    normals_kind: NormalsKind
    reach: float
    offset: float
    origin: float
    num_points: int
    prepared: int
    source_hash: str
    sigma: float | None = None
    moments: tuple[float, ...] = ()
    faces: Int64[np.ndarray, "F 3"] | None = None


def cloud_of_source(raw: RawScan, source_hash: str, scale: float) -> Cloud:
    """What prepare would make of ``raw``. scale: source units per stored unit."""
    rng = np.random.default_rng(0)
    start = raw.vertices[0 if raw.faces is None else raw.faces[0, 0]]
    every, points, normals = _chosen(raw, rng)
    mean = (every - start).mean(axis=0)
    reach = np.abs((every - start) - mean).max() / scale
    bare, faces = raw.faces is None, raw.faces
    if faces is not None and len(raw.vertices) >= 3 * len(faces):
        faces = welded(raw.vertices, faces)  # a soup of triangles, as in an STL
    return Cloud(
        points=((points - start) - mean) / scale,
        normals=normals,
        normals_kind="none" if normals is None else "measured",
        reach=float(reach),
        offset=0.0,
        origin=float(np.linalg.norm(start + mean) / scale),
        num_points=len(raw.vertices),
        prepared=min(NUM_POINTS, len(raw.vertices)) if bare else NUM_POINTS,
        source_hash=source_hash,
        moments=moments((raw.vertices - start) / scale),
        faces=faces,
    )


def cloud_of_scan(scan: PreparedScan) -> Cloud:
    """What the store holds; :class:`InputError` if it is not made of numbers."""
    numbers = np.isfinite(scan.points).all(axis=1) & np.isfinite(scan.sigma)
    if scan.normals is not None:
        numbers &= np.isfinite(scan.normals).all(axis=1)
    if not numbers.all() or not len(numbers):
        bad = f"{int((~numbers).sum())} of {len(numbers)} points are NaN or infinite"
        raise InputError(f"{one_line(scan.source)}: {bad}; run: shapespace prepare again")
    rows = np.random.default_rng(0).permutation(len(scan.points))[:LOOKED_AT]
    return Cloud(
        points=scan.points[rows].astype(np.float64),
        normals=None if scan.normals is None else scan.normals[rows].astype(np.float64),
        normals_kind=scan.normals_kind,
        reach=float(np.abs(scan.points).max()),
        offset=float(np.linalg.norm(scan.points.mean(axis=0, dtype=np.float64))),
        origin=float(np.linalg.norm(scan.frame.centre) / scan.frame.scale),
        num_points=len(scan.points),
        prepared=len(scan.points),
        source_hash=scan.source_hash,
        sigma=float(np.median(scan.sigma)),
    )


def guessed_sigma(spacing: float, neighbours: int, cloud: Cloud) -> float:
    """Median distance to the 50th neighbour that prepare will find, on a surface.

    spacing: median distance to the neighbour number ``neighbours`` among the points looked at.
    """
    fewer = NEIGHBOUR / neighbours * len(cloud.points) / cloud.prepared
    return spacing * fewer ** (1 / (cloud.points.shape[1] - 1))


def moments(points: Float64[np.ndarray, "V D"]) -> tuple[float, ...]:
    """Numbers that stay when points are moved or put in another order, rarely otherwise.

    The root mean square radius, then the second, third and fourth moments along each axis in radii.
    """
    local = points - points.mean(axis=0)
    radius = float(np.sqrt((local**2).sum(axis=1).mean()))
    local /= radius or 1.0
    square = local * local
    powers = (square, square * local, square * square)
    return radius, *(float(x) for power in powers for x in power.mean(axis=0))


def _chosen(
    raw: RawScan, rng: np.random.Generator
) -> tuple[np.ndarray, Float64[np.ndarray, "n D"], Float64[np.ndarray, "n D"] | None]:
    """All points that there are, those looked at, and their normals."""
    if raw.faces is not None:
        points, normals = spread(raw.vertices, raw.faces, LOOKED_AT, rng)
        return points, points, normals
    rows = rng.permutation(len(raw.vertices))[:LOOKED_AT]
    normals = None if raw.normals is None else raw.normals[rows]
    return raw.vertices, raw.vertices[rows], normals


def spread(
    vertices: Float64[np.ndarray, "V 3"],
    faces: Int64[np.ndarray, "F 3"],
    count: int,
    rng: np.random.Generator,
) -> tuple[Float64[np.ndarray, "n 3"], Float64[np.ndarray, "n 3"]]:
    """Points spread evenly over the area, in random order, and their faces' normals."""
    normals = double_area_normals(vertices, faces)
    area = np.linalg.norm(normals, axis=1)
    heap = np.cumsum(area)
    steps = (np.arange(count) + rng.random(count)) / count
    last = np.flatnonzero(area)[-1]
    chosen = np.minimum(np.searchsorted(heap, steps * heap[-1], side="right"), last)
    chosen = rng.permutation(chosen)
    side, along = np.sqrt(rng.random((count, 1))), rng.random((count, 1))
    a, b, c = (vertices[faces[chosen, i]] for i in range(3))
    return a + side * ((b - a) + along * (c - b)), normals[chosen] / area[chosen, None]
