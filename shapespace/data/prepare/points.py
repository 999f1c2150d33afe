"""From a raw scan to points in the store's frame: sample, centre, scale; sigma, normals, targets.

Frame: a stored point is ``(source - centre) / scale``, scale in source units per stored unit.
What a scan becomes depends on its own numbers, its name and the seed alone.

Letters: n points, V vertices, C cameras, D dimension (2 or 3).
"""

import hashlib
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from jaxtyping import Float32, Float64

from shapespace.data.formats.readers import RawScan, double_area_normals
from shapespace.data.prepare.neighbours import NEIGHBOUR, neighbour_distance
from shapespace.data.prepare.normals import normals_of_cloud
from shapespace.data.prepare.targets import surface_targets
from shapespace.errors import InputError, one_line
from shapespace.scan import Frame, NormalsKind, PreparedScan, rounded_normals
from shapespace.utils.timing import Timings

NUM_POINTS = 250_000
"""Points a scan, as IGR samples D-FAUST (Gropp et al. 2020)."""
NormalsSource = Literal["estimate", "source", "none"]
"""Normals of the source, those and estimated ones where a cloud has none, or no normals."""


@dataclass(frozen=True)
class PointOptions:
    """What is asked of a scan.

    Args:
        num_points: 250 000 by default, or all that a smaller cloud has.
        seed: of sampling and shuffling.
        scale: source units per stored unit; None for the scan's own radius.
        normals: "source" keeps those of the file or of the faces; "estimate" fits them where a
            cloud has none; "none" keeps none.
        num_targets: points around the scan with their distance, see :func:`surface_targets`.
    """

    num_points: int | None = None
    seed: int = 0
    scale: float | None = 1.0
    normals: NormalsSource = "estimate"
    num_targets: int = 0


def prepare_scan(
    raw: RawScan,
    name: str,
    options: PointOptions = PointOptions(),
    *,
    cameras: Float64[np.ndarray, "C D"] | None = None,
    source: str = "",
    source_hash: str = "",
    stamp: str = "",
    stages: Timings | None = None,
) -> PreparedScan:
    """Sample, centre and scale ``raw``, measure sigma, and add normals and targets as asked.

    A mesh is sampled uniformly by area, with the normals of its faces; a cloud gives its own
    points, a random subset if there are more than asked. The centre is the mean of the points.

    Args:
        raw: in source units.
        name: the scan's name, part of the seed.
        options: what is asked.
        cameras: where a cloud was seen from, source frame; they orient estimated normals.
        source: recorded in the store.
        source_hash: recorded in the store.
        stamp: recorded in the store.
        stages: takes the seconds of "sample", "sigma", "normals", "targets".

    Raises:
        InputError: fewer than 51 points, or than asked, or lengths that float32 cannot hold;
            targets of a mesh without libigl.
    """
    label, rng = one_line(source or name), _generator(name, options.seed)
    stages = Timings() if stages is None else stages
    with stages("sample"):
        points, normals, frame = _sampled(raw, options, label, rng)
    with stages("sigma"):
        sigma = neighbour_distance(points)
    with stages("normals"):
        given = None if cameras is None else frame.to_store(cameras)
        normals, kind = _with_kind(points, normals, options.normals, given)
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
    )
    if not options.num_targets:
        return scan
    with stages("targets"):
        return replace(scan, targets=surface_targets(raw, scan, options.num_targets, rng))


def _generator(name: str, seed: int) -> np.random.Generator:
    key = hashlib.sha256(name.encode("utf-8", "surrogatepass")).digest()[:8]
    return np.random.default_rng((seed, int.from_bytes(key, "big")))


def _sampled(
    raw: RawScan, options: PointOptions, label: str, rng: np.random.Generator
) -> tuple[Float32[np.ndarray, "n D"], Float64[np.ndarray, "n D"] | None, Frame]:
    """Points of the store's frame in random order, the normals that the source gives them."""
    origin = raw.vertices[0 if raw.faces is None else raw.faces[0, 0]]
    if raw.faces is None:
        local, normals = _choose_points(raw, origin, label, options.num_points, rng)
    else:
        local, normals = _sample_mesh(raw, origin, options.num_points or NUM_POINTS, rng)
    mean = local.mean(axis=0)
    local -= mean
    radius = float(np.sqrt((local**2).sum(axis=1).max()))
    frame = Frame(origin + mean, radius if options.scale is None else options.scale)
    return _stored(label, local, frame.scale), normals, frame


def _with_kind(
    points: Float32[np.ndarray, "n D"],
    normals: Float64[np.ndarray, "n D"] | None,
    wish: NormalsSource,
    cameras: Float64[np.ndarray, "C D"] | None,
) -> tuple[Float32[np.ndarray, "n D"] | None, NormalsKind]:
    """The normals to keep, as the store rounds them, and where they come from."""
    if wish == "none" or (wish == "source" and normals is None):
        return None, "none"
    if normals is not None:
        return rounded_normals(normals), "measured"
    estimated, kind = normals_of_cloud(points.astype(np.float64), cameras)
    return rounded_normals(estimated), kind


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
