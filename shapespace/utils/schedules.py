"""Factors of learning rates over a run."""

import math


def cosine(done: float, warm_up: float) -> float:
    """Factor of a rate after the fraction ``done`` of a run.

    Rises evenly over the fraction ``warm_up``, falls to 0 as half a cosine over the whole.
    """
    rise = min(1.0, done / warm_up) if warm_up else 1.0
    return rise * (0.5 + 0.5 * math.cos(math.pi * min(done, 1.0)))


def halved(epoch: int, every: int) -> float:
    """Factor of a rate that is halved every so many epochs (IGR, Gropp et al. 2020, supplement)."""
    return 0.5 ** (epoch // every)
