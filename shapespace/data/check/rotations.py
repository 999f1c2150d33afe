"""Scans that are rotated against the others by right angles: another up axis, another facing.

Every scan is described by the share of its points in each cell of a coarse grid. The square roots
of these shares, rotated in every way that takes the grid to itself (24 rotations of a cube, 4 of a
square), are compared with the mean of the other scans. A fit is the correlation of both.

Letters: n points, S scans, R rotations, C cells, D dimension (2 or 3).
"""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64, Int64, UInt16

CELLS = 16
"""Number of cells along an axis."""
HALF = 2.2
"""Half side of the grid, in root mean square radii. Points beyond count in the outer cells."""
ALIKE = 0.65
"""Median fit from which on a set of scans has a common orientation.

Below it, no scan is reported. People have 0.89, mixed objects 0.4.
"""
GAIN = 0.05
"""Smallest gain in fit for which a rotation is reported.

People in all poses gain less than 0.001 by any rotation.
"""
CLEAR_GAIN = 0.12
"""Smallest gain for a scan that even rotated fits worse than most, as in a rare pose.

Horses that jump gain 0.10 by facing back; those that lie on their side gain 0.16 to 0.20.
"""
SHARE = 0.25
"""Smallest gain for which a rotation is reported, as a share of the usual gain.

The usual gain is what undoing that rotation gains in this set. People rotated by a right angle
regain at least 0.26 of it, mostly 0.6 to 1.
"""
MIN_SCANS = 5
"""In a smaller set no scan is reported."""


@dataclass(frozen=True)
class Occupancy:
    """The cells of the grid that a scan fills.

    Args:
        cells: numbers of these cells.
        roots: square roots of the shares of the points in them, in steps of 1/65535.
        dimension: D.
    """

    cells: UInt16[np.ndarray, " C"]
    roots: UInt16[np.ndarray, " C"]
    dimension: int


@dataclass(frozen=True)
class RotatedScan:
    """A scan that fits the others better after a rotation.

    Args:
        scan: number of the scan in the sequence.
        rotation: the rotation to be applied to its points.
        fit: fit of the scan as it is.
        rotated_fit: fit after the rotation.
        typical: whether ``rotated_fit`` reaches the lower quartile of the fits of the scans that
            are not rotated.
    """

    scan: int
    rotation: Int64[np.ndarray, "D D"]
    fit: float
    rotated_fit: float
    typical: bool


def occupancy(points: Float64[np.ndarray, "n D"]) -> Occupancy:
    """Count the points in the cells of the grid, about their mean, in root mean square radii."""
    local = points - points.mean(axis=0)
    radius = np.sqrt((local**2).sum(axis=1).mean())
    cell = ((local / (radius * HALF) + 1) / 2 * CELLS).astype(np.int64).clip(0, CELLS - 1)
    number, count = np.unique(cell @ _strides(points.shape[1]), return_counts=True)
    # Two bytes a number: the grids of all scans are in memory at once.
    roots = np.sqrt(count / len(points)) * 65535
    return Occupancy(number.astype(np.uint16), roots.astype(np.uint16), points.shape[1])


def rotations(dimension: int) -> Int64[np.ndarray, "R D D"]:
    """List the rotations of a cube or square, the identity first."""
    found = []
    for order in itertools.permutations(range(dimension)):
        for signs in itertools.product((1, -1), repeat=dimension):
            matrix = np.zeros((dimension, dimension), np.int64)
            matrix[np.arange(dimension), order] = signs
            # The others are reflections.
            if np.linalg.det(matrix) > 0:
                found.append(matrix)
    return np.stack(sorted(found, key=lambda matrix: -np.trace(matrix)))


def find_rotated(scans: Sequence[Occupancy]) -> list[RotatedScan]:
    """Find the scans that are rotated against the others.

    The list is empty if there are fewer than ``MIN_SCANS`` scans, or if they are too different to
    have a common orientation.
    """
    if len(scans) < MIN_SCANS:
        return []
    matrices = rotations(scans[0].dimension)
    fits = all_fits(scans, matrices)
    if np.median(fits[:, 0]) < ALIKE:
        return []
    # A scan that has to be rotated by j was rotated by the inverse of j, its transpose. What the
    # inverse costs the other scans is the gain to be expected of j.
    inverse = [int((matrices == matrix.T).all(axis=(1, 2)).argmax()) for matrix in matrices]
    usual = np.median(fits[:, :1] - fits[:, inverse], axis=0)
    gain = fits - fits[:, :1]
    enough = (gain >= GAIN) & (gain >= SHARE * usual)
    # Number 0 is the identity, whose gain is 0: it wins where no other rotation gains enough.
    best = np.where(enough, gain, 0).argmax(axis=1)
    common = np.percentile(fits[best == 0, 0], 25) if (best == 0).any() else np.inf
    found = [
        RotatedScan(
            scan=i,
            rotation=matrices[j],
            fit=float(fits[i, 0]),
            rotated_fit=float(fits[i, j]),
            typical=bool(fits[i, j] >= common),
        )
        for i, j in enumerate(best)
        if j
    ]
    return [scan for scan in found if scan.typical or scan.rotated_fit - scan.fit >= CLEAR_GAIN]


def all_fits(
    scans: Sequence[Occupancy], matrices: Int64[np.ndarray, "R D D"]
) -> Float64[np.ndarray, "S R"]:
    """Correlate every scan, rotated in every way, with the mean of the other scans."""
    dimension = matrices.shape[1]
    rotated = _rotated_cells(matrices)
    total = np.zeros(CELLS**dimension)
    for scan in scans:
        total[scan.cells] += scan.roots
    fits = np.empty((len(scans), len(matrices)))
    for i, scan in enumerate(scans):
        others = total.copy()
        roots = scan.roots.astype(np.float64)
        others[scan.cells] -= roots
        # Only the filled cells of the scan enter the sums; the means are over all cells.
        own_mean = roots.sum() / len(total)
        mean = others.mean()
        covariance = others[rotated[:, scan.cells]] @ roots / len(total) - own_mean * mean
        own_deviation = np.sqrt((roots**2).sum() / len(total) - own_mean**2)
        fits[i] = covariance / max(own_deviation * others.std(), 1e-12)
    return fits


def all_pairs(
    scans: Sequence[Occupancy], reference: Occupancy, matrices: Int64[np.ndarray, "R D D"]
) -> Float64[np.ndarray, "S R"]:
    """Correlate every scan, turned or mirrored in every way, with one other scan.

    Args:
        scans: the scans.
        reference: the other scan.
        matrices: matrices that take the grid to itself.
    """
    moved = _rotated_cells(matrices)
    other = np.zeros(CELLS ** matrices.shape[1])
    other[reference.cells] = reference.roots
    mean = other.mean()
    deviation = other.std()
    fits = np.empty((len(scans), len(matrices)))
    for i, scan in enumerate(scans):
        roots = scan.roots.astype(np.float64)
        own_mean = roots.sum() / len(other)
        covariance = other[moved[:, scan.cells]] @ roots / len(other) - own_mean * mean
        own_deviation = np.sqrt((roots**2).sum() / len(other) - own_mean**2)
        fits[i] = covariance / max(own_deviation * deviation, 1e-12)
    return fits


def rotation_in_words(rotation: Int64[np.ndarray, "D D"]) -> str:
    """Describe a rotation other than the identity, as in "by -90 degrees about x"."""
    if len(rotation) == 2:
        angle = {0: 90 * int(rotation[1, 0]), -2: 180}[int(np.trace(rotation))]
        return f"by {angle} degrees"
    # The trace of a rotation by t is 1 + 2 cos t.
    trace = int(np.trace(rotation))
    angle = {1: 90, -1: 180, 0: 120}[trace]
    if trace == -1:
        # By 180 degrees about a unit axis a the matrix is 2 a a^T - 1. The antisymmetric part, from
        # which other axes are read, is zero.
        axis = (rotation + np.eye(3, dtype=np.int64))[:, np.diag(rotation).argmax()]
    else:
        axis = (rotation - rotation.T)[[2, 0, 1], [1, 2, 0]]
    axis = np.sign(axis)
    if trace != -1 and axis[np.flatnonzero(axis)[0]] < 0:
        axis = -axis
        angle = -angle
    single = np.abs(axis).sum() == 1
    about = "xyz"[int(np.abs(axis).argmax())] if single else f"({', '.join(map(str, axis))})"
    return f"by {angle} degrees about {about}"


def axis_before(rotation: Int64[np.ndarray, "D D"], axis: int) -> str:
    """Name the axis of the scan that the rotation takes to ``axis``, as in "-z"."""
    row = rotation[axis]
    source = int(np.abs(row).argmax())
    return ("-" if row[source] < 0 else "") + "xyz"[source]


def _strides(dimension: int) -> Int64[np.ndarray, " D"]:
    return CELLS ** np.arange(dimension)[::-1]


def _rotated_cells(matrices: Int64[np.ndarray, "R D D"]) -> Int64[np.ndarray, "R C"]:
    """Number the cell to which each rotation takes each cell."""
    dimension = matrices.shape[1]
    cells = np.stack(np.unravel_index(np.arange(CELLS**dimension), (CELLS,) * dimension))
    # Twice the centres of the cells about the middle of the grid: odd integers, rotated exactly.
    doubled = 2 * cells - (CELLS - 1)
    rotated = (matrices @ doubled + (CELLS - 1)) // 2
    return np.einsum("d,tdc->tc", _strides(dimension), rotated)
