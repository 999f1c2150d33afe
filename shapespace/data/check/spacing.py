"""How close the points of a scan lie, and which of them hang together.

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
"""Two neighbours hang together within so many times the spacing at either."""
GAP = 2.5
"""A piece is apart if the gap is so many times the median spacing. Hands that a scanner's shadow
cut off lie at 1.7 to 1.9, flying pixels and pieces of floor at 2.1 to 26."""
LARGE = 0.05
"""Share of the points from which on a piece belongs to the shape."""


@dataclass(frozen=True)
class Spacing:
    """The K nearest others of every point. spacing: distance to the last of them."""

    index: Int64[np.ndarray, "n K"]
    distance: Float64[np.ndarray, "n K"]

    @property
    def spacing(self) -> Float64[np.ndarray, " n"]:
        """Distance to the K-th neighbour."""
        return self.distance[:, -1]


def spacing_of(points: Float64[np.ndarray, "n D"]) -> Spacing:
    """The nearest others of every point; n > K."""
    order = KDTree(points).indices  # queries in the tree's own order take half the time
    count = NUM_NEIGHBOURS[points.shape[1]]
    distance, index = KDTree(points[order]).query(points[order], count + 1)
    back = np.argsort(order)
    return Spacing(order[np.asarray(index)[back, 1:]], np.asarray(distance)[back, 1:])


def split_pieces(
    points: Float64[np.ndarray, "n D"], near: Spacing
) -> tuple[Bool[np.ndarray, " n"], list[tuple[int, float]]]:
    """Which points belong to the shape, and (points, gap in spacings) of each other piece.

    The shape is the largest piece, what lies close to it, and all that is large.
    """
    label = _linked(near)
    count = np.bincount(label)
    shape, unit = label == count.argmax(), float(np.median(near.spacing)) or 1.0
    pieces: dict[int, float] = {}
    while not shape.all():
        rest = np.flatnonzero(~shape)
        gap = np.full(len(count), np.inf)
        np.minimum.at(gap, label[rest], np.asarray(KDTree(points[shape]).query(points[rest])[0]))
        pieces = {int(i): float(gap[i] / unit) for i in np.flatnonzero(np.isfinite(gap))}
        close = [i for i, times in pieces.items() if times <= GAP]
        if not close:
            break
        shape |= np.isin(label, close)
        pieces = {}
    large = [i for i in pieces if count[i] >= LARGE * len(points)]
    found = sorted(((int(count[i]), float(times)) for i, times in pieces.items()), reverse=True)
    return shape | np.isin(label, large), found


def _linked(near: Spacing) -> Int64[np.ndarray, " n"]:
    """A number for each point, the same for all that hang together."""
    n = len(near.index)
    allowed = LINK * np.minimum(near.spacing[:, None], near.spacing[near.index])
    row, column = np.nonzero(near.distance <= allowed)
    links = coo_matrix((np.ones(len(row), bool), (row, near.index[row, column])), shape=(n, n))
    return connected_components(links, directed=False)[1].astype(np.int64)
