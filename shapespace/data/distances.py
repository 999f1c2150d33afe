"""Distances from points around a scan to its points, measured where no store has them.

SAL (Atzmon and Lipman 2020) draws the same points in advance; here they are drawn anew each time.

Frame: that of the scan, distances in its unit. Sign: positive outside.
Letters: n points of a scan, K points asked for, D dimension.
"""

from collections.abc import Set
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Float32, Float64, Int, Int64
from scipy.spatial import KDTree

from shapespace.data.prepare.neighbours import NEIGHBOUR
from shapespace.errors import InputError
from shapespace.scan import OF_TARGETS, Need, PreparedScan, TargetSamples

FAR = 0.2
"""Standard deviation of every second point about its surface point, in the store's unit.

SAL's for D-FAUST, whose unit is the metre (``preprocess_dfaust.py``). That of the other points is
the distance of their surface point to its 50th neighbour.
"""


class Nearest(NamedTuple):
    """The points of a scan nearest to some points.

    Args:
        distance: to them.
        direction: of unit length, away from them; 0 on them.
        row: of them in the scan.
    """

    distance: Float64[np.ndarray, " K"]
    direction: Float64[np.ndarray, "K D"]
    row: Int64[np.ndarray, " K"]


class SearchTree(NamedTuple):
    """The points of a scan, to search in.

    Args:
        points: in the store's frame.
        sigma: distance of each point to its 50th neighbour; NaN where it was not measured yet.
    """

    points: KDTree
    sigma: Float32[np.ndarray, " n"]

    @classmethod
    def of(
        cls, points: Float32[np.ndarray, "n D"], sigma: Float32[np.ndarray, " n"] | None
    ) -> "SearchTree":
        """The tree of a scan; a None sigma is measured where it is needed."""
        known = np.full(len(points), np.nan, np.float32) if sigma is None else sigma
        return cls(KDTree(points.astype(np.float64)), known)

    def spacing(self, rows: Int64[np.ndarray, " K"]) -> Float32[np.ndarray, " K"]:
        """Sigma of some points; what is measured here is kept."""
        new = np.unique(rows[np.isnan(self.sigma[rows])])
        if len(new):
            # The first neighbour of a point is the point itself.
            neighbour = min(NEIGHBOUR + 1, self.points.n)
            self.sigma[new] = self.points.query(self.points.data[new], [neighbour])[0][:, 0]
        return self.sigma[rows]


def nearest(tree: SearchTree, points: Float32[np.ndarray, "K D"]) -> Nearest:
    """Find the point of a scan nearest to each of some points."""
    queries = points.astype(np.float64)
    distance, row = tree.points.query(queries)
    away = queries - tree.points.data[row]
    length = np.where(distance > 0, distance, 1.0)
    return Nearest(distance, away / length[:, None], np.asarray(row, np.int64))


def points_around(
    tree: SearchTree, count: int, rng: np.random.Generator
) -> Float32[np.ndarray, "K D"]:
    """Draw points around a scan: every second one by the scan's own spacing, the others by ``FAR``.

    Args:
        tree: of the points of the scan.
        count: K.
        rng: source of all random numbers.
    """
    rows = rng.integers(tree.points.n, size=count)
    deviation = np.full(count, FAR)
    deviation[::2] = tree.spacing(rows[::2])
    noise = rng.normal(size=(count, tree.points.m))
    return (tree.points.data[rows] + deviation[:, None] * noise).astype(np.float32)


def rows_of_both_sides(
    distance: Float[np.ndarray, " m"], count: int, start: int = 0
) -> Int[np.ndarray, " K"]:
    """Rows of K targets, half of them inside and half outside, as DeepSDF draws them.

    Of a side that has fewer than its half, rows come again. A distance of 0 counts as outside.

    Args:
        distance: signed distance of each target, positive outside.
        count: K; of an odd number one more is outside.
        start: where the window begins, in the rows of each side.

    Raises:
        InputError: no target is inside, or none outside.
    """
    inside, outside = np.flatnonzero(distance < 0), np.flatnonzero(distance >= 0)
    if not len(inside) or not len(outside):
        raise InputError(
            f"none of its {len(distance)} targets is {'outside' if len(inside) else 'inside'}, and "
            "half of them are to be; prepare more --targets, or give the objective "
            "both_sides=false"
        )
    half = count // 2
    return np.concatenate(
        [
            side[(start + np.arange(number)) % len(side)]
            for side, number in ((inside, half), (outside, count - half))
        ]
    )


def measured_targets(
    scan: PreparedScan, needs: Set[Need], count: int, seed: int
) -> TargetSamples | None:
    """Targets of a scan that is no part of a training, such as one that is fitted.

    Its own targets are taken where it has some of the kind that is needed, again from the first
    where there are fewer than K, and half of them inside where both sides are needed. Otherwise
    distances to its points are measured. Where signed ones are needed, the normal of the nearest
    point says the side, which is right near the surface.

    Args:
        scan: any prepared scan.
        needs: of the objective.
        count: K.
        seed: of the points that are drawn.

    Returns:
        A batch of one scan; None if nothing is needed, or the side cannot be known.
    """
    if not needs & OF_TARGETS or not len(scan.points):
        return None
    signed = "signed" in needs
    sigma = None if scan.sigma is None else scan.sigma.copy()
    tree = SearchTree.of(scan.points, sigma)
    own = scan.targets
    if own is not None and len(own.points) and (own.signed or not signed):
        rows = np.arange(count) % len(own.points)
        if "both_sides" in needs:
            rows = rows_of_both_sides(own.distance, count)
        points, distance = own.points[rows], own.distance[rows].astype(np.float64)
        found = nearest(tree, points)
    else:
        rng = np.random.default_rng((seed, 1))
        points = points_around(tree, count, rng)
        found = nearest(tree, points)
        distance = found.distance
        normals = scan.trusted_normals
        if signed and normals is None:
            return None
        if signed and normals is not None:
            side = (found.direction * normals[found.row]).sum(-1)
            distance = np.where(side < 0, -distance, distance)
    side = np.where(distance < 0, -1.0, 1.0)
    gradient = (found.direction * side[:, None]).astype(np.float32)
    wanted = "distance_gradient" in needs
    targets = TargetSamples(
        points=torch.from_numpy(points)[None],
        distance=torch.from_numpy(distance.astype(np.float32))[None],
        gradient=torch.from_numpy(gradient)[None] if wanted else None,
        signed=True,
    )
    return targets if signed else targets.unsigned()
