"""Spacing between the points of a scan, and the connected components that the points form.

Letters: n points, K neighbours, D dimension (2 or 3).
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float64, Int64
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components
from scipy.spatial import KDTree

NUM_NEIGHBOURS = {2: 16, 3: 8}
"""K by dimension. Random points of a curve leave longer gaps than those of a surface."""
LINK = 3.0
"""Two neighbours are linked up to this times the smaller of the spacings at both."""
GAP = 2.5
"""Gap to the shape, in median spacings, up to which a component belongs to the shape.

A wider gap makes it a separate component. Hands that a scanner's shadow cut off lie at 1.7 to 1.9,
flying pixels and pieces of floor at 2.1 to 26.
"""
LARGE = 0.05
"""Share of the points from which on a separate component belongs to the shape all the same."""


@dataclass(frozen=True)
class Spacing:
    """The K nearest other points of every point.

    Args:
        index: their indices, nearest first.
        distance: their distances.
    """

    index: Int64[np.ndarray, "n K"]
    distance: Float64[np.ndarray, "n K"]

    @property
    def spacing(self) -> Float64[np.ndarray, " n"]:
        """The distance of each point to its K-th neighbour."""
        return self.distance[:, -1]


def spacing_of(points: Float64[np.ndarray, "n D"]) -> Spacing:
    """Find the nearest other points of every point. There must be more points than K."""
    # Queries in the tree's own order take half the time.
    order = KDTree(points).indices
    count = NUM_NEIGHBOURS[points.shape[1]]
    distance, index = KDTree(points[order]).query(points[order], count + 1)
    back = np.argsort(order)
    # Column 0 is the point itself.
    return Spacing(order[np.asarray(index)[back, 1:]], np.asarray(distance)[back, 1:])


def split_components(
    points: Float64[np.ndarray, "n D"], near: Spacing
) -> tuple[Bool[np.ndarray, " n"], list[tuple[int, float]]]:
    """Separate the shape from what lies apart from it.

    The shape is the largest connected component, all that lies close to it (``GAP``), and every
    large component (``LARGE``).

    Returns:
        The points that belong to the shape; and of each separate component, also of a large one,
        the number of points and the gap to the shape in median spacings, largest first.
    """
    label = _linked(near)
    count = np.bincount(label)
    shape = label == count.argmax()
    unit = float(np.median(near.spacing)) or 1.0
    gaps: dict[int, float] = {}
    # What joins the shape may bring others within reach of it: repeat until nothing joins.
    while not shape.all():
        rest = np.flatnonzero(~shape)
        gap = np.full(len(count), np.inf)
        np.minimum.at(gap, label[rest], np.asarray(KDTree(points[shape]).query(points[rest])[0]))
        gaps = {int(i): float(gap[i] / unit) for i in np.flatnonzero(np.isfinite(gap))}
        close = [component for component, times in gaps.items() if times <= GAP]
        if not close:
            break
        shape |= np.isin(label, close)
        gaps = {}
    large = [component for component in gaps if count[component] >= LARGE * len(points)]
    separate = [(int(count[component]), float(times)) for component, times in gaps.items()]
    return shape | np.isin(label, large), sorted(separate, reverse=True)


def _linked(near: Spacing) -> Int64[np.ndarray, " n"]:
    """Number the connected component of each point."""
    n = len(near.index)
    # The smaller spacing decides, so that a sparse point does not link to a dense region.
    allowed = LINK * np.minimum(near.spacing[:, None], near.spacing[near.index])
    row, column = np.nonzero(near.distance <= allowed)
    links = coo_matrix((np.ones(len(row), bool), (row, near.index[row, column])), shape=(n, n))
    return connected_components(links, directed=False)[1].astype(np.int64)
