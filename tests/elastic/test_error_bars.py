"""Error bars of surfaces with detail: how they move with unit, hole and noise."""

import numpy as np

from shapespace.elastic.error_bars import FLOOR, HOLE, NOISE, standard_deviation


def plane(count=40):
    """Points of a square of side 1 and the normals of a surface through it."""
    side = np.linspace(0, 1, count)
    points = np.stack([*np.meshgrid(side, side), np.zeros((count, count))], -1).reshape(-1, 3)
    return points, np.tile([0.0, 0, 1], (len(points), 1))


def test_on_exact_points_the_floor_is_left():
    points, normals = plane()
    found = standard_deviation(points, normals, points, 0.5)
    np.testing.assert_allclose(found, FLOOR * 0.5)


def test_noise_across_the_surface_counts_and_noise_along_it_does_not():
    points, normals = plane()
    rng = np.random.default_rng(0)
    along = points + rng.normal(size=points.shape) * [0.01, 0.01, 0]
    across = points + rng.normal(size=points.shape) * [0, 0, 0.005]
    still = standard_deviation(points, normals, along, 0.5)
    moved = standard_deviation(points, normals, across, 0.5)
    assert np.median(still) < 1.1 * FLOOR * 0.5
    # the mean of |x| of a normal number is 0.8 of its deviation
    expected = np.hypot(NOISE * 0.005 * np.sqrt(2 / np.pi), FLOOR * 0.5)
    np.testing.assert_allclose(np.median(moved), expected, rtol=0.15)


def test_a_hole_is_less_sure_the_farther_its_edge():
    points, normals = plane()
    middle = np.linalg.norm(points[:, :2] - 0.5, axis=1)
    rim = points[middle > 0.3]
    found = standard_deviation(points, normals, rim, 0.5)
    hole = middle < 0.25
    order = np.argsort(middle[hole])
    # the very middle has several vertices at the same distance
    assert np.all(np.diff(found[hole][order][4::40]) < 0)
    assert found.max() > 0.5 * HOLE * 0.5 * (0.3 / 0.5) ** 3


def test_a_change_of_unit_and_a_motion_change_nothing_but_the_unit():
    points, normals = plane(12)
    rng = np.random.default_rng(1)
    cloud = points[::2] + rng.normal(size=(72, 3)) * 0.02
    turn = np.linalg.qr(rng.normal(size=(3, 3)))[0]
    found = standard_deviation(points, normals, cloud, 0.5)
    other = standard_deviation(
        1000 * points @ turn + 7, normals @ turn, 1000 * cloud @ turn + 7, 500.0
    )
    np.testing.assert_allclose(other, 1000 * found)


def test_one_point_is_enough():
    points, normals = plane(3)
    found = standard_deviation(points, normals, points[:1], 0.5)
    assert np.isfinite(found).all() and found.argmin() == 0
