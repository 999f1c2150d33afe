"""A box that holds the zero set of a field, found on a coarse grid.

Frame and unit: the field's.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from shapespace.grid import Evaluate, Grid
from shapespace.level_set import dense_zero_set
from shapespace.octree import LEAF, Octree

COARSE_CELLS = 128
"""Cells along a side of the coarse grid."""
AROUND = 2
"""Cells added around what the whole coarse grid shows, where blocks cannot be left out."""


@dataclass(frozen=True)
class Bounds:
    """A box, and how steep the field in it is taken to be, at least."""

    low: Float[np.ndarray, " 3"]
    high: Float[np.ndarray, " 3"]
    slope: float


def zero_set_bounds(evaluate: Evaluate, extent: float) -> Bounds | None:
    """A box around the zero set in [-extent, extent]^3; None if there is none.

    It holds all the blocks of the coarse grid that can hold the zero set; or, where the octree
    cannot be trusted, what the whole of that grid shows.
    """
    cell = 2 * extent / COARSE_CELLS
    grid = Grid(np.full(3, -float(extent)), cell, np.full(3, COARSE_CELLS + 1))
    octree = Octree(evaluate, grid)
    low = LEAF * octree.open()
    high = low + LEAF
    if octree.hopeless:
        places = np.concatenate([*dense_zero_set(evaluate, grid).places, np.zeros((0, 3))])
        low, high = places - AROUND, places + AROUND
    if len(low) == 0:
        return None
    corners = [grid.low + cell * low.min(0), grid.low + cell * high.max(0)]
    low, high = np.clip(corners, -extent, extent)
    return Bounds(low, high, octree.slope)
