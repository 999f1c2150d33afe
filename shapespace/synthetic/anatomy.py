"""The whole body at rest: joints and flesh of an identity, both sides.

Frame: y up, facing +z, left side at +x, floor y = 0, metres; the rest pose of
:mod:`shapespace.synthetic.skeleton`.
"""

import numpy as np
from jaxtyping import Float

from shapespace.synthetic.identity import Identity
from shapespace.synthetic.limbs import arm, foot, hand, leg
from shapespace.synthetic.primitives import Ball, Mass, Piece
from shapespace.synthetic.skeleton import PAIRED
from shapespace.synthetic.trunk import head, trunk

_JOINTS = {
    "pelvis": (0.0, 0.535, 0.0),
    "spine": (0.0, 0.590, -0.005),
    "chest": (0.0, 0.680, -0.010),
    "neck": (0.0, 0.830, -0.014),
    "head": (0.0, 0.880, -0.004),
    "clavicle": (0.018, 0.815, 0.0),
    "upper_arm": (0.105, 0.805, -0.010),
    "forearm": (0.270, 0.805, -0.011),
    "hand": (0.415, 0.805, -0.010),
    "fingers": (0.474, 0.803, -0.008),
    "fingertips": (0.498, 0.801, -0.008),
    "thumb": (0.446, 0.797, 0.018),
    "thigh": (0.054, 0.515, 0.000),
    "shin": (0.055, 0.285, 0.000),
    "foot": (0.055, 0.048, -0.014),
    "toes": (0.058, 0.012, 0.058),
}
_HIP, _SHOULDER = 0.515, 0.105
_LIMBS = frozenset({"upper_arm", "forearm", "thigh", "shin"})
_ARM = frozenset({"clavicle", "upper_arm", "forearm", "hand", "fingers", "fingertips", "thumb"})
_LEG = frozenset({"thigh", "shin", "foot", "toes"})


def joints(identity: Identity) -> dict[str, Float[np.ndarray, " 3"]]:
    """Rest positions of the joints of the left side, by the bone that begins there."""
    scale = identity.stature / _height(identity)
    return {bone: scale * _grown(identity, bone, at) for bone, at in _JOINTS.items()}


def flesh(identity: Identity) -> list[Mass]:
    """All masses at rest; paired bones are named as in ``thigh.l``.

    A mass that has a ball on the plane of symmetry is one with its mirror image.
    """
    scale = identity.stature / _height(identity)
    left = (
        trunk(identity) + head(identity) + leg(identity) + foot() + arm(identity) + hand(identity)
    )
    masses = []
    for mass in left:
        sides = [_pieces(identity, mass, scale, side) for side in "lr"]
        single = any(ball.centre[0] == 0 for piece in mass.pieces for ball in piece)
        whole = [tuple(dict.fromkeys(sides[0] + sides[1]))] if single else sides
        masses += [Mass(pieces, scale * mass.blend) for pieces in whole]
    return masses


def _pieces(identity: Identity, mass: Mass, scale: float, side: str) -> tuple[Piece, ...]:
    """The pieces of a mass as grown by ``identity``, in metres, on one side."""

    def placed(ball: Ball) -> Ball:
        bone = ball.weights[0][0]
        factor = identity.limbs if bone in _LIMBS else identity.head if bone == "head" else 1.0
        x, y, z = (scale * _grown(identity, bone, ball.centre)).tolist()
        weights = tuple((f"{b}.{side}" if b in PAIRED else b, w) for b, w in ball.weights)
        return Ball(weights, (-x if side == "r" and x else x, y, z), scale * factor * ball.radius)

    return tuple(tuple(map(placed, piece)) for piece in mass.pieces)


def _grown(
    identity: Identity, bone: str, at: tuple[float, float, float]
) -> Float[np.ndarray, " 3"]:
    """A place of the tables, moved by the proportions of ``identity``; unit: the stature."""
    place = np.array(at, float)
    if bone == "head":
        neck = np.array(_JOINTS["head"])
        place = neck + identity.head * (place - neck)
    if bone in _ARM:
        place[0] += _SHOULDER * (identity.shoulders - 1) * min(1, place[0] / _SHOULDER)
    if bone in _LEG:
        place[0] *= identity.hips
    hip = identity.legs * _HIP
    place[1] = np.interp(place[1], (0, _HIP, 1, 2), (0, hip, 1, 1 + (1 - hip) / (1 - _HIP)))
    return place


def _height(identity: Identity) -> float:
    """From the soles to the top of the head, in the unit of the tables."""
    balls = [ball for mass in head(identity) for piece in mass.pieces for ball in piece]
    return max(
        float(_grown(identity, "head", ball.centre)[1]) + identity.head * ball.radius
        for ball in balls
        if ball.weights[0][0] == "head"
    )
