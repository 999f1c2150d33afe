"""Trunk and head, as tables of balls.

Frame and unit as in :mod:`shapespace.synthetic.primitives`. The tables hold the left side only.
"""

from itertools import pairwise

import numpy as np

from shapespace.synthetic.identity import Identity
from shapespace.synthetic.primitives import Ball, Mass, ball, chain, fan, patch, smooth

_TORSO = {
    "m": (
        # height, half breadth, half depth, z of the middle
        (0.525, 0.080, 0.058, -0.002),
        (0.560, 0.083, 0.060, 0.002),
        (0.595, 0.076, 0.055, 0.008),
        (0.630, 0.077, 0.055, 0.008),
        (0.670, 0.079, 0.060, 0.006),
        (0.710, 0.085, 0.065, 0.003),
        (0.750, 0.089, 0.064, -0.001),
        (0.785, 0.078, 0.051, -0.006),
        (0.812, 0.054, 0.039, -0.010),
    ),
    "f": (
        (0.525, 0.096, 0.054, -0.002),
        (0.560, 0.088, 0.056, 0.002),
        (0.595, 0.074, 0.048, 0.008),
        (0.630, 0.069, 0.045, 0.009),
        (0.670, 0.070, 0.049, 0.007),
        (0.710, 0.074, 0.054, 0.002),
        (0.750, 0.077, 0.053, -0.003),
        (0.785, 0.068, 0.043, -0.008),
        (0.812, 0.048, 0.033, -0.011),
    ),
}


def trunk(identity: Identity) -> list[Mass]:
    """The torso with hips, belly, chest and shoulder girdle."""
    return [_torso(identity), *_hips(identity), *_chest(identity), *_girdle(identity)]


def _torso(identity: Identity) -> Mass:
    """The left half of the torso: a strip of round triangles from the middle to the flank."""
    columns = []
    for y, breadth, depth, z in smooth(_TORSO[identity.sex], 2):
        wide = np.interp(y, (0.56, 0.72), (identity.hips, identity.shoulders))
        soft = 1 + 0.16 * identity.belly * np.interp(y, (0.53, 0.60, 0.68), (0, 1, 0))
        breadth = breadth * wide * soft
        depth = depth * (1 + 0.5 * (wide - 1)) * soft
        weights = _spine_weights(y)
        side = 0.80 * depth
        middle = Ball(weights, (0.0, y, z), depth)
        columns.append((middle, Ball(weights, (breadth - side, y, z), side)))
    quads = pairwise(columns)
    return Mass(tuple(t for (a, b), (c, d) in quads for t in ((a, b, d), (a, d, c))), 0.02)


def _spine_weights(y: float) -> tuple[tuple[str, float], ...]:
    """Shares of pelvis, spine and chest at a height, so that the trunk bends smoothly."""
    chest = float(np.interp(y, (0.62, 0.72), (0, 1)))
    pelvis = float(np.interp(y, (0.55, 0.62), (1, 0)))
    weights = (("pelvis", pelvis), ("spine", 1 - chest - pelvis), ("chest", chest))
    return tuple((bone, weight) for bone, weight in weights if weight > 0)


def _hips(identity: Identity) -> list[Mass]:
    """Hip, buttock and belly."""
    belly = identity.belly
    return [
        chain("pelvis", 0.03, (0.048, 0.570, 0.002, 0.033), (0.060, 0.515, -0.002, 0.039)),
        fan(
            "pelvis",
            0.03,
            (0.045, 0.505, -0.034, 0.046),
            (0.040, 0.535, -0.028, 0.040),
            (0.030, 0.560, -0.020, 0.035),
        ),
        chain(
            "pelvis spine",
            0.03,
            (0.0, 0.545, 0.010 + 0.024 * belly, 0.040 + 0.015 * belly),
            (0.0, 0.600, 0.012 + 0.030 * belly, 0.038 + 0.017 * belly),
        ),
    ]


def _chest(identity: Identity) -> list[Mass]:
    """Breast or chest muscle."""
    if identity.sex == "f":
        bust = 0.030 * (1 + 0.15 * identity.belly)
        return [chain("chest", 0.02, (0.036, 0.762, 0.022, 0.026), (0.038, 0.727, 0.036, bust))]
    m = 1 + 0.35 * (identity.muscle - 0.4)
    return [
        fan(
            "chest",
            0.02,
            (0.020, 0.755, 0.036, 0.023 * m),
            (0.070, 0.775, 0.018, 0.026 * m),
            (0.045, 0.738, 0.031, 0.027 * m),
        )
    ]


def _girdle(identity: Identity) -> list[Mass]:
    """Muscles between the chest, the neck, the shoulder and the back."""
    m = (1 + 0.35 * (identity.muscle - 0.4)) * (1.0 if identity.sex == "m" else 0.86)
    return [
        patch(
            0.03,
            ball("chest", 0.020, 0.815, -0.010, 0.026 * m),
            ball("clavicle", 0.094, 0.803, -0.010, 0.026 * m),
            ball("chest", 0.055, 0.765, -0.006, 0.040 * m),
        ),
        patch(
            0.025,
            ball("neck chest", 0.012, 0.855, -0.018, 0.022 * m),
            ball("clavicle", 0.078, 0.814, -0.018, 0.015 * m),
            ball("chest", 0.022, 0.790, -0.030, 0.028 * m),
        ),
        patch(
            0.02,
            ball("clavicle chest", 0.082, 0.775, -0.022, 0.022 * m),
            ball("chest", 0.056, 0.700, -0.018, 0.030 * m),
            ball("chest", 0.036, 0.750, -0.032, 0.028 * m),
        ),
    ]


def head(identity: Identity) -> list[Mass]:
    """The neck, the skull and the face."""
    thick = 1.0 if identity.sex == "m" else 0.88
    jaw = 1.0 if identity.sex == "m" else 0.9
    return [
        chain(
            "chest neck",
            0.012,
            (0.0, 0.815, -0.014, 0.034 * thick),
            (0.0, 0.850, -0.008, 0.0295 * thick),
        ),
        chain(
            "neck head",
            0.012,
            (0.0, 0.850, -0.008, 0.0295 * thick),
            (0.0, 0.895, 0.002, 0.0295 * thick),
        ),
        chain("head", 0.015, (0.0, 0.953, -0.012, 0.0420), (0.0, 0.952, 0.013, 0.0415)),
        chain("head", 0.020, (0.0, 0.922, -0.016, 0.0320), (0.0, 0.905, 0.010, 0.0300)),
        fan(
            "head",
            0.012,
            (0.016, 0.938, 0.038, 0.0205),
            (0.018, 0.918, 0.036, 0.0185),
            (0.0, 0.890, 0.040, 0.0165 * jaw),
        ),
        fan(
            "head",
            0.012,
            (0.0, 0.888, 0.044, 0.0115 * jaw),
            (0.026 * jaw, 0.898, 0.014, 0.0120),
            (0.022, 0.922, 0.030, 0.0170),
        ),
        fan(
            "head",
            0.004,
            (0.042, 0.936, -0.003, 0.004),
            (0.0465, 0.936, -0.010, 0.004),
            (0.0415, 0.912, -0.002, 0.004),
        ),
        *_face(0.0070 if identity.sex == "m" else 0.0063),
    ]


def _face(chin: float) -> list[Mass]:
    """The brow, eye, cheek, nose, mouth and chin."""
    return [
        chain("head", 0.008, (0.006, 0.9385, 0.0555, 0.0060), (0.022, 0.938, 0.0470, 0.0065)),
        chain("head", 0.006, (0.0165, 0.9245, 0.0490, 0.0075)),
        chain("head", 0.008, (0.022, 0.9150, 0.0430, 0.0100), (0.032, 0.9180, 0.0260, 0.0095)),
        chain("head", 0.007, (0.0, 0.9330, 0.0570, 0.0035), (0.0, 0.9150, 0.0640, 0.0050)),
        chain("head", 0.005, (0.0, 0.9140, 0.0615, 0.0045), (0.0060, 0.9140, 0.0565, 0.0038)),
        chain("head", 0.004, (0.0, 0.9030, 0.0560, 0.0038), (0.0100, 0.9025, 0.0510, 0.0030)),
        chain("head", 0.004, (0.0, 0.8985, 0.0550, 0.0040), (0.0085, 0.8990, 0.0505, 0.0030)),
        chain("head", 0.015, (0.0, 0.9010, 0.0340, 0.0190), (0.008, 0.9010, 0.0310, 0.0185)),
        chain(
            "head",
            0.008,
            (0.0, 0.8840, 0.0520, chin),
            (0.0060, 0.8850, 0.0500, chin - 0.0005),
        ),
    ]
