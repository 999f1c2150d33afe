"""What is measured of one scan.

Frame: stored units, about the scan's centre. Letters: n points, D dimension (2 or 3).
"""

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from jaxtyping import Bool, Float64, Int64
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from shapespace.data.check.cloud import Cloud, guessed_sigma
from shapespace.data.check.orientation import sides_of
from shapespace.data.check.rotations import Occupancy, occupancy
from shapespace.data.check.spacing import Spacing, spacing_of, split_pieces
from shapespace.data.prepare.points import NEIGHBOUR
from shapespace.scan import TRUSTED

FEW = 5
"""A piece of fewer points is a few isolated points."""


@dataclass(frozen=True)
class Piece:
    """Points apart from the shape. share: of all; gap: to the shape, in median spacings."""

    share: float
    gap: float


@dataclass(frozen=True)
class ScanFacts:
    """What is known of one scan; ``error`` alone (and its kind) if it could not be read.

    size: sides of the bounding box of the shape, that is without small pieces apart. reach: its
    largest coordinate; reach_all: with the pieces. offset: of the mean from the centre. origin:
    of the source's from the centre. thickness: smallest by largest standard deviation along the
    principal axes. sigma: median noise scale, of a folder the one to be expected. uneven: area a
    point stands for, 95th by 5th percentile. pieces: those apart, five points or more, largest
    first; isolated: share of the points in smaller ones; isolated_gap: the widest of theirs.
    unknown_normals, odd_normals: shares of zero rows, and of others not of length 1. opposed,
    inward, outward, openness, away: see ``Sides``; None without trusted normals.
    border, border_loops: see ``borders``, None for a cloud. moments: see
    :func:`shapespace.data.check.cloud.moments`. Lengths are in stored units.
    """

    name: str
    error: str = ""
    error_kind: str = ""
    dimension: int = 0
    num_points: int = 0
    num_faces: int = 0
    normals_kind: str = "none"
    source_hash: str = ""
    size: tuple[float, ...] = ()
    reach: float = 0.0
    reach_all: float = 0.0
    offset: float = 0.0
    origin: float = 0.0
    thickness: float = 1.0
    sigma: float | None = None
    uneven: float | None = None
    pieces: tuple[Piece, ...] = ()
    isolated: float = 0.0
    isolated_gap: float = 0.0
    unknown_normals: float = 0.0
    odd_normals: float = 0.0
    opposed: float | None = None
    inward: float | None = None
    outward: float | None = None
    openness: float | None = None
    away: tuple[float, ...] = ()
    border: float | None = None
    border_loops: int | None = None
    moments: tuple[float, ...] = field(default=(), repr=False)
    occupancy: Occupancy | None = field(default=None, repr=False)

    @property
    def length(self) -> float:
        """Longest side of the bounding box."""
        return max(self.size, default=0.0)


def measure_scan(name: str, cloud: Cloud) -> ScanFacts:
    """All facts of one scan; those about neighbours only if there are more than 50 points."""
    share, loops = (None, None) if cloud.faces is None else borders(cloud.faces)
    facts = ScanFacts(
        name,
        dimension=cloud.points.shape[1],
        num_points=cloud.num_points,
        num_faces=0 if cloud.faces is None else len(cloud.faces),
        normals_kind=cloud.normals_kind,
        source_hash=cloud.source_hash,
        reach_all=cloud.reach,
        offset=cloud.offset,
        origin=cloud.origin,
        border=share,
        border_loops=loops,
        moments=cloud.moments,
        **_box(cloud.points),
    )
    if len(cloud.points) <= NEIGHBOUR or not facts.length:
        return facts
    near = spacing_of(cloud.points)
    shape, apart = split_pieces(cloud.points, near)
    return replace(
        facts,
        **_box(cloud.points[shape]),
        **_density(cloud, near, shape),
        **_apart(apart, len(cloud.points)),
        **_normal_facts(cloud, near, shape),
        occupancy=occupancy(cloud.points[shape]),
    )


def _box(points: Float64[np.ndarray, "n D"]) -> dict[str, Any]:
    local = points - points.mean(axis=0)
    spread = np.linalg.eigvalsh(local.T @ local).clip(0)
    return {
        "size": tuple(float(side) for side in np.ptp(points, axis=0)),
        "reach": float(np.abs(points).max()),
        "thickness": float(np.sqrt(spread[0] / spread[-1])) if spread[-1] else 0.0,
    }


def _density(cloud: Cloud, near: Spacing, shape: Bool[np.ndarray, " n"]) -> dict[str, Any]:
    low, middle, high = np.percentile(near.spacing[shape], [5, 50, 95])
    guess = guessed_sigma(float(middle), near.index.shape[1], cloud)
    return {
        "sigma": guess if cloud.sigma is None else cloud.sigma,
        "uneven": float(high / low) ** (cloud.points.shape[1] - 1) if low > 0 else None,
    }


def _apart(pieces: list[tuple[int, float]], n: int) -> dict[str, Any]:
    few = [(count, gap) for count, gap in pieces if count < FEW]
    return {
        "pieces": tuple(Piece(count / n, gap) for count, gap in pieces if count >= FEW),
        "isolated": sum(count for count, _ in few) / n,
        "isolated_gap": max((gap for _, gap in few), default=0.0),
    }


def _normal_facts(cloud: Cloud, near: Spacing, shape: Bool[np.ndarray, " n"]) -> dict[str, Any]:
    if cloud.normals is None:
        return {}
    length = np.linalg.norm(cloud.normals, axis=1)
    known = length > 0
    facts: dict[str, Any] = {
        "unknown_normals": float((~known).mean()),
        "odd_normals": float((np.abs(length[known] - 1) > 0.01).mean()) if known.any() else 0.0,
    }
    if cloud.normals_kind not in TRUSTED:
        return facts
    unit = cloud.normals / np.where(known, length, 1.0)[:, None]
    sides = sides_of(cloud.points, unit, near, shape)
    facts |= {key: getattr(sides, key) for key in ("opposed", "inward", "outward", "openness")}
    return {**facts, "away": tuple(float(x) for x in sides.away)}


def borders(faces: Int64[np.ndarray, "F 3"]) -> tuple[float, int]:
    """Share of the edges that bound one face only, and the loops (or chains) that they form."""
    start, end = faces.T.ravel(), np.roll(faces, -1, axis=1).T.ravel()
    size = int(faces.max()) + 1
    edge = np.sort(np.minimum(start, end) * size + np.maximum(start, end))
    new = np.concatenate([[True], edge[1:] != edge[:-1], [True]])
    alone = edge[new[:-1] & new[1:]]
    if not len(alone):
        return 0.0, 0
    vertex, number = np.unique(np.stack([alone // size, alone % size]), return_inverse=True)
    links = coo_matrix(
        (np.ones(len(alone), bool), number.reshape(2, -1)), shape=(len(vertex), len(vertex))
    )
    return len(alone) / int(new[:-1].sum()), int(connected_components(links, directed=False)[0])
