"""Errors of correspondences, against what can be counted by hand."""

import numpy as np
import pytest
import trimesh

from shapespace.errors import InputError
from shapespace.evaluation.correspondence.errors import correspondence_error, nearest_point_error


def test_errors_that_can_be_counted():
    true = np.zeros((100, 3))
    found = true.copy()
    found[:, 0] = np.arange(100) / 1000
    error = correspondence_error(found, true)
    assert error.mean == pytest.approx(0.0495)
    assert error.median == pytest.approx(0.0495)
    assert error.most == pytest.approx(0.095)
    assert (error.near, error.fair, error.count) == (0.10, 0.50, 100)


def test_errors_equal_a_slow_oracle_and_do_not_depend_on_the_frame():
    rng = np.random.default_rng(0)
    true, found = rng.normal(size=(2, 57, 3))
    error = correspondence_error(found, true, (1.0, 2.0))
    gaps = sorted(
        sum((a - b) ** 2 for a, b in zip(*pair, strict=True)) ** 0.5
        for pair in zip(found, true, strict=True)
    )
    assert error.mean == pytest.approx(sum(gaps) / 57)
    assert error.median == pytest.approx(gaps[28])
    assert error.near == sum(gap < 1 for gap in gaps) / 57
    assert error.fair == sum(gap < 2 for gap in gaps) / 57
    turn = trimesh.transformations.rotation_matrix(1.0, [1, 1, 0])[:3, :3]
    again = correspondence_error(found @ turn.T + 3, true @ turn.T + 3, (1.0, 2.0))
    np.testing.assert_allclose(again, error)


def test_the_right_answer_has_no_error():
    points = np.random.default_rng(0).normal(size=(20, 3))
    assert correspondence_error(points, points) == (0, 0, 0, 1, 1, 20)


def test_a_vertex_that_is_not_found_is_far():
    true = np.zeros((10, 3))
    found = true.copy()
    found[0] = np.nan
    error = correspondence_error(found, true)
    assert error.mean == np.inf and error.median == 0 and error.near == 0.9
    assert error.most == np.inf


def test_nearest_points_are_right_for_small_motions_only():
    ball = trimesh.creation.icosphere(3)
    start = np.array(ball.vertices)
    still = nearest_point_error(start, ball)
    assert still.mean < 1e-6 and still.near == 1
    # A ball that turns does not change: nearest points leave every vertex where it is.
    turn = trimesh.transformations.rotation_matrix(0.5, [0, 0, 1])[:3, :3]
    turned = trimesh.Trimesh(start @ turn.T, ball.faces, process=False)
    moved = np.linalg.norm(start @ turn.T - start, axis=1)
    error = nearest_point_error(start, turned)
    assert error.mean == pytest.approx(moved.mean(), rel=0.02)


@pytest.mark.parametrize(("count", "other"), [(3, 4), (0, 0)])
def test_other_numbers_of_vertices_are_refused(count, other):
    with pytest.raises(InputError, match="give both for each vertex"):
        correspondence_error(np.zeros((count, 3)), np.zeros((other, 3)))


def test_a_truth_that_is_not_finite_is_refused():
    with pytest.raises(InputError, match="not finite"):
        correspondence_error(np.zeros((2, 3)), np.full((2, 3), np.nan))
