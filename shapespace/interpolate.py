"""Shapes between shapes: straight lines in the space of codes.

Letters: L code length.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from jaxtyping import Float
from torch import Tensor

from shapespace.scan import Frame


@dataclass(frozen=True)
class Stop:
    """One place in the space: a code and the frame its shape is exported to."""

    code: Float[Tensor, " L"]
    frame: Frame


def interpolate(stops: Sequence[Stop], steps: int) -> list[Stop]:
    """``steps`` places from each stop to the next, both ends included, passed once each.

    Codes and frames are interpolated linearly: k stops give (k - 1) * (steps - 1) + 1 places, the
    first and the last of which are the first and last stop themselves.
    """
    if len(stops) < 2 or steps < 2:
        raise ValueError(f"{len(stops)} stops and steps={steps}: at least 2 of each are needed")
    path = [stops[0]]
    for start, end in pairwise(stops):
        path += [_between(start, end, t) for t in np.linspace(0, 1, steps)[1:]]
    return path


def _between(start: Stop, end: Stop, t: float) -> Stop:
    if t == 1:
        return end
    centre = (1 - t) * start.frame.centre + t * end.frame.centre
    scale = (1 - t) * start.frame.scale + t * end.frame.scale
    return Stop((1 - t) * start.code + t * end.code, Frame(centre, scale))
