"""Masses of flesh at rest, and how they are written down.

Frame: y up, facing +z, left side at +x, floor y = 0, arms stretched sideways (the rest pose of
:mod:`shapespace.synthetic.skeleton`). Unit of the tables: the stature.
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from scipy.interpolate import CubicSpline

Row = tuple[float, float, float, float]
"""A ball of a table: x, y, z, radius."""


class Ball(NamedTuple):
    """A ball of the flesh at rest. weights: how far it follows each bone, adding to 1."""

    weights: tuple[tuple[str, float], ...]
    centre: tuple[float, float, float]
    radius: float


Piece = tuple[Ball, ...]
"""One to three balls: a ball, a round cone or a round triangle."""


class Mass(NamedTuple):
    """A muscle or a limb: pieces that join sharply, and the radius of blending with others."""

    pieces: tuple[Piece, ...]
    blend: float


def ball(bones: str, x: float, y: float, z: float, radius: float) -> Ball:
    """A ball that follows the bones, named with spaces between, all alike."""
    names = bones.split()
    return Ball(tuple((name, 1 / len(names)) for name in names), (x, y, z), radius)


def chain(bones: str, blend: float, *rows: Row) -> Mass:
    """Round cones along a smooth curve through the balls; a single ball for one."""
    balls = [ball(bones, *row) for row in smooth(rows, 3)]
    return Mass(tuple(pairwise(balls)) or ((balls[0],),), blend)


def fan(bones: str, blend: float, *rows: Row) -> Mass:
    """A round triangle of three balls."""
    return patch(blend, *(ball(bones, *row) for row in rows))


def patch(blend: float, a: Ball, b: Ball, c: Ball) -> Mass:
    """A round triangle of balls that follow bones of their own."""
    return Mass(((a, b, c),), blend)


def smooth(rows: Sequence[tuple[float, ...]], factor: int) -> Float[np.ndarray, "R C"]:
    """Rows of a smooth curve through ``rows``, with ``factor`` times as many intervals."""
    if len(rows) < 3:
        return np.array(rows)
    knots = np.linspace(0, len(rows) - 1, factor * (len(rows) - 1) + 1)
    return CubicSpline(np.arange(len(rows)), rows)(knots)
