import pytest

from shapespace.synthetic.motions import MOTIONS
from shapespace.synthetic.skeleton import PAIRED, PARENTS

DFAUST = (
    "chicken_wings hips jumping_jacks knees one_leg_jump punching running_on_spot shake_arms "
    "shake_hips shake_shoulders"
)


def flat(pose):
    sides = (pose.middle, pose.left, pose.right)
    return [pose.lift, *(x for side in sides for bone in sorted(side) for x in side[bone])]


def test_names_are_those_of_dfaust():
    assert list(MOTIONS) == DFAUST.split()


@pytest.mark.parametrize("name", MOTIONS)
def test_motions_are_periodic_move_and_name_bones(name):
    pose = MOTIONS[name](0.2)
    assert flat(pose) == pytest.approx(flat(MOTIONS[name](1.2)), abs=1e-9)
    assert flat(pose) != pytest.approx(flat(MOTIONS[name](0.6)), abs=1e-3)
    assert set(pose.left) | set(pose.right) <= PAIRED
    assert set(pose.middle) <= {"pelvis", *PARENTS} - PAIRED
    assert pose.lift >= 0
