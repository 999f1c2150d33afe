"""Centre and radius of a shape do not move when a few points far away are added."""

import numpy as np
import pytest
import trimesh

from shapespace.data.extent import FAR, RIM, check_not_far, extent_of
from shapespace.errors import InputError
from shapespace.synthetic.bodies import body, body_mesh
from shapespace.synthetic.dataset import SUBJECTS


def shapes():
    """Points of shapes in random order, in 2-D and 3-D."""
    rng = np.random.default_rng(0)
    ball = rng.normal(size=(4000, 3))
    yield "sphere", ball / np.linalg.norm(ball, axis=1, keepdims=True)
    yield "blob", ball
    circle = rng.normal(size=(2000, 2))
    yield "circle", circle / np.linalg.norm(circle, axis=1, keepdims=True)
    mesh = body_mesh(body(SUBJECTS[0], "jumping_jacks", 0.5), 0.06)
    yield "person", trimesh.sample.sample_surface(mesh, 4000, seed=0)[0]
    # A handle as long as ten heads, of a tenth of the points.
    hammer = rng.uniform(-1, 1, size=(4000, 3)) * 0.1
    hammer[:400, 0] = rng.uniform(0, 1, 400)
    yield "hammer", rng.permutation(hammer)


def test_stray_points_set_neither_centre_nor_radius():
    rng = np.random.default_rng(1)
    for name, points in shapes():
        plain = extent_of(points)
        size = np.linalg.norm(points - plain.centre, axis=1).max()
        # A heavy-tailed cloud and a hammer may have points beyond the rim, and few.
        assert plain.holds(points).mean() > 0.98, name
        for share in (1 / len(points), 0.002, 0.03):
            for times in (6.0, 50.0, 1e5):
                for spread in (0.0, 0.05):
                    count = max(round(share * len(points)), 1)
                    direction = np.eye(points.shape[1])[0]
                    far = times * size * direction
                    stray = far + spread * size * rng.normal(size=(count, len(far)))
                    mixed = np.concatenate([points, stray])
                    order = rng.permutation(len(mixed))
                    found = extent_of(mixed[order])
                    where = f"{name} {share} {times} {spread}"
                    assert abs(found.radius / plain.radius - 1) < 0.1, where
                    assert np.abs(found.centre - plain.centre).max() < 0.15 * size, where
                    held = found.holds(mixed)
                    assert not held[len(points) :].any(), where
                    assert held[: len(points)].mean() > 0.97, where


def test_flying_pixels_at_every_distance_set_no_radius():
    rng = np.random.default_rng(2)
    for name, points in shapes():
        plain = extent_of(points)
        direction = rng.normal(size=(20, points.shape[1]))
        direction /= np.linalg.norm(direction, axis=1, keepdims=True)
        flying = direction * np.geomspace(1, 100, 20)[:, None] * plain.radius
        mixed = rng.permutation(np.concatenate([points, flying]))
        assert extent_of(mixed).radius < 1.2 * plain.radius, name


def test_two_parts_are_both_the_shape():
    points = dict(shapes())["sphere"]
    pair = np.concatenate([points, np.add(points, [8.0, 0, 0])])
    assert extent_of(np.random.default_rng(0).permutation(pair)).holds(pair).all()


@pytest.mark.parametrize("scale", [1e-9, 1.0, 1e9])
def test_the_extent_moves_and_grows_with_the_points(scale):
    points = dict(shapes())["person"]
    plain, moved = extent_of(points), extent_of(scale * np.add(points, [3.0, 4.0, 5.0]))
    assert moved.radius == pytest.approx(scale * plain.radius, rel=1e-6)
    np.testing.assert_allclose(moved.centre, scale * np.add(plain.centre, [3, 4, 5]), rtol=1e-6)


def test_degenerate_points_are_all_held():
    for points in (np.zeros((60, 3)), np.zeros((1, 3)), np.eye(3)):
        assert extent_of(points).holds(points).all()
    mostly = np.zeros((1000, 2))
    mostly[0] = 1
    assert extent_of(mostly).holds(mostly).all()


def test_a_point_out_of_all_proportion_is_named():
    points = dict(shapes())["sphere"]
    check_not_far("a", np.append(points, [[0.9 * FAR, 0, 0]], axis=0), None)
    for place in ([1e6, 0, 0], [0, -2e4, 0], [0, 0, 1e12]):
        mixed = np.append(points, [place], axis=0)
        with pytest.raises(InputError, match=r"a\.ply: 1 of 4001 points lie far beyond the shape"):
            check_not_far("a.ply", mixed, None)
        # A vertex of no face may lie anywhere.
        check_not_far("a.ply", mixed, np.arange(3999).reshape(-1, 3))
        with pytest.raises(InputError, match="--clean"):
            check_not_far("a.ply", mixed, np.append(np.arange(3999), [7, 8, 4000]).reshape(-1, 3))
    assert RIM > 1.16
