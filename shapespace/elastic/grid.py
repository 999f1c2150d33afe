"""The nodes of a cubic grid that lie near given points, and linear equations on them.

Only the nodes near the points are kept, so that memory grows with the surface and not with the box.

Letters: N points, C nodes, X, Y and Z nodes along each side of a box.
"""

from collections.abc import Sequence
from functools import cached_property

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy.ndimage import distance_transform_edt, label
from scipy.sparse import csr_array
from scipy.spatial import KDTree

from shapespace.surface.marching_cubes import CORNERS


class SparseGrid:
    """Nodes of a grid within ``band`` of some points.

    Args:
        points: the points, at least one.
        cell: side of a cell.
        band: distance to the points up to which nodes are kept, at least two cells.
    """

    def __init__(self, points: Float[np.ndarray, "N 3"], cell: float, band: float) -> None:
        self.cell = cell
        reach = int(np.ceil(band / cell)) + 1
        # Room on all sides, so that a shifted key is that of no other node.
        self.low = points.min(0) - (reach + 2) * cell
        self._size = np.ceil((points.max(0) - self.low) / cell).astype(np.int64) + reach + 3
        self._strides = np.array([self._size[1] * self._size[2], self._size[2], 1])
        # Rounded to a node first: a plain dilation by a ball, whose cost does not grow with it.
        apart = np.ones(tuple(self._size), bool)
        apart[tuple(np.rint((points - self.low) / cell).astype(np.int64).T)] = False
        distance = np.asarray(distance_transform_edt(apart))
        self.keys = np.flatnonzero(distance.ravel() <= band / cell)
        self.index = np.stack(np.unravel_index(self.keys, tuple(self._size)), axis=1)

    def __len__(self) -> int:
        """C, the number of nodes."""
        return len(self.keys)

    @property
    def positions(self) -> Float[np.ndarray, "C 3"]:
        """Positions of the nodes."""
        return self.low + self.index * self.cell

    @cached_property
    def tree(self) -> KDTree:
        """Search tree of the nodes."""
        return KDTree(self.positions)

    def _key(self, index: Int[np.ndarray, "N 3"]) -> Int[np.ndarray, " N"]:
        return index @ self._strides

    def _row(self, keys: Int[np.ndarray, " N"]) -> Int[np.ndarray, " N"]:
        """Rows of nodes by their keys; -1 for a node that is not kept."""
        row = np.minimum(np.searchsorted(self.keys, keys), len(self.keys) - 1)
        return np.where(self.keys[row] == keys, row, -1)

    def neighbours(self, offset: Sequence[int]) -> Int[np.ndarray, " C"]:
        """The row of the node at an offset from each node; -1 where it is not kept."""
        return self._row(self.keys + np.asarray(offset) @ self._strides)

    def cells(
        self, points: Float[np.ndarray, "N 3"]
    ) -> tuple[Int[np.ndarray, "N 8"], Float[np.ndarray, "N 3"], Bool[np.ndarray, " N"]]:
        """The corners of the cell of each point, the place in the cell, and whether it is whole.

        Returns:
            Rows of the corners, in the order of ``CORNERS``; the place in the cell, from 0 to 1;
            and True where all eight corners are kept.
        """
        scaled = (points - self.low) / self.cell
        corner = np.floor(scaled).astype(np.int64)
        inside = ((corner >= 0) & (corner < self._size - 1)).all(1)
        keys = self._key(np.where(inside[:, None], corner, 0))
        rows = np.stack([self._row(keys + shift) for shift in CORNERS @ self._strides], axis=1)
        return rows, scaled - corner, inside & (rows >= 0).all(1)

    def interpolated(
        self, values: Float[np.ndarray, " C"], points: Float[np.ndarray, "N 3"]
    ) -> tuple[Float[np.ndarray, " N"], Bool[np.ndarray, " N"]]:
        """Values at points, linear along each axis; and where all corners of the cell are kept.

        Args:
            values: value at each node.
            points: where they are wanted; 0 where the cell is not whole.
        """
        rows, place, whole = self.cells(points)
        share = shares(place)
        return np.where(whole, (share * values[rows]).sum(1), 0.0), whole

    def point_rows(
        self, points: Float[np.ndarray, "N 3"], weight: Float[np.ndarray, " N"]
    ) -> list[csr_array]:
        """Four sets of rows: the value at each point, and its three derivatives.

        Args:
            points: points whose cells are whole.
            weight: factor of the rows of each point.
        """
        rows, place, _ = self.cells(points)
        parts = [shares(place)]
        for axis in range(3):
            sign = np.where(CORNERS[:, axis], 1.0, -1.0)
            parts.append(shares(place, axis) * sign / self.cell)
        ends = np.arange(0, rows.size + 1, 8)
        shape = (len(rows), len(self))
        return [
            csr_array(((part * weight[:, None]).ravel(), rows.ravel(), ends), shape)
            for part in parts
        ]

    def _box(self) -> tuple[np.ndarray, np.ndarray, tuple[np.ndarray, ...]]:
        """The whole box of the grid: its first node, its shape, and where the kept nodes are.

        The box has a layer on all sides without a kept node, so that its corner is outside.
        """
        first = self.index.min(0) - 1
        return first, self.index.max(0) + 2 - first, tuple((self.index - first).T)

    def depth(self, wall: Bool[np.ndarray, " C"]) -> Float[np.ndarray, " C"]:
        """Distance of each node, in cells, from the space around a wall.

        The space around is what can be reached from the edge of the box, from node to neighbouring
        node, without a node of the wall.

        Args:
            wall: nodes that cannot be passed.
        """
        _, shape, where = self._box()
        free = np.ones(shape, bool)
        free[where] = ~wall
        parts = np.empty(free.shape, np.int32)
        label(free, output=parts)
        distance = distance_transform_edt(parts != parts[0, 0, 0])
        return np.asarray(distance)[where]

    def volume(
        self, values: Float[np.ndarray, " C"]
    ) -> tuple[Float[np.ndarray, "X Y Z"], Float[np.ndarray, " 3"]]:
        """The values in the whole box of the grid, and the position of its first node.

        What surrounds the kept nodes is outside. A space that they enclose has one sign: that of
        most of the kept nodes around it.

        Args:
            values: value at each node, positive outside.
        """
        first, shape, where = self._box()
        kept = np.zeros(shape, bool)
        kept[where] = True
        found = np.empty(shape)
        found[where] = values
        parts = np.empty(kept.shape, np.int32)
        label(~kept, output=parts)
        nearest = distance_transform_edt(~kept, return_distances=False, return_indices=True)
        assert nearest is not None
        # The sum of the nearest values, not their mean: a large space is decided by its whole edge.
        total = np.bincount(parts[~kept], np.sign(found[tuple(nearest)])[~kept])
        total[parts[0, 0, 0]] = 1
        found[~kept] = np.where(total > 0, self.cell, -self.cell)[parts[~kept]]
        return found, self.low + first * self.cell

    def stencil(
        self, offsets: Sequence[Sequence[int]], factors: Sequence[float]
    ) -> tuple[csr_array, Int[np.ndarray, " S"]]:
        """Rows of a difference quotient, one for each node at which all its nodes are kept.

        Args:
            offsets: nodes of the quotient, from the node it belongs to.
            factors: factor of each.

        Returns:
            The rows, and the nodes they belong to.
        """
        columns = np.stack([self.neighbours(offset) for offset in offsets], axis=1)
        nodes = np.flatnonzero((columns >= 0).all(1))
        columns = columns[nodes]
        ends = np.arange(0, columns.size + 1, len(offsets))
        values = np.tile(np.asarray(factors, float), len(nodes))
        return csr_array((values, columns.ravel(), ends), (len(nodes), len(self))), nodes


def shares(place: Float[np.ndarray, "N 3"], skipped: int | None = None) -> Float[np.ndarray, "N 8"]:
    """Weights of the corners of a cell by linear interpolation.

    Args:
        place: place in the cell, from 0 to 1.
        skipped: axis that is left out of the product, for the derivative along it.
    """
    axes = [axis for axis in range(3) if axis != skipped]
    factors = [np.where(CORNERS[:, axis], place[:, [axis]], 1 - place[:, [axis]]) for axis in axes]
    return np.prod(factors, axis=0)
