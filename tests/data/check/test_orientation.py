"""Normals of exact shapes, as they are, flipped whole, by regions and at random."""

import numpy as np
import pytest
import trimesh

from shapespace.data.check.cloud import moments, sample_faces
from shapespace.data.check.measurements import boundary_edges
from shapespace.data.check.orientation import measure_orientation
from shapespace.data.check.rules import BOUNDARY, INWARD, OPPOSED, REGION
from shapespace.data.spacing import spacing_of

SHAPES = {
    "ball": trimesh.creation.icosphere(4),
    "box": trimesh.creation.box((1, 0.7, 0.4)),
    "ring": trimesh.creation.torus(1, 0.3),
    "plate": trimesh.creation.box((1, 1, 0.01)),
    "wire": trimesh.creation.torus(1, 0.02),
    "pipe": trimesh.creation.annulus(0.48, 0.5, 1),
}


def points_of(mesh, count=6000):
    rng = np.random.default_rng(0)
    faces = np.asarray(mesh.faces, np.int64)
    return sample_faces(np.asarray(mesh.vertices, np.float64), faces, count, rng)


def judge(points, normals):
    return measure_orientation(points, normals, spacing_of(points), np.ones(len(points), bool))


@pytest.mark.parametrize("name", SHAPES)
def test_closed_shapes_look_outward(name):
    points, normals = points_of(SHAPES[name])
    sides = judge(points, normals)
    assert sides.outward > 0 and sides.openness < 0.01
    assert sides.opposed < BOUNDARY and sides.inward < 0.1
    turned = judge(points, -normals)
    assert turned.outward == -sides.outward and turned.inward > INWARD
    assert turned.opposed == sides.opposed


def test_exact_numbers_of_a_ball_and_half_of_it():
    points, normals = points_of(SHAPES["ball"])
    assert judge(points, normals).outward == pytest.approx(1, abs=1e-3)
    upper = points[:, 2] > 0
    half = judge(points[upper], normals[upper])
    assert half.openness == pytest.approx(0.5, abs=0.02)
    np.testing.assert_allclose(half.away, [0, 0, 1], atol=0.03)
    assert half.inward < 0.1


@pytest.mark.parametrize("name", ["ball", "box", "ring", "pipe"])
def test_half_flipped(name):
    points, normals = points_of(SHAPES[name])
    some = np.random.default_rng(0).random(len(points)) < 0.5
    assert judge(points, np.where(some[:, None], -normals, normals)).opposed > 5 * OPPOSED
    for axis in range(3):
        side = points[:, axis] > np.median(points[:, axis])
        sides = judge(points, np.where(side[:, None], -normals, normals))
        assert sides.inward > REGION and sides.opposed > BOUNDARY


def test_unknown_normals_count_for_nothing():
    points, normals = points_of(SHAPES["ball"])
    some = normals * (np.arange(len(points)) % 3 > 0)[:, None]
    assert judge(points, some).outward == pytest.approx(1, abs=0.01)
    nothing = judge(points, 0 * normals)
    assert (nothing.opposed, nothing.inward, nothing.openness) == (0, 0, 0)


def test_spread_is_uniform_by_area_and_leaves_out_flat_faces():
    vertices = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 5], [3, 0, 5], [0, 3, 5.0]])
    faces = np.array([[0, 1, 2], [0, 0, 1], [3, 4, 5], [4, 4, 4]])
    points, normals = sample_faces(vertices, faces, 1000, np.random.default_rng(0))
    assert (points[:, 2] == 5).mean() == pytest.approx(0.9, abs=0.002)
    np.testing.assert_allclose(normals, np.tile([0, 0, 1.0], (1000, 1)))
    assert (points[:100, 2] == 5).mean() == pytest.approx(0.9, abs=0.1)


@pytest.mark.parametrize("drop", [0, 1, 30, 200])
def test_borders_are_those_of_counting(drop):
    faces = np.asarray(SHAPES["ring"].faces, np.int64)
    kept = np.random.default_rng(drop).permutation(len(faces))[drop:]
    faces = faces[kept]
    count = {}
    for face in faces:
        for i in range(3):
            edge = frozenset((int(face[i]), int(face[i - 1])))
            count[edge] = count.get(edge, 0) + 1
    share, loops = boundary_edges(faces)
    assert share == sum(n == 1 for n in count.values()) / len(count)
    assert loops == {0: 0, 1: 1}.get(drop, loops)
    assert (loops > 0) == (drop > 0)


def test_moments_stay_when_points_are_moved_or_reordered():
    points = np.random.default_rng(0).normal(size=(500, 3)) * [1, 2, 3]
    other = np.add(np.random.default_rng(1).permutation(points), [5, 0, 9]).astype(np.float32)
    np.testing.assert_allclose(moments(other.astype(np.float64)), moments(points), atol=1e-6)
    mirrored = np.array(moments(points * [-1, 1, 1]))
    assert np.abs(mirrored - moments(points)).max() > 1e-3
