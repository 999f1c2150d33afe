"""The zero set of a field on a grid: the triangles that marching cubes finds on all of its nodes,
from few of them.

Blocks that can hold the zero set come from the octree. A slab of the grid at a time, their nodes
are evaluated and their cells cut; no array is as large as the grid. Where the zero set leaves the
blocks it is followed, until it does so nowhere.

What is certain: triangles are those of the dense grid in every block evaluated, and no sheet of the
zero set that meets an evaluated block is cut off. What is checked by samples only: that no sheet
lies altogether in blocks left out. Where samples refute
the slope too often the dense grid is evaluated.
Letters: K blocks or nodes, V vertices, F faces.
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
"""Grids of no more nodes are evaluated as a whole."""
LARGE = 2**21
"""From so many nodes on it is worth a word that all of them are evaluated."""
Blocks = Int[np.ndarray, "K 3"]
OnBlocks = Callable[[int, int], object]


@dataclass
class LevelSet:
    """Triangles found so far, welded by the edges of the grid on which their corners lie."""

    grid: Grid
    edges: list[np.ndarray] = field(default_factory=list)
    places: list[np.ndarray] = field(default_factory=list)
    corners: list[np.ndarray] = field(default_factory=list)

    def add(self, edges: np.ndarray, places: np.ndarray, corners: np.ndarray) -> None:
        """Keys of edges [E], vertices on them [E,3] in cells, triangles [T,3] of rows of these."""
        first = sum(map(len, self.edges))
        self.edges.append(edges)
        self.places.append(places)
        self.corners.append(corners + first)

    def reaches(self) -> Bool[np.ndarray, "2 3"]:
        """Which sides of the grid, low and high of each axis, the zero set reaches."""
        places = np.concatenate([*self.places, np.zeros((0, 3))])
        return np.stack([(places <= 0).any(0), (places >= self.grid.cells).any(0)])

    def mesh(self) -> tuple[Float[np.ndarray, "V 3"], Int[np.ndarray, "F 3"]]:
        """Vertices in the field's frame, float64, and faces; by place, whatever the order found."""
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
    """The zero set on a grid: of few of its nodes where that can be trusted, of all if not.

    slope: how steep the field is known to be.
    on_blocks: told now and then how many blocks are done, and how many there are.
    """
    if grid.num_nodes <= SMALL:
        return dense_zero_set(evaluate, grid, on_blocks)
    octree = Octree(evaluate, grid, slope)
    found = sparse_zero_set(evaluate, grid, octree, on_blocks)
    if found is None and (octree.refuted or grid.num_nodes > LARGE):
        warnings.warn(
            "the field is no distance, no bound on its slope tells where its zero set cannot be: "
            f"all {grid.num_nodes} nodes of the grid are evaluated",
            stacklevel=3,
        )
    return dense_zero_set(evaluate, grid, on_blocks) if found is None else found


def dense_zero_set(
    evaluate: FieldFunction, grid: Grid, on_blocks: OnBlocks = lambda done, total: None
) -> LevelSet:
    """The zero set on a grid, from all of its nodes; certain for any field."""
    found = LevelSet(grid)
    _sweep(Slabs(evaluate, grid), found, None, on_blocks)
    return found


def sparse_zero_set(
    evaluate: FieldFunction,
    grid: Grid,
    octree: Octree,
    on_blocks: OnBlocks = lambda done, total: None,
) -> LevelSet | None:
    """The zero set on a grid, from the nodes the octree asks for; None if it becomes hopeless."""
    found, done, beyond = LevelSet(grid), _Done(grid), np.zeros((0, 3), np.int64)
    while len(blocks := done.new(np.concatenate([octree.open(), beyond]))):
        if octree.hopeless:
            return None
        beyond, slope = _sweep(Slabs(evaluate, grid, octree.known()), found, blocks, on_blocks)
        octree.see(slope)
    return None if octree.hopeless else found


class _Done:
    """The blocks that were evaluated."""

    def __init__(self, grid: Grid) -> None:
        self.shape = grid.blocks(LEAF)
        self.keys = np.zeros(0, np.int64)

    def new(self, blocks: Blocks) -> Int[np.ndarray, "J 3"]:
        """Those of ``blocks`` that were not there, each once, by x; they are there from now on."""
        keys = np.setdiff1d(np.ravel_multi_index(tuple(blocks.T), self.shape), self.keys)
        self.keys = np.union1d(self.keys, keys)
        return np.stack(np.unravel_index(keys, self.shape), 1)


def _sweep(
    slabs: Slabs, found: LevelSet, blocks: Blocks | None, on_blocks: OnBlocks
) -> tuple[np.ndarray, float]:
    """Add the triangles of the blocks, all if None, to ``found``.

    Returns the blocks into which the zero set goes on, and the largest slope seen.
    """
    shape, layer = slabs.grid.blocks(LEAF), slabs.thick // LEAF
    beyond, slope = [np.zeros((0, 3), np.int64)], 0.0
    for first in range(0, shape[0], layer):
        part = _layer(blocks, first, min(first + layer, shape[0]), shape)
        cells = slabs.fill(part, LEAF * first)
        cases = cell_cases(slabs.values, cells, slabs.strides)
        cut = (cases > 0) & (cases < 255)
        cells, cases = cells[cut], cases[cut]
        _add_triangles(slabs, found, cells, cases, LEAF * first)
        if blocks is not None:
            corners = slabs.values[cells[:, None] + CORNERS @ slabs.strides]
            slope = max(slope, float(steepest_slopes(corners, slabs.grid.cell).max(initial=0.0)))
            beyond.append(_beyond(slabs.index(cells, LEAF * first), cases, slabs.grid))
        slabs.advance()
        on_blocks(len(part), math.prod(shape) if blocks is None else len(blocks))
    return np.concatenate(beyond), slope


def _layer(
    blocks: Blocks | None, first: int, last: int, shape: tuple[int, int, int]
) -> Int[np.ndarray, "J 3"]:
    """Those of the blocks, all if None, that lie from ``first`` to before ``last``."""
    if blocks is not None:
        return blocks[slice(*np.searchsorted(blocks[:, 0], [first, last]))]
    index = np.indices((last - first, *shape[1:])).reshape(3, -1).T
    index[:, 0] += first
    return index


def _add_triangles(
    slabs: Slabs, found: LevelSet, cells: np.ndarray, cases: np.ndarray, start: int
) -> None:
    keys, corners = np.unique(triangles(cells, cases, slabs.strides), return_inverse=True)
    lower = slabs.index(keys // 3, start)
    places = crossings(slabs.values, keys, lower, slabs.strides)
    found.add(keys + 3 * start * slabs.strides[0], places, corners.reshape(-1, 3))


def _beyond(index: np.ndarray, cases: np.ndarray, grid: Grid) -> Blocks:
    """Blocks beside those of the given cells into which the zero set goes on."""
    found = []
    for axis in range(3):
        for side in (0, 1):
            leaves = (index[:, axis] % LEAF == side * (LEAF - 1)) & open_sides(cases, axis, side)
            next_to = index[leaves]
            next_to[:, axis] += 2 * side - 1
            found.append(next_to[((next_to >= 0) & (next_to < grid.cells)).all(1)] // LEAF)
    shape = grid.blocks(LEAF)
    keys = np.unique(np.ravel_multi_index(tuple(np.concatenate(found).T), shape))
    return np.stack(np.unravel_index(keys, shape), 1)
