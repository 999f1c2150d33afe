import numpy as np
import pytest

from shapespace.synthetic.anatomy import joints
from shapespace.synthetic.identity import SUBJECTS
from shapespace.synthetic.motions import MOTIONS
from shapespace.synthetic.skeleton import (
    PAIRED,
    PARENTS,
    SkeletonPose,
    forward_kinematics,
    mirrored,
)

JOINTS = joints(SUBJECTS[0])


def test_rest_moves_nothing():
    for motion in forward_kinematics(JOINTS, SkeletonPose()).values():
        np.testing.assert_allclose(motion, np.eye(3, 4), atol=1e-12)


@pytest.mark.parametrize("name", MOTIONS)
def test_bones_are_rigid_and_stay_joined(name):
    motion = forward_kinematics(JOINTS, MOTIONS[name](0.3))
    for key, rigid in motion.items():
        np.testing.assert_allclose(rigid[:, :3] @ rigid[:, :3].T, np.eye(3), atol=1e-12)
        bone, _, side = key.partition(".")
        if bone == "pelvis":
            continue
        parent = f"{PARENTS[bone]}.{side}" if PARENTS[bone] in PAIRED else PARENTS[bone]
        joint = np.append(mirrored(JOINTS[bone]) if side == "r" else JOINTS[bone], 1)
        np.testing.assert_allclose(motion[parent] @ joint, rigid @ joint, atol=1e-12)


def test_equal_angles_are_mirror_images():
    side = {"upper_arm": (10.0, 20.0, 30.0, 40.0), "shin": (5.0, -15.0, 25.0, 0.0)}
    motion = forward_kinematics(JOINTS, SkeletonPose(left=side, right=side))
    for bone in PAIRED:
        place = np.array([0.3, 1.0, 0.1])
        left = motion[f"{bone}.l"] @ np.append(place, 1)
        right = motion[f"{bone}.r"] @ np.append(mirrored(place), 1)
        np.testing.assert_allclose(left, mirrored(right), atol=1e-12)


def test_signs():
    arm = forward_kinematics(JOINTS, SkeletonPose(left={"upper_arm": (0, 0, -90, 0)}))[
        "upper_arm.l"
    ]
    hand = arm @ np.append(JOINTS["hand"], 1)
    assert hand[1] < JOINTS["upper_arm"][1] - 0.3
    leg = forward_kinematics(JOINTS, SkeletonPose(left={"thigh": (-90, 0, 0, 0)}))["thigh.l"]
    assert (leg @ np.append(JOINTS["shin"], 1))[2] > 0.3
