"""A grid of cubic cells, at whose nodes a field is evaluated.

Frame and unit: those of the field. Letters: K points or nodes.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Float32, Int, Shaped

from shapespace.errors import InputError

MAX_SIDE = 8192
"""Largest number of nodes along a side: a surface through a larger grid has more vertices than fit
into memory. :mod:`shapespace.surface.slabs` relies on indices of nodes fitting into 16 bits."""
FieldFunction = Callable[[Float[np.ndarray, "K 3"]], Float[np.ndarray, " K"]]
"""The field of one code: points to values."""
LEAF = 2
"""Cells along a side of the smallest blocks of the octree.

The octree evaluates f at the centre of a block. The centre of two cells a side is a node, so that
marching cubes uses the value again; the centre of one cell is none. Larger blocks would contain
more nodes far from the surface.
"""


@dataclass(frozen=True)
class Grid:
    """The nodes ``low + cell * index``, for all indices from 0 to below ``counts``.

    Args:
        low: the corner with the smallest coordinates.
        cell: side of a cell.
        counts: nodes along each axis, at least 2.
    """

    low: Float[np.ndarray, " 3"]
    cell: float
    counts: Int[np.ndarray, " 3"]

    @classmethod
    def fitted(
        cls, low: Float[np.ndarray, " 3"], high: Float[np.ndarray, " 3"], cell: float
    ) -> "Grid":
        """The smallest grid from ``low`` that reaches ``high`` along every axis.

        Args:
            low: the corner of the box with the smallest coordinates.
            high: the corner of the box with the largest coordinates.
            cell: side of a cell.

        Raises:
            InputError: where the grid would have more than MAX_SIDE nodes along an axis.
        """
        # The tolerance keeps rounding from adding a cell to a whole number of them.
        steps = np.ceil((high - low) / cell - 1e-6)
        if steps.max() >= MAX_SIDE:
            raise InputError(
                f"a cell of {cell:g} divides a box of {(high - low).max():g} into {steps.max():.0f}"
                f" cells; at most {MAX_SIDE - 1} are possible: take larger cells"
            )
        counts = np.maximum(steps, 1).astype(np.int64) + 1
        return cls(np.asarray(low, np.float64), cell, counts)

    @property
    def cells(self) -> Int[np.ndarray, " 3"]:
        """Cells along each axis."""
        return self.counts - 1

    @property
    def num_nodes(self) -> int:
        """Nodes of the whole grid."""
        return int(self.counts.prod())

    def blocks(self, size: int) -> tuple[int, int, int]:
        """Number of blocks along each axis that cover the grid; a block has ``size`` cells a side.

        The last block along an axis may reach beyond the grid.
        """
        x, y, z = (-(-int(cells) // size) for cells in self.cells)
        return x, y, z

    def points(self, index: Shaped[np.ndarray, "K 3"]) -> Float32[np.ndarray, "K 3"]:
        """Coordinates of nodes, or of points between nodes for a fractional index.

        Single precision and row-major order are part of the contract. The octree, the sparse and
        the dense mesh then evaluate a node at the same coordinates in the same memory layout, so
        that f is the same to the bit; a sum over strided rows may round differently.
        """
        return (self.low + self.cell * index).astype(np.float32, order="C")
