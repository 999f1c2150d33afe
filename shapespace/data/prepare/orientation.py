"""A consistent side for the normals of a cloud, and whether it can be trusted.

Sides spread along a minimum spanning tree of the neighbour graph (Hoppe et al. 1992); a link is
short where the normals are parallel and it lies in both planes, so that the tree does not jump
through a thin wall. What the tree still gets wrong leaves borders where neighbours disagree, which
cut the cloud into pieces. Every piece then takes the side that the cameras saw. Without cameras it
takes the side that brings the winding number of the cloud (Barill et al. 2018) at its own points
to one half, which it is at all points of a closed surface whose normals point outward.

Frame: points centred, within ±1. Letters: n points, D dimension (2 or 3), k neighbours, E links,
G pieces, P probes, where the field of Q sources is measured, C cameras.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32, Float64, Int, Int32
from scipy.sparse import csr_array
from scipy.sparse.csgraph import breadth_first_order, connected_components, minimum_spanning_tree
from scipy.spatial import KDTree

LINKS = 8
"""Neighbours of a point that its side may come from."""
SOURCES, PROBES = 12_000, 2_000
"""Points that stand for the whole surface; points among them where its side is checked."""
BIG_PIECES = 100
"""Pieces that may turn, the largest."""
AGREEING, RIGHT, FACING, SEEN = 0.95, 0.97, 0.85, 0.8
"""Trusted are sides where so many links agree and, without cameras, probes are right; with cameras,
points face those that see them and are seen at all. Each lies in a gap that trials on shapes,
bodies, objects and scans leave between right and wrong sides."""
WINDING = 0.1
"""A probe is right where the winding number is larger: one half if closed, 0 on a flat sheet."""
CLEAR = 0.02
"""Mean square by which the winding of a piece must differ between its sides."""
CELL = 4.0
"""Side of the pixels by which a camera sees, in typical gaps between points."""
_CHUNK = 256


@dataclass(frozen=True)
class _Links:
    """Links between neighbours.

    cosine: of the two normals. slope: squared sine of the link to the plane that it leaves most.
    """

    start: Int32[np.ndarray, " E"]
    end: Int32[np.ndarray, " E"]
    cosine: Float32[np.ndarray, " E"]
    slope: Float32[np.ndarray, " E"]


def oriented(
    points: Float64[np.ndarray, "n D"],
    normals: Float64[np.ndarray, "n D"],
    neighbours: Int32[np.ndarray, "n k"],
    cameras: Float64[np.ndarray, "C D"] | None,
) -> tuple[Float64[np.ndarray, "n D"], bool]:
    """The ``normals`` turned to a consistent side, and whether the side is to be trusted.

    Without cameras the side is outward. With one camera every normal looks to it. It is not to be
    trusted where neighbours disagree, where the winding number is small or negative (a flat sheet,
    a wall as thin as the gaps between points), where many points are hidden from all cameras.
    """
    rows = np.random.default_rng(0).permutation(len(points))[:SOURCES]
    links = _bridged(points, normals, _links(points, normals, neighbours[:, :LINKS]), rows)
    if cameras is not None and len(cameras) == 1:
        sides = _signs(((cameras[0] - points) * normals).sum(axis=1))
    else:
        sides = _tree_sides(normals, links)
    pieces, count = _pieces(sides, links)
    subset = points[rows], normals[rows] * sides[rows, None], pieces[rows], count
    if cameras is None:
        turns, certain = _turns_by_winding(*subset)
    else:
        turns, certain = _turns_by_cameras(*subset, cameras)
    sides = sides * turns[pieces]
    agree = links.cosine * sides[links.start] * sides[links.end] >= 0
    return normals * sides[:, None], certain and bool(agree.sum() >= AGREEING * len(agree))


def _signs(values: Float64[np.ndarray, " n"]) -> Int[np.ndarray, " n"]:
    return np.where(values < 0, -1, 1)


def _links(
    points: Float64[np.ndarray, "n D"],
    normals: Float64[np.ndarray, "n D"],
    neighbours: Int32[np.ndarray, "n k"],
) -> _Links:
    across = points.astype(np.float32)
    unit = normals.astype(np.float32)
    cosines, slopes = [np.empty(neighbours.shape, np.float32) for _ in range(2)]
    for column, other in enumerate(neighbours.T):
        step = across[other] - across
        length = np.maximum(np.einsum("nd,nd->n", step, step), np.finfo(np.float32).tiny)
        rise = [np.einsum("nd,nd->n", step, n) ** 2 for n in (unit, unit[other])]
        slopes[:, column] = np.maximum(*rise) / length
        cosines[:, column] = np.einsum("nd,nd->n", unit, unit[other])
    start = np.repeat(np.arange(len(points), dtype=np.int32), neighbours.shape[1])
    return _Links(start, neighbours.ravel(), cosines.ravel(), slopes.ravel())


def _bridged(
    points: Float64[np.ndarray, "n D"],
    normals: Float64[np.ndarray, "n D"],
    links: _Links,
    rows: Int[np.ndarray, " Q"],
) -> _Links:
    """The links, and those among the points ``rows`` that join parts without a link between."""
    count, part = _components(len(points), links.start, links.end)
    if count == 1 or len(rows) <= LINKS:
        return links
    some = points[rows]
    neighbours = np.asarray(KDTree(some).query(some, LINKS + 1)[1], np.int32)[:, 1:]
    wide = _links(some, normals[rows], neighbours)
    start, end = rows[wide.start].astype(np.int32), rows[wide.end].astype(np.int32)
    new = part[start] != part[end]
    pairs = (links.start, start), (links.end, end), (links.cosine, wide.cosine)
    return _Links(*(np.append(a, b[new]) for a, b in (*pairs, (links.slope, wide.slope))))


def _tree_sides(normals: Float64[np.ndarray, "n D"], links: _Links) -> Int[np.ndarray, " n"]:
    """Sides that agree along a minimum spanning tree, in each connected part."""
    size = len(normals)
    # a weight of zero would be no link
    length = 1 + 1e-6 - np.abs(links.cosine) * (1 - np.minimum(links.slope, 1))
    graph = csr_array((length, (links.start, links.end)), shape=(size, size))
    tree = minimum_spanning_tree(graph).tocoo()
    roots = np.unique(_components(size, tree.row, tree.col)[1], return_index=True)[1]
    # one more node above all roots makes one tree of them
    start, end = np.append(tree.row, np.full(len(roots), size)), np.append(tree.col, roots)
    rooted = csr_array((np.ones(len(start), bool), (start, end)), shape=(size + 1, size + 1))
    parent = breadth_first_order(rooted, size, directed=False)[1]
    parent[size] = size
    padded = np.append(normals, np.zeros((1, normals.shape[1])), axis=0)
    sides = _signs(np.einsum("nd,nd->n", padded, padded[parent]))
    while (parent != size).any():
        sides, parent = sides * sides[parent], parent[parent]
    return sides[:size]


def _components(size: int, start: np.ndarray, end: np.ndarray) -> tuple[int, np.ndarray]:
    graph = csr_array((np.ones(len(start), bool), (start, end)), shape=(size, size))
    return connected_components(graph, directed=False)


def _pieces(sides: Int[np.ndarray, " n"], links: _Links) -> tuple[Int[np.ndarray, " n"], int]:
    """Number of the piece of each point, the largest first, the last for all small ones; G."""
    cosine = links.cosine * sides[links.start] * sides[links.end]
    joined = (cosine > 0) & (links.slope < 0.5)
    count, piece = _components(len(sides), links.start[joined], links.end[joined])
    largest = np.argsort(-np.bincount(piece), kind="stable")[:BIG_PIECES]
    number = np.full(count, len(largest))
    number[largest] = np.arange(len(largest))
    return number[piece], len(largest) + 1


def _turns_by_winding(
    points: Float64[np.ndarray, "Q D"],
    normals: Float64[np.ndarray, "Q D"],
    pieces: Int[np.ndarray, " Q"],
    count: int,
) -> tuple[Int[np.ndarray, " G"], bool]:
    """Turns, 1 or -1, that bring the winding number nearest to one half; whether they are certain.

    The whole turns first, then one piece at a time, the one that gains most. Pieces that would do
    as well on the other side, as flat ones do, are not certain.
    """
    parts = _windings(points, normals, pieces, count)
    whole = -1 if parts.sum() < 0 else 1
    turns, off = np.full(count, whole), whole * parts.sum(axis=1) - 0.5
    size = np.maximum(np.bincount(pieces[: len(parts)], minlength=count), 1)
    for _ in range(4 * count):
        loss = _loss_of_turning(turns, parts, off) / size
        best = int(loss.argmin())
        if loss[best] > -CLEAR:
            break
        off -= 2 * turns[best] * parts[:, best]
        turns[best] *= -1
    loss = _loss_of_turning(turns, parts, off) / size
    right = (off + 0.5 > WINDING) & (np.abs(loss) > CLEAR)[pieces[: len(parts)]]
    return turns, bool(np.mean(right) >= RIGHT)


def _loss_of_turning(turns: np.ndarray, parts: np.ndarray, off: np.ndarray) -> np.ndarray:
    return ((off[:, None] - 2 * turns * parts) ** 2).sum(axis=0) - (off**2).sum()


def _windings(
    points: Float64[np.ndarray, "Q D"],
    normals: Float64[np.ndarray, "Q D"],
    pieces: Int[np.ndarray, " Q"],
    count: int,
) -> Float64[np.ndarray, "P G"]:
    """Winding number of each piece at the first points, softened by the gaps between points."""
    near = max(1, min(LINKS, len(points) - 1))
    radius = np.asarray(KDTree(points).query(points, near + 1)[0])[:, -1]
    flat = points.shape[1] == 2
    area = 2 * radius / near if flat else np.pi * radius**2 / near
    gap = np.maximum(radius / near if flat else radius / np.sqrt(near), 1e-9) ** 2
    power, sphere = (1.0, 2 * np.pi) if flat else (1.5, 4 * np.pi)
    field = (normals * (area / sphere)[:, None]).astype(np.float32)
    height, square = (points * field).sum(axis=1), (points**2).sum(axis=1)
    member = (pieces[:, None] == np.arange(count)).astype(np.float32)
    near_by = points.astype(np.float32)
    total = np.empty((min(PROBES, len(points)), count))
    for start in range(0, len(total), _CHUNK):
        probes = near_by[start : start + _CHUNK][: len(total) - start]
        squared = (square + gap).astype(np.float32) - 2 * probes @ near_by.T
        squared += (probes**2).sum(axis=1, keepdims=True)
        squared = np.maximum(squared, gap.astype(np.float32))
        rise = height.astype(np.float32) - probes @ field.T
        total[start : start + _CHUNK] = (rise / squared**power) @ member
    return total


def _turns_by_cameras(
    points: Float64[np.ndarray, "Q D"],
    normals: Float64[np.ndarray, "Q D"],
    pieces: Int[np.ndarray, " Q"],
    count: int,
    cameras: Float64[np.ndarray, "C D"],
) -> tuple[Int[np.ndarray, " G"], bool]:
    """Turns, 1 or -1, of the pieces to the cameras that see them; whether most points agree.

    A point is seen by a camera if no point is much nearer to it in almost the same direction.
    """
    votes, seen = np.zeros(len(points)), np.zeros(len(points), bool)
    gap = max(float(np.median(np.asarray(KDTree(points).query(points, 2)[0])[:, 1])), 1e-9)
    for camera in cameras:
        view = camera - points
        depth = np.maximum(np.linalg.norm(view, axis=1), 1e-9)
        ray = view / depth[:, None]
        cells = np.floor(ray * np.median(depth) / (CELL * gap)).astype(np.int64)
        cell = np.unique(cells, axis=0, return_inverse=True)[1].ravel()
        first = np.full(cell.max() + 1, np.inf)
        np.minimum.at(first, cell, depth)
        visible = depth < first[cell] + CELL * gap * 2
        votes += visible * (ray * normals).sum(axis=1)
        seen |= visible
    turns = _signs(np.bincount(pieces, votes, count)) if len(cameras) > 1 else np.ones(count, int)
    right = (votes * turns[pieces])[seen] > 0
    return turns, bool(right.mean() >= FACING and seen.mean() >= SEEN)
