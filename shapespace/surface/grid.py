"""A grid of cubic cells, and a field at its nodes.

Frame and unit: the field's. Letters: K points, L code length.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Float32, Int, Shaped

from shapespace.errors import InputError

MAX_SIDE = 8192
"""Nodes along a side: the vertices of a surface through more would not fit into memory."""
FieldFunction = Callable[[Float[np.ndarray, "K 3"]], Float[np.ndarray, " K"]]
LEAF = 2
"""Cells along a side of the smallest blocks: their centres are nodes, no evaluation is lost."""


@dataclass(frozen=True)
class Grid:
    """Nodes ``low + cell * index`` for all indices below ``counts``, three numbers >= 2."""

    low: Float[np.ndarray, " 3"]
    cell: float
    counts: Int[np.ndarray, " 3"]

    @classmethod
    def fitted(
        cls, low: Float[np.ndarray, " 3"], high: Float[np.ndarray, " 3"], cell: float
    ) -> "Grid":
        """The grid from ``low`` that reaches ``high`` on every side.

        InputError if it had more than MAX_SIDE nodes along one.
        """
        steps = np.ceil((high - low) / cell - 1e-6)
        if steps.max() >= MAX_SIDE:
            raise InputError(
                f"a cell of {cell:g} divides a box of {(high - low).max():g} into {steps.max():.0f}"
                f" cells; at most {MAX_SIDE - 1} are possible: take larger cells"
            )
        return cls(np.asarray(low, np.float64), cell, np.maximum(steps, 1).astype(np.int64) + 1)

    @property
    def cells(self) -> Int[np.ndarray, " 3"]:
        """Cells along each axis."""
        return self.counts - 1

    @property
    def num_nodes(self) -> int:
        """Nodes of the dense grid."""
        return int(self.counts.prod())

    def blocks(self, size: int) -> tuple[int, int, int]:
        """How many blocks of ``size`` cells along a side cover the grid, along each axis."""
        x, y, z = (-(-int(cells) // size) for cells in self.cells)
        return x, y, z

    def points(self, index: Shaped[np.ndarray, "K 3"]) -> Float32[np.ndarray, "K 3"]:
        """Coordinates of nodes: the same numbers in the same layout whoever asks.

        Then f is the same too; sums over strided rows may be rounded in another order.
        """
        return (self.low + self.cell * index).astype(np.float32, order="C")
