"""Which scans are turned against the others by right angles: the up axis, the facing.

The share of a scan's points in each cell of a coarse grid, square roots, is compared with the mean
of the other scans in all turns of a cube (24; of a square 4). Fits are correlations.

Letters: n points, S scans, T turns, C cells, D dimension (2 or 3).
"""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64, Int64, UInt16

CELLS = 16
"""Cells along an axis."""
HALF = 2.2
"""Half side of the grid in root mean square radii; what lies beyond counts in the outer cells."""
ALIKE = 0.65
"""Median fit from which on a set has an orientation at all: people 0.89, mixed objects 0.4."""
GAIN = 0.05
"""Least gain in fit for a turn to be told. People in all poses gain less than 0.001 by any."""
CLEAR_GAIN = 0.12
"""Least gain of a scan that fits worse than most even then, in a rare pose: horses that jump gain
0.10 by facing back, those that lie on their side 0.16 to 0.20."""
SHARE = 0.25
"""A turn is told if its gain is this share of what undoing it gains in the set. People that are
turned by a right angle regain 0.26 at least, usually 0.6 to 1."""
MIN_SCANS = 5


@dataclass(frozen=True)
class Occupancy:
    """Which cells a scan fills, and the roots of the shares of its points in them, in 1/65535."""

    cells: UInt16[np.ndarray, " C"]
    roots: UInt16[np.ndarray, " C"]
    dimension: int


@dataclass(frozen=True)
class Turn:
    """A scan that fits the others better when it is turned.

    scan: its number. rotation: [D,D], to be applied to its points. fit, turned_fit: before, after.
    typical: whether it then fits as well as three quarters of the scans that are not turned do.
    """

    scan: int
    rotation: Int64[np.ndarray, "D D"]
    fit: float
    turned_fit: float
    typical: bool


def occupancy(points: Float64[np.ndarray, "n D"]) -> Occupancy:
    """How the points fill the grid, about their mean, in root mean square radii."""
    local = points - points.mean(axis=0)
    radius = np.sqrt((local**2).sum(axis=1).mean())
    cell = ((local / (radius * HALF) + 1) / 2 * CELLS).astype(np.int64).clip(0, CELLS - 1)
    flat, count = np.unique(cell @ _strides(points.shape[1]), return_counts=True)
    roots = np.sqrt(count / len(points)) * 65535
    return Occupancy(flat.astype(np.uint16), roots.astype(np.uint16), points.shape[1])


def rotations(dimension: int) -> Int64[np.ndarray, "T D D"]:
    """The turns of a cube or square, that of nothing first."""
    found = []
    for order in itertools.permutations(range(dimension)):
        for signs in itertools.product((1, -1), repeat=dimension):
            turn = np.zeros((dimension, dimension), np.int64)
            turn[np.arange(dimension), order] = signs
            if np.linalg.det(turn) > 0:
                found.append(turn)
    return np.stack(sorted(found, key=lambda turn: -np.trace(turn)))


def find_turns(scans: Sequence[Occupancy]) -> list[Turn]:
    """The scans that are turned; none if there are too few, or too different ones."""
    if len(scans) < MIN_SCANS:
        return []
    turns = rotations(scans[0].dimension)
    fits = all_fits(scans, turns)
    if np.median(fits[:, 0]) < ALIKE:
        return []
    undone = [int((turns == turn.T).all(axis=(1, 2)).argmax()) for turn in turns]
    usual = np.median(fits[:, :1] - fits[:, undone], axis=0)
    gain = fits - fits[:, :1]
    enough = (gain >= GAIN) & (gain >= SHARE * usual)
    best = np.where(enough, gain, 0).argmax(axis=1)
    common = np.percentile(fits[best == 0, 0], 25) if (best == 0).any() else np.inf
    found = [
        Turn(i, turns[j], float(fits[i, 0]), float(fits[i, j]), bool(fits[i, j] >= common))
        for i, j in enumerate(best)
        if j
    ]
    return [turn for turn in found if turn.typical or turn.turned_fit - turn.fit >= CLEAR_GAIN]


def all_fits(
    scans: Sequence[Occupancy], turns: Int64[np.ndarray, "T D D"]
) -> Float64[np.ndarray, "S T"]:
    """Correlation of every scan, turned, with the mean of the others."""
    dimension = turns.shape[1]
    where = _turned_cells(turns)
    total = np.zeros(CELLS**dimension)
    for scan in scans:
        total[scan.cells] += scan.roots
    fits = np.empty((len(scans), len(turns)))
    for i, scan in enumerate(scans):
        others, roots = total.copy(), scan.roots.astype(np.float64)
        others[scan.cells] -= roots
        own_mean, mean = roots.sum() / len(total), others.mean()
        along = others[where[:, scan.cells]] @ roots / len(total) - own_mean * mean
        own_spread = np.sqrt((roots**2).sum() / len(total) - own_mean**2)
        fits[i] = along / max(own_spread * others.std(), 1e-12)
    return fits


def turn_in_words(rotation: Int64[np.ndarray, "D D"]) -> str:
    """Say a turn, other than that of nothing, as in "by -90 degrees about x"."""
    if len(rotation) == 2:
        quarter = {0: 90 * int(rotation[1, 0]), -2: 180}[int(np.trace(rotation))]
        return f"by {quarter} degrees"
    trace = int(np.trace(rotation))
    angle = {1: 90, -1: 180, 0: 120}[trace]
    if trace == -1:
        axis = (rotation + np.eye(3, dtype=np.int64))[:, np.diag(rotation).argmax()]
    else:
        axis = (rotation - rotation.T)[[2, 0, 1], [1, 2, 0]]
    axis = np.sign(axis)
    if trace != -1 and axis[np.flatnonzero(axis)[0]] < 0:
        axis, angle = -axis, -angle
    single = np.abs(axis).sum() == 1
    about = "xyz"[int(np.abs(axis).argmax())] if single else f"({', '.join(map(str, axis))})"
    return f"by {angle} degrees about {about}"


def axis_here(rotation: Int64[np.ndarray, "D D"], axis: int) -> str:
    """What the others' ``axis`` is in the scan before the turn, as in "-z"."""
    here = rotation[axis]
    place = int(np.abs(here).argmax())
    return ("-" if here[place] < 0 else "") + "xyz"[place]


def _strides(dimension: int) -> Int64[np.ndarray, " D"]:
    return CELLS ** np.arange(dimension)[::-1]


def _turned_cells(turns: Int64[np.ndarray, "T D D"]) -> Int64[np.ndarray, "T C"]:
    """Number of the cell to which each turn takes each cell."""
    dimension = turns.shape[1]
    cells = np.stack(np.unravel_index(np.arange(CELLS**dimension), (CELLS,) * dimension))
    doubled = 2 * cells - (CELLS - 1)
    turned = (turns @ doubled + (CELLS - 1)) // 2
    return np.einsum("d,tdc->tc", _strides(dimension), turned)
