"""Masses (muscles, limbs) of a body at rest, and short functions for tables of them.

Frame: y up, facing +z, left side at +x, floor y = 0, arms stretched sideways (the rest pose of
:mod:`shapespace.synthetic.skeleton`). Unit of the tables: the stature.

Letters: R rows of C numbers.
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from scipy.interpolate import CubicSpline

Row = tuple[float, float, float, float]
"""A ball in a table: x, y, z, radius."""


class Ball(NamedTuple):
    """A ball of the body at rest.

    Args:
        weights: bones that the ball follows, and the share of each; the shares add up to 1.
        centre: x, y, z.
        radius: radius.
    """

    weights: tuple[tuple[str, float], ...]
    centre: tuple[float, float, float]
    radius: float


Piece = tuple[Ball, ...]
"""One ball, or the two of a round cone, or the three of a round triangle."""


class Mass(NamedTuple):
    """A muscle or a part of a limb.

    Args:
        pieces: pieces, joined sharply.
        blend: radius of blending with other masses.
    """

    pieces: tuple[Piece, ...]
    blend: float


def ball(bones: str, x: float, y: float, z: float, radius: float) -> Ball:
    """Make a ball that follows some bones equally.

    Args:
        bones: names of the bones, with spaces between.
        x: to the left.
        y: up.
        z: to the front.
        radius: radius.
    """
    names = bones.split()
    return Ball(tuple((name, 1 / len(names)) for name in names), (x, y, z), radius)


def chain(bones: str, blend: float, *rows: Row) -> Mass:
    """Make round cones along a smooth curve through balls; one row makes a single ball."""
    balls = [ball(bones, x, y, z, radius) for x, y, z, radius in smooth(rows, 3)]
    return Mass(tuple(pairwise(balls)) or ((balls[0],),), blend)


def fan(bones: str, blend: float, *rows: Row) -> Mass:
    """Make a round triangle of three balls that follow the same bones."""
    a, b, c = (ball(bones, x, y, z, radius) for x, y, z, radius in rows)
    return patch(blend, a, b, c)


def patch(blend: float, a: Ball, b: Ball, c: Ball) -> Mass:
    """Make a round triangle.

    Args:
        blend: radius of blending with other masses.
        a: first ball.
        b: second ball.
        c: third ball.
    """
    return Mass(((a, b, c),), blend)


def smooth(rows: Sequence[tuple[float, ...]], factor: int) -> Float[np.ndarray, "R C"]:
    """Refine a table by a cubic spline through its rows, to ``factor`` times the intervals."""
    if len(rows) < 3:
        return np.array(rows)
    knots = np.linspace(0, len(rows) - 1, factor * (len(rows) - 1) + 1)
    return CubicSpline(np.arange(len(rows)), rows)(knots)
