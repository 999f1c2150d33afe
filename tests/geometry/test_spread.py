"""Points that lie far from each other."""

import numpy as np

from shapespace.geometry.spread import farthest_point_sample


def test_spread_out_codes_lie_far_apart():
    corners = np.array([[0.0, 0], [10, 0], [0, 10], [10, 10]])
    table = np.concatenate([corners, corners + 0.1])
    assert {row % 4 for row in farthest_point_sample(table, 4)} == {0, 1, 2, 3}
    assert farthest_point_sample(np.ones((5, 3)), 4) == [0]
    assert (
        farthest_point_sample(np.zeros((3, 0)), 4) == [0]
        and farthest_point_sample(np.zeros((0, 3)), 4) == []
    )


def test_each_row_is_the_farthest_from_those_before():
    table = np.random.default_rng(0).normal(size=(40, 3))
    rows = farthest_point_sample(table, 12)
    for number, row in enumerate(rows[1:], 1):
        gaps = [
            min(np.linalg.norm(point - table[other]) for other in rows[:number]) for point in table
        ]
        assert row == int(np.argmax(gaps))
