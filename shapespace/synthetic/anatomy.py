"""The body at rest: joints and masses of an identity, on both sides.

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
"""Joints of the left side by the bone that begins there; unit: the stature."""
_HIP = 0.515
_SHOULDER = 0.105
"""Height of the hip joint and breadth of the shoulder joint, in the tables."""
_LIMBS = frozenset({"upper_arm", "forearm", "thigh", "shin"})
_ARM = frozenset({"clavicle", "upper_arm", "forearm", "hand", "fingers", "fingertips", "thumb"})
_LEG = frozenset({"thigh", "shin", "foot", "toes"})


def joints(identity: Identity) -> dict[str, Float[np.ndarray, " 3"]]:
    """Rest positions of the joints of the left side, in metres, by the bone that begins there."""
    scale = identity.stature / _height(identity)
    return {bone: scale * _grown(identity, bone, at) for bone, at in _JOINTS.items()}


def flesh(identity: Identity) -> list[Mass]:
    """Make all masses of the body at rest, in metres, for both sides.

    Paired bones have the names ``thigh.l`` and ``thigh.r``.
    """
    scale = identity.stature / _height(identity)
    left = (
        trunk(identity) + head(identity) + leg(identity) + foot() + arm(identity) + hand(identity)
    )
    masses = []
    for mass in left:
        sides = [_pieces(identity, mass, scale=scale, side=side) for side in "lr"]
        # Two masses on the plane of symmetry would blend with each other and bulge there.
        single = any(ball.centre[0] == 0 for piece in mass.pieces for ball in piece)
        whole = [tuple(dict.fromkeys(sides[0] + sides[1]))] if single else sides
        masses += [Mass(pieces, scale * mass.blend) for pieces in whole]
    return masses


def _pieces(identity: Identity, mass: Mass, scale: float, side: str) -> tuple[Piece, ...]:
    """The pieces of a mass with the proportions of ``identity``, in metres.

    Args:
        identity: the person.
        mass: mass of the tables, on the left side.
        scale: metres for the unit of the tables.
        side: "l" or "r".
    """

    def placed(ball: Ball) -> Ball:
        bone = ball.weights[0][0]
        factor = 1.0
        if bone in _LIMBS:
            factor = identity.limbs
        elif bone == "head":
            factor = identity.head
        x, y, z = (scale * _grown(identity, bone, ball.centre)).tolist()
        weights = tuple((f"{b}.{side}" if b in PAIRED else b, w) for b, w in ball.weights)
        # The mirror image of 0 is 0, not -0: balls on the plane of symmetry must be equal.
        x = -x if side == "r" and x else x
        return Ball(weights, (x, y, z), scale * factor * ball.radius)

    return tuple(tuple(map(placed, piece)) for piece in mass.pieces)


def _grown(
    identity: Identity, bone: str, at: tuple[float, float, float]
) -> Float[np.ndarray, " 3"]:
    """Move a point of the tables by the proportions of ``identity``; unit: the stature.

    Args:
        identity: the person.
        bone: bone that the point follows.
        at: the point.
    """
    point = np.array(at, float)
    if bone == "head":
        neck = np.array(_JOINTS["head"])
        point = neck + identity.head * (point - neck)
    if bone in _ARM:
        point[0] += _SHOULDER * (identity.shoulders - 1) * min(1, point[0] / _SHOULDER)
    if bone in _LEG:
        point[0] *= identity.hips
    # Longer legs make a shorter trunk: heights below and above the hip stretch differently.
    hip = identity.legs * _HIP
    point[1] = np.interp(point[1], (0, _HIP, 1, 2), (0, hip, 1, 1 + (1 - hip) / (1 - _HIP)))
    return point


def _height(identity: Identity) -> float:
    """Height from the soles to the top of the head, in the unit of the tables."""
    balls = [ball for mass in head(identity) for piece in mass.pieces for ball in piece]
    return max(
        float(_grown(identity, "head", ball.centre)[1]) + identity.head * ball.radius
        for ball in balls
        if ball.weights[0][0] == "head"
    )
