"""A skeleton and its pose: bones, joint angles, forward kinematics.

Frame: y up, facing +z, the left side at +x. In the rest pose the axes of every bone are the axes of
the world, the arms are stretched sideways with the palms down, and the legs hang.

The pose of a bone is four angles in degrees, ``(swing, turn, lift, roll)``, for the rotation
Rx(swing) Ry(turn) Rz(lift) Rx(roll) with respect to its parent. Angles are given for the left side.
On the right side ``turn`` and ``lift`` change sign, so that equal angles are mirror images. A lift
of -90 lets an arm hang. A negative turn bends an elbow. A negative swing raises a thigh. A positive
swing bends a knee.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float

Angles = tuple[float | int, float | int, float | int, float | int]
"""Swing, turn, lift and roll in degrees."""
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
"""Parent of each bone except the root ``pelvis``; parents come before their children."""
PAIRED = frozenset(list(PARENTS)[4:])
"""Bones of both sides, which have the names ``<name>.l`` and ``<name>.r``."""


@dataclass(frozen=True)
class SkeletonPose:
    """Angles of bones; a bone without angles stays at rest.

    Args:
        middle: angles of single bones.
        left: angles of paired bones on the left side.
        right: angles of paired bones on the right side, with the signs of the left side.
        lift: height of the lowest point of the body above the floor, in statures.
    """

    middle: Mapping[str, Angles] = field(default_factory=dict)
    left: Mapping[str, Angles] = field(default_factory=dict)
    right: Mapping[str, Angles] = field(default_factory=dict)
    lift: float = 0.0


def mirrored(position: Float[np.ndarray, "*K 3"]) -> Float[np.ndarray, "*K 3"]:
    """Reflect points at the plane x = 0."""
    return position * np.array([-1.0, 1.0, 1.0])


def forward_kinematics(
    joints: Mapping[str, Float[np.ndarray, " 3"]], pose: SkeletonPose
) -> dict[str, Float[np.ndarray, "3 4"]]:
    """Rigid motion [R | t] of each bone from rest to pose.

    Args:
        joints: rest position of the joint where each bone begins, on the left side.
        pose: the pose.
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
    """Rigid motion [3,4] that rotates about a joint.

    Args:
        joint: [3] fixed point.
        angles: angles; None for rest.
        sign: 1 on the left side, -1 on the right side.
    """
    swing, turn, lift, roll = angles or (0.0, 0.0, 0.0, 0.0)
    rotation = (
        _rotation(0, swing) @ _rotation(1, sign * turn) @ _rotation(2, sign * lift)
    ) @ _rotation(0, roll)
    return np.column_stack([rotation, joint - rotation @ joint])


def _rotation(axis: int, degrees: float | int) -> np.ndarray:
    """Rotation [3,3] about axis 0, 1 or 2, by the right-hand rule."""
    cosine = np.cos(np.radians(degrees))
    sine = np.sin(np.radians(degrees))
    i = (axis + 1) % 3
    j = (axis + 2) % 3
    matrix = np.eye(3)
    matrix[[i, j], [i, j]] = cosine
    matrix[j, i] = sine
    matrix[i, j] = -sine
    return matrix
