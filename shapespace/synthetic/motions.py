"""Ten motions with the names of those in D-FAUST, as poses over a phase.

Angles are in degrees, with the signs of :mod:`shapespace.synthetic.skeleton`. The period of each
motion is 1.
"""

import math
from collections.abc import Callable, Mapping

from shapespace.synthetic.skeleton import Angles, SkeletonPose


def _limbs(**changes: Angles) -> dict[str, Angles]:
    """Angles of one side of a body that stands at ease; ``changes`` replace some of them."""
    rest: dict[str, Angles] = {
        "clavicle": (0, 0, -3, 0),
        "upper_arm": (0, 0, -68, 0),
        "forearm": (0, -20, 0, 0),
        "hand": (0, 0, 0, -10),
        "fingers": (0, 0, -18, 0),
        "fingertips": (0, 0, -22, 0),
        "thigh": (-2, 8, 5, 0),
        "shin": (4, 0, 0, 0),
        "foot": (-2, 0, -4, 0),
    }
    return {**rest, **changes}


_FIST: dict[str, Angles] = {
    "fingers": (0, 0, -80, 0),
    "fingertips": (0, 0, -95, 0),
    "thumb": (0, 30, -40, 0),
}


def _wave(phase: float, shift: float = 0.0) -> float:
    """A sine from -1 to 1 that rises through 0 at ``phase == shift``."""
    return math.sin(2 * math.pi * (phase - shift))


def _rise(phase: float, shift: float = 0.0) -> float:
    """A cosine from 0 to 1 that is 0 at ``phase == shift``."""
    return 0.5 - 0.5 * math.cos(2 * math.pi * (phase - shift))


def _chicken_wings(phase: float) -> SkeletonPose:
    """Elbows are bent; the upper arms flap."""
    up = _rise(phase)
    arm = _limbs(
        clavicle=(0, 0, 2 + 8 * up, 0),
        upper_arm=(0, -12, -58 + 62 * up, -18),
        forearm=(0, -138, 0, 0),
        **_FIST,
    )
    return SkeletonPose({"spine": (2, 0, 0, 0)}, arm, arm)


def _hips(phase: float) -> SkeletonPose:
    """Hands are on the hips; the pelvis draws a circle."""
    side = _wave(phase)
    front = _wave(phase, 0.25)
    arm: dict[str, Angles] = {
        "upper_arm": (12, 0, -48, 42),
        "forearm": (0, -92, 0, 0),
        "hand": (0, -20, -30, 0),
    }
    middle: dict[str, Angles] = {
        "pelvis": (-8 * front, 4 * side, 9 * side, 0),
        "spine": (6 * front, -3 * side, -8 * side, 0),
        "chest": (3 * front, -1 * side, -4 * side, 0),
    }
    left = _limbs(**arm, thigh=(8 * front - 4, 8, 8 - 11 * side, 0))
    right = _limbs(**arm, thigh=(8 * front - 4, 8, 8 + 11 * side, 0))
    return SkeletonPose(middle, left, right)


def _jumping_jacks(phase: float) -> SkeletonPose:
    """Arms and legs open and close while the body jumps twice a period."""
    open_ = _rise(phase)
    air = abs(_wave(phase))
    limbs = _limbs(
        clavicle=(0, 0, -3 + 22 * open_, 0),
        upper_arm=(0, -6, -72 + 120 * open_, 0),
        forearm=(0, -14, 0, 0),
        thigh=(-14 + 12 * air, 8, 3 + 20 * open_, 0),
        shin=(24 - 20 * air, 0, 0, 0),
        foot=(-10 + 42 * air, 0, 0, 0),
    )
    return SkeletonPose(middle={"spine": (3, 0, 0, 0)}, left=limbs, right=limbs, lift=0.09 * air)


def _raised_leg(lifted: float, **changes: Angles) -> dict[str, Angles]:
    """Angles of one side with the knee raised from 0 to 1; ``changes`` replace some of them."""
    leg: dict[str, Angles] = {
        "thigh": (-4 - 86 * lifted, 6, 4, 0),
        "shin": (6 + 94 * lifted, 0, 0, 0),
        "foot": (22 * lifted, 0, 0, 0),
    }
    return _limbs(**{**leg, **changes})


def _knees(phase: float) -> SkeletonPose:
    """The knees rise in turn."""
    left = max(0.0, _wave(phase))
    right = max(0.0, -_wave(phase))
    return SkeletonPose(
        {"spine": (4, 6 * _wave(phase), 0, 0), "chest": (2, 4 * _wave(phase), 0, 0)},
        _raised_leg(left, upper_arm=(12 - 50 * right, 0, -66, 0), forearm=(0, -84, 0, 0)),
        _raised_leg(right, upper_arm=(12 - 50 * left, 0, -66, 0), forearm=(0, -84, 0, 0)),
    )


def _one_leg_jump(phase: float) -> SkeletonPose:
    """The body jumps on the left leg; the right shin is raised."""
    air = max(0.0, _wave(phase))
    crouch = max(0.0, -_wave(phase))
    arm: dict[str, Angles] = {
        "upper_arm": (10, 0, -62 + 34 * air, 0),
        "forearm": (0, -36 - 30 * crouch, 0, 0),
    }
    jumping = _limbs(
        **arm,
        thigh=(-6 - 34 * crouch, 4, 0, 0),
        shin=(8 + 58 * crouch, 0, 0, 0),
        foot=(-2 - 24 * crouch + 36 * air, 0, 0, 0),
    )
    free = _limbs(**arm, thigh=(-14, 4, 4, 0), shin=(86, 0, 0, 0), foot=(26, 0, 0, 0))
    middle: dict[str, Angles] = {
        "pelvis": (6 + 8 * crouch, 0, 2, 0),
        "spine": (6 * crouch, 0, 0, 0),
    }
    return SkeletonPose(middle=middle, left=jumping, right=free, lift=0.07 * air)


def _punching(phase: float) -> SkeletonPose:
    """The arms punch in turn; the trunk turns with them."""
    left = max(0.0, _wave(phase))
    right = max(0.0, -_wave(phase))
    turn = 22 * _wave(phase)

    def arm(out: float) -> dict[str, Angles]:
        return {
            "clavicle": (0, -10 * out, 4 * out, 0),
            "upper_arm": (0, -34 - 46 * out, -62 + 58 * out, -30 + 20 * out),
            "forearm": (0, -118 + 108 * out, 0, 0),
            **_FIST,
        }

    middle: dict[str, Angles] = {"spine": (4, -turn * 0.6, 0, 0), "chest": (2, -turn * 0.6, 0, 0)}
    stance_l = _limbs(**arm(left), thigh=(-18, 10, 6, 0), shin=(18, 0, 0, 0), foot=(0, 0, 0, 0))
    stance_r = _limbs(**arm(right), thigh=(10, 24, 8, 0), shin=(14, 0, 0, 0), foot=(-24, 0, 0, 0))
    return SkeletonPose({**middle, "neck": (0, turn * 0.6, 0, 0)}, stance_l, stance_r)


def _running_on_spot(phase: float) -> SkeletonPose:
    """The body runs without moving forward."""
    swing = _wave(phase)
    left = max(0.0, swing)
    right = max(0.0, -swing)

    def side(lifted: float, back: float, arm: float) -> dict[str, Angles]:
        return _limbs(
            upper_arm=(8 - 42 * arm, 0, -70, 0),
            forearm=(0, -88, 0, 0),
            thigh=(-6 - 52 * lifted + 6 * back, 4, 2, 0),
            shin=(12 + 84 * lifted, 0, 0, 0),
            foot=(24 * lifted - 4, 0, 0, 0),
            **_FIST,
        )

    middle: dict[str, Angles] = {
        "pelvis": (5, 4 * swing, 0, 0),
        "spine": (3, -6 * swing, 0, 0),
        "chest": (0, -6 * swing, 0, 0),
    }
    return SkeletonPose(
        middle=middle,
        left=side(left, right, -swing),
        right=side(right, left, swing),
        lift=0.02 * _rise(2 * phase),
    )


def _shake_arms(phase: float) -> SkeletonPose:
    """Raised arms shake three times a period."""
    shake = _wave(3 * phase)

    def arm(sign: float) -> dict[str, Angles]:
        return _limbs(
            clavicle=(0, 0, 6, 0),
            upper_arm=(0, -14, -18 + 14 * sign * shake, 0),
            forearm=(0, -26 - 12 * shake, 10 * sign * shake, 0),
            hand=(0, 0, -14 + 26 * sign * shake, 0),
        )

    return SkeletonPose({"chest": (0, 0, 3 * shake, 0)}, arm(1.0), arm(-_wave(phase, 0.25)))


def _shake_hips(phase: float) -> SkeletonPose:
    """The pelvis shakes twice a period."""
    shake = _wave(2 * phase)
    middle: dict[str, Angles] = {
        "pelvis": (4, 6 * shake, 10 * shake, 0),
        "spine": (0, -4 * shake, -9 * shake, 0),
        "chest": (0, -2 * shake, -5 * shake, 0),
    }
    arm: dict[str, Angles] = {
        "upper_arm": (-6, -10, -48 + 8 * _wave(phase), 0),
        "forearm": (0, -62, 0, 0),
    }
    left = _limbs(**arm, thigh=(-12, 10, 9 - 11 * shake, 0), shin=(16, 0, 0, 0), foot=(-4, 0, 0, 0))
    right = _limbs(
        **arm, thigh=(-12, 10, 9 + 11 * shake, 0), shin=(16, 0, 0, 0), foot=(-4, 0, 0, 0)
    )
    return SkeletonPose(middle, left, right)


def _shake_shoulders(phase: float) -> SkeletonPose:
    """The shoulders shake twice a period."""
    shake = _wave(2 * phase)

    def arm(up: float) -> dict[str, Angles]:
        return _limbs(
            clavicle=(0, -12 * up, 4 + 14 * up, 0),
            upper_arm=(4, 0, -66 - 8 * up, 0),
            forearm=(0, -24, 0, 0),
        )

    return SkeletonPose({"chest": (0, 10 * shake, 3 * shake, 0)}, arm(shake), arm(-shake))


MOTIONS: Mapping[str, Callable[[float], SkeletonPose]] = {
    "chicken_wings": _chicken_wings,
    "hips": _hips,
    "jumping_jacks": _jumping_jacks,
    "knees": _knees,
    "one_leg_jump": _one_leg_jump,
    "punching": _punching,
    "running_on_spot": _running_on_spot,
    "shake_arms": _shake_arms,
    "shake_hips": _shake_hips,
    "shake_shoulders": _shake_shoulders,
}
"""Name of each motion, and the function that gives its pose at a phase in [0, 1)."""
