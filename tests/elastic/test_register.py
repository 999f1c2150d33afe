"""Bending onto points of a known bending: exact shapes, missing parts, clutter, no normals."""

import numpy as np
import pytest
import trimesh

from shapespace.elastic.graph import deformation_graph
from shapespace.elastic.register import BendStage, Target, bend
from shapespace.reconstruction.bending import COARSE_STAGES, FINE_STAGES

LENGTH, RADIUS, ANGLE = 1.0, 0.1, np.radians(60)
SIZE = 0.3
STAGES = [*COARSE_STAGES, *FINE_STAGES[0], *FINE_STAGES[1]]


def capsule():
    """A capsule along z, finely meshed."""
    mesh = trimesh.creation.capsule(LENGTH, RADIUS, count=[24, 24])
    mesh.apply_translation(-mesh.bounds.mean(0))
    for _ in range(2):
        mesh = mesh.subdivide_to_size(0.05)
    return trimesh.Trimesh(mesh.vertices, mesh.faces, process=True)


def curved(points):
    """Points of the straight capsule, its axis wound on a circle in the plane of x and z."""
    bow = LENGTH / ANGLE
    turn = points[:, 2] / bow
    arm = bow + points[:, 0]
    return np.stack([arm * np.cos(turn) - bow, points[:, 1], arm * np.sin(turn)], axis=1)


def target(mesh, normals=True, count=3000):
    bent = trimesh.Trimesh(curved(np.asarray(mesh.vertices)), mesh.faces, process=False)
    points, face = trimesh.sample.sample_surface(bent, count, seed=0)[:2]
    return Target(np.array(points), np.array(bent.face_normals[face]) if normals else None, SIZE)


def error(graph, motion):
    """Distance of the bent vertices from the bent capsule, exact."""
    bow = LENGTH / ANGLE
    x, _, z = graph.bent(motion).T
    turn = np.clip(np.arctan2(z, bow + x), -ANGLE / 2, ANGLE / 2)
    axis = np.stack([bow * np.cos(turn) - bow, 0 * x, bow * np.sin(turn)], axis=1)
    return np.abs(np.linalg.norm(graph.bent(motion) - axis, axis=1) - RADIUS)


@pytest.mark.parametrize("normals", [True, False])
def test_a_bent_capsule_is_found(normals):
    mesh = capsule()
    graph = deformation_graph(mesh, 0.08)
    motion = bend(graph, graph.at_rest(), target(mesh, normals), STAGES)
    assert error(graph, graph.at_rest()).max() > 0.05
    off = error(graph, motion)
    assert off.mean() < 0.001 and np.percentile(off, 99) < 0.004


def test_a_part_without_points_follows_the_rest():
    """The points of one end are missing, and a cloud of clutter is near."""
    mesh = capsule()
    graph = deformation_graph(mesh, 0.08)
    whole = target(mesh)
    seen = whole.points[:, 2] < 0.25
    clutter = np.random.default_rng(0).uniform(0.5, 0.9, (100, 3))
    part = Target(
        np.concatenate([whole.points[seen], clutter]),
        np.concatenate([whole.normals[seen], np.tile([1.0, 0, 0], (100, 1))]),
        SIZE,
    )
    off = error(graph, bend(graph, graph.at_rest(), part, STAGES))
    shown = graph.vertices[:, 2] < 0.2
    assert off[shown].mean() < 0.0015
    # nothing says how the rest is bent; it goes on straight, and stays a capsule
    assert off[~shown].max() < 0.06


def test_nothing_moves_without_points_or_where_all_is_right():
    mesh = capsule()
    graph = deformation_graph(mesh, 0.1)
    nothing = Target(np.zeros((0, 3)), None, SIZE)
    rest = graph.at_rest()
    assert bend(graph, rest, nothing, STAGES) is rest
    there = Target(graph.vertices, graph.normals, SIZE)
    motion = bend(graph, rest, there, [BendStage(0.1, 0.1, 3)])
    np.testing.assert_allclose(graph.bent(motion), graph.vertices, atol=1e-6)
