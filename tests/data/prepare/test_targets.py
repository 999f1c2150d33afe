"""Targets equal the exact distance of a ball and a box, with the sign of what is closed."""

import sys
from dataclasses import replace

import numpy as np
import pytest
import trimesh

from shapespace.data.formats.readers import RawScan, checked
from shapespace.data.prepare.points import PointOptions, prepare_scan
from shapespace.data.prepare.targets import is_closed, surface_targets, welded
from shapespace.errors import InputError

BALL = trimesh.creation.icosphere(subdivisions=5)
BOX = trimesh.creation.box((2.0, 1.0, 0.6))
MIDDLE = np.array([3.0, -1.0, 2.0])


def raw(mesh, faces=None):
    return checked(
        np.asarray(mesh.vertices) + MIDDLE, np.asarray(mesh.faces if faces is None else faces)
    )


def targets(scan, count=2000, num_points=60, **options):
    prepared = prepare_scan(scan, "a", PointOptions(num_points, **options))
    return prepared, surface_targets(scan, prepared, count, np.random.default_rng(0))


def box_distance(points):
    """Exact signed distance of BOX, about its own middle."""
    q = np.abs(points) - BOX.extents / 2
    return np.linalg.norm(np.maximum(q, 0), axis=1) + np.minimum(q.max(axis=1), 0)


@pytest.mark.parametrize("inward", [False, True])
@pytest.mark.parametrize("scale", [1.0, 1000.0, None])
def test_a_ball_whichever_way_it_is_wound(inward, scale):
    pytest.importorskip("igl")
    prepared, found = targets(raw(BALL, BALL.faces[:, ::-1] if inward else BALL.faces), scale=scale)
    at = prepared.frame.to_source(found.points) - MIDDLE
    exact = np.linalg.norm(at, axis=1) - 1
    assert found.signed and found.points.shape == (2000, 3) and (exact < -0.1).any()
    # an icosphere of this fineness is within 5e-4 of the ball
    np.testing.assert_allclose(found.distance * prepared.frame.scale, exact, atol=7e-4)


@pytest.mark.parametrize("inward", [False, True])
def test_a_box_is_exact(inward):
    pytest.importorskip("igl")
    prepared, found = targets(raw(BOX, BOX.faces[:, ::-1] if inward else BOX.faces))
    exact = box_distance(prepared.frame.to_source(found.points) - MIDDLE)
    np.testing.assert_allclose(found.distance, exact, atol=2e-6)


def test_an_open_mesh_has_no_sign():
    pytest.importorskip("igl")
    prepared, found = targets(raw(BOX, BOX.faces[1:]))
    assert not found.signed and (found.distance >= 0).all()
    exact = box_distance(prepared.frame.to_source(found.points) - MIDDLE)
    assert (found.distance > np.abs(exact) - 2e-6).all()


@pytest.mark.parametrize("dimension", [2, 3])
def test_a_cloud_is_measured_to_all_points_of_the_source(dimension):
    cloud = checked(np.random.default_rng(1).normal(size=(900, dimension)) + 7.0)
    prepared, found = targets(cloud, 300, scale=2.0)
    at = prepared.frame.to_source(found.points)
    naive = np.linalg.norm(at[:, None] - cloud.vertices[None], axis=2).min(axis=1)
    assert not found.signed
    np.testing.assert_allclose(found.distance * 2.0, naive, rtol=1e-5, atol=1e-6)


def test_where_targets_lie():
    # a flat square of radius 2: heights are N(0, 0.002^2), N(0, 0.2^2), and those of a flat box
    cloud = checked(np.random.default_rng(1).uniform(-1, 1, size=(4000, 3)) * [2**0.5, 2**0.5, 0])
    prepared = prepare_scan(cloud, "a", PointOptions(normals="none"))
    prepared = replace(prepared, sigma=np.full(4000, 0.002, np.float32))
    points = surface_targets(cloud, prepared, 20_000, np.random.default_rng(0)).points
    height = np.abs(points[:, 2])
    assert np.mean(height > 0.1) == pytest.approx(0.45 * 0.617, abs=0.02)
    assert np.mean(height < 0.0002) == pytest.approx(0.1 + 0.45 * 0.0797, abs=0.02)
    filling = points[height < 1e-6]
    reach = 1.2 * np.abs(prepared.points[:, :2]).max()
    assert np.abs(filling[:, :2]).max() == pytest.approx(reach, rel=0.02)
    # in random order
    assert np.mean(height[:10_000] > 0.1) == pytest.approx(np.mean(height[10_000:] > 0.1), abs=0.02)


def test_the_generator_decides():
    scan = checked(np.random.default_rng(1).normal(size=(100, 3)))
    prepared = prepare_scan(scan, "a")
    one, two, other = (
        surface_targets(scan, prepared, 50, np.random.default_rng(seed)) for seed in (0, 0, 1)
    )
    np.testing.assert_array_equal(one.points, two.points)
    np.testing.assert_array_equal(one.distance, two.distance)
    assert (one.points != other.points).any()


@pytest.mark.parametrize("count", [0, 1, 2, 3])
@pytest.mark.parametrize("scan", [raw(BOX), checked(np.random.default_rng(1).normal(size=(60, 2)))])
def test_few_targets(scan, count):
    if scan.faces is not None:
        pytest.importorskip("igl")
    found = targets(scan, count)[1]
    assert found.points.shape == (count, scan.vertices.shape[1])
    assert found.distance.shape == (count,) and found.distance.dtype == np.float32


def test_what_is_closed():
    faces = np.asarray(BOX.faces)
    flipped = faces.copy()
    flipped[0] = flipped[0, ::-1]
    assert is_closed(faces) and is_closed(faces[:, ::-1])
    assert is_closed(np.concatenate([faces, faces + 8]))
    for bad in (
        faces[1:],
        flipped,
        np.append(faces, faces, axis=0),
        np.append(faces, [[1, 1, 1]], 0),
    ):
        assert not is_closed(bad)


def test_vertices_of_no_face_and_flat_faces_do_no_harm():
    pytest.importorskip("igl")
    vertices = np.append(BOX.vertices, [[40.0, 0, 0]], axis=0) + MIDDLE
    faces = np.append(BOX.faces, [[0, 0, 1]], axis=0)
    prepared, found = targets(RawScan(vertices, faces.astype(np.int64), None), 500)
    exact = box_distance(prepared.frame.to_source(found.points) - MIDDLE)
    assert not found.signed
    np.testing.assert_allclose(found.distance, np.abs(exact), atol=2e-6)


def test_a_mesh_needs_libigl(monkeypatch):
    monkeypatch.setitem(sys.modules, "igl", None)
    with pytest.raises(InputError, match="pip install libigl"):
        prepare_scan(raw(BOX), "a", PointOptions(num_points=100, num_targets=5))
    cloud = checked(np.asarray(BALL.vertices))
    assert prepare_scan(cloud, "a", PointOptions(num_targets=5)).targets is not None


def test_a_soup_of_triangles_is_closed_where_they_meet():
    ball = trimesh.creation.icosphere(subdivisions=2)
    vertices = np.asarray(ball.triangles).reshape(-1, 3)
    faces = np.arange(len(vertices)).reshape(-1, 3)
    assert not is_closed(faces) and is_closed(welded(vertices, faces))
    assert not is_closed(welded(vertices[3:], faces[:-1]))
