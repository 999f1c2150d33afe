import numpy as np
import pytest

from shapespace.synthetic.implicit import Solid


def solid(pieces, blend=0.1, mass=None):
    """One mass a piece; a piece is a list of (x, y, z, radius)."""
    balls = np.array([piece + piece[-1:] * (3 - len(piece)) for piece in pieces], float)
    mass = np.arange(len(pieces)) if mass is None else np.array(mass)
    return Solid(balls[..., :3], balls[..., 3], mass, np.full(mass.max() + 1, blend))


def slow(piece, points, steps=160):
    """The distance by trying many balls of a piece."""
    balls = np.array(piece, float)
    if len(balls) == 2:
        balls = np.concatenate([balls, balls[1:]])
    u, v = np.meshgrid(*[np.linspace(0, 1, steps)] * 2)
    weights = np.stack([(1 - u - v)[u + v <= 1], u[u + v <= 1], v[u + v <= 1]], -1)
    tried = weights @ balls
    gaps = np.linalg.norm(points[:, None] - tried[None, :, :3], axis=-1) - tried[:, 3]
    return gaps.min(axis=1)


CONE = [(0, 0, 0, 0.3), (1, 0.2, 0, 0.1)]
TRIANGLE = [(0, 0, 0, 0.3), (1, 0.2, 0, 0.1), (0.1, 0.9, 0.3, 0.2)]
SWALLOWED = [(0, 0, 0, 0.5), (0.1, 0, 0, 0.1)]
BALL = [(0.1, 0.2, 0.3, 0.4)]
FLAT = [(0, 0, 0, 0.2), (1, 0, 0, 0.3), (0.4, 0, 0, 0.1)]


@pytest.mark.parametrize("piece", [CONE, TRIANGLE, SWALLOWED, FLAT], ids=str)
def test_a_piece_is_the_union_of_the_balls_between(piece):
    points = np.random.default_rng(0).uniform(-1, 2, (200, 3))
    fast, tried = solid([piece])(points), slow(piece, points)
    assert np.all(fast <= tried + 1e-9)
    np.testing.assert_allclose(fast, tried, atol=2e-3)


def test_a_ball_is_exact():
    points = np.random.default_rng(0).uniform(-1, 1, (50, 3))
    exact = np.linalg.norm(points - [0.1, 0.2, 0.3], axis=1) - 0.4
    np.testing.assert_allclose(solid([BALL])(points), exact, atol=1e-12)


def test_two_equal_masses_swell_by_a_known_amount():
    points = np.random.default_rng(0).uniform(-1, 1, (50, 3))
    one, two = solid([BALL])(points), solid([BALL, BALL])(points)
    np.testing.assert_allclose(one - two, 0.1 * (1 - np.sqrt(0.5)), atol=1e-10)


def test_pieces_of_one_mass_join_by_the_minimum():
    points = np.random.default_rng(0).uniform(-1, 2, (50, 3))
    least = np.minimum(solid([CONE])(points), solid([BALL])(points))
    np.testing.assert_allclose(solid([CONE, BALL], mass=[0, 0])(points), least, atol=1e-12)


def test_the_order_of_masses_does_not_matter():
    points = np.random.default_rng(0).uniform(-1, 2, (50, 3))
    pieces = [CONE, TRIANGLE, BALL, SWALLOWED]
    np.testing.assert_allclose(solid(pieces)(points), solid(pieces[::-1])(points), atol=1e-10)


def test_a_far_mass_has_no_influence():
    points = np.random.default_rng(0).uniform(-1, 1, (50, 3))
    far = [(50, 0, 0, 1)]
    assert np.array_equal(solid([CONE, far])(points), solid([CONE])(points))


def test_the_union_is_1_lipschitz_and_close_to_the_minimum():
    rng = np.random.default_rng(0)
    pieces = [CONE, TRIANGLE, BALL, SWALLOWED]
    a = rng.uniform(-1, 2, (2000, 3))
    b = a + rng.normal(size=a.shape) * rng.choice([1e-3, 0.1, 1], (2000, 1))
    f = solid(pieces, blend=0.3)
    assert np.all(np.abs(f(a) - f(b)) <= np.linalg.norm(a - b, axis=1) + 1e-9)
    least = np.min([solid([piece])(a) for piece in pieces], axis=0)
    assert np.all(f(a) <= least + 1e-9)
    assert np.all(f(a) >= least - (1 - np.sqrt(1 / 4)) * 0.3 - 1e-9)


def test_no_points():
    assert solid([CONE])(np.zeros((0, 3))).shape == (0,)
