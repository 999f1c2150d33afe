"""The random points of one scan that are examined, whether it comes from a file or from a store.

Frame: stored units, about the scan's centre, as training sees it.

Letters: n points examined, V vertices, F faces, D dimension (2 or 3).
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64, Int64

from shapespace.data.formats.readers import RawScan, double_area_normals
from shapespace.data.prepare.points import CLEANED, NEIGHBOUR, NUM_POINTS
from shapespace.data.prepare.targets import welded
from shapespace.data.rounding import FINELY_ROUNDED, ROUNDED, rounding_of
from shapespace.errors import InputError, one_line
from shapespace.scan import NormalsKind, PreparedScan

NUM_EXAMINED = 20_000
"""Number of points that are examined: finding all their neighbours takes 40 ms."""


@dataclass(frozen=True)
class Repeated:
    """A point that is there many times.

    Args:
        count: how often.
        where: the point, in the frame and unit of the source.
    """

    count: int
    where: tuple[float, ...]


@dataclass(frozen=True)
class Reading:
    """How a scan was read.

    Args:
        per_unit: source units per stored unit.
        left_out: what the reader left out of a file, "" for nothing.
        from_file: whether it is a file, else a scan of a store.
        rounded: how float32 has rounded the source, "" if it has not.
        repeated: the point of a cloud that is there most often, None if none is there twice.
        cleaned: whether it was prepared with --clean.
    """

    per_unit: float = 1.0
    left_out: str = ""
    from_file: bool = False
    rounded: str = ""
    repeated: Repeated | None = None
    cleaned: bool = False


@dataclass(frozen=True)
class Cloud:
    """A random subset of the points of one scan, and facts about the whole scan.

    Args:
        points: the subset, in stored units about the centre.
        normals: the normals as they are, zero rows where unknown; None if there are none.
        normals_kind: where the normals come from.
        reach: largest coordinate of all points that training may see.
        offset: distance of the mean of all points from the centre.
        origin: distance of the centre from the source's origin, in stored units.
        num_points: number of points of the source, or of the store.
        prepared: number of points that training has or will have.
        source_hash: sha256 of the source, hexadecimal.
        sigma: median sigma of a stored scan; None where it has to be predicted.
        moments: moments of all vertices of a file, see :func:`moments`.
        faces: the faces of a mesh, else None.
        reading: how the scan was read.
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
    reading: Reading = Reading()


def cloud_of_source(raw: RawScan, source_hash: str, scale: float) -> Cloud:
    """Choose the points to examine from a file, as ``prepare`` would centre and scale them.

    Args:
        raw: the scan, in source units.
        source_hash: sha256 of the source, hexadecimal.
        scale: source units per stored unit.
    """
    rng = np.random.default_rng(0)
    # As in ``prepare``: differences to a vertex keep their digits far from the source's origin.
    start = raw.vertices[0 if raw.faces is None else raw.faces[0, 0]]
    all_points, points, normals = _chosen(raw, rng)
    mean = (all_points - start).mean(axis=0)
    reach = np.abs((all_points - start) - mean).max() / scale
    faces = raw.faces
    # Three vertices for each face: separate triangles, as in an STL file. Unless their corners are
    # joined, every edge would count as open.
    if faces is not None and len(raw.vertices) >= 3 * len(faces):
        faces = welded(raw.vertices, faces)
    return Cloud(
        points=((points - start) - mean) / scale,
        normals=normals,
        normals_kind="none" if normals is None else "measured",
        reach=float(reach),
        offset=0.0,
        origin=float(np.linalg.norm(start + mean) / scale),
        num_points=len(raw.vertices),
        prepared=NUM_POINTS if raw.faces is not None else min(NUM_POINTS, len(raw.vertices)),
        source_hash=source_hash,
        moments=moments((raw.vertices - start) / scale),
        faces=faces,
        reading=Reading(
            per_unit=scale,
            left_out=_said(raw.account, "left out"),
            from_file=True,
            rounded=str(rounding_of(raw.vertices) or ""),
            repeated=repeated_point(raw.vertices) if raw.faces is None else None,
        ),
    )


def cloud_of_scan(scan: PreparedScan) -> Cloud:
    """Choose the points to examine from a stored scan.

    Raises:
        InputError: a number of the scan is NaN or infinite, or the scan has no points.
    """
    finite = np.asarray(np.isfinite(scan.points).all(axis=1))
    if scan.sigma is not None:
        finite &= np.isfinite(scan.sigma)
    if scan.normals is not None:
        finite &= np.isfinite(scan.normals).all(axis=1)
    if not finite.all() or not len(finite):
        bad = f"{int((~finite).sum())} of {len(finite)} points are NaN or infinite"
        raise InputError(f"{one_line(scan.source)}: {bad}; run: shapespace prepare again")
    rows = np.random.default_rng(0).permutation(len(scan.points))[:NUM_EXAMINED]
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
        sigma=None if scan.sigma is None else float(np.median(scan.sigma)),
        reading=Reading(
            per_unit=float(scan.frame.scale),
            rounded=_said(scan.account, ROUNDED) or _said(scan.account, FINELY_ROUNDED),
            repeated=_repeated_in_store(scan),
            cleaned=bool(_said(scan.account, CLEANED)),
        ),
    )


def _said(account: str, beginning: str) -> str:
    """Return the part of an account that begins so, "" if none does."""
    return next((part for part in account.split("; ") if part.startswith(beginning)), "")


def _repeated_in_store(scan: PreparedScan) -> Repeated | None:
    """Find the repeated point of a stored cloud; one that was drawn again was not repeated."""
    drawn_again = len(scan.points) > scan.num_source_points
    if scan.num_source_faces or drawn_again:
        return None
    found = repeated_point(scan.points.astype(np.float64))
    if found is None:
        return None
    where = scan.frame.to_source(np.array([found.where]))[0]
    return Repeated(found.count, tuple(where.tolist()))


def repeated_point(points: Float64[np.ndarray, "N D"]) -> Repeated | None:
    """Find the point that is there most often, None if none is there twice.

    It is looked for among random points: one that is there often is among them.
    """
    some = points[np.random.default_rng(0).permutation(len(points))[:NUM_EXAMINED]]
    found, count = np.unique(some, axis=0, return_counts=True)
    if not len(count) or count.max() < 2:
        return None
    where = found[count.argmax()]
    return Repeated(int((points == where).all(axis=1).sum()), tuple(where.tolist()))


def predicted_sigma(spacing: float, neighbours: int, cloud: Cloud) -> float:
    """Predict the median sigma that ``prepare`` will measure, for points on a surface.

    Args:
        spacing: median distance to the neighbour number ``neighbours`` among the points examined.
        neighbours: number of that neighbour.
        cloud: the points examined.

    Returns:
        The median distance to the 50th neighbour among the prepared points, in stored units.
    """
    # On a surface, the area that holds k neighbours grows with k and shrinks with the density, and
    # the distance is its root (D - 1 = 2). On a curve the distance itself does so (D - 1 = 1).
    fewer = NEIGHBOUR / neighbours * len(cloud.points) / cloud.prepared
    return spacing * fewer ** (1 / (cloud.points.shape[1] - 1))


def moments(points: Float64[np.ndarray, "V D"]) -> tuple[float, ...]:
    """Compute numbers that stay the same when the points are moved or reordered.

    Two different sets of points rarely have the same numbers.

    Returns:
        The root mean square radius; then the second, third and fourth moment along each axis, in
        radii.
    """
    local = points - points.mean(axis=0)
    radius = float(np.sqrt((local**2).sum(axis=1).mean()))
    local /= radius or 1.0
    square = local * local
    powers = (square, square * local, square * square)
    return radius, *(float(moment) for power in powers for moment in power.mean(axis=0))


def _chosen(
    raw: RawScan, rng: np.random.Generator
) -> tuple[
    Float64[np.ndarray, "N D"], Float64[np.ndarray, "n D"], Float64[np.ndarray, "n D"] | None
]:
    """Return all points that there are, those to examine, and the normals of the latter."""
    if raw.faces is not None:
        points, normals = sample_faces(raw.vertices, raw.faces, count=NUM_EXAMINED, rng=rng)
        return points, points, normals
    rows = rng.permutation(len(raw.vertices))[:NUM_EXAMINED]
    normals = None if raw.normals is None else raw.normals[rows]
    return raw.vertices, raw.vertices[rows], normals


def sample_faces(
    vertices: Float64[np.ndarray, "V 3"],
    faces: Int64[np.ndarray, "F 3"],
    count: int,
    rng: np.random.Generator,
) -> tuple[Float64[np.ndarray, "n 3"], Float64[np.ndarray, "n 3"]]:
    """Sample points evenly by area, in random order.

    Args:
        vertices: vertices of the mesh.
        faces: its faces.
        count: number of points, n.
        rng: source of all random numbers.

    Returns:
        The points, and the unit normals of their faces.
    """
    normals = double_area_normals(vertices, faces)
    area = np.linalg.norm(normals, axis=1)
    cumulative = np.cumsum(area)
    # Stratified: one number in each of ``count`` equal intervals of the total area.
    shares = (np.arange(count) + rng.random(count)) / count
    # A share that rounds to 1 must not lead to a face without area at the end.
    last = np.flatnonzero(area)[-1]
    chosen = np.searchsorted(cumulative, shares * cumulative[-1], side="right")
    chosen = rng.permutation(np.minimum(chosen, last))
    # The root makes the points uniform within the triangle, see prepare/points.py.
    from_a = np.sqrt(rng.random((count, 1)))
    from_b = rng.random((count, 1))
    a, b, c = (vertices[faces[chosen, corner]] for corner in range(3))
    return a + from_a * ((b - a) + from_b * (c - b)), normals[chosen] / area[chosen, None]
