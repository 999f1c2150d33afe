"""Distance of every point to its k-th nearest neighbour: a grid first, a k-d tree for the rest.

The side of a cell is a guess at the k-th distance. All points nearer than one side lie in the
point's own cell or in the cells around it. A k-th distance found there is therefore exact if it is
below one side. The other points are left to the tree. On points of even density this takes half
the time of the tree alone. The result is the tree's whatever the constants below: they only
decide the time.

Letters: n points, r rows among them, m candidates, D dimension.
"""

from collections.abc import Iterator

import numpy as np
from jaxtyping import Float32, Float64, Int64
from scipy.spatial import KDTree

NEIGHBOUR = 50
"""Sigma is the distance to this neighbour (Gropp et al. 2020, sec. 4)."""
NUM_GUESSES = 16
"""Number of random points whose k-th distances are computed to guess the side of a cell."""
QUANTILE = 0.95
"""Quantile of these distances. A lower one leaves more points to the tree."""
WIDER = 1.1
"""The side of a cell is this times the quantile. A wider cell holds more candidates a point."""
MIN_POINTS = 4096
"""Clouds of fewer points go to the tree as a whole."""
MAX_CANDIDATES = 1000
"""A cell with more points in and around it goes to the tree.

The work of a cell grows with the product of its own points and its candidates.
"""


def neighbour_distance(
    points: Float32[np.ndarray, "n D"], neighbour: int = NEIGHBOUR
) -> Float32[np.ndarray, " n"]:
    """Measure the distance of each point to its ``neighbour``-th nearest other point.

    There must be more points than ``neighbour``. The unit is that of the points.
    """
    side = _guess_side(points, neighbour) if len(points) >= MIN_POINTS else 0.0
    spread = np.ptp(points.astype(np.float64), axis=0)
    # The number of a cell has to fit into 64 bits.
    if not side > 0 or np.prod(spread / side + 4) > 2**62:
        # Queries in the tree's own order read memory that is near each other.
        order = KDTree(points).indices
        return _unsorted(order, _by_tree(points[order], np.arange(len(points)), neighbour))
    cell, step = _cells(points, side)
    order = np.argsort(cell, kind="stable")
    sorted_points = points[order].astype(np.float64)
    distance = np.full(len(points), np.inf)
    axes = np.ascontiguousarray(sorted_points.T)
    for start, end, around in _blocks(cell[order], step, neighbour):
        candidates = np.concatenate([axes[:, first:last] for first, last in around], axis=1)
        squared = _squared_distances(axes[:, start:end], candidates)
        # Column ``neighbour``, not the one before: the nearest candidate is the point itself.
        squared.partition(neighbour, axis=1)
        distance[start:end] = np.sqrt(squared[:, neighbour])
    # The margin covers the rounding of a point's place in its cell.
    rest = np.flatnonzero(distance > side * (1 - 1e-9))
    distance[rest] = _by_tree(sorted_points, rest, neighbour)
    return _unsorted(order, distance)


def _guess_side(points: Float32[np.ndarray, "n D"], neighbour: int) -> float:
    """Guess a side above most k-th distances, from a few random points."""
    rows = np.random.default_rng(0).integers(len(points), size=NUM_GUESSES)
    axes = np.ascontiguousarray(points.T)
    squared = [sum((axis - axis[row]) ** 2 for axis in axes) for row in rows]
    distance = np.sqrt([np.partition(d, neighbour)[neighbour] for d in squared])
    return WIDER * float(np.quantile(distance, QUANTILE))


def _cells(
    points: Float32[np.ndarray, "n D"], side: float
) -> tuple[Int64[np.ndarray, " n"], Int64[np.ndarray, " D"]]:
    """Number the cell of each point, and say by how much the number grows along each axis."""
    exact = points.astype(np.float64)
    # One empty layer of cells on every side (+ 1 here, + 2 below): the number of a cell around an
    # occupied one never wraps into the next row.
    cell = np.floor((exact - exact.min(axis=0)) / side).astype(np.int64) + 1
    size = cell.max(axis=0) + 2
    step = np.append(np.cumprod(size[:0:-1])[::-1], 1)
    return cell @ step, step


def _blocks(
    cell: Int64[np.ndarray, " n"], step: Int64[np.ndarray, " D"], neighbour: int
) -> Iterator[tuple[int, int, list[tuple[int, int]]]]:
    """Yield the range of points of each cell, and the ranges of its candidates.

    ``cell`` is the number of the cell of each point, sorted. A cell with too few candidates, or
    too many, is left out.
    """
    cells, start = np.unique(cell, return_index=True)
    bound = np.append(start, len(cell))
    # Cells along the last axis have consecutive numbers: three of them are one range of points.
    row = np.zeros(1, np.int64)
    for stride in step[:-1]:
        row = np.add.outer(row, [-stride, 0, stride]).ravel()
    first = cells[:, None] + row - 1
    low = bound[np.searchsorted(cells, first)]
    high = bound[np.searchsorted(cells, first + 3)]
    count = (high - low).sum(axis=1)
    for i in np.flatnonzero((count > neighbour) & (count <= MAX_CANDIDATES)).tolist():
        ranges = zip(low[i].tolist(), high[i].tolist(), strict=True)
        yield int(bound[i]), int(bound[i + 1]), [(a, b) for a, b in ranges if a < b]


def _squared_distances(
    own: Float64[np.ndarray, "D r"], candidates: Float64[np.ndarray, "D m"]
) -> Float64[np.ndarray, "r m"]:
    """Compute the squared distances between the columns of both."""
    # Axis by axis and in place: nearly all the time of this module is spent here.
    total = np.subtract.outer(own[0], candidates[0])
    total *= total
    for axis, other in zip(own[1:], candidates[1:], strict=True):
        difference = np.subtract.outer(axis, other)
        difference *= difference
        total += difference
    return total


def _by_tree(
    points: Float32[np.ndarray, "n D"] | Float64[np.ndarray, "n D"],
    rows: Int64[np.ndarray, " r"],
    neighbour: int,
) -> Float64[np.ndarray, " r"]:
    if not len(rows):
        return np.empty(0)
    tree = KDTree(points)
    return tree.query(points[rows], [neighbour + 1])[0][:, 0]  # pyright: ignore[reportArgumentType]


def _unsorted(order: np.ndarray, values: Float64[np.ndarray, " n"]) -> Float32[np.ndarray, " n"]:
    """Undo ``order``: the value in row i belongs to the point ``order[i]``."""
    result = np.empty(len(values), np.float32)
    result[order] = values
    return result
