"""Points and normals of depth maps of planes and balls, whose formulas are known."""

import numpy as np
import pytest

from shapespace.cameras.pinhole import looking_at
from shapespace.cameras.points import noise_of, points_of_depth
from shapespace.errors import InputError

CAMERA = looking_at(
    "a", np.array([0.4, 0.5, 2.5]), np.zeros(3), np.array([0.0, 1, 0]), (96, 80), 40.0
)


def depth_of_ball(centre, radius, camera=CAMERA):
    """Depth map of a ball; 0 beside it."""
    rays = camera.directions()
    arm = centre - camera.position
    along = rays @ arm
    room = radius**2 - arm @ arm + along**2
    distance = np.where(room > 0, along - np.sqrt(np.maximum(room, 0)), 0)
    return distance * (rays @ camera.forward)


def depth_of_plane(normal, height, camera=CAMERA):
    rays = camera.directions()
    distance = (height - camera.position @ normal) / (rays @ normal)
    return distance * (rays @ camera.forward)


@pytest.mark.parametrize("tilt", [0.0, 0.6, 1.1])
def test_a_plane_has_its_normal_exactly(tilt):
    normal = np.array([np.sin(tilt), 0.0, np.cos(tilt)])
    found = points_of_depth(depth_of_plane(normal, 0.1), CAMERA)
    assert len(found.points) > 5000
    np.testing.assert_allclose(found.points @ normal, 0.1, atol=1e-9)
    np.testing.assert_allclose(
        found.normals, np.broadcast_to(normal, found.normals.shape), atol=1e-5
    )


def test_a_ball_has_points_and_normals_and_its_rim_is_grazing():
    middle = np.array([0.1, 0.05, 0.0])
    found = points_of_depth(depth_of_ball(middle, 0.5), CAMERA)
    outward = (found.points - middle) / 0.5
    np.testing.assert_allclose(np.linalg.norm(outward, axis=1), 1, atol=1e-9)
    assert (found.normals * outward).sum(1).min() > 0.96
    assert np.median((found.normals * outward).sum(1)) > 0.998
    arm = found.points - CAMERA.position
    cosine = -(arm * outward).sum(1) / np.linalg.norm(arm, axis=1)
    assert cosine.min() > 0.05
    strict = points_of_depth(depth_of_ball(middle, 0.5), CAMERA, grazing=0.5)
    assert strict.num_grazing > found.num_grazing + 100
    left_out = found.num_edges + found.num_grazing + found.num_lonely
    assert found.num_pixels == len(found.points) + left_out


def test_noise_is_measured_and_normals_bear_it():
    rng = np.random.default_rng(0)
    normal = np.array([0.3, 0.2, np.sqrt(1 - 0.13)])
    depth = depth_of_plane(normal, 0.1) + rng.normal(0, 0.002, (80, 96))
    depth = np.round(depth, 3)
    assert noise_of(depth, depth > 0) == pytest.approx(0.002, rel=0.15)
    found = points_of_depth(depth, CAMERA)
    assert len(found.points) > 0.98 * depth.size
    angle = np.degrees(np.arccos(np.clip(found.normals @ normal, -1, 1)))
    assert np.median(angle) < 4


def test_pixels_beside_a_jump_are_edges_and_their_normals_are_not_mixed():
    ball, wall = depth_of_ball(np.zeros(3), 0.4), depth_of_plane(np.array([0.0, 0, 1]), -0.8)
    depth = np.where(ball > 0, ball, wall)
    found = points_of_depth(depth, CAMERA)
    assert found.num_edges > 100
    on_wall = np.abs(found.points[:, 2] + 0.8) < 1e-6
    assert 2000 < on_wall.sum() < len(found.points)
    assert found.normals[on_wall][:, 2].min() > 0.999


def test_masks_and_maps_of_any_size():
    depth = depth_of_plane(np.array([0.0, 0, 1]), 0.0)
    mask = np.zeros_like(depth, bool)
    mask[10:20, 10:30] = True
    assert points_of_depth(depth, CAMERA, mask=mask).num_pixels == 200
    assert not len(points_of_depth(0 * depth, CAMERA).points)
    one = looking_at("b", np.array([0.0, 0, 2]), np.zeros(3), np.array([0.0, 1, 0]), (1, 1), 40.0)
    found = points_of_depth(np.ones((1, 1)), one)
    assert (len(found.points), found.num_lonely) == (0, 1)
    with pytest.raises(InputError, match="grazing=0"):
        points_of_depth(depth, CAMERA, grazing=0.0)
