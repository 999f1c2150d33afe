"""Coordinates that float32 has rounded coarsely, compared with what the points lie apart.

A northing in metres has seven digits before the point, and float32 has seven digits in all: the
points of a statue then lie in two planes. The file looks like any other. Three things tell:
every value is a float32 number, the step between such numbers at this distance from the origin is
large, and few values are left.

Letters: n points, D dimension (2 or 3).
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64

from shapespace.data.extent import NUM_MEASURED, extent_of

COARSE = 0.1
"""Steps of float32 larger than this, in spacings of the points, are an error.

A person 5 km from the origin, with vertices 3 cm apart, has 0.02.
"""
VISIBLE = 0.005
"""The same, from which on it is said."""
ROUNDED = "rounded to float32: "
"""Begins what the account of a scan says about coarse rounding."""
FINELY_ROUNDED = "in float32 far from the origin: "
"""Begins what the account of a scan says about visible rounding."""


@dataclass(frozen=True)
class Rounding:
    """The axis that is rounded most. Lengths are in source units.

    Args:
        axis: its name.
        step: smallest gap between two values.
        distinct: number of different values.
        spacing: what the points would lie apart if they covered the shape evenly.
    """

    axis: str
    step: float
    distinct: int
    spacing: float

    def __str__(self) -> str:
        beginning = ROUNDED if self.step > COARSE * self.spacing else FINELY_ROUNDED
        return (
            f"{beginning}{self.axis} takes {self.distinct} values {self.step:.3g} apart, "
            f"the points lie {self.spacing:.2g} apart"
        )


def rounding_of(points: Float64[np.ndarray, "n D"]) -> Rounding | None:
    """Find whether float32 has rounded the points of a source; None if it has not.

    The result is None also for double numbers far from the origin, which lose nothing.
    """
    # The step of float32 is at most 1.2e-7 of a number: near the origin nothing can be found.
    largest = np.abs(points).max(axis=0)
    if not (largest > 0).any() or not np.isfinite(largest).all():
        return None
    step = np.spacing(largest.astype(np.float32)).astype(np.float64)
    order = np.random.default_rng(0).permutation(len(points))[:NUM_MEASURED]
    radius = extent_of(points[order]).radius
    spacing = 2 * radius / np.sqrt(len(points))
    for axis in np.argsort(-step):
        if not step[axis] > VISIBLE * spacing > 0:
            return None
        values = points[:, axis]
        distinct = np.unique(values)
        # Whole numbers are float32 numbers too, and leave many of the steps of float32 out.
        odd = np.rint(distinct / step[axis]) % 2 == 1
        fits = (values == values.astype(np.float32)).all()
        if fits and len(distinct) > 1 and odd.any():
            gap = float(np.diff(distinct).min())
            return Rounding("xyz"[axis], gap, distinct=len(distinct), spacing=float(spacing))
    return None
