"""A skeleton and its pose: bones, joint angles, forward kinematics.

Frame: y up, facing +z, the left side at +x. In the rest pose every bone's axes are those of the
world, arms are stretched sideways with the palms down, legs hang. The pose of a bone is four angles
in degrees, ``(swing, turn, lift, roll)``, for Rx(swing) Ry(turn) Rz(lift) Rx(roll) with respect to
its parent. Angles are given for the left side; on the right ``turn`` and ``lift`` change sign, so
that equal angles are mirror images. Signs that matter: a lift of -90 hangs an arm, a
negative turn bends an elbow, a negative swing raises a thigh, a positive one bends a knee.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float

Angles = tuple[float | int, float | int, float | int, float | int]
PARENTS: Mapping[str, str] = {
    "spine": "pelvis",
    "chest": "spine",
    "neck": "chest",
    "head": "neck",
    "clavicle": "chest",
    "upper_arm": "clavicle",
    "forearm": "upper_arm",
    "hand": "forearm",
    "fingers": "hand",
    "fingertips": "fingers",
    "thumb": "hand",
    "thigh": "pelvis",
    "shin": "thigh",
    "foot": "shin",
    "toes": "foot",
}
"""Parent of every bone but the root ``pelvis``, parents first."""
PAIRED = frozenset(list(PARENTS)[4:])
"""Bones that exist on both sides, as ``<name>.l`` and ``<name>.r``."""


@dataclass(frozen=True)
class SkeletonPose:
    """Angles of bones; a bone that is not named stays at rest.

    middle: of single bones. left, right: of paired bones, both by the signs of the left side.
    lift: height of the lowest point of the body above the floor, in statures.
    """

    middle: Mapping[str, Angles] = field(default_factory=dict)
    left: Mapping[str, Angles] = field(default_factory=dict)
    right: Mapping[str, Angles] = field(default_factory=dict)
    lift: float = 0.0


def mirrored(position: Float[np.ndarray, "*K 3"]) -> Float[np.ndarray, "*K 3"]:
    """The same place on the other side."""
    return position * np.array([-1.0, 1.0, 1.0])


def forward_kinematics(
    joints: Mapping[str, Float[np.ndarray, " 3"]], pose: SkeletonPose
) -> dict[str, Float[np.ndarray, "3 4"]]:
    """Rigid motion [R | t] of every bone, from rest to pose; paired bones as ``thigh.l`` ...

    joints: [3] rest position of the joint at the near end of each bone, of the left side.
    """
    motion = {"pelvis": _about(joints["pelvis"], pose.middle.get("pelvis"), 1)}
    for bone, parent in PARENTS.items():
        for side, angles in (
            (("l", pose.left), ("r", pose.right)) if bone in PAIRED else (("", pose.middle),)
        ):
            joint = mirrored(joints[bone]) if side == "r" else joints[bone]
            local = _about(joint, angles.get(bone), -1 if side == "r" else 1)
            base = motion[f"{parent}.{side}" if parent in PAIRED else parent]
            motion[f"{bone}.{side}" if side else bone] = np.column_stack(
                [base[:, :3] @ local[:, :3], base[:, :3] @ local[:, 3] + base[:, 3]]
            )
    return motion


def _about(joint: np.ndarray, angles: Angles | None, sign: int) -> np.ndarray:
    """[3,4] rotation by ``angles`` about ``joint``; sign -1 mirrors it."""
    swing, turn, lift, roll = angles or (0.0, 0.0, 0.0, 0.0)
    rotation = (
        _rotation(0, swing) @ _rotation(1, sign * turn) @ _rotation(2, sign * lift)
    ) @ _rotation(0, roll)
    return np.column_stack([rotation, joint - rotation @ joint])


def _rotation(axis: int, degrees: float | int) -> np.ndarray:
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    i, j = (axis + 1) % 3, (axis + 2) % 3
    matrix = np.eye(3)
    matrix[[i, j], [i, j]] = c
    matrix[j, i], matrix[i, j] = s, -s
    return matrix
