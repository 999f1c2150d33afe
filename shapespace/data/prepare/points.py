"""From a raw scan to points in the store's frame: sampling, centre, scale, sigma, normals, targets.

Frame: a stored point is ``(source - centre) / scale``, with the scale in source units per stored
unit. The result depends only on the scan's own numbers, its name and the seed, so that neither the
other scans nor the number of workers change it.

Letters: n points, V vertices, C cameras, D dimension (2 or 3).
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float32, Float64

from shapespace.config.options import Normals
from shapespace.data.extent import NUM_MEASURED, check_not_far, extent_of
from shapespace.data.formats.readers import RawScan, double_area_normals
from shapespace.data.prepare.curvature import CANDIDATES, chosen_by_curvature
from shapespace.data.prepare.neighbours import NEIGHBOUR, neighbour_distance
from shapespace.data.prepare.normals import normals_of_cloud
from shapespace.data.prepare.targets import given_targets, surface_targets
from shapespace.data.rounding import rounding_of
from shapespace.errors import InputError, one_line
from shapespace.scan import Frame, NormalsKind, PreparedScan, rounded_normals
from shapespace.utils.timing import Timings

NUM_POINTS = 250_000
"""Default number of points of a scan, as IGR samples D-FAUST (Gropp et al. 2020)."""
CLEANED = "--clean:"
"""Begins what the account of a scan says about its cleaning."""


@dataclass(frozen=True)
class PointOptions:
    """Options for sampling a scan.

    Args:
        num_points: number of points. None means 250 000, or all points of a smaller cloud.
        seed: seed of sampling and shuffling.
        scale: source units per stored unit; None for the scan's own radius, see :func:`_frame`.
        normals: "source" keeps the normals of the file or of the faces; "estimate" also estimates
            normals for a cloud that has none; "none" keeps none.
        num_targets: number of points around the scan that are stored with their distance, see
            :func:`~shapespace.data.prepare.targets.surface_targets`. Of a file that holds such
            points itself, 0 stores all.
        sigma: measure the distance of each point to its 50th neighbour. Targets need it, too.
        clean: leave out what is not the shape, see ``clean.py``.
        curvature: weight of the bend of a mesh in the density of its points, see ``curvature.py``;
            0 samples evenly by area.
    """

    num_points: int | None = None
    seed: int = 0
    scale: float | None = 1.0
    normals: Normals = "estimate"
    num_targets: int = 0
    sigma: bool = True
    clean: bool = False
    curvature: float = 0.0

    @property
    def measures_sigma(self) -> bool:
        """Whether sigma is measured."""
        return self.sigma or self.num_targets > 0


def prepare_scan(
    raw: RawScan,
    name: str,
    options: PointOptions = PointOptions(),
    *,
    cameras: Float64[np.ndarray, "C D"] | None = None,
    source: str = "",
    source_hash: str = "",
    stamp: str = "",
    timings: Timings | None = None,
) -> PreparedScan:
    """Sample, centre and scale ``raw``; add sigma, normals and targets as asked.

    A mesh is sampled uniformly by area, or denser where it bends, with the normals of its faces. A
    cloud gives its own points, or a random subset of them; if it has fewer than asked, some are
    drawn again. The centre is the mean of uniform points.

    Args:
        raw: the scan, in source units.
        name: the scan's name. It is part of the seed.
        options: how the scan is sampled.
        cameras: positions in the source's frame from which a cloud was taken. They orient
            estimated normals.
        source: recorded in the store.
        source_hash: recorded in the store.
        stamp: recorded in the store.
        timings: takes the seconds of "sample", "sigma", "normals" and "targets".

    Raises:
        InputError: a cloud has fewer than 51 points; its lengths do not fit into float32; a point
            lies far beyond the others; targets of a mesh are asked for and libigl is missing.
    """
    label = one_line(source or name)
    rng = _generator(name, options.seed)
    timings = Timings() if timings is None else timings
    with timings("sample"):
        points, normals, frame = _sample(raw, options, label=label, rng=rng)
    sigma = None
    if options.measures_sigma:
        with timings("sigma"):
            again = raw.faces is None and len(points) > len(raw.vertices)
            sigma = sigma_of(points, again)
    with timings("normals"):
        stored_cameras = None if cameras is None else frame.to_store(cameras)
        normals, kind = _normals_to_store(
            points, normals, wanted=options.normals, cameras=stored_cameras
        )
    scan = PreparedScan(
        name=name,
        points=points,
        normals=normals,
        sigma=sigma,
        frame=frame,
        source=source,
        source_hash=source_hash,
        num_source_points=len(raw.vertices),
        num_source_faces=0 if raw.faces is None else len(raw.faces),
        seed=options.seed,
        normals_kind=kind,
        stamp=stamp,
        account=_account(raw, len(points)),
    )
    if raw.samples is not None:
        return replace(scan, targets=given_targets(raw.samples, scan, options.num_targets, rng))
    if not options.num_targets:
        return scan
    with timings("targets"):
        # Targets are drawn last, so that asking for them changes none of the points.
        return replace(scan, targets=surface_targets(raw, scan, count=options.num_targets, rng=rng))


def own_radius(raw: RawScan, name: str) -> float:
    """Measure the radius of a scan in source units, stray points left out."""
    count = NUM_MEASURED if raw.faces is not None else min(NUM_MEASURED, len(raw.vertices))
    options = PointOptions(num_points=count, scale=None)
    return _sample(raw, options, label=name, rng=_generator(name, options.seed))[2].scale


def sigma_of(points: Float32[np.ndarray, "n D"], again: bool) -> Float32[np.ndarray, " n"]:
    """Measure the distance of each point to its 50th neighbour.

    With ``again`` points were drawn more than once, and count once.
    """
    if not again:
        return neighbour_distance(points)
    once, rows = np.unique(points, axis=0, return_inverse=True)
    return neighbour_distance(once)[rows.reshape(-1)]


def _account(raw: RawScan, num_points: int) -> str:
    """The account of a raw scan; how it is rounded; how many points of a cloud were drawn again."""
    total = len(raw.vertices)
    parts = [raw.account, str(rounding_of(raw.vertices) or "")]
    if raw.faces is None and num_points > total:
        parts.append(f"drawn with replacement: {num_points} points of {total}")
    return "; ".join(part for part in parts if part)


def _generator(name: str, seed: int) -> np.random.Generator:
    """Make the random generator of one scan from its name and the seed."""
    # A hash that is the same in every process, which Python's own hash of a string is not.
    # "surrogatepass": a file name need not be valid UTF-8.
    key = hashlib.sha256(name.encode("utf-8", "surrogatepass")).digest()[:8]
    return np.random.default_rng((seed, int.from_bytes(key, "big")))


def _sample(
    raw: RawScan, options: PointOptions, label: str, rng: np.random.Generator
) -> tuple[Float32[np.ndarray, "n D"], Float64[np.ndarray, "n D"] | None, Frame]:
    """Draw points in random order: in the store's frame, with the source's normals, if any."""
    # Differences to a vertex of the scan are taken first: a scan far from its origin then gives the
    # same points as one near to it. A vertex of a face is safe, others may lie anywhere.
    origin = raw.vertices[0 if raw.faces is None else raw.faces[0, 0]]
    check_not_far(label, raw.vertices, raw.faces)
    if raw.faces is None:
        local, normals = _choose_points(
            raw, origin, label=label, num_points=options.num_points, rng=rng
        )
    else:
        count = options.num_points or NUM_POINTS
        drawn = CANDIDATES * count if options.curvature else count
        local, normals = sample_mesh(raw, origin, num_points=drawn, rng=rng)
    # The centre is that of the surface, wherever the points are dense.
    mean, scale = _frame(local, options.scale)
    local -= mean
    if options.curvature:
        if raw.faces is None or normals is None:
            raise InputError(
                f"{label}: is a cloud, whose points are as they are; leave "
                f"curvature={options.curvature:g} out"
            )
        rows = chosen_by_curvature(
            local, normals, weight=options.curvature, count=len(local) // CANDIDATES, rng=rng
        )
        local, normals = local[rows], normals[rows]
    return _scaled(label, local, scale), normals, Frame(origin + mean, scale)


def _frame(
    local: Float64[np.ndarray, "n D"], scale: float | None
) -> tuple[Float64[np.ndarray, " D"], float]:
    """Find the mean and the scale of the points.

    Where the scale is to be found, it is the largest distance from the mean. Stray points count for
    neither, see ``extent.py``.
    """
    if scale is not None:
        return local.mean(axis=0), scale
    holds = extent_of(local).holds(local)
    own = local if holds.all() else local[holds]
    mean = own.mean(axis=0)
    return mean, float(np.sqrt(((own - mean) ** 2).sum(axis=1).max()))


def _normals_to_store(
    points: Float32[np.ndarray, "n D"],
    normals: Float64[np.ndarray, "n D"] | None,
    wanted: Normals,
    cameras: Float64[np.ndarray, "C D"] | None,
) -> tuple[Float32[np.ndarray, "n D"] | None, NormalsKind]:
    """Choose or estimate the normals, round them as the store does, and say their kind."""
    if wanted == "none" or (wanted == "source" and normals is None):
        return None, "none"
    if normals is not None:
        return rounded_normals(normals), "measured"
    estimated, kind = normals_of_cloud(points.astype(np.float64), cameras)
    return rounded_normals(estimated), kind


def _choose_points(
    raw: RawScan,
    origin: Float64[np.ndarray, " D"],
    label: str,
    num_points: int | None,
    rng: np.random.Generator,
) -> tuple[Float64[np.ndarray, "n D"], Float64[np.ndarray, "n D"] | None]:
    """Draw points of a cloud, relative to ``origin``, with their normals.

    A point is drawn again only if there are fewer than asked: then all are there before any is.
    """
    total = len(raw.vertices)
    wanted = min(NUM_POINTS, total) if num_points is None else num_points
    if total <= NEIGHBOUR:
        raise InputError(f"{label}: {total} points; a cloud needs at least {NEIGHBOUR + 1}")
    rows = rng.permutation(total)[:wanted]
    if total < wanted:
        rows = rng.permutation(np.concatenate([rows, rng.integers(total, size=wanted - total)]))
    return raw.vertices[rows] - origin, None if raw.normals is None else raw.normals[rows]


def sample_mesh(
    raw: RawScan,
    origin: Float64[np.ndarray, " D"],
    num_points: int,
    rng: np.random.Generator,
) -> tuple[Float64[np.ndarray, "n 3"], Float64[np.ndarray, "n 3"]]:
    """Draw independent points, uniform by area, relative to ``origin``, with their face normals.

    Args:
        raw: a mesh.
        origin: subtracted from the vertices first, which keeps the digits of a mesh far away.
        num_points: number of points, n.
        rng: source of all random numbers.
    """
    assert raw.faces is not None
    normals = double_area_normals(raw.vertices, raw.faces)
    area = np.linalg.norm(normals, axis=1)
    # A face without area has no normal.
    positive = area > 0
    faces = raw.faces[positive]
    normals = normals[positive]
    area = area[positive]
    cumulative = np.cumsum(area)
    chosen = np.searchsorted(cumulative, rng.random(num_points) * cumulative[-1], side="right")
    # The product can round up to the total area, which lies beyond the last face.
    chosen = np.minimum(chosen, len(faces) - 1)
    # The part of a triangle nearer to corner a than a share t of the way has the area t^2:
    # the root of a uniform number makes the points uniform by area.
    from_a = np.sqrt(rng.random((num_points, 1)))
    from_b = rng.random((num_points, 1))
    a, b, c = (raw.vertices[faces[chosen, corner]] - origin for corner in range(3))
    points = a + from_a * ((b - a) + from_b * (c - b))
    return points, normals[chosen] / area[chosen, None]


def _scaled(
    label: str, local: Float64[np.ndarray, "n D"], scale: float
) -> Float32[np.ndarray, "n D"]:
    """Divide by ``scale``; :class:`InputError` if squared lengths would leave float32's range."""
    with np.errstate(all="ignore"):
        points = (local / scale).astype(np.float32)
        reach = np.abs(points).max()
    # The squares, 1e-36 to 1e36, are normal float32 numbers (1.2e-38 to 3.4e38).
    if not 1e-18 < reach < 1e18:
        raise InputError(
            f"{label}: reaches {np.abs(local).max() / scale:.3g} stored units from its centre, "
            "beyond float32; give its --unit or --normalise"
        )
    return points


def with_sigma(scans: Sequence[PreparedScan], needed: bool) -> Sequence[PreparedScan]:
    """The scans, with sigma if it is needed; measured here if ``prepare`` did not."""
    return [_measured(scan) for scan in scans] if needed else scans


def _measured(scan: PreparedScan) -> PreparedScan:
    """The scan with sigma."""
    if scan.sigma is not None:
        return scan
    again = not scan.num_source_faces and len(scan.points) > scan.num_source_points
    return replace(scan, sigma=sigma_of(scan.points, again))
