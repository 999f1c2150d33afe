"""The nodes of a grid a slab at a time, so that no array is as large as the grid.

A slab is a layer of cells across the first axis, x. Marching cubes needs the values of one slab
only, and neighbouring slabs share one plane of nodes. Memory then grows with the square of the
resolution, where a dense volume grows with the cube: 8192 nodes a side would need 2 TB in single
precision.

Letters: K blocks or nodes, J known nodes, C cells.
"""

import numpy as np
from jaxtyping import Float, Int

from shapespace.surface.grid import LEAF, FieldFunction, Grid
from shapespace.surface.marching_cubes import CORNERS

KnownNodes = tuple[Int[np.ndarray, "K 3"], Float[np.ndarray, " K"]]
"""Indices of nodes of a grid, and the values of the field there."""
SLAB_NODES = 2**21
"""About the number of nodes in a slab."""


class Slabs:
    """The slabs of a grid, visited from low to high x: ``fill``, use ``values``, ``advance``.

    ``values`` holds the field at the nodes of the current slab, by flat index. A value is valid
    where ``valid`` is true. ``strides`` are the steps of the flat index along each axis.

    Args:
        evaluate: the field.
        grid: the grid.
        known: nodes where the field was evaluated before, and its values; None for no nodes.
    """

    def __init__(
        self, evaluate: FieldFunction, grid: Grid, known: KnownNodes | None = None
    ) -> None:
        self.evaluate = evaluate
        self.grid = grid
        _, y, z = (int(count) for count in grid.counts)
        self.strides = np.array([y * z, z, 1])
        # Whole blocks of the octree, at least one, at most the grid.
        self.thick = LEAF * max(1, SLAB_NODES // (y * z * LEAF))
        self.thick = min(self.thick, LEAF * grid.blocks(LEAF)[0])
        self.values = np.zeros((self.thick + 1) * y * z)
        self.valid = np.zeros(len(self.values), bool)
        self.known, self.known_values = _sorted_by_x(known, grid)

    def fill(self, blocks: Int[np.ndarray, "K 3"], start: int) -> Int[np.ndarray, " C"]:
        """Evaluate all nodes of blocks that lie in the slab whose first cell is ``start``.

        Returns the flat index of the lowest node of each cell of the blocks.
        """
        corner = LEAF * blocks.astype(np.int64)
        # The last block along an axis may reach one cell beyond the grid: its nodes are clipped.
        nodes = [
            np.minimum(corner[:, axis, None] + np.arange(LEAF + 1), self.grid.counts[axis] - 1)
            for axis in range(3)
        ]
        x, y, z = nodes
        # Marks in an array make nodes that several blocks share one.
        wanted = np.zeros(len(self.values), bool)
        wanted[self._flat(x - start, y, z)] = True
        self._recall(start)
        missing = np.flatnonzero(wanted & ~self.valid)
        self.values[missing] = self.evaluate(self.grid.points(self.index(missing, start)))
        self.valid[missing] = True
        # A block of LEAF = 2 cells a side has its cells at the offsets of a cell's corners.
        cells = (corner[:, None] + CORNERS).reshape(-1, 3)
        cells = cells[(cells < self.grid.cells).all(1)]
        return cells @ self.strides - start * self.strides[0]

    def index(self, flat: Int[np.ndarray, " K"], start: int) -> Int[np.ndarray, "K 3"]:
        """Index in the grid of nodes of the slab whose first cell is ``start``."""
        index = np.stack(np.unravel_index(flat, (self.thick + 1, *self.grid.counts[1:])), 1)
        index[:, 0] += start
        return index

    def advance(self) -> None:
        """Go to the next slab: its first plane of nodes is the last plane of this slab."""
        plane = self.strides[0]
        self.values[:plane] = self.values[-plane:]
        self.valid[:plane] = self.valid[-plane:]
        self.valid[plane:] = False

    def _flat(self, x: np.ndarray, y: np.ndarray, z: np.ndarray) -> np.ndarray:
        """Flat indices [K,LEAF+1,LEAF+1,LEAF+1] of the nodes of K blocks, given along each axis."""
        in_x = x * self.strides[0]
        in_y = y * self.strides[1]
        return in_x[:, :, None, None] + in_y[:, None, :, None] + z[:, None, None, :]

    def _recall(self, start: int) -> None:
        """Copy the known values of the slab whose first cell is ``start``."""
        first, last = np.searchsorted(self.known[:, 0], [start, start + self.thick + 1])
        flat = self.known[first:last] @ self.strides - start * self.strides[0]
        self.values[flat] = self.known_values[first:last]
        self.valid[flat] = True


def _sorted_by_x(
    known: KnownNodes | None, grid: Grid
) -> tuple[Int[np.ndarray, "J 3"], Float[np.ndarray, " J"]]:
    """The known nodes inside the grid, sorted by x, and their values.

    Centres of blocks that reach beyond the grid may lie outside.
    """
    if known is None:
        return np.zeros((0, 3), np.int64), np.zeros(0)
    nodes, values = known
    rows = np.flatnonzero((nodes < grid.counts).all(1))
    # NumPy's stable sort of 16-bit numbers is a radix sort; Grid keeps indices below MAX_SIDE.
    rows = rows[np.argsort(nodes[rows, 0].astype(np.int16), kind="stable")]
    return nodes[rows], values[rows]
