"""Distance to the k-th neighbour of every point: cells of a grid first, a k-d tree for the rest.

The side of a cell is a guess at the k-th distance. All that is nearer to a point than one side is
then in its own cell or in those around it, so that whatever comes out below one side is exact. It
takes half the time of the tree on points of even density.

Letters: n points, r of them, m other points, D dimension.
"""

from collections.abc import Iterator

import numpy as np
from jaxtyping import Float32, Float64
from scipy.spatial import KDTree

NEIGHBOUR = 50
"""Sigma is the distance to this neighbour (Gropp et al. 2020, sec. 4)."""
GUESSES, QUANTILE, WIDER = 16, 0.95, 1.1
"""The side is ``WIDER`` times this quantile of the k-th distances of so many points."""
FEWEST, MOST = 4096, 1000
"""The tree does clouds of fewer points, and cells with more points in and around them."""


def neighbour_distance(
    points: Float32[np.ndarray, "n D"], neighbour: int = NEIGHBOUR
) -> Float32[np.ndarray, " n"]:
    """Distance of each point to its ``neighbour``-th nearest other point, n > neighbour."""
    side = _guess(points, neighbour) if len(points) >= FEWEST else 0.0
    spread = np.ptp(points.astype(np.float64), axis=0)
    # the number of a cell has to fit into 64 bits
    if not side > 0 or np.prod(spread / side + 4) > 2**62:
        order = KDTree(points).indices
        return _unsorted(order, _by_tree(points[order], np.arange(len(points)), neighbour))
    key, step = _cells(points, side)
    order = np.argsort(key, kind="stable")
    near = points[order].astype(np.float64)
    distance = np.full(len(points), np.inf)
    axes = np.ascontiguousarray(near.T)
    for start, end, around in _blocks(key[order], step, neighbour):
        others = np.concatenate([axes[:, a:b] for a, b in around], axis=1)
        squared = _squared(axes[:, start:end], others)
        squared.partition(neighbour, axis=1)
        distance[start:end] = np.sqrt(squared[:, neighbour])
    rest = np.flatnonzero(distance > side * (1 - 1e-9))
    distance[rest] = _by_tree(near, rest, neighbour)
    return _unsorted(order, distance)


def _guess(points: Float32[np.ndarray, "n D"], neighbour: int) -> float:
    rows = np.random.default_rng(0).integers(len(points), size=GUESSES)
    axes = np.ascontiguousarray(points.T)
    squared = [sum((axis - axis[row]) ** 2 for axis in axes) for row in rows]
    distance = np.sqrt([np.partition(d, neighbour)[neighbour] for d in squared])
    return WIDER * float(np.quantile(distance, QUANTILE))


def _cells(points: Float32[np.ndarray, "n D"], side: float) -> tuple[np.ndarray, np.ndarray]:
    """Number of the cell of each point, and how much the number grows along each axis."""
    exact = points.astype(np.float64)
    cell = np.floor((exact - exact.min(axis=0)) / side).astype(np.int64) + 1
    size = cell.max(axis=0) + 2
    step = np.append(np.cumprod(size[:0:-1])[::-1], 1)
    return cell @ step, step


def _blocks(
    key: np.ndarray, step: np.ndarray, neighbour: int
) -> Iterator[tuple[int, int, list[tuple[int, int]]]]:
    """First and last point of each cell, and those of the rows of cells around it.

    key: sorted. Cells with too few points around them, or too many, are left out.
    """
    cells, start = np.unique(key, return_index=True)
    bound = np.append(start, len(key))
    # the cells along the last axis follow each other: three of them are one row
    row = np.zeros(1, np.int64)
    for stride in step[:-1]:
        row = np.add.outer(row, [-stride, 0, stride]).ravel()
    first = cells[:, None] + row - 1
    low, high = bound[np.searchsorted(cells, first)], bound[np.searchsorted(cells, first + 3)]
    count = (high - low).sum(axis=1)
    for i in np.flatnonzero((count > neighbour) & (count <= MOST)).tolist():
        rows = zip(low[i].tolist(), high[i].tolist(), strict=True)
        yield int(bound[i]), int(bound[i + 1]), [(a, b) for a, b in rows if a < b]


def _squared(own: np.ndarray, others: np.ndarray) -> Float64[np.ndarray, "n m"]:
    """Squared distances between the columns of both, in place: this is where the time goes."""
    total = np.subtract.outer(own[0], others[0])
    total *= total
    for axis, other in zip(own[1:], others[1:], strict=True):
        part = np.subtract.outer(axis, other)
        part *= part
        total += part
    return total


def _by_tree(points: np.ndarray, rows: np.ndarray, neighbour: int) -> Float64[np.ndarray, " r"]:
    if not len(rows):
        return np.empty(0)
    tree = KDTree(points)
    return tree.query(points[rows], [neighbour + 1])[0][:, 0]  # pyright: ignore[reportArgumentType]


def _unsorted(order: np.ndarray, values: Float64[np.ndarray, " n"]) -> Float32[np.ndarray, " n"]:
    result = np.empty(len(values), np.float32)
    result[order] = values
    return result
