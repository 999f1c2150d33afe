"""The zero set of a field on a grid, by marching cubes on few of the grid's nodes.

The octree names the blocks that can contain the zero set. Slab by slab, the nodes of these blocks
are evaluated and their cells are meshed. Where the zero set leaves a block, the next block is
meshed too, until the zero set leaves the meshed blocks nowhere.

Two things are guaranteed: in every meshed block the triangles are those of the whole grid, and no
sheet of the zero set that meets a meshed block is cut off. Only samples check that no sheet lies
entirely in blocks left out. Where the samples refute the octree too often, the whole grid is
evaluated.

Letters: K and J blocks or nodes, C cells, E edges, T triangles, V vertices, F faces.
"""

import math
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Bool, Float, Int

from shapespace.surface.grid import LEAF, FieldFunction, Grid
from shapespace.surface.marching_cubes import CORNERS, cell_cases, crossings, open_sides, triangles
from shapespace.surface.octree import Octree, steepest_slopes
from shapespace.surface.slabs import Slabs

SMALL = 32**3
"""A grid of at most this number of nodes is evaluated as a whole: an octree would save nothing."""
LARGE = 2**21
"""A larger grid takes so long as a whole that a warning says so."""
Blocks = Int[np.ndarray, "K 3"]
OnBlocks = Callable[[int, int], object]


@dataclass
class LevelSet:
    """The triangles found so far, in parts; shared edges have the same keys, which welds the parts.

    Args:
        grid: the grid.
        edges: for each part, the keys of the edges that carry a vertex.
        places: for each part, the vertices, in cells from the grid's lowest node.
        corners: for each part, the triangles, as rows of the vertices of all parts.
    """

    grid: Grid
    edges: list[np.ndarray] = field(default_factory=list)
    places: list[np.ndarray] = field(default_factory=list)
    corners: list[np.ndarray] = field(default_factory=list)

    def add(
        self,
        edges: Int[np.ndarray, " E"],
        places: Float[np.ndarray, "E 3"],
        corners: Int[np.ndarray, "T 3"],
    ) -> None:
        """Add triangles.

        Args:
            edges: keys of edges.
            places: the vertex on each edge, in cells from the grid's lowest node.
            corners: the triangles, as rows of ``edges``.
        """
        first = sum(map(len, self.edges))
        self.edges.append(edges)
        self.places.append(places)
        self.corners.append(corners + first)

    def reaches(self) -> Bool[np.ndarray, "2 3"]:
        """Whether the zero set reaches the low (row 0) and the high side of the grid, by axis."""
        places = np.concatenate([*self.places, np.zeros((0, 3))])
        return np.stack([(places <= 0).any(0), (places >= self.grid.cells).any(0)])

    def mesh(self) -> tuple[Float[np.ndarray, "V 3"], Int[np.ndarray, "F 3"]]:
        """Vertices in the field's frame and faces.

        Vertices are sorted by the keys of their edges, whatever the order in which they were found.
        """
        if not self.edges:
            return np.zeros((0, 3)), np.zeros((0, 3), np.int64)
        _, row, vertex = np.unique(
            np.concatenate(self.edges), return_index=True, return_inverse=True
        )
        places = np.concatenate(self.places)[row]
        return self.grid.low + self.grid.cell * places, vertex[np.concatenate(self.corners)]


def zero_set(
    evaluate: FieldFunction,
    grid: Grid,
    slope: float = 1.0,
    on_blocks: OnBlocks = lambda done, total: None,
) -> LevelSet:
    """The zero set on a grid, from few nodes where the octree can be trusted, else from all.

    Args:
        evaluate: the field.
        grid: the grid.
        slope: a slope of the field known from before.
        on_blocks: called now and then with the number of blocks that were meshed since the last
            call and the number of blocks to mesh.
    """
    if grid.num_nodes <= SMALL:
        return dense_zero_set(evaluate, grid, on_blocks)
    octree = Octree(evaluate, grid, slope)
    found = sparse_zero_set(evaluate, grid, octree=octree, on_blocks=on_blocks)
    # A small grid that the zero set merely fills is no reason for a warning.
    if found is None and (octree.refuted or grid.num_nodes > LARGE):
        warnings.warn(
            "the field is no distance: no bound on its slope tells where it has no zero, so all "
            f"{grid.num_nodes} nodes of the grid are evaluated",
            stacklevel=3,
        )
    return dense_zero_set(evaluate, grid, on_blocks) if found is None else found


def dense_zero_set(
    evaluate: FieldFunction, grid: Grid, on_blocks: OnBlocks = lambda done, total: None
) -> LevelSet:
    """The zero set on a grid, from all of its nodes: certain for any field.

    Args:
        evaluate: the field.
        grid: the grid.
        on_blocks: as in :func:`zero_set`.
    """
    found = LevelSet(grid)
    _mesh_blocks(Slabs(evaluate, grid), found, blocks=None, on_blocks=on_blocks)
    return found


def sparse_zero_set(
    evaluate: FieldFunction,
    grid: Grid,
    octree: Octree,
    on_blocks: OnBlocks = lambda done, total: None,
) -> LevelSet | None:
    """The zero set on a grid, from the blocks that the octree names and those it leads into.

    Args:
        evaluate: the field.
        grid: the grid.
        octree: the octree of the same field and grid.
        on_blocks: as in :func:`zero_set`.

    Returns:
        The zero set; None where the octree became hopeless.
    """
    found = LevelSet(grid)
    meshed = _MeshedBlocks(grid)
    beyond = np.zeros((0, 3), np.int64)
    while True:
        blocks = meshed.add(np.concatenate([octree.open(), beyond]))
        if not len(blocks):
            break
        if octree.hopeless:
            return None
        slabs = Slabs(evaluate, grid, octree.known())
        beyond, slope = _mesh_blocks(slabs, found, blocks=blocks, on_blocks=on_blocks)
        # Cells see steeper slopes than the larger blocks of the octree, which may open more.
        octree.observe(slope)
    return None if octree.hopeless else found


class _MeshedBlocks:
    """The set of blocks that were meshed, as sorted flat indices."""

    def __init__(self, grid: Grid) -> None:
        self.shape = grid.blocks(LEAF)
        self.keys = np.zeros(0, np.int64)

    def add(self, blocks: Blocks) -> Int[np.ndarray, "J 3"]:
        """Add blocks; returns those that were not in the set, each once, sorted by x."""
        keys = np.setdiff1d(np.ravel_multi_index(tuple(blocks.T), self.shape), self.keys)
        self.keys = np.union1d(self.keys, keys)
        return np.stack(np.unravel_index(keys, self.shape), 1)


def _mesh_blocks(
    slabs: Slabs, found: LevelSet, blocks: Blocks | None, on_blocks: OnBlocks
) -> tuple[Int[np.ndarray, "J 3"], float]:
    """Add the triangles of blocks, or of the whole grid for None, to ``found``.

    Returns the blocks into which the zero set continues, and the largest slope in a cell that the
    zero set cuts.
    """
    shape = slabs.grid.blocks(LEAF)
    layer = slabs.thick // LEAF
    beyond = [np.zeros((0, 3), np.int64)]
    slope = 0.0
    for first in range(0, shape[0], layer):
        last = min(first + layer, shape[0])
        part = _blocks_between(blocks, first, last=last, shape=shape)
        cells = slabs.fill(part, LEAF * first)
        cases = cell_cases(slabs.values, cells, slabs.strides)
        cut = (cases > 0) & (cases < 255)
        cells = cells[cut]
        cases = cases[cut]
        _add_triangles(slabs, found, cells=cells, cases=cases, start=LEAF * first)
        # On the whole grid there is nothing beyond and no octree to tell.
        if blocks is not None:
            corners = slabs.values[cells[:, None] + CORNERS @ slabs.strides]
            slope = max(slope, float(steepest_slopes(corners, slabs.grid.cell).max(initial=0.0)))
            beyond.append(_beyond(slabs.index(cells, LEAF * first), cases, slabs.grid))
        slabs.advance()
        on_blocks(len(part), math.prod(shape) if blocks is None else len(blocks))
    return np.concatenate(beyond), slope


def _blocks_between(
    blocks: Blocks | None, first: int, last: int, shape: tuple[int, int, int]
) -> Int[np.ndarray, "J 3"]:
    """The blocks whose x is from ``first`` to below ``last``; None stands for all of the grid."""
    if blocks is not None:
        begin, end = np.searchsorted(blocks[:, 0], [first, last])
        return blocks[begin:end]
    index = np.indices((last - first, *shape[1:])).reshape(3, -1).T
    index[:, 0] += first
    return index


def _add_triangles(
    slabs: Slabs, found: LevelSet, cells: np.ndarray, cases: np.ndarray, start: int
) -> None:
    """Add the triangles of cells of the slab whose first cell is ``start``."""
    keys, corners = np.unique(triangles(cells, cases, slabs.strides), return_inverse=True)
    lower = slabs.index(keys // 3, start)
    places = crossings(slabs.values, keys, lower=lower, strides=slabs.strides)
    # Keys count from the slab's first node; the shift makes them keys of the whole grid.
    in_grid = keys + 3 * start * slabs.strides[0]
    found.add(in_grid, places, corners.reshape(-1, 3))


def _beyond(cells: Int[np.ndarray, "C 3"], cases: np.ndarray, grid: Grid) -> Int[np.ndarray, "J 3"]:
    """The blocks next to those of cut cells into which the zero set continues."""
    # Blocks that are meshed already are among them: the caller keeps the new ones.
    found = []
    for axis in range(3):
        for side in (0, 1):
            at_border = cells[:, axis] % LEAF == side * (LEAF - 1)
            neighbours = cells[at_border & open_sides(cases, axis, side)]
            neighbours[:, axis] += 2 * side - 1
            inside = ((neighbours >= 0) & (neighbours < grid.cells)).all(1)
            found.append(neighbours[inside] // LEAF)
    shape = grid.blocks(LEAF)
    keys = np.unique(np.ravel_multi_index(tuple(np.concatenate(found).T), shape))
    return np.stack(np.unravel_index(keys, shape), 1)
