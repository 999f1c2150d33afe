"""Factors of learning rates over a run."""

import math


def cosine(done: float, warm_up: float) -> float:
    """Factor of a learning rate that falls to 0 as half a cosine over a run.

    Args:
        done: fraction of the run that is done; values above 1 count as 1.
        warm_up: fraction of the run over which the factor also rises linearly from 0.
    """
    rise = min(1.0, done / warm_up) if warm_up else 1.0
    return rise * (0.5 + 0.5 * math.cos(math.pi * min(done, 1.0)))


def halved(epoch: int, every: int) -> float:
    """Factor of a learning rate that is halved every ``every`` epochs, from 1 in epoch 0.

    The schedule of IGR (Gropp et al. 2020, supplement).
    """
    return 0.5 ** (epoch // every)
