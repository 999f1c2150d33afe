"""Which blocks of a grid can hold the zero set of a field, found from coarse to fine.

A block is left out where |f| at its centre exceeds ``slope`` times half its diagonal: if f is
nowhere steeper than ``slope``, it has one sign in the whole block, border included. That is a
guarantee where ``slope`` is a bound. It is estimated, as SAFETY times the steepest slope seen
between samples and at least 1, so that what it left out is then sampled and checked.

A field that is flat nearly everywhere, an occupancy or a clamped distance, does not tell far away
how near the zero set is: then nothing is left out before blocks are small (FINE along a side).

A block is given by its index, its lowest cell divided by its size. Letters: K blocks, P parents.
"""

import math
from itertools import combinations, pairwise

import numpy as np
from jaxtyping import Float, Int

from shapespace.surface.grid import LEAF, FieldFunction, Grid
from shapespace.surface.marching_cubes import CORNERS

ROOTS = 32
"""Blocks along the longest side at the start, at least (fewer on small grids)."""
FLAT = 0.25
"""A field whose median slope is a smaller part of its steepest is flat nearly everywhere. That of a
trained network, 1 nearly everywhere and 2 or 3 in some places, is not."""
FINE = 128
"""Blocks along the longest side from which a flat field is trusted."""
SAFETY = 1.25
MARGIN = 1.1
"""``slope`` is raised to SAFETY times what is seen where it is not MARGIN times that."""
SAMPLES = 16384
"""Points, at most, that check what was left out; at most one for 64 nodes of the grid."""
RAISES = 3
"""How often samples may refute the slope before the field is taken for no distance."""
MAX_BLOCKS = 2**23
"""More blocks of a size are not looked at: memory stays bounded."""
KEPT = 0.5
"""If more of the smallest blocks than this part are kept, the dense grid is as good."""


class Level:
    """Blocks of one size: ``index`` [K,3], ``values`` at their centres [K], which are ``opened``.

    opened: cut into smaller blocks or, at the last level, handed out; the others are left out.
    """

    def __init__(self, grid: Grid, size: int, trusted: bool = True) -> None:
        """size: cells along a side; without ``trusted`` no block is left out."""
        self.size, self.trusted = size, trusted
        self.side = size * grid.cell
        self.shape = grid.blocks(size)
        self.index = np.zeros((0, 3), np.int32)
        self.values = np.zeros(0)
        self.opened = np.zeros(0, bool)

    def add(self, index: Int[np.ndarray, "K 3"], values: Float[np.ndarray, " K"]) -> None:
        """Blocks that were not there."""
        self.index = np.concatenate([self.index, index.astype(np.int32)])
        self.values = np.concatenate([self.values, values])
        self.opened = np.concatenate([self.opened, np.zeros(len(index), bool)])

    def take(self, slope: float) -> Int[np.ndarray, "P 3"]:
        """Open the blocks that ``slope`` does not leave out; those that were closed until now."""
        new = ~self.opened
        if self.trusted:
            # What is no number is not above.
            new &= ~(np.abs(self.values) > slope * self.side * np.sqrt(3) / 2)
        self.opened |= new
        return self.index[new]

    def centres(self, index: Int[np.ndarray, "K 3"]) -> Int[np.ndarray, "K 3"]:
        """The nodes in the middle of blocks."""
        return index.astype(np.int64) * self.size + self.size // 2

    def left_out(self, count: int, rng: np.random.Generator) -> Int[np.ndarray, " K"]:
        """Rows of ``count`` blocks, half at random, half those most nearly kept; fewer if few."""
        closed = np.flatnonzero(~self.opened)
        if len(closed) <= count:
            return closed
        near = np.argpartition(np.abs(self.values[closed]), count // 2)[: count // 2]
        return np.concatenate([closed[near], rng.choice(closed, count - len(near))])


class Octree:
    """Blocks of halving size over a grid, those that can hold the zero set being cut in eight.

    slope: how steep the field is taken to be. hopeless: too many blocks were kept for anything to
    be gained, or samples refuted the slope too often; the tree is then of no further use.
    """

    def __init__(self, evaluate: FieldFunction, grid: Grid, slope: float = 1.0) -> None:
        """slope: known from before; it is raised where the field is seen to be steeper."""
        self.evaluate, self.grid, self.slope = evaluate, grid, slope
        self.hopeless, self._failures, self._checked = False, 0, 0.0
        self._rng = np.random.default_rng(0)
        size = LEAF
        while max(grid.blocks(2 * size)) >= ROOTS:
            size *= 2
        sizes = [size >> level for level in range(size.bit_length() - LEAF.bit_length() + 1)]
        self.levels = [Level(grid, size) for size in sizes]
        flat = self._plant(self.levels[0])
        for level in self.levels:
            level.trusted = not flat or max(level.shape) >= FINE

    def open(self) -> Int[np.ndarray, "K 3"]:
        """The smallest blocks that may hold the zero set and were not returned before.

        What is left out has been checked by samples, unless ``hopeless`` is true.
        """
        blocks = [self._open()]
        while not self.hopeless and self._checked < self.slope:
            self._check()
            blocks.append(self._open())
        return np.concatenate(blocks)

    @property
    def refuted(self) -> bool:
        """Whether samples in what was left out showed too often that the field is steeper."""
        return self._failures >= RAISES

    def see(self, slope: float) -> None:
        """Take note of a slope of the field."""
        if slope * MARGIN > self.slope:
            self.slope = SAFETY * slope

    def known(self) -> tuple[Int[np.ndarray, "K 3"], Float[np.ndarray, " K"]]:
        """All nodes at which the field was evaluated, and its values."""
        nodes = np.concatenate([level.centres(level.index) for level in self.levels])
        return nodes, np.concatenate([level.values for level in self.levels])

    def _check(self) -> None:
        """Compare random points in blocks left out with ``slope``; raise it if need be."""
        self._checked = before = self.slope
        count = min(SAMPLES, self.grid.num_nodes // 64) // len(self.levels) + 1
        for level in self.levels:
            rows = level.left_out(count, self._rng)
            offset = self._rng.uniform(-0.5, 0.5, (len(rows), 3)) * level.size
            centres = level.centres(level.index[rows])
            values = self.evaluate(self.grid.points(centres + offset))
            # A step of less than a cell would measure the rounding of f.
            steps = np.maximum(np.linalg.norm(offset, axis=1), 1.0) * self.grid.cell
            slopes = np.abs(values - level.values[rows]) / steps
            seen = float(np.fmax.reduce(slopes, initial=0.0))
            self.slope = max(self.slope, SAFETY * seen if seen > before else 0.0)
        self._failures += self.slope > before
        self.hopeless |= self.refuted

    def _open(self) -> Int[np.ndarray, "K 3"]:
        while not self.hopeless and self._descend():
            pass
        last = self.levels[-1]
        leaves = last.take(self.slope)
        kept, possible = np.count_nonzero(last.opened), math.prod(last.shape)
        self.hopeless |= possible > ROOTS**3 and kept > min(KEPT * possible, MAX_BLOCKS)
        return leaves

    def _plant(self, level: Level) -> bool:
        """Evaluate all blocks of the first level; whether the field is flat nearly everywhere."""
        index = np.indices(level.shape).reshape(3, -1).T
        values = self.evaluate(self.grid.points(level.centres(index)))
        level.add(index, values)
        block = values.reshape(level.shape)
        if min(block.shape) < 2:
            return False
        windows = np.lib.stride_tricks.sliding_window_view(block, (2, 2, 2)).reshape(-1, 8)
        slopes = steepest_slopes(windows, level.side)
        self.see(float(slopes.max()))
        return float(np.median(slopes)) < FLAT * float(slopes.max())

    def _descend(self) -> bool:
        """Open what the slope asks for at every level but the last; whether there was anything."""
        grown = False
        for level, finer in pairwise(self.levels):
            parents = level.take(self.slope)
            self.hopeless |= 8 * len(parents) > MAX_BLOCKS
            if self.hopeless:
                return False
            grown |= len(parents) > 0
            self._cut(parents, finer)
        return grown

    def _cut(self, parents: Int[np.ndarray, "P 3"], finer: Level) -> None:
        children = 2 * parents[:, None] + CORNERS
        inside = (children < finer.shape).all(-1)
        values = np.full(inside.shape, np.nan)
        values[inside] = self.evaluate(self.grid.points(finer.centres(children[inside])))
        finer.add(children[inside], values[inside])
        self.see(float(steepest_slopes(values, finer.side).max(initial=0.0)))


def steepest_slopes(values: Float[np.ndarray, "K 8"], side: float) -> Float[np.ndarray, " K"]:
    """The largest slope between any two corners of each cube of a side; what is NaN is passed over.

    It is no more than the largest |grad f|, and at least 0.88 of it where f is linear.
    """
    slopes = np.zeros(len(values))
    with np.errstate(invalid="ignore"):
        for one, other in combinations(range(8), 2):
            distance = side * np.linalg.norm(CORNERS[one] - CORNERS[other])
            slopes = np.fmax(slopes, np.abs(values[:, one] - values[:, other]) / distance)
    return slopes
