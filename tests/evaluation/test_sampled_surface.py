"""Distances against exact answers and their naive twins."""

import numpy as np
import pytest
import trimesh

from shapespace.evaluation.metrics import chamfer, volume_iou
from shapespace.evaluation.sampled_surface import (
    SampledSurface,
    nearest_distances,
    nearest_samples,
)
from shapespace.geometry.proximity import inside, nearest_on_mesh, point_to_mesh

RNG = np.random.default_rng(0)


def clouds(dimension, sizes=(40, 70)):
    rng = np.random.default_rng(dimension)
    return [rng.normal(size=(size, dimension)) for size in sizes]


def naive(a, b):
    """One-sided distances of all points of ``a`` by a full table."""
    return np.linalg.norm(a[:, None] - b[None], axis=-1).min(1)


def naive_winding(points, mesh):
    """Solid angles of all triangles over 4 pi (Van Oosterom and Strackee 1983)."""
    a, b, c = (mesh.triangles[None, :, i] - points[:, None] for i in range(3))
    la, lb, lc = (np.linalg.norm(x, axis=-1) for x in (a, b, c))
    top = np.einsum("pfi,pfi->pf", a, np.cross(b, c))
    bottom = la * lb * lc + (a * b).sum(-1) * lc + (b * c).sum(-1) * la + (c * a).sum(-1) * lb
    return np.arctan2(top, bottom).sum(1) / (2 * np.pi)


@pytest.mark.parametrize("dimension", [2, 3])
def test_chamfer_equals_its_naive_twin(dimension):
    a, b = clouds(dimension)
    there, back = naive(a, b), naive(b, a)
    np.testing.assert_allclose(nearest_distances(a, b), there, rtol=1e-12)
    rows = nearest_samples(a, SampledSurface(b))[1]
    np.testing.assert_allclose(np.linalg.norm(a - b[rows], axis=1), there, rtol=1e-12)
    assert chamfer(a, b) == pytest.approx(0.5 * (there.mean() + back.mean()), rel=1e-12)


def test_chamfer_is_a_symmetric_difference_of_sets():
    a, b = clouds(3)
    assert chamfer(a, a) == 0
    assert chamfer(a, b) == pytest.approx(chamfer(b, a), rel=1e-12)
    assert chamfer(RNG.permutation(a), RNG.permutation(b)) == pytest.approx(
        chamfer(a, b), rel=1e-12
    )
    assert chamfer(1000 * a, 1000 * b) == pytest.approx(1000 * chamfer(a, b), rel=1e-12)


def test_nothing_is_infinitely_far():
    empty = SampledSurface.of_mesh(trimesh.Trimesh())
    assert np.isinf(nearest_samples(np.zeros((3, 3)), empty)[0]).all() and empty.diagonal == 0
    assert nearest_samples(empty.points, SampledSurface(np.zeros((1, 3))))[0].shape == (0,)
    assert np.isinf(point_to_mesh(np.zeros((2, 3)), trimesh.Trimesh())).all()
    assert not inside(np.zeros((2, 3)), trimesh.Trimesh()).any()
    assert volume_iou(trimesh.Trimesh(), trimesh.creation.box()) == 0


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


def test_samples_lie_on_the_surface_evenly_with_its_normals_and_repeat():
    box = trimesh.creation.box(extents=(4.0, 1.0, 1.0))
    sampled = SampledSurface.of_mesh(box, 2000, seed=3)
    points = sampled.points
    again = SampledSurface.of_mesh(box, 2000, seed=3)
    np.testing.assert_array_equal(points, again.points)
    assert points.shape == (2000, 3)
    assert point_to_mesh(points, box).max() < 1e-12
    on_end = np.isclose(np.abs(points[:, 0]), 2)
    assert on_end.mean() == pytest.approx(2 / 18, abs=0.03)
    np.testing.assert_allclose(sampled.normals[on_end, 0], np.sign(points[on_end, 0]), atol=1e-12)
    assert not np.array_equal(points, SampledSurface.of_mesh(box, 2000, seed=4).points)


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
    np.testing.assert_array_equal(inside(points, ball), outer)
    np.testing.assert_array_equal(inside(points, shell), outer & ~inner)


def test_the_nearest_place_is_on_the_mesh_and_as_far_as_said():
    box = trimesh.creation.box()
    points = RNG.uniform(-1.2, 1.2, (50, 3))
    distance, nearest = nearest_on_mesh(points, box)
    np.testing.assert_allclose(np.linalg.norm(points - nearest, axis=1), distance, atol=1e-12)
    np.testing.assert_allclose(np.abs(nearest).max(1), 0.5, atol=1e-12)


def test_inside_equals_the_sum_of_solid_angles():
    ring = trimesh.creation.torus(1.0, 0.3, major_sections=24, minor_sections=12)
    points = np.random.default_rng(1).uniform(-1.4, 1.4, (400, 3))
    winding = naive_winding(points, ring)
    np.testing.assert_allclose(winding, winding.round(), atol=1e-9)
    np.testing.assert_array_equal(inside(points, ring), winding.round() == 1)
    ring.invert()
    np.testing.assert_array_equal(inside(points, ring), winding.round() == 1)


def test_volume_iou_of_boxes():
    box = trimesh.creation.box()
    half = box.copy().apply_translation([0.5, 0, 0])
    assert volume_iou(box, box, 2000) == 1
    assert volume_iou(box, half, 20_000) == pytest.approx(1 / 3, abs=4 * 0.5 / np.sqrt(20_000))
    assert volume_iou(box, half, 2000) == volume_iou(half, box, 2000)
    assert volume_iou(box, box.copy().apply_translation([3, 0, 0]), 2000) == 0
    assert volume_iou(box, box.copy().apply_scale(0.5), 20_000) == pytest.approx(1 / 8, abs=0.01)
