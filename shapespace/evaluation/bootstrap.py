"""Many shapes in a few numbers: percentiles as in IGR's tables, and how sure mean and median are.

Frames of one person are no independent draws: the bootstrap draws people. Letters: S shapes,
G groups, R resamples.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from jaxtyping import Float, Int

RESAMPLES = 1000
HUGE = 1e300
"""Stands for infinity, as differences of it are defined; beyond its root a result is infinite."""


@dataclass(frozen=True)
class Summary:
    """Percentiles and mean of one column over shapes, with 95 % intervals by bootstrap over groups.

    The intervals are None with fewer than two groups. shapes, groups: that have the column.
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
        """By name."""
        return asdict(self)


def summary_of(values: Float[np.ndarray, " S"], groups: Sequence[str], seed: int = 0) -> Summary:
    """Summarise the values of at least one shape, each of its group; infinite ones are allowed."""
    known = np.minimum(values, HUGE)
    names, group = np.unique(np.asarray(groups), return_inverse=True)
    count = draws(len(names), RESAMPLES, seed)
    p5, p50, p95 = (_finite(value) for value in np.percentile(known, [5, 50, 95]))
    sure = len(names) > 1
    weight = count[:, group] if sure else None
    return Summary(
        p5,
        p50,
        p95,
        _finite(known.mean()),
        None if weight is None else _interval(weighted_medians(known, weight)),
        None if weight is None else _interval(weighted_means(known, weight)),
        len(known),
        len(names),
    )


def draws(num_groups: int, resamples: int, seed: int) -> Int[np.ndarray, "R G"]:
    """How often each group is drawn in each resample, as many draws as there are groups."""
    generator = np.random.default_rng(seed)
    share = np.full(num_groups, 1 / num_groups)
    return generator.multinomial(num_groups, share, size=resamples)


def weighted_means(
    values: Float[np.ndarray, " S"], count: Int[np.ndarray, "R S"]
) -> Float[np.ndarray, " R"]:
    """Mean of the values, each taken ``count`` times."""
    return count @ values / count.sum(1)


def weighted_medians(
    values: Float[np.ndarray, " S"], count: Int[np.ndarray, "R S"]
) -> Float[np.ndarray, " R"]:
    """Median of the values, each taken ``count`` times; the middle of the two in the middle."""
    order = np.argsort(values, kind="stable")
    below = np.cumsum(count[:, order], axis=1)
    total = below[:, -1:]
    low, high = ((below > at).argmax(1) for at in ((total - 1) // 2, total // 2))
    return 0.5 * (values[order][low] + values[order][high])


def _interval(values: Float[np.ndarray, " R"]) -> tuple[float, float]:
    low, high = np.percentile(values, [2.5, 97.5])
    return _finite(low), _finite(high)


def _finite(value: float) -> float:
    return float(value) if value < np.sqrt(HUGE) else float("inf")
