"""The blocks of a grid that can contain the zero set of a field, found from coarse to fine.

Why a block may be left out. Let c be the centre of a block of side s. If |grad f| <= L in the
block, f differs from f(c) by at most L s sqrt(3) / 2 anywhere in the block, its border included.
Where |f(c)| exceeds this, f has one sign in the whole block, and marching cubes would find nothing
there. Only the other blocks are cut in eight, down to LEAF cells a side.

What is guaranteed. No zero is missed where ``slope`` is a bound L of |grad f|. For a network no
cheap bound is known, and ``slope`` is an estimate: SAFETY times the steepest slope between any two
evaluations, and at least 1, the slope of a distance. The estimate is then put to the test: random
points in the blocks left out are compared with the centres. Where they are steeper, ``slope`` is
raised and blocks are opened again. A field that refutes the estimate RAISES times is given up, and
the caller evaluates the whole grid.

A block is given by its index: the index of its lowest cell divided by the block's size in cells.
Letters: K blocks, P parents.
"""

import math
from itertools import combinations, pairwise

import numpy as np
from jaxtyping import Float, Int

from shapespace.surface.grid import LEAF, FieldFunction, Grid
from shapespace.surface.marching_cubes import CORNERS

ROOTS = 32
"""Blocks along the longest side of the first level, at least (fewer on small grids).

The first estimate of the slope comes from their centres.
"""
FLAT = 0.25
"""A field counts as flat where its median slope is a smaller share of its steepest slope.

The median slope of a trained network is 1, and its steepest slope is 2 or 3 in some places.
"""
FINE = 128
"""Blocks along the longest side from which on blocks of a flat field are left out."""
SAFETY = 1.25
"""``slope`` is set to this factor times the steepest slope seen."""
MARGIN = 1.1
"""``slope`` is raised where it is less than this factor times a slope seen.

MARGIN is below SAFETY, so that slopes seen later and hardly steeper do not open the tree again.
"""
SAMPLES = 16384
"""Largest number of random points in a check of the blocks left out.

Small grids get one for 64 nodes, so that a check costs little beside the mesh.
"""
RAISES = 3
"""Checks that refute ``slope`` before the field is given up."""
MAX_BLOCKS = 2**23
"""Largest number of blocks of one size: memory stays bounded."""
KEPT = 0.5
"""Where a larger share of the smallest blocks is kept, the whole grid is as fast."""


class Level:
    """All blocks of one size that were evaluated.

    ``index`` [K,3] are the blocks and ``values`` [K] the field at their centres. ``opened`` [K] is
    true for blocks that were cut into smaller ones or, at the last level, returned; all other
    blocks are left out.

    Args:
        grid: the grid.
        size: cells along a side of a block.
        trusted: whether blocks may be left out.
    """

    def __init__(self, grid: Grid, size: int, trusted: bool = True) -> None:
        self.size = size
        self.trusted = trusted
        self.side = size * grid.cell
        self.shape = grid.blocks(size)
        self.index = np.zeros((0, 3), np.int32)
        self.values = np.zeros(0)
        self.opened = np.zeros(0, bool)

    def add(self, index: Int[np.ndarray, "K 3"], values: Float[np.ndarray, " K"]) -> None:
        """Add new blocks and the values at their centres."""
        self.index = np.concatenate([self.index, index.astype(np.int32)])
        self.values = np.concatenate([self.values, values])
        self.opened = np.concatenate([self.opened, np.zeros(len(index), bool)])

    def open(self, slope: float) -> Int[np.ndarray, "P 3"]:
        """Open the blocks that ``slope`` does not leave out; returns those that were closed."""
        new = ~self.opened
        if self.trusted:
            # Not <=, which would leave out blocks with NaN at the centre.
            new &= ~(np.abs(self.values) > slope * self.side * np.sqrt(3) / 2)
        self.opened |= new
        return self.index[new]

    def centres(self, index: Int[np.ndarray, "K 3"]) -> Int[np.ndarray, "K 3"]:
        """The nodes at the centres of blocks."""
        return index.astype(np.int64) * self.size + self.size // 2

    def left_out(self, count: int, rng: np.random.Generator) -> Int[np.ndarray, " K"]:
        """Rows of ``count`` blocks that are left out, or of all if there are fewer."""
        closed = np.flatnonzero(~self.opened)
        if len(closed) <= count:
            return closed
        # Half of them are the blocks nearest to being opened, where a wrong estimate shows first.
        # The other half is drawn at random.
        near = np.argpartition(np.abs(self.values[closed]), count // 2)[: count // 2]
        return np.concatenate([closed[near], rng.choice(closed, count - len(near))])


class Octree:
    """The blocks of a grid that can contain the zero set, in levels of halving size.

    ``slope`` is the estimate of the largest |grad f|. ``hopeless`` is true where the octree is of
    no use: too many blocks were kept, or the field refuted the estimate too often.

    Args:
        evaluate: the field.
        grid: the grid.
        slope: a slope of the field known from before; raised where the field is seen to be steeper.
    """

    def __init__(self, evaluate: FieldFunction, grid: Grid, slope: float = 1.0) -> None:
        self.evaluate = evaluate
        self.grid = grid
        self.slope = slope
        self.hopeless = False
        self._refutations = 0
        self._checked = 0.0
        # A fixed seed: the same field gives the same mesh.
        self._rng = np.random.default_rng(0)
        size = LEAF
        while max(grid.blocks(2 * size)) >= ROOTS:
            size *= 2
        sizes = [size >> level for level in range(size.bit_length() - LEAF.bit_length() + 1)]
        self.levels = [Level(grid, size) for size in sizes]
        flat = self._evaluate_first(self.levels[0])
        # An occupancy or a clamped distance is flat nearly everywhere: far from its surface it does
        # not tell that the surface is near. Coarse samples miss the places where it is steep, so
        # that the estimate is far too low until blocks are small.
        for level in self.levels:
            level.trusted = not flat or max(level.shape) >= FINE

    def open(self) -> Int[np.ndarray, "K 3"]:
        """The smallest blocks that may contain the zero set and were not returned before.

        The blocks left out have been checked by samples, unless ``hopeless`` is true.
        """
        blocks = [self._open()]
        # A check may raise the slope; the blocks left out are then others, to be checked anew.
        while not self.hopeless and self._checked < self.slope:
            self._check()
            blocks.append(self._open())
        return np.concatenate(blocks)

    @property
    def refuted(self) -> bool:
        """Whether samples have refuted the estimate of the slope too often."""
        return self._refutations >= RAISES

    def observe(self, slope: float) -> None:
        """Raise the estimate where the field has been seen to have this slope."""
        if slope * MARGIN > self.slope:
            self.slope = SAFETY * slope

    def known(self) -> tuple[Int[np.ndarray, "K 3"], Float[np.ndarray, " K"]]:
        """All nodes where the field was evaluated, and its values."""
        nodes = np.concatenate([level.centres(level.index) for level in self.levels])
        return nodes, np.concatenate([level.values for level in self.levels])

    def _check(self) -> None:
        """Compare the field at random points of blocks left out with the slope; raise the slope."""
        before = self.slope
        self._checked = before
        count = min(SAMPLES, self.grid.num_nodes // 64) // len(self.levels) + 1
        for level in self.levels:
            rows = level.left_out(count, self._rng)
            offset = self._rng.uniform(-0.5, 0.5, (len(rows), 3)) * level.size
            centres = level.centres(level.index[rows])
            values = self.evaluate(self.grid.points(centres + offset))
            # A step of less than a cell would measure the rounding of f.
            steps = np.maximum(np.linalg.norm(offset, axis=1), 1.0) * self.grid.cell
            slopes = np.abs(values - level.values[rows]) / steps
            steepest = float(np.fmax.reduce(slopes, initial=0.0))
            self.slope = max(self.slope, SAFETY * steepest if steepest > before else 0.0)
        self._refutations += self.slope > before
        self.hopeless |= self.refuted

    def _open(self) -> Int[np.ndarray, "K 3"]:
        """Refine until the slope asks for no more, and return the new smallest blocks."""
        # Children that are evaluated may raise the slope and so reopen coarser levels.
        while not self.hopeless and self._refine():
            pass
        last = self.levels[-1]
        leaves = last.open(self.slope)
        kept = np.count_nonzero(last.opened)
        possible = math.prod(last.shape)
        # A small grid is cheap in any case.
        self.hopeless |= possible > ROOTS**3 and kept > min(KEPT * possible, MAX_BLOCKS)
        return leaves

    def _evaluate_first(self, level: Level) -> bool:
        """Evaluate all blocks of the first level; returns whether the field is flat."""
        index = np.indices(level.shape).reshape(3, -1).T
        values = self.evaluate(self.grid.points(level.centres(index)))
        level.add(index, values)
        block = values.reshape(level.shape)
        if min(block.shape) < 2:
            return False
        windows = np.lib.stride_tricks.sliding_window_view(block, (2, 2, 2)).reshape(-1, 8)
        slopes = steepest_slopes(windows, level.side)
        self.observe(float(slopes.max()))
        return float(np.median(slopes)) < FLAT * float(slopes.max())

    def _refine(self) -> bool:
        """Cut what the slope asks for at every level but the last; returns whether any was cut."""
        grown = False
        for level, finer in pairwise(self.levels):
            parents = level.open(self.slope)
            self.hopeless |= 8 * len(parents) > MAX_BLOCKS
            if self.hopeless:
                return False
            grown |= len(parents) > 0
            self._cut(parents, finer)
        return grown

    def _cut(self, parents: Int[np.ndarray, "P 3"], finer: Level) -> None:
        """Evaluate the children of blocks, and observe the slopes between siblings."""
        children = 2 * parents[:, None] + CORNERS
        inside = (children < finer.shape).all(-1)
        values = np.full(inside.shape, np.nan)
        values[inside] = self.evaluate(self.grid.points(finer.centres(children[inside])))
        finer.add(children[inside], values[inside])
        self.observe(float(steepest_slopes(values, finer.side).max(initial=0.0)))


def steepest_slopes(values: Float[np.ndarray, "K 8"], side: float) -> Float[np.ndarray, " K"]:
    """The largest slope between any two corners of each of K cubes; NaN corners are passed over.

    The result is at most the largest |grad f|, and at least 0.88 of it where f is linear.
    ``values`` are the field at the corners, in the order of CORNERS; ``side`` is that of the cubes.
    """
    slopes = np.zeros(len(values))
    with np.errstate(invalid="ignore"):
        for one, other in combinations(range(8), 2):
            distance = side * np.linalg.norm(CORNERS[one] - CORNERS[other])
            slopes = np.fmax(slopes, np.abs(values[:, one] - values[:, other]) / distance)
    return slopes
