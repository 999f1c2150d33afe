"""Points that follow a mesh."""

import numpy as np
import trimesh

from shapespace.geometry.attachment import attach


def test_points_follow_rigid_motions_and_come_back():
    mesh = trimesh.creation.icosphere(2)
    points = np.random.default_rng(0).normal(size=(50, 3))
    points *= (1 + 0.05 * points[:, :1]) / np.linalg.norm(points, axis=1, keepdims=True)
    turn = trimesh.transformations.rotation_matrix(0.7, [1, 2, 3])[:3, :3]
    shapes = np.stack([mesh.vertices, mesh.vertices @ turn.T + 1.0])
    held = attach(points, mesh)
    here, there = held.on(shapes, np.array(mesh.faces))
    # The nearest place of a point outside may be on an edge, where the point is not above it.
    np.testing.assert_allclose(here, points, atol=0.02)
    np.testing.assert_allclose(there, here @ turn.T + 1.0, atol=1e-12)
    np.testing.assert_allclose(held.weights.sum(1), 1)


def test_points_on_the_mesh_are_exact():
    mesh = trimesh.creation.box()
    points = trimesh.sample.sample_surface(mesh, 40, seed=0)[0]
    (here,) = attach(points, mesh).on(np.array(mesh.vertices)[None], np.array(mesh.faces))
    np.testing.assert_allclose(here, points, atol=1e-9)


def test_a_triangle_without_area():
    vertices = np.array([[0.0, 0, 0], [1, 0, 0], [2, 0, 0]])
    mesh = trimesh.Trimesh(vertices, [[0, 1, 2]], process=False)
    (here,) = attach(np.array([[0.5, 0, 0]]), mesh).on(vertices[None], np.array(mesh.faces))
    assert np.isfinite(here).all()
