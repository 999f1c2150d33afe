from dataclasses import replace

import pytest

from shapespace.synthetic.anatomy import flesh, joints
from shapespace.synthetic.identity import SUBJECTS


def balls(identity):
    return [ball for mass in flesh(identity) for piece in mass.pieces for ball in piece]


@pytest.mark.parametrize("identity", SUBJECTS, ids=lambda identity: identity.name)
def test_a_body_is_as_tall_as_its_stature(identity):
    skull = [ball for ball in balls(identity) if ball.weights[0][0] == "head"]
    assert max(b.centre[1] + b.radius for b in skull) == pytest.approx(identity.stature)
    assert min(b.centre[1] - b.radius for b in balls(identity)) == pytest.approx(0, abs=0.01)


def test_rest_is_symmetric():
    other = {"l": "r", "r": "l", "": ""}
    seen = set()
    mirror = set()
    for weights, (x, y, z), radius in balls(SUBJECTS[0]):
        sides = [bone.partition(".") for bone, _ in weights]
        swapped = tuple((name, other[side]) for name, _, side in sides)
        place = (round(y, 9), round(z, 9), round(radius, 9))
        seen.add((tuple((name, side) for name, _, side in sides), round(x, 9) + 0.0, *place))
        mirror.add((swapped, round(-x, 9) + 0.0, *place))
    assert seen == mirror


def test_weights_add_to_one():
    assert all(sum(w for _, w in ball.weights) == pytest.approx(1) for ball in balls(SUBJECTS[1]))


def test_factors_do_what_they_say():
    average = SUBJECTS[0]
    long, broad = replace(average, legs=1.05), replace(average, shoulders=1.1)
    assert joints(long)["thigh"][1] > joints(average)["thigh"][1]
    assert joints(broad)["upper_arm"][0] == pytest.approx(1.1 * joints(average)["upper_arm"][0])
    thick = replace(average, limbs=1.2)
    calf = [
        max(b.radius for b in balls(i) if b.weights[0][0] == "shin.l") for i in (average, thick)
    ]
    assert calf[1] == pytest.approx(1.2 * calf[0])


def test_names_are_different():
    assert len({identity.name for identity in SUBJECTS}) == len(SUBJECTS) == 10
