"""Percentiles over shapes, as in the tables of IGR, with bootstrap intervals of mean and median.

Frames of one person are not independent. The bootstrap therefore draws groups (people) with
replacement, and each drawn group brings all of its shapes (cluster bootstrap).

Letters: S shapes, G groups, R resamples.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from jaxtyping import Float, Int

RESAMPLES = 1000
"""Resamples of a bootstrap."""
HUGE = 1e300
"""Finite stand-in for infinity; a result above its square root counts as infinite."""


@dataclass(frozen=True)
class Summary:
    """Percentiles and mean of one column over shapes, with 95 % intervals of median and mean.

    Args:
        p5: 5th percentile.
        p50: median.
        p95: 95th percentile.
        mean: mean.
        median_ci: ends of the 95 % interval of the median; None with fewer than two groups.
        mean_ci: ends of the 95 % interval of the mean; None with fewer than two groups.
        shapes: number of shapes that have the column.
        groups: number of groups of these shapes.
    """

    p5: float
    p50: float
    p95: float
    mean: float
    median_ci: tuple[float, float] | None
    mean_ci: tuple[float, float] | None
    shapes: int
    groups: int

    def as_dict(self) -> dict[str, Any]:
        """The fields as a dict, for JSON."""
        return asdict(self)


def summary_of(values: Float[np.ndarray, " S"], groups: Sequence[str], seed: int = 0) -> Summary:
    """Summarise one column over at least one shape.

    Args:
        values: value of each shape; infinite values are allowed.
        groups: group of each shape, such as the person.
        seed: seed of the resamples.
    """
    # Interpolated percentiles subtract neighbours, and inf - inf is NaN: a huge number stands in.
    known = np.minimum(values, HUGE)
    names, group = np.unique(np.asarray(groups), return_inverse=True)
    median_ci = None
    mean_ci = None
    # A single group is the same in every resample, so that its interval would have no width.
    if len(names) > 1:
        count = draws(len(names), RESAMPLES, seed)[:, group]
        median_ci = _interval(weighted_medians(known, count))
        mean_ci = _interval(weighted_means(known, count))
    p5, p50, p95 = (_finite(value) for value in np.percentile(known, [5, 50, 95]))
    return Summary(
        p5=p5,
        p50=p50,
        p95=p95,
        mean=_finite(known.mean()),
        median_ci=median_ci,
        mean_ci=mean_ci,
        shapes=len(known),
        groups=len(names),
    )


def draws(num_groups: int, resamples: int, seed: int) -> Int[np.ndarray, "R G"]:
    """Draw groups with replacement and count how often each group is drawn.

    Args:
        num_groups: number of groups, which is also the number of draws of a resample.
        resamples: number of resamples.
        seed: seed of the draws.

    Returns:
        Count of each group in each resample; a row sums to ``num_groups``.
    """
    generator = np.random.default_rng(seed)
    share = np.full(num_groups, 1 / num_groups)
    return generator.multinomial(num_groups, share, size=resamples)


def weighted_means(
    values: Float[np.ndarray, " S"], count: Int[np.ndarray, "R S"]
) -> Float[np.ndarray, " R"]:
    """Mean of each resample, in which value s occurs ``count[r, s]`` times."""
    return count @ values / count.sum(1)


def weighted_medians(
    values: Float[np.ndarray, " S"], count: Int[np.ndarray, "R S"]
) -> Float[np.ndarray, " R"]:
    """Median of each resample, in which value s occurs ``count[r, s]`` times.

    The median of an even number of values is the mean of the two in the middle.
    """
    # The counts, summed in the order of the values, say at which value a rank is reached. The
    # resamples are never written out, which would take R arrays of S values and R sorts.
    order = np.argsort(values, kind="stable")
    below = np.cumsum(count[:, order], axis=1)
    total = below[:, -1:]
    low = (below > (total - 1) // 2).argmax(1)
    high = (below > total // 2).argmax(1)
    return 0.5 * (values[order][low] + values[order][high])


def _interval(values: Float[np.ndarray, " R"]) -> tuple[float, float]:
    """Ends of the percentile interval of 95 %."""
    low, high = np.percentile(values, [2.5, 97.5])
    return _finite(low), _finite(high)


def _finite(value: float) -> float:
    """The value, or infinity if :data:`HUGE` has entered it."""
    # A mean over S shapes holds HUGE / S, a difference of percentiles some share of HUGE: all far
    # above the root, and all true values far below.
    return float(value) if value < np.sqrt(HUGE) else float("inf")
