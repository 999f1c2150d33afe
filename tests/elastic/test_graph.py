"""Deformation graphs: rigid motions are exact, derivatives are those of the motion."""

import numpy as np
import pytest
import trimesh
from scipy.spatial.transform import Rotation

from shapespace.elastic.graph import Motion, deformation_graph, transferred
from shapespace.elastic.register import Matches, _data_rows, _stretch_rows

RNG = np.random.default_rng(0)


def rigid(graph, turn, shift):
    """The motion of all nodes under one rigid motion x -> R x + s."""
    rotation = Rotation.from_rotvec(turn).as_matrix()
    moved = graph.nodes @ rotation.T + shift
    return Motion(np.tile(rotation, (len(graph.nodes), 1, 1)), moved - graph.nodes), rotation


def random_motion(graph, size=0.3):
    turn = RNG.normal(size=(len(graph.nodes), 3)) * size
    return Motion(Rotation.from_rotvec(turn).as_matrix(), RNG.normal(size=turn.shape) * size)


@pytest.mark.parametrize("spacing", [0.3, 10.0])
def test_one_rigid_motion_of_all_nodes_is_that_of_the_mesh(spacing):
    graph = deformation_graph(trimesh.creation.icosphere(3), spacing)
    np.testing.assert_allclose(graph.weight.sum(1), 1)
    motion, rotation = rigid(graph, [0.3, -0.5, 0.9], [1.0, 2.0, 3.0])
    bent = graph.bent(motion)
    np.testing.assert_allclose(bent, graph.vertices @ rotation.T + [1, 2, 3], atol=1e-12)
    np.testing.assert_allclose(graph.bent_normals(motion), graph.normals @ rotation.T, atol=1e-12)
    np.testing.assert_allclose(graph.stretch(motion), 0, atol=1e-12)
    back = graph.straightened(motion, bent, np.arange(len(bent)))
    np.testing.assert_allclose(back, graph.vertices, atol=1e-12)
    np.testing.assert_allclose(graph.bent(graph.at_rest()), graph.vertices, atol=1e-12)


def test_every_vertex_is_near_a_node_along_the_surface():
    mesh = trimesh.creation.capsule(2.0, 0.2)
    graph = deformation_graph(mesh, 0.3)
    straight = np.linalg.norm(graph.vertices - graph.nodes[graph.movers[:, 0]], axis=1)
    assert straight.max() <= 0.3
    # two ends that are bent until they touch still have nodes of their own
    parts = deformation_graph(mesh + mesh.copy().apply_translation([0.41, 0, 0]), 0.3)
    side = parts.nodes[:, 0] > 0.205
    assert (side[parts.movers[:, 0]] == (parts.vertices[:, 0] > 0.205)).all()
    assert (side[parts.edges[:, 0]] == side[parts.edges[:, 1]]).all()


def test_a_finer_graph_takes_over_the_motion():
    mesh = trimesh.creation.icosphere(3)
    coarse, fine = deformation_graph(mesh, 0.5), deformation_graph(mesh, 0.25)
    motion, rotation = rigid(coarse, [0.1, 0.2, 0.3], [0.5, 0, 0])
    nearest = np.argmin(np.linalg.norm(fine.nodes[:, None] - coarse.vertices, axis=2), axis=1)
    found = transferred(motion, coarse, fine, nearest)
    np.testing.assert_allclose(found.rotation, np.broadcast_to(rotation, found.rotation.shape))
    np.testing.assert_allclose(fine.bent(found), coarse.bent(motion), atol=1e-12)


def test_rows_are_derivatives_of_the_motion():
    """Against differences, at a random motion."""
    graph = deformation_graph(trimesh.creation.icosphere(2), 0.6)
    motion = random_motion(graph)
    vertex = RNG.integers(len(graph.vertices), size=20)
    pairs = Matches(
        vertex, RNG.normal(size=(20, 3)), RNG.normal(size=(20, 3)), RNG.uniform(size=20)
    )
    step = RNG.normal(size=(len(graph.nodes), 6))

    def after(size):
        turn = Rotation.from_rotvec(size * step[:, :3]).as_matrix()
        return Motion(turn @ motion.rotation, motion.shift + size * step[:, 3:])

    for rows in (lambda at: _data_rows(graph, at, pairs), lambda at: _stretch_rows(graph, at, 2.0)):
        matrix, _ = rows(motion)
        slope = (rows(after(1e-6))[1] - rows(after(-1e-6))[1]) / 2e-6
        np.testing.assert_allclose(matrix @ step.ravel(), -slope, rtol=1e-5, atol=1e-7)
