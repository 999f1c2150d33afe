"""Consistent orientation of the normals of a cloud, and whether it can be trusted.

Orientations spread along a minimum spanning tree of the neighbour graph (Hoppe et al. 1992). A link
is short where the two normals are parallel and the link lies in both tangent planes, so that the
tree does not jump through a thin wall. Where the tree is wrong, neighbours disagree; these borders
cut the cloud into patches. Every patch is then oriented as a whole. With cameras, it faces those
that see it. Without, it is oriented so that the winding number of the cloud (Barill et al. 2018) at
its own points comes closest to one half, its value at every point of a closed surface whose normals
point outward.

Frame: points centred, within ±1. Sign: outward is positive; a sign is 1 where a normal is kept and
-1 where it is turned round. Letters: n points, D dimension (2 or 3), k neighbours, E links,
G patches, Q points of a random subset, P probes (the first of the subset), C cameras.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32, Float64, Int, Int32
from scipy.sparse import csr_array
from scipy.sparse.csgraph import breadth_first_order, connected_components, minimum_spanning_tree
from scipy.spatial import KDTree

LINKS = 8
"""Number of neighbours of a point that its orientation may come from."""
SOURCES = 12_000
"""Size of the random subset that stands for the whole surface in winding numbers and views."""
PROBES = 2_000
"""Number of points of the subset at which winding numbers are computed."""
BIG_PATCHES = 100
"""The largest patches are oriented one by one; the points of all smaller ones count as one."""
STEEP = 0.5
"""Squared sine of the angle of a link to a tangent plane, 45 degrees.

A steeper link joins no points of one patch: it may lead through a wall.
"""
AGREEING = 0.95
"""Share of links with agreeing normals from which on an orientation is trusted.

This limit, ``RIGHT``, ``FACING`` and ``SEEN`` were set by trials on exact shapes, bodies, objects
and scans: each lies in the gap between right and wrong orientations. Below any of them the normals
are kept, but as "estimated-unoriented", and training does not learn them.
"""
RIGHT = 0.97
"""Without cameras: share of probes from which on the winding numbers confirm the orientation."""
FACING = 0.85
"""With cameras: share of the seen points that have to face the cameras that see them."""
SEEN = 0.8
"""With cameras: share of the points that at least one camera has to see."""
WINDING = 0.1
"""A probe is right if the winding number there is larger.

It is 0.5 on a closed surface and 0 on a flat sheet, which has no outside.
"""
CLEAR = 0.02
"""Smallest change of the winding's square error, per probe of a patch, that decides its sign.

A patch is turned only for a larger gain. A patch whose turning changes less, such as a flat one, is
uncertain: no probe on it counts as right.
"""
CELL = 4.0
"""Side of a camera's pixel, in typical gaps between points at the median depth.

A point is visible if the nearest point in its pixel is nearer by less than two such sides.
"""
_CHUNK = 256
"""Number of probes whose distances to the subset are in memory at a time."""


@dataclass(frozen=True)
class _Links:
    """Links between neighbours.

    Args:
        start: index of the first point.
        end: index of the second point.
        cosine: cosine of the angle between the two normals, before orientation.
        slope: squared sine of the angle of the link to the tangent plane that it leaves most.
    """

    start: Int32[np.ndarray, " E"]
    end: Int32[np.ndarray, " E"]
    cosine: Float32[np.ndarray, " E"]
    slope: Float32[np.ndarray, " E"]


@dataclass(frozen=True)
class _Subset:
    """A random subset of the points, with the number of the patch that each belongs to.

    Args:
        points: their positions.
        normals: unit normals, consistent within each patch.
        patch: number of the patch of each point.
        num_patches: G, with the one that stands for all small patches.
    """

    points: Float64[np.ndarray, "Q D"]
    normals: Float64[np.ndarray, "Q D"]
    patch: Int[np.ndarray, " Q"]
    num_patches: int


def orient_normals(
    points: Float64[np.ndarray, "n D"],
    normals: Float64[np.ndarray, "n D"],
    neighbours: Int32[np.ndarray, "n k"],
    cameras: Float64[np.ndarray, "C D"] | None,
) -> tuple[Float64[np.ndarray, "n D"], bool]:
    """Orient ``normals`` consistently and say whether the orientation can be trusted.

    It cannot be trusted where neighbours disagree, where the winding number is small or negative (a
    flat sheet, a wall as thin as the gaps between points), or where many points are hidden from all
    cameras.

    Args:
        points: the cloud, centred and within ±1.
        normals: unit normals of arbitrary sign, or zero rows.
        neighbours: indices of the nearest neighbours of each point, nearest first.
        cameras: positions from which the cloud was taken, or None. With one camera every normal
            points to its side; without any, normals point outward.

    Returns:
        The oriented normals, and whether they can be trusted.
    """
    rows = np.random.default_rng(0).permutation(len(points))[:SOURCES]
    links = _links(points, normals, neighbours[:, :LINKS])
    links = _with_bridges(links, points=points, normals=normals, rows=rows)
    if cameras is not None and len(cameras) == 1:
        # The only camera saw every point, so that nothing has to spread.
        signs = _signs(((cameras[0] - points) * normals).sum(axis=1))
    else:
        signs = _propagate_signs(normals, links)
    patch, num_patches = _patches(signs, links)
    subset = _Subset(
        points=points[rows],
        normals=normals[rows] * signs[rows, None],
        patch=patch[rows],
        num_patches=num_patches,
    )
    if cameras is None:
        patch_signs, certain = _signs_by_winding(subset)
    else:
        patch_signs, certain = _signs_by_cameras(subset, cameras)
    signs = signs * patch_signs[patch]
    agree = links.cosine * signs[links.start] * signs[links.end] >= 0
    return normals * signs[:, None], certain and bool(agree.sum() >= AGREEING * len(agree))


def _signs(values: Float64[np.ndarray, " n"]) -> Int[np.ndarray, " n"]:
    """Return -1 for negative values, else 1: an unknown normal, whose product is 0, has a sign."""
    return np.where(values < 0, -1, 1)


def _links(
    points: Float64[np.ndarray, "n D"],
    normals: Float64[np.ndarray, "n D"],
    neighbours: Int32[np.ndarray, "n k"],
) -> _Links:
    """Measure the links from every point to its ``neighbours``."""
    coarse = points.astype(np.float32)
    unit = normals.astype(np.float32)
    cosines = np.empty(neighbours.shape, np.float32)
    slopes = np.empty(neighbours.shape, np.float32)
    for column, other in enumerate(neighbours.T):
        step = coarse[other] - coarse
        squared_length = np.einsum("nd,nd->n", step, step)
        # Points on top of each other: 0 / tiny gives the slope 0.
        squared_length = np.maximum(squared_length, np.finfo(np.float32).tiny)
        own_rise = np.einsum("nd,nd->n", step, unit) ** 2
        other_rise = np.einsum("nd,nd->n", step, unit[other]) ** 2
        slopes[:, column] = np.maximum(own_rise, other_rise) / squared_length
        cosines[:, column] = np.einsum("nd,nd->n", unit, unit[other])
    start = np.repeat(np.arange(len(points), dtype=np.int32), neighbours.shape[1])
    return _Links(start=start, end=neighbours.ravel(), cosine=cosines.ravel(), slope=slopes.ravel())


def _with_bridges(
    links: _Links,
    points: Float64[np.ndarray, "n D"],
    normals: Float64[np.ndarray, "n D"],
    rows: Int[np.ndarray, " Q"],
) -> _Links:
    """Add links between the points ``rows`` where they join components without any link between.

    The neighbours within a random subset lie further apart than those among all points, and reach
    across a gap.
    """
    count, component = _components(len(points), links.start, links.end)
    if count == 1 or len(rows) <= LINKS:
        return links
    subset = points[rows]
    neighbours = np.asarray(KDTree(subset).query(subset, LINKS + 1)[1], np.int32)[:, 1:]
    wide = _links(subset, normals[rows], neighbours)
    start = rows[wide.start].astype(np.int32)
    end = rows[wide.end].astype(np.int32)
    bridge = component[start] != component[end]
    return _Links(
        start=np.append(links.start, start[bridge]),
        end=np.append(links.end, end[bridge]),
        cosine=np.append(links.cosine, wide.cosine[bridge]),
        slope=np.append(links.slope, wide.slope[bridge]),
    )


def _propagate_signs(normals: Float64[np.ndarray, "n D"], links: _Links) -> Int[np.ndarray, " n"]:
    """Choose signs that agree along a minimum spanning tree of each connected component."""
    size = len(normals)
    # 0 for parallel normals and a link in both tangent planes, up to 1. The small summand stays,
    # because a sparse graph takes a weight of zero for no link.
    length = 1 + 1e-6 - np.abs(links.cosine) * (1 - np.minimum(links.slope, 1))
    graph = csr_array((length, (links.start, links.end)), shape=(size, size))
    tree = minimum_spanning_tree(graph).tocoo()
    roots = np.unique(_components(size, tree.row, tree.col)[1], return_index=True)[1]
    # One more node, above the roots of all components, makes one tree of the forest.
    start = np.append(tree.row, np.full(len(roots), size))
    end = np.append(tree.col, roots)
    rooted = csr_array((np.ones(len(start), bool), (start, end)), shape=(size + 1, size + 1))
    parent = breadth_first_order(rooted, size, directed=False)[1]
    parent[size] = size
    # The normal of this node is zero, so that every root keeps its own sign.
    padded = np.append(normals, np.zeros((1, normals.shape[1])), axis=0)
    signs = _signs(np.einsum("nd,nd->n", padded, padded[parent]))
    # The sign of a point is the product of the signs relative to the parent, along the path to the
    # root. Each round doubles the length of path that is multiplied: log2(depth) rounds.
    while (parent != size).any():
        signs = signs * signs[parent]
        parent = parent[parent]
    return signs[:size]


def _components(size: int, start: np.ndarray, end: np.ndarray) -> tuple[int, np.ndarray]:
    """Count the connected components of a graph, and number the component of each point."""
    graph = csr_array((np.ones(len(start), bool), (start, end)), shape=(size, size))
    return connected_components(graph, directed=False)


def _patches(signs: Int[np.ndarray, " n"], links: _Links) -> tuple[Int[np.ndarray, " n"], int]:
    """Number the patch of each point, the largest first, and count the patches.

    Points of one patch are joined by links along which the normals agree. The last number stands
    for all patches but the largest.
    """
    cosine = links.cosine * signs[links.start] * signs[links.end]
    joined = (cosine > 0) & (links.slope < STEEP)
    count, patch = _components(len(signs), links.start[joined], links.end[joined])
    largest = np.argsort(-np.bincount(patch), kind="stable")[:BIG_PATCHES]
    number = np.full(count, len(largest))
    number[largest] = np.arange(len(largest))
    return number[patch], len(largest) + 1


def _signs_by_winding(subset: _Subset) -> tuple[Int[np.ndarray, " G"], bool]:
    """Choose the signs of the patches that bring the winding number nearest to one half.

    All patches are turned together first, then one at a time, the one that gains most.

    Returns:
        The signs, and whether they are certain: most probes have a winding number above
        ``WINDING`` and lie on a patch that would do clearly worse with the other sign.
    """
    windings = _winding_numbers(subset)
    num_patches = subset.num_patches
    probe_patch = subset.patch[: len(windings)]
    common = -1 if windings.sum() < 0 else 1
    signs = np.full(num_patches, common)
    error = common * windings.sum(axis=1) - 0.5
    size = np.maximum(np.bincount(probe_patch, minlength=num_patches), 1)
    # Every turn lowers the error: no choice of signs comes twice. The bound limits the time.
    for _ in range(4 * num_patches):
        loss = _loss_of_turning(signs, windings, error) / size
        best = int(loss.argmin())
        if loss[best] > -CLEAR:
            break
        error -= 2 * signs[best] * windings[:, best]
        signs[best] *= -1
    loss = _loss_of_turning(signs, windings, error) / size
    right = (error + 0.5 > WINDING) & (np.abs(loss) > CLEAR)[probe_patch]
    return signs, bool(np.mean(right) >= RIGHT)


def _loss_of_turning(
    signs: Int[np.ndarray, " G"],
    windings: Float64[np.ndarray, "P G"],
    error: Float64[np.ndarray, " P"],
) -> Float64[np.ndarray, " G"]:
    """Compute the change of the squared error if one patch is turned, for each patch."""
    return ((error[:, None] - 2 * signs * windings) ** 2).sum(axis=0) - (error**2).sum()


def _winding_numbers(subset: _Subset) -> Float64[np.ndarray, "P G"]:
    """Compute the share of each patch in the winding number at the probes.

    It is the sum over the points p of area * (p - x).n / (4 pi |p - x|^3) at the probe x; in 2-D of
    length * (p - x).n / (2 pi |p - x|^2). Squared distances are softened by the squared gap between
    points, so that the probe's own term is finite.
    """
    points = subset.points
    near = max(1, min(LINKS, len(points) - 1))
    radius = np.asarray(KDTree(points).query(points, near + 1)[0])[:, -1]
    flat = points.shape[1] == 2
    # The disk (2-D: the segment) up to the neighbour number ``near`` holds ``near`` points.
    if flat:
        area = 2 * radius / near
        gap = radius / near
        power = 1.0
        sphere = 2 * np.pi
    else:
        area = np.pi * radius**2 / near
        gap = radius / np.sqrt(near)
        power = 1.5
        sphere = 4 * np.pi
    squared_gap = np.maximum(gap, 1e-9) ** 2
    field = (subset.normals * (area / sphere)[:, None]).astype(np.float32)
    height = (points * field).sum(axis=1).astype(np.float32)
    square = (points**2).sum(axis=1)
    member = (subset.patch[:, None] == np.arange(subset.num_patches)).astype(np.float32)
    coarse = points.astype(np.float32)
    total = np.empty((min(PROBES, len(points)), subset.num_patches))
    for start in range(0, len(total), _CHUNK):
        probes = coarse[start : start + _CHUNK][: len(total) - start]
        # |p - x|^2 and (p - x).n as matrix products: no array of all differences is made.
        squared = (square + squared_gap).astype(np.float32) - 2 * probes @ coarse.T
        squared += (probes**2).sum(axis=1, keepdims=True)
        # Cancellation in float32 can make a small squared distance negative.
        squared = np.maximum(squared, squared_gap.astype(np.float32))
        rise = height - probes @ field.T
        total[start : start + _CHUNK] = (rise / squared**power) @ member
    return total


def _signs_by_cameras(
    subset: _Subset, cameras: Float64[np.ndarray, "C D"]
) -> tuple[Int[np.ndarray, " G"], bool]:
    """Choose the signs by which patches face the cameras that see them.

    A point is seen by a camera if no point is much nearer to it in almost the same direction. With
    one camera all signs stay: the normals face it already.

    Returns:
        The signs, and whether enough points are seen and face the cameras.
    """
    points = subset.points
    votes = np.zeros(len(points))
    seen = np.zeros(len(points), bool)
    gap = max(float(np.median(np.asarray(KDTree(points).query(points, 2)[0])[:, 1])), 1e-9)
    for camera in cameras:
        view = camera - points
        depth = np.maximum(np.linalg.norm(view, axis=1), 1e-9)
        ray = view / depth[:, None]
        # Pixels are cells of a grid on the directions. Their side at the median depth is CELL gaps.
        cells = np.floor(ray * np.median(depth) / (CELL * gap)).astype(np.int64)
        cell = np.unique(cells, axis=0, return_inverse=True)[1].ravel()
        nearest = np.full(cell.max() + 1, np.inf)
        np.minimum.at(nearest, cell, depth)
        visible = depth < nearest[cell] + CELL * gap * 2
        votes += visible * (ray * subset.normals).sum(axis=1)
        seen |= visible
    if len(cameras) > 1:
        signs = _signs(np.bincount(subset.patch, votes, subset.num_patches))
    else:
        signs = np.ones(subset.num_patches, int)
    right = (votes * signs[subset.patch])[seen] > 0
    return signs, bool(right.mean() >= FACING and seen.mean() >= SEEN)
