"""Limbs of a figure of capsules: matched whatever the pose, with gaps, in any unit."""

import mcubes
import numpy as np
import pytest
import trimesh
from scipy.sparse.csgraph import dijkstra

from shapespace.elastic.graph import deformation_graph
from shapespace.elastic.limbs import laid, limbs_of_mesh, limbs_of_points
from shapespace.elastic.register import Target, bend
from shapespace.geometry.components import edge_lengths
from shapespace.reconstruction.bending import COARSE_STAGES, LAID_STAGES

CELL, ARM, LEG = 0.03, 0.75, 0.95
SIZE = 0.6


def capsules(left_arm):
    """Ends and radius of each capsule; the left arm points ``left_arm`` degrees above the level."""
    angle = np.radians(left_arm)
    return [
        ([0, 0, 0], [0, 0.9, 0], 0.15),
        ([0, 0.9, 0], [0, 1.4, 0], 0.11),
        ([0.1, 0.9, 0], [0.1 + ARM * np.cos(angle), 0.9 + ARM * np.sin(angle), 0], 0.07),
        ([-0.1, 0.9, 0], [-0.1 - ARM * np.cos(0.9), 0.9 - ARM * np.sin(0.9), 0], 0.07),
        ([0.1, 0, 0], [0.25, -LEG, 0], 0.09),
        ([-0.1, 0, 0], [-0.25, -LEG, 0], 0.09),
    ]


def distance(points, left_arm):
    """Distance of points from the capsules, negative inside."""
    found = []
    for start, end, radius in capsules(left_arm):
        axis = np.subtract(end, start)
        along = np.clip(((points - start) @ axis) / (axis @ axis), 0, 1)
        found.append(np.linalg.norm(points - start - along[..., None] * axis, axis=-1) - radius)
    return np.min(found, axis=0)


def figure(left_arm):
    axes = [np.arange(low, high, CELL) for low, high in ((-1.1, 1.1), (-1.2, 2), (-0.3, 0.3))]
    grid = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1)
    vertices, faces = mcubes.marching_cubes(distance(grid, left_arm), 0)
    low = [axis[0] for axis in axes]
    return trimesh.Trimesh(low + CELL * vertices, faces[:, ::-1], process=False)


def scan(left_arm, count=3000):
    mesh = figure(left_arm)
    points, face = trimesh.sample.sample_surface(mesh, count, seed=0)[:2]
    return np.array(points), np.array(mesh.face_normals[face])


def hand(mesh):
    """The vertices of the left hand of the figure at rest."""
    end = np.array(capsules(-40)[2][1])
    return np.linalg.norm(mesh.vertices - end, axis=1) < 0.1


def test_a_raised_arm_is_found_where_nearest_points_do_not_find_it():
    mesh, (points, normals) = figure(-40), scan(45)
    graph = deformation_graph(mesh, 0.11)
    target = Target(points, normals, SIZE)
    end = np.array(capsules(45)[2][1])
    plain = bend(graph, graph.at_rest(), target, COARSE_STAGES)
    assert np.linalg.norm(graph.bent(plain)[hand(mesh)].mean(0) - end) > 0.3
    motion = laid(graph, limbs_of_mesh(mesh), limbs_of_points(points, normals), SIZE)
    motion = bend(graph, motion, target, LAID_STAGES)
    assert np.linalg.norm(graph.bent(motion)[hand(mesh)].mean(0) - end) < 0.06
    assert np.abs(distance(graph.bent(motion), 45)).mean() < 0.01


@pytest.mark.parametrize("known", [True, False])
def test_a_figure_is_laid_on_itself_without_normals_and_across_a_gap(known):
    mesh, (points, normals) = figure(-40), scan(-40)
    start, end = (np.array(part) for part in capsules(-40)[2][:2])
    along = (points - start) @ (end - start) / ARM**2
    kept = ~((np.abs(along - 0.6) < 0.06) & (points[:, 0] > 0.3))
    assert not kept.all()
    points, normals = points[kept], normals[kept] if known else None
    graph = deformation_graph(mesh, 0.11)
    motion = laid(graph, limbs_of_mesh(mesh), limbs_of_points(points, normals), SIZE)
    off = np.linalg.norm(graph.bent(motion) - mesh.vertices, axis=1)
    assert off.mean() < 0.03 and np.percentile(off, 99) < 0.12


def test_neither_unit_nor_place_matters():
    mesh, (points, normals) = figure(-40), scan(30)
    bent = []
    for unit, shift in ((1.0, 0.0), (1000.0, 300.0)):
        own = trimesh.Trimesh(unit * mesh.vertices + shift, mesh.faces, process=False)
        graph = deformation_graph(own, 0.11 * unit)
        limbs = limbs_of_points(unit * points + shift, normals)
        bent.append(
            (graph.bent(laid(graph, limbs_of_mesh(own), limbs, unit * SIZE)) - shift) / unit
        )
    np.testing.assert_allclose(bent[0], bent[1], atol=1e-3)


def test_tips_are_far_from_each_other_and_ways_are_those_along_the_edges():
    mesh = figure(-40)
    limbs = limbs_of_mesh(mesh)
    ends = np.array([capsule[1] for capsule in capsules(-40)[1:]])
    near = np.linalg.norm(limbs.points[limbs.tips][:, None] - ends, axis=2)
    assert sorted(near.argmin(1)) == [0, 1, 2, 3, 4] and near.min(1).max() < 0.2
    slow = dijkstra(edge_lengths(mesh), indices=limbs.tips)
    np.testing.assert_allclose(limbs.distance, slow)


def test_few_points_and_a_part_that_stands_alone():
    points = np.random.default_rng(0).normal(size=(8, 3))
    assert np.isfinite(limbs_of_points(points, None).distance).all()
    mesh = trimesh.creation.icosphere(2)
    stray = trimesh.creation.icosphere(0, radius=0.01)
    stray.apply_translation([5, 0, 0])
    both = trimesh.util.concatenate([mesh, stray])
    assert len(limbs_of_mesh(both).points) == len(mesh.vertices)
    graph = deformation_graph(both, 0.5)
    motion = laid(graph, limbs_of_mesh(both), limbs_of_points(mesh.vertices, None), 1.0)
    assert np.isfinite(graph.bent(motion)).all()
