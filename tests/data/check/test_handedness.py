"""Left and right in one set are noticed; poses of one body, and things with a mirror, are not."""

import numpy as np
import trimesh

from shapespace.data.check import check_scans
from shapespace.data.check.handedness import find_mirrored, principal_occupancy


def shoe(hand, bend=0.0, scale=1.0, seed=0):
    """Points of a bent and twisted plate with a bump on one side: it has no mirror symmetry."""
    rng = np.random.default_rng(seed)
    u, v = rng.uniform(-1, 1, (2, 12_000))
    bump = 0.5 * np.exp(-((u - 0.4) ** 2 + (v - 0.5) ** 2) / 0.05)
    points = np.stack([3 * u, v + 0.4 * u**2 * (1 + bend), bump + 0.2 * u * (1 + bend)], axis=1)
    turn = trimesh.transformations.random_rotation_matrix(rng.random(3))[:3, :3]
    return scale * (points * [1, 1, hand]) @ turn.T + rng.normal(size=3)


def box(seed=0):
    rng = np.random.default_rng(seed)
    return trimesh.sample.sample_surface(trimesh.creation.box((3, 2, 1)), 12_000, seed=seed)[0] + (
        rng.normal(size=3)
    )


def mirrored(clouds):
    return [found.scan for found in find_mirrored([principal_occupancy(c) for c in clouds])]


def test_the_rarer_hand_is_found_in_any_pose_size_and_order():
    rng = np.random.default_rng(0)
    for trial in range(6):
        hands = np.where(np.arange(9) < 3, -1, 1)
        rng.shuffle(hands)
        bends = rng.uniform(-0.15, 0.15, 9)
        scales = rng.uniform(0.8, 1.25, 9)
        clouds = [
            shoe(hand, bend, scale, seed=10 * trial + i)
            for i, (hand, bend, scale) in enumerate(zip(hands, bends, scales, strict=True))
        ]
        assert mirrored(clouds) == np.flatnonzero(hands < 0).tolist(), trial


def test_nothing_is_found_where_there_is_one_hand_or_a_mirror():
    assert mirrored([shoe(1, seed=i) for i in range(8)]) == []
    assert mirrored([box(seed=i) for i in range(8)]) == []
    assert mirrored([shoe(1), shoe(-1, seed=1), shoe(1, seed=2)]) == []
    # From one hand to the other by way of what has none, as people bend to both sides.
    between = [shoe(1, seed=i) * [1, 1, 1] for i in range(3)]
    between += [box(seed=i) for i in range(4)] + [shoe(-1, seed=i) for i in range(3)]
    assert mirrored(between) == []


def test_the_check_names_the_scans(tmp_path):
    for i, hand in enumerate((1, 1, -1, 1, 1)):
        np.save(tmp_path / f"{'left' if hand < 0 else 'right'}{i}.npy", 0.3 * shoe(hand, seed=i))
    (found,) = (f for f in check_scans(tmp_path, progress=False).findings if f.kind == "mirrored")
    assert found.names == ("left2",) and found.level == "warning"
    assert "mirror images of the other 4" in found.measured and "apart" in found.remedy
