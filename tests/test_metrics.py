"""Distances against exact answers and their naive twins."""

import numpy as np
import pytest
import trimesh

from shapespace.metrics import (
    chamfer,
    inside_mesh,
    nearest_distances,
    nearest_on_mesh,
    point_distances,
    point_to_mesh,
    surface_points,
)

RNG = np.random.default_rng(0)


def clouds(dimension, sizes=(40, 70)):
    rng = np.random.default_rng(dimension)
    return [rng.normal(size=(size, dimension)) for size in sizes]


def naive(a, b):
    """One-sided distances of all points of ``a`` by a full table."""
    return np.linalg.norm(a[:, None] - b[None], axis=-1).min(1)


@pytest.mark.parametrize("dimension", [2, 3])
def test_chamfer_equals_its_naive_twin(dimension):
    a, b = clouds(dimension)
    there, back = naive(a, b), naive(b, a)
    np.testing.assert_allclose(nearest_distances(a, b), there, rtol=1e-12)
    assert chamfer(a, b) == pytest.approx(0.5 * (there.mean() + back.mean()), rel=1e-12)
    assert point_distances(a, b).hausdorff == pytest.approx(max(there.max(), back.max()), rel=1e-12)


def test_chamfer_is_a_symmetric_difference_of_sets():
    a, b = clouds(3)
    assert chamfer(a, a) == 0
    assert chamfer(a, b) == pytest.approx(chamfer(b, a), rel=1e-12)
    assert chamfer(RNG.permutation(a), RNG.permutation(b)) == pytest.approx(
        chamfer(a, b), rel=1e-12
    )
    assert chamfer(1000 * a, 1000 * b) == pytest.approx(1000 * chamfer(a, b), rel=1e-12)


def test_the_sides_are_told_apart():
    a, b = np.zeros((1, 3)), np.array([[1.0, 0, 0], [3.0, 0, 0]])
    distances = point_distances(a, b)
    assert (distances.mean_to, distances.mean_from) == (1.0, 2.0)
    assert (distances.max_to, distances.max_from) == (1.0, 3.0)
    assert (distances.chamfer, distances.hausdorff) == (1.5, 3.0)


def test_a_plane_is_measured_exactly():
    corners = np.array([[0.0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0]])
    plane = trimesh.Trimesh(corners, [[0, 1, 2], [0, 2, 3]], process=False)
    points = np.array([[0.5, 0.2, 0.3], [0.5, 0.5, 0], [2.0, 0.5, 0], [2, 2, 1], [0.2, 0.4, -7]])
    exact = [0.3, 0, 1, np.sqrt(3), 7]
    np.testing.assert_allclose(point_to_mesh(points, plane), exact, atol=1e-12)


def test_a_sphere_is_measured_within_its_tessellation():
    sphere = trimesh.creation.icosphere(subdivisions=4, radius=2.0)
    directions = RNG.normal(size=(200, 3))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    sag = 2.0 - np.linalg.norm(sphere.triangles_center, axis=1).min()
    assert sag < 4e-3
    for radius in (0.5, 3.0):
        error = point_to_mesh(radius * directions, sphere) - abs(radius - 2.0)
        assert np.abs(error).max() <= sag + 1e-12
    naive = trimesh.proximity.closest_point_naive(sphere, directions[:5])[1]
    np.testing.assert_allclose(point_to_mesh(directions[:5], sphere), naive, rtol=1e-9)


def test_surface_points_lie_on_the_surface_evenly_and_repeat():
    box = trimesh.creation.box(extents=(4.0, 1.0, 1.0))
    points = surface_points(box, 2000, seed=3)
    assert points.shape == (2000, 3)
    assert point_to_mesh(points, box).max() < 1e-12
    ends = np.isclose(np.abs(points[:, 0]), 2).mean()
    assert ends == pytest.approx(2 / 18, abs=0.03)
    np.testing.assert_array_equal(points, surface_points(box, 2000, seed=3))
    assert not np.array_equal(points, surface_points(box, 2000, seed=4))


@pytest.mark.parametrize("subdivisions", [0, 3])
def test_inside_is_inside(subdivisions):
    ball = trimesh.creation.icosphere(subdivisions)
    shell = ball + trimesh.creation.icosphere(subdivisions, radius=0.5)
    shell.faces[len(ball.faces) :] = shell.faces[len(ball.faces) :, ::-1]  # a hollow within
    points = RNG.uniform(-1.2, 1.2, (300, 3))
    deep = [
        (mesh.face_normals * (p - mesh.triangles[:, 0])).sum(1).max() < 0
        for p in points
        for mesh in (ball, trimesh.creation.icosphere(subdivisions, 0.5))
    ]
    outer, inner = np.array(deep).reshape(-1, 2).T  # both are convex
    np.testing.assert_array_equal(inside_mesh(points, ball), outer)
    np.testing.assert_array_equal(inside_mesh(points, shell), outer & ~inner)


def test_the_nearest_place_is_on_the_mesh_and_as_far_as_said():
    box = trimesh.creation.box()
    points = RNG.uniform(-1.2, 1.2, (50, 3))
    distance, nearest = nearest_on_mesh(points, box)
    np.testing.assert_allclose(np.linalg.norm(points - nearest, axis=1), distance, atol=1e-12)
    np.testing.assert_allclose(np.abs(nearest).max(1), 0.5, atol=1e-12)
