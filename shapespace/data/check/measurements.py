"""Measurements of one scan.

Frame: stored units, about the scan's centre.

Letters: n points, D dimension (2 or 3), F faces.
"""

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from jaxtyping import Bool, Float64, Int64
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from shapespace.data.check.cloud import Cloud, Reading, predicted_sigma
from shapespace.data.check.handedness import principal_occupancy
from shapespace.data.check.orientation import measure_orientation
from shapespace.data.check.rotations import Occupancy, occupancy
from shapespace.data.prepare.points import NEIGHBOUR
from shapespace.data.spacing import Spacing, spacing_of, split_components
from shapespace.scan import TRUSTED

FEW = 5
"""A separate component of fewer points counts as isolated points."""
UNIT = 0.01
"""A normal counts as odd if its length differs from 1 by more."""


@dataclass(frozen=True)
class Component:
    """A connected component of the points apart from the shape, or a large one that belongs to it.

    Args:
        share: its share of all points.
        gap: its distance to the rest of the shape, in median spacings.
    """

    share: float
    gap: float


@dataclass(frozen=True)
class ScanFacts:
    """Measurements of one scan. Lengths are in stored units.

    The names of the fields are the keys of the JSON report. A scan that cannot be read has only
    ``name``, ``error`` and ``error_kind``. The shape is the scan without small separate components.

    Args:
        name: the scan's name.
        error: why the scan cannot be read, else "".
        error_kind: "unreadable", "far" (a point lies out of all proportion) or "no scan" (such as
            samples of a volume) for a file, "damaged" for a stored scan.
        dimension: 2 or 3.
        num_points: number of points of the source, or of the store.
        num_faces: number of faces, 0 for a cloud.
        normals_kind: where the normals come from.
        source_hash: sha256 of the source, hexadecimal.
        size: sides of the bounding box of the shape.
        reach: largest coordinate of the shape.
        reach_all: largest coordinate of all points.
        offset: distance of the mean of all points from the centre.
        origin: distance of the source's origin from the centre.
        thickness: smallest by largest standard deviation along the principal axes.
        sigma: median noise scale; of a file, the one to be expected.
        uneven: area that a point stands for, 95th by 5th percentile.
        pieces: separate components of five points or more, largest first.
        isolated: share of the points in smaller components.
        isolated_gap: widest gap between the shape and a smaller component, in median spacings.
        unknown_normals: share of normals that are zero.
        odd_normals: share of the other normals whose length is not 1.
        opposed: see ``NormalsOrientation``; None without trusted normals, like the next four.
        inward: see ``NormalsOrientation``.
        outward: see ``NormalsOrientation``.
        openness: see ``NormalsOrientation``.
        away: see ``NormalsOrientation``; () without trusted normals.
        border: share of boundary edges, see :func:`boundary_edges`; None for a cloud.
        border_loops: number of boundary loops; None for a cloud.
        reading: how it was read. Its fields stand beside the others in the report.
        moments: see :func:`shapespace.data.check.cloud.moments`. Not part of the report.
        occupancy: see :func:`~shapespace.data.check.rotations.occupancy`. Not part of the report.
        principal: the same along the principal axes. Not part of the report.
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
    pieces: tuple[Component, ...] = ()
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
    reading: Reading = field(default_factory=Reading)
    moments: tuple[float, ...] = field(default=(), repr=False)
    occupancy: Occupancy | None = field(default=None, repr=False)
    principal: Occupancy | None = field(default=None, repr=False)

    @property
    def length(self) -> float:
        """The longest side of the bounding box."""
        return max(self.size, default=0.0)


def measure_scan(name: str, cloud: Cloud) -> ScanFacts:
    """Measure one scan. Facts about neighbours need more than 50 points."""
    share, loops = (None, None) if cloud.faces is None else boundary_edges(cloud.faces)
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
        reading=cloud.reading,
        **_box(cloud.points),
    )
    if len(cloud.points) <= NEIGHBOUR or not facts.length:
        return facts
    near = spacing_of(cloud.points)
    shape, separate = split_components(cloud.points, near)
    return replace(
        facts,
        **_box(cloud.points[shape]),
        **_density(cloud, near, shape),
        **_separate(separate, len(cloud.points)),
        **_normal_facts(cloud, near, shape),
        occupancy=occupancy(cloud.points[shape]),
        principal=principal_occupancy(cloud.points[shape]),
    )


def _box(points: Float64[np.ndarray, "n D"]) -> dict[str, Any]:
    """Measure the extent: the facts size, reach and thickness."""
    local = points - points.mean(axis=0)
    variances = np.linalg.eigvalsh(local.T @ local).clip(0)
    return {
        "size": tuple(float(side) for side in np.ptp(points, axis=0)),
        "reach": float(np.abs(points).max()),
        "thickness": float(np.sqrt(variances[0] / variances[-1])) if variances[-1] else 0.0,
    }


def _density(cloud: Cloud, near: Spacing, shape: Bool[np.ndarray, " n"]) -> dict[str, Any]:
    """Measure the density: the facts sigma and uneven."""
    low, middle, high = np.percentile(near.spacing[shape], [5, 50, 95])
    prediction = predicted_sigma(float(middle), near.index.shape[1], cloud)
    return {
        "sigma": prediction if cloud.sigma is None else cloud.sigma,
        "uneven": float(high / low) ** (cloud.points.shape[1] - 1) if low > 0 else None,
    }


def _separate(components: list[tuple[int, float]], n: int) -> dict[str, Any]:
    """Tell components from isolated points: the facts pieces, isolated and isolated_gap."""
    few = [(count, gap) for count, gap in components if count < FEW]
    return {
        "pieces": tuple(Component(count / n, gap) for count, gap in components if count >= FEW),
        "isolated": sum(count for count, _ in few) / n,
        "isolated_gap": max((gap for _, gap in few), default=0.0),
    }


def _normal_facts(cloud: Cloud, near: Spacing, shape: Bool[np.ndarray, " n"]) -> dict[str, Any]:
    """Measure the normals: the facts from unknown_normals to away."""
    if cloud.normals is None:
        return {}
    length = np.linalg.norm(cloud.normals, axis=1)
    known = length > 0
    odd = float((np.abs(length[known] - 1) > UNIT).mean()) if known.any() else 0.0
    facts: dict[str, Any] = {"unknown_normals": float((~known).mean()), "odd_normals": odd}
    if cloud.normals_kind not in TRUSTED:
        return facts
    unit = cloud.normals / np.where(known, length, 1.0)[:, None]
    orientation = measure_orientation(cloud.points, unit, near=near, shape=shape)
    return {
        **facts,
        "opposed": orientation.opposed,
        "inward": orientation.inward,
        "outward": orientation.outward,
        "openness": orientation.openness,
        "away": tuple(float(x) for x in orientation.away),
    }


def boundary_edges(faces: Int64[np.ndarray, "F 3"]) -> tuple[float, int]:
    """Measure the share of edges that belong to one face only, and count the loops they form.

    A chain of boundary edges that is not closed counts as a loop.
    """
    start = faces.T.ravel()
    end = np.roll(faces, -1, axis=1).T.ravel()
    size = int(faces.max()) + 1
    # One number for each edge, whatever its direction; equal numbers stand together after sorting.
    edge = np.sort(np.minimum(start, end) * size + np.maximum(start, end))
    new = np.concatenate([[True], edge[1:] != edge[:-1], [True]])
    boundary = edge[new[:-1] & new[1:]]
    if not len(boundary):
        return 0.0, 0
    ends = np.stack([boundary // size, boundary % size])
    vertex, number = np.unique(ends, return_inverse=True)
    links = coo_matrix(
        (np.ones(len(boundary), bool), number.reshape(2, -1)), shape=(len(vertex), len(vertex))
    )
    loops = int(connected_components(links, directed=False)[0])
    return len(boundary) / int(new[:-1].sum()), loops
