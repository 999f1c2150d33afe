"""A grid's nodes a slab at a time, so that no array is as large as the grid.

Letters: K blocks or nodes, J nodes that are known, C cells.
"""

import numpy as np
from jaxtyping import Float, Int

from shapespace.surface.grid import LEAF, FieldFunction, Grid
from shapespace.surface.marching_cubes import CORNERS

KnownNodes = tuple[Int[np.ndarray, "K 3"], Float[np.ndarray, " K"]]
"""Indices of nodes of a grid, and the values of the field there."""
SLAB_NODES = 2**21
"""About how many nodes are held at a time."""


class Slabs:
    """Layers of cells of a grid with the values at their nodes, from low to high x.

    The nodes between two layers are evaluated once. ``values`` are right where ``have`` is true.
    """

    def __init__(
        self, evaluate: FieldFunction, grid: Grid, known: KnownNodes | None = None
    ) -> None:
        """known: nodes that need not be evaluated again, and their values."""
        self.evaluate, self.grid = evaluate, grid
        _, y, z = (int(count) for count in grid.counts)
        self.strides = np.array([y * z, z, 1])
        self.thick = LEAF * max(1, SLAB_NODES // (y * z * LEAF))
        self.thick = min(self.thick, LEAF * grid.blocks(LEAF)[0])
        self.values = np.zeros((self.thick + 1) * y * z)
        self.have = np.zeros(len(self.values), bool)
        self.known, self.known_values = _in_order(known, grid)

    def fill(self, blocks: Int[np.ndarray, "K 3"], start: int) -> Int[np.ndarray, " C"]:
        """Evaluate the nodes of the blocks of the layer that begins at cell ``start``.

        Returns the flat index, in the layer, of the lowest node of each of their cells.
        """
        corner = LEAF * blocks.astype(np.int64)
        nodes = [
            np.minimum(corner[:, axis, None] + np.arange(LEAF + 1), self.grid.counts[axis] - 1)
            for axis in range(3)
        ]
        nodes[0] -= start
        want = np.zeros(len(self.values), bool)
        want[self._flat(*nodes)] = True
        self._recall(start)
        missing = np.flatnonzero(want > self.have)
        self.values[missing] = self.evaluate(self.grid.points(self.index(missing, start)))
        self.have[missing] = True
        cells = (corner[:, None] + CORNERS).reshape(-1, 3)
        cells = cells[(cells < self.grid.cells).all(1)]
        return cells @ self.strides - start * self.strides[0]

    def index(self, flat: Int[np.ndarray, " K"], start: int) -> Int[np.ndarray, "K 3"]:
        """The index in the grid of nodes of the layer that begins at ``start``."""
        index = np.stack(np.unravel_index(flat, (self.thick + 1, *self.grid.counts[1:])), 1)
        index[:, 0] += start
        return index

    def advance(self) -> None:
        """Go to the next layer, whose first nodes are the last ones of this one."""
        plane = self.strides[0]
        self.values[:plane] = self.values[-plane:]
        self.have[:plane] = self.have[-plane:]
        self.have[plane:] = False

    def _flat(self, x: np.ndarray, y: np.ndarray, z: np.ndarray) -> np.ndarray:
        x, y = x * self.strides[0], y * self.strides[1]
        return x[:, :, None, None] + y[:, None, :, None] + z[:, None, None, :]

    def _recall(self, start: int) -> None:
        """Take over the known values of this layer."""
        first, last = np.searchsorted(self.known[:, 0], [start, start + self.thick + 1])
        flat = self.known[first:last] @ self.strides - start * self.strides[0]
        self.values[flat] = self.known_values[first:last]
        self.have[flat] = True


def _in_order(
    known: KnownNodes | None, grid: Grid
) -> tuple[Int[np.ndarray, "J 3"], Float[np.ndarray, " J"]]:
    """The known nodes that lie in the grid, sorted by x, and their values."""
    if known is None:
        return np.zeros((0, 3), np.int64), np.zeros(0)
    nodes, values = known
    rows = np.flatnonzero((nodes < grid.counts).all(1))
    rows = rows[np.argsort(nodes[rows, 0].astype(np.int16), kind="stable")]
    return nodes[rows], values[rows]
