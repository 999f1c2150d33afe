"""The strain rate of velocity fields on samples of a surface."""

import numpy as np
import pytest

from shapespace.bending.strain import sample_graph


def ball(count=120, seed=0, radius=1.0):
    points = np.random.default_rng(seed).normal(size=(count, 3))
    normals = points / np.linalg.norm(points, axis=1, keepdims=True)
    return radius * normals, normals


def slow_strain(graph, velocity):
    """The mean squared strain rate, one sample after the other, by least squares."""
    total, edges = 0.0, 0
    for row, neighbours in enumerate(graph.neighbours):
        blocks, changes = [], []
        for neighbour, edge, weight in zip(
            neighbours, graph.edges[row], graph.weight[row], strict=True
        ):
            if weight:
                turn = np.cross(np.eye(3), edge).T * np.sqrt(weight)
                blocks.append(turn)
                changes.append((velocity[neighbour] - velocity[row]) * np.sqrt(weight))
                edges += 1
        if blocks:
            left, right = np.concatenate(blocks), np.concatenate(changes)
            rate = np.linalg.lstsq(left, right, rcond=None)[0]
            total += np.square(left @ rate - right).sum()
    return total / edges


def test_rigid_motions_have_no_strain():
    points, normals = ball()
    graph = sample_graph(points, normals)
    turn = np.array([0.3, -2.0, 0.7])
    velocity = np.cross(turn, points) + np.array([1.0, 2.0, 3.0])
    assert graph.strain(velocity) < 1e-14
    np.testing.assert_allclose(graph.rotation_rate(velocity), np.tile(turn, (120, 1)), atol=1e-6)


def test_growing_has_the_strain_of_its_rate():
    points, normals = ball()
    graph = sample_graph(points, normals)
    assert graph.strain(0.3 * points) == pytest.approx(0.09, rel=1e-6)
    np.testing.assert_allclose(graph.local_strain(0.3 * points), 0.3, rtol=1e-6)


def test_strain_equals_least_squares_and_the_matrix():
    points, normals = ball(60, seed=3)
    graph = sample_graph(points, normals)
    velocity = np.random.default_rng(1).normal(size=points.shape)
    strain = graph.strain(velocity)
    assert strain == pytest.approx(slow_strain(graph, velocity), rel=1e-6)
    edges = (graph.weight > 0).sum(1)
    local = graph.local_strain(velocity)
    assert (edges * local**2).sum() / edges.sum() == pytest.approx(strain, rel=1e-9)
    matrix = graph.matrix()
    assert velocity.ravel() @ (matrix @ velocity.ravel()) == pytest.approx(strain, rel=1e-6)
    assert abs(matrix - matrix.T).max() < 1e-12


def test_no_edge_crosses_a_gap():
    axis = np.linspace(0, 1, 9)
    plane = np.stack([*np.meshgrid(axis, axis), np.zeros((9, 9))], -1).reshape(-1, 3)
    points = np.concatenate([plane, plane + np.array([0, 0, 0.05])])
    normals = np.repeat([[0, 0, 1.0], [0, 0, -1.0]], len(plane), 0)
    graph = sample_graph(points, normals)
    side = points[:, 2] > 0
    across = side[graph.neighbours] != side[:, None]
    assert across.any() and not graph.weight[across].any()
    # The sheets may part without strain.
    velocity = np.where(side[:, None], [0, 0, 1.0], 0)
    assert graph.strain(velocity) < 1e-14


@pytest.mark.parametrize("count", [0, 1, 2, 5])
def test_few_samples(count):
    points, normals = ball(count)
    graph = sample_graph(points, normals)
    assert graph.matrix().shape == (3 * count, 3 * count)
    assert graph.strain(points + 1.0) >= 0
    assert graph.num_edges <= count * max(count - 1, 0)


def test_two_samples_at_one_place():
    points, normals = ball(20)
    points[1], normals[1] = points[0], normals[0]
    graph = sample_graph(points, normals)
    assert np.isfinite(graph.weight).all()
    assert graph.strain(np.cross([1.0, 0, 0], points)) < 1e-14
