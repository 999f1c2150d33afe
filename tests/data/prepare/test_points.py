"""Laws of preparing one scan: uniform by area, moved with its source, what it is asked to add."""

import numpy as np
import pytest
import trimesh

from shapespace.data.formats.readers import RawScan, checked
from shapespace.data.prepare.points import PointOptions, prepare_scan
from shapespace.errors import InputError
from shapespace.utils.timing import Timings

BALL = trimesh.creation.icosphere(subdivisions=2)
SPHERE = checked(np.asarray(BALL.vertices), np.asarray(BALL.faces))


def test_mesh_samples_lie_on_the_faces_with_their_normals():
    scan = prepare_scan(SPHERE, "a", PointOptions(num_points=3000))
    points = scan.frame.to_source(scan.points)
    closest, distance, face = trimesh.proximity.closest_point_naive(BALL, points[:50])
    assert distance.max() < 1e-6 and closest.shape == (50, 3)
    np.testing.assert_allclose(scan.normals[:50], BALL.face_normals[face], atol=2e-5)
    assert np.abs(scan.points.mean(axis=0, dtype=np.float64)).max() < 1e-7
    assert (scan.num_source_points, scan.num_source_faces) == (len(BALL.vertices), len(BALL.faces))


def test_samples_are_uniform_by_area_and_flat_faces_get_none():
    square = np.array([[0.0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0], [0.9, 0.9, 0]])
    faces = np.array([[0, 0, 1], [0, 1, 2], [4, 2, 4], [0, 2, 3], [1, 1, 1]])
    scan = prepare_scan(checked(square, faces), "a", PointOptions(num_points=40_000))
    points = scan.frame.to_source(scan.points)
    cells = np.histogram2d(points[:, 0], points[:, 1], bins=4, range=[[0, 1], [0, 1]])[0]
    expected = 40_000 / 16
    assert ((cells - expected) ** 2 / expected).sum() < 40  # chi square, 15 degrees of freedom
    np.testing.assert_array_equal(scan.normals, np.tile(np.float32([0, 0, 1]), (40_000, 1)))


@pytest.mark.parametrize("dimension", [2, 3])
@pytest.mark.parametrize("normals", [False, True])
def test_a_cloud_keeps_its_own_points(dimension, normals):
    points = np.random.default_rng(0).normal(size=(300, dimension))
    raw = checked(points, None, points if normals else None)
    scan = prepare_scan(raw, "a")
    back = scan.frame.to_source(scan.points)
    order = np.lexsort(back.T), np.lexsort(points.T)
    np.testing.assert_allclose(back[order[0]], points[order[1]], atol=1e-6)
    np.testing.assert_allclose(scan.frame.centre, points.mean(axis=0), atol=1e-12)
    if normals:
        unit = back / np.linalg.norm(back, axis=1, keepdims=True)
        np.testing.assert_allclose(scan.normals, unit, atol=2e-5)
    part = prepare_scan(raw, "a", PointOptions(num_points=60))
    assert len(part.points) == len(part.sigma) == 60
    assert len(np.unique(part.points, axis=0)) == 60


def test_any_window_is_a_random_subset():
    points = np.linspace([0.0, 0, 0], [1, 1, 1], 4000)
    scan = prepare_scan(checked(points), "a")
    means = scan.frame.to_source(scan.points).reshape(8, 500, 3).mean(axis=1)
    assert np.abs(means - 0.5).max() < 5 * 0.2887 / np.sqrt(500)


@pytest.mark.parametrize("faces", [SPHERE.faces, None])
@pytest.mark.parametrize(
    ("shift", "tolerance"), [((4.0, -8.0, 16.0), 1e-7), ((2e6, 2e6, -2e6), 1e-7)]
)
def test_a_moved_shape_gives_the_same_points(faces, shift, tolerance):
    # coordinates that survive the shift exactly
    vertices = np.round(SPHERE.vertices * 2**20) / 2**20
    here = prepare_scan(RawScan(vertices, faces, None), "a", PointOptions(num_points=150))
    there = prepare_scan(RawScan(vertices + shift, faces, None), "a", PointOptions(num_points=150))
    np.testing.assert_array_equal(here.points, there.points)
    np.testing.assert_array_equal(here.sigma, there.sigma)
    np.testing.assert_allclose(there.frame.centre - shift, here.frame.centre, atol=1e-9)


def test_scale_and_own_radius():
    plain = prepare_scan(SPHERE, "a", PointOptions(num_points=500))
    scaled = prepare_scan(SPHERE, "a", PointOptions(num_points=500, scale=1000.0))
    np.testing.assert_allclose(scaled.points * 1000, plain.points, rtol=1e-6)
    np.testing.assert_allclose(scaled.sigma * 1000, plain.sigma, rtol=1e-5)
    own = prepare_scan(SPHERE, "a", PointOptions(num_points=500, scale=None))
    np.testing.assert_allclose(np.linalg.norm(own.points, axis=1).max(), 1.0, rtol=1e-6)
    np.testing.assert_allclose(
        own.frame.to_source(own.points), plain.frame.to_source(plain.points), atol=1e-6
    )


def test_name_and_seed_choose_the_points():
    first = prepare_scan(SPHERE, "a", PointOptions(num_points=99)).points
    np.testing.assert_array_equal(
        first, prepare_scan(SPHERE, "a", PointOptions(num_points=99)).points
    )
    for name, seed in [("b", 0), ("a", 1)]:
        assert (
            prepare_scan(SPHERE, name, PointOptions(num_points=99, seed=seed)).points != first
        ).any()


def test_too_few_points_and_lengths_beyond_float32():
    cloud = checked(np.random.default_rng(0).normal(size=(60, 3)))
    with pytest.raises(InputError, match="50 points; a cloud needs at least 51"):
        prepare_scan(checked(cloud.vertices[:50]), "a")
    for factor in (1e-30, 1e30):
        far = checked(cloud.vertices * factor)
        with pytest.raises(InputError, match="beyond float32"):
            prepare_scan(far, "a")
        assert prepare_scan(far, "a", PointOptions(scale=None)).frame.scale > 0


CLOUD = checked(np.random.default_rng(1).normal(size=(2000, 3)))
CLOUD = checked(CLOUD.vertices / np.linalg.norm(CLOUD.vertices, axis=1, keepdims=True) + 5.0)


def test_where_normals_come_from():
    given = RawScan(CLOUD.vertices, None, CLOUD.vertices - 5.0)
    for raw, kinds in [
        (SPHERE, ("measured", "measured", "none")),
        (given, ("measured", "measured", "none")),
        (CLOUD, ("estimated-oriented", "none", "none")),
    ]:
        for wish, kind in zip(("estimate", "source", "none"), kinds, strict=True):
            scan = prepare_scan(raw, "a", PointOptions(num_points=900, normals=wish))
            assert scan.normals_kind == kind and (scan.normals is None) == (kind == "none")
            if scan.normals is not None:
                outward = scan.normals * (scan.frame.to_source(scan.points) - raw.vertices.mean(0))
                assert (outward.sum(axis=1) > 0).all()
                np.testing.assert_allclose(np.linalg.norm(scan.normals, axis=1), 1, atol=5e-5)


def test_cameras_are_in_the_frame_of_the_source():
    front = checked(CLOUD.vertices[CLOUD.vertices[:, 2] > 5.3])
    options = PointOptions(normals="estimate", scale=100.0)
    for height in (9.0, -9.0):
        # seen from below the shell is hollow: its normals look down
        scan = prepare_scan(front, "a", options, cameras=np.array([[5.0, 5.0, 5.0 + height]]))
        assert scan.normals_kind == "estimated-oriented"
        assert (scan.normals[:, 2] * height > 0).all()


def test_targets_come_after_the_points_and_change_none_of_them():
    timings = Timings()
    plain = prepare_scan(CLOUD, "a", PointOptions(num_points=300))
    more = prepare_scan(CLOUD, "a", PointOptions(num_points=300, num_targets=40), timings=timings)
    assert plain.targets is None and plain.stamp == ""
    assert more.targets is not None and more.targets.points.shape == (40, 3)
    np.testing.assert_array_equal(plain.points, more.points)
    np.testing.assert_array_equal(plain.normals, more.normals)
    assert list(timings) == ["sample", "sigma", "normals", "targets"]
    assert all(seconds > 0 for seconds in timings.values())
    prepare_scan(CLOUD, "a", PointOptions(num_points=300), timings=timings)
    assert len(timings) == 4
