"""Scans that are mirror images of the others: left and right hands, bones, shoes in one set.

Every scan is turned to its principal axes and described by the cells of a coarse grid that it
fills (``rotations.py``). The axes have no sign. So a scan is compared with a reference under the 8
changes of their signs: 4 of them are rotations, the other 4 mirror it. A scan of the other hand
fits one of the mirrors better than every rotation.

People bend to the left and to the right, and each of both is nearly the mirror image of the other.
They are told from two hands by what lies between: people who stand straight fit both ways.

Letters: n points, S scans, D dimension (2 or 3).
"""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64

from shapespace.data.check.rotations import Occupancy, all_pairs, occupancy

NUM_REFERENCES = 5
"""Number of scans, spread over the set, of which the one that fits best is the reference."""
ALIKE = 0.9
"""Median of the better fit from which on a set is of one shape. People in all poses have 0.86."""
CLEAR = 0.02
"""Difference of the two fits from which on a scan may have a hand. Bones have 0.04."""
TIMES = 2.0
"""A scan has a hand if the worse fit is this times further from 1 than the better fit."""
SHARE = 0.95
"""Share of the scans that have a hand from which on the set is one of hands."""
MIN_SCANS = 4
"""In a smaller set no scan is reported."""


@dataclass(frozen=True)
class MirroredScan:
    """A scan that is a mirror image of the others.

    Args:
        scan: number of the scan in the sequence.
        fit: best fit to a scan of the other hand by a rotation.
        mirrored_fit: best fit when mirrored.
    """

    scan: int
    fit: float
    mirrored_fit: float


def principal_occupancy(points: Float64[np.ndarray, "n D"]) -> Occupancy:
    """Count the points in the cells of the grid along the principal axes."""
    local = points - points.mean(axis=0)
    axes = np.linalg.eigh(local.T @ local)[1]
    if np.linalg.det(axes) < 0:
        axes[:, 0] = -axes[:, 0]
    return occupancy(local @ axes)


def hands(
    scans: Sequence[Occupancy],
) -> tuple[Float64[np.ndarray, " S"], Float64[np.ndarray, " S"]]:
    """Fit every scan to the reference.

    Returns:
        The best fit under a rotation, and the best one under a mirroring.
    """
    dimension = scans[0].dimension
    signs = np.array(list(itertools.product((1, -1), repeat=dimension)))
    proper = signs.prod(axis=1) > 0
    matrices = np.stack([np.diag(row) for row in signs])
    rows = np.unique(np.linspace(0, len(scans) - 1, NUM_REFERENCES).astype(int))
    candidates = [all_pairs(scans, scans[row], matrices) for row in rows]
    fits = max(candidates, key=lambda fits: float(np.median(fits.max(axis=1))))
    return fits[:, proper].max(axis=1), fits[:, ~proper].max(axis=1)


def find_mirrored(scans: Sequence[Occupancy]) -> list[MirroredScan]:
    """Find the scans of the rarer hand.

    The list is empty if the set is too small, too mixed, or not one of hands.
    """
    if len(scans) < MIN_SCANS:
        return []
    same, mirrored = hands(scans)
    better = np.maximum(same, mirrored)
    worse = np.minimum(same, mirrored)
    clear = (better - worse >= CLEAR) & (1 - worse >= TIMES * (1 - better))
    if np.median(better) < ALIKE or clear.mean() < SHARE:
        return []
    other = clear & (mirrored > same)
    if 2 * other.sum() > len(scans):
        other = clear & (mirrored < same)
        same, mirrored = mirrored, same
    return [MirroredScan(int(i), float(same[i]), float(mirrored[i])) for i in np.flatnonzero(other)]
