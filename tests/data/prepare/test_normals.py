"""Normals of clouds against exact shapes: planes by the naive loop, sides that may be trusted."""

import numpy as np
import pytest
import trimesh

from shapespace.data.prepare.normals import _fit_planes, normals_of_cloud

BALL = trimesh.creation.icosphere(subdivisions=5)


def sample(mesh, count, seed=0):
    points, faces = trimesh.sample.sample_surface(mesh, count, seed=seed)
    return np.asarray(points), np.asarray(mesh.face_normals[faces])


def moved(mesh, offset, scale=1.0):
    return mesh.copy().apply_scale(scale).apply_translation(offset)


def inward(mesh):
    return trimesh.Trimesh(mesh.vertices, mesh.faces[:, ::-1], process=False)


def rings(*circles):
    """Points and normals of 2-D circles (x, y, radius, 1 outward or -1)."""
    angle = np.linspace(0, 2 * np.pi, 700, endpoint=False)
    unit = np.column_stack([np.cos(angle), np.sin(angle)])
    points = [unit * r + (x, y) for x, y, r, _ in circles]
    return np.concatenate(points), np.concatenate([unit * side for *_, side in circles])


def ball(count=4000):
    points = np.random.default_rng(0).normal(size=(count, 3))
    points /= np.linalg.norm(points, axis=1, keepdims=True)
    return points, points


def right(normals, truth):
    return np.mean((normals * truth).sum(axis=1) > 0)


CLOSED = {
    "ball": BALL,
    "torus": trimesh.creation.torus(1, 0.3, 128, 64),
    "box": trimesh.creation.box((1, 0.6, 0.4)),
    "two balls": trimesh.util.concatenate([BALL, moved(BALL, [2.5, 0.3, 0])]),
    "hollow ball": trimesh.util.concatenate([BALL, moved(inward(BALL), [0, 0, 0], 0.5)]),
    "ball and a far small one": trimesh.util.concatenate([BALL, moved(BALL, [5, 0, 0], 0.2)]),
    "wall": trimesh.creation.box((1, 1, 0.08)),
    "tube of two ends": trimesh.creation.capsule(1.5, 0.2),
}


@pytest.mark.parametrize("dimension", [2, 3])
def test_planes_equal_the_naive_fit(dimension):
    points = np.random.default_rng(0).normal(size=(60, dimension))
    found, _ = _fit_planes(points, 9)
    for point, normal in zip(points, found, strict=True):
        near = points[np.argsort(np.linalg.norm(points - point, axis=1))[:10]]
        naive = np.linalg.svd(near - near.mean(axis=0))[2][-1]
        assert abs(naive @ normal) == pytest.approx(1, abs=1e-9)


@pytest.mark.parametrize("name", CLOSED)
def test_closed_shapes_are_oriented_outward(name):
    points, truth = sample(CLOSED[name], 6000)
    normals, kind = normals_of_cloud(points.astype(np.float32))
    assert kind == "estimated-oriented" and right(normals, truth) > 0.99
    np.testing.assert_allclose(np.linalg.norm(normals, axis=1), 1, atol=1e-12)


def test_normals_of_a_ball_are_near_exact():
    points, truth = ball(20_000)
    cosine = (normals_of_cloud(points)[0] * truth).sum(axis=1)
    assert np.degrees(np.arccos(np.quantile(cosine, 0.05))) < 2.0


def test_half_a_ball_looks_away_from_its_middle():
    points, truth = ball()
    half = points[:, 2] > 0
    normals, kind = normals_of_cloud(points[half])
    assert kind == "estimated-oriented" and right(normals, truth[half]) == 1


@pytest.mark.parametrize(
    "circles",
    [[(0, 0, 1, 1)], [(0, 0, 1, 1), (3, 0, 0.5, 1)], [(0, 0, 1, 1), (0, 0, 0.5, -1)]],
)
def test_in_the_plane(circles):
    points, truth = rings(*circles)
    normals, kind = normals_of_cloud(points)
    assert kind == "estimated-oriented" and right(normals, truth) == 1


@pytest.mark.parametrize("tilt", [0.0, 0.3])
def test_a_sheet_has_no_outside(tilt):
    points = np.random.default_rng(0).random((3000, 3)) * [1, 1, 0]
    points[:, 2] = tilt * np.sin(6 * points[:, 0])
    assert normals_of_cloud(points)[1] == "estimated-unoriented"


def test_a_wall_thinner_than_the_gaps_is_not_trusted():
    points, _ = sample(trimesh.creation.box((1, 1, 0.004)), 2000)
    assert normals_of_cloud(points)[1] == "estimated-unoriented"


def test_noise_larger_than_the_neighbourhood_is_not_trusted():
    points, _ = ball(8000)
    points = points + np.random.default_rng(1).normal(0, 0.08, points.shape)
    assert normals_of_cloud(points)[1] == "estimated-unoriented"


def test_moving_scaling_and_reordering_change_no_side():
    points, truth = sample(CLOSED["two balls"], 2000)
    order = np.random.default_rng(0).permutation(len(points))
    plain, _ = normals_of_cloud(points)
    for factor, shift in ((1000.0, 0.0), (1e-6, 0.0), (1.0, 50.0)):
        normals, kind = normals_of_cloud((points * factor + shift)[order])
        assert kind == "estimated-oriented" and right(normals, truth[order]) == 1
        assert np.quantile(np.abs((normals * plain[order]).sum(axis=1)), 0.01) > 1 - 1e-6


@pytest.mark.parametrize("height", [5.0, -5.0])
def test_every_normal_looks_to_the_only_camera(height):
    points = np.random.default_rng(0).random((3000, 3)) * [1, 1, 0]
    points[:, 2] = 0.1 * np.sin(6 * points[:, 0])
    normals, kind = normals_of_cloud(points, np.array([[0.5, 0.5, height]]))
    assert kind == "estimated-oriented" and (normals[:, 2] * height > 0).all()


@pytest.mark.parametrize("side", [1.0, -1.0])
def test_a_rig_decides_the_side_of_an_open_sheet(side):
    points = np.random.default_rng(0).random((3000, 3)) * [1, 1, 0]
    cameras = np.array([[0.2, 0.2, 3 * side], [2.5, 0.5, 2 * side], [0.5, -2.5, 2 * side]])
    normals, kind = normals_of_cloud(points, cameras)
    assert kind == "estimated-oriented" and (normals[:, 2] * side > 0).all()


def test_a_rig_around_separate_balls():
    points, truth = sample(CLOSED["two balls"], 8000)
    turn = np.linspace(0, 2 * np.pi, 8, endpoint=False)
    ring = np.column_stack([1.2 + 6 * np.cos(turn), 6 * np.sin(turn), np.resize([-4, 4], 8)])
    normals, kind = normals_of_cloud(points, ring)
    assert kind == "estimated-oriented" and right(normals, truth) == 1


def test_a_camera_that_cannot_have_seen_the_points_is_not_trusted():
    points, _ = ball(6000)
    for camera in ([0.0, 0, 5], [0.0, 0, 500]):
        assert normals_of_cloud(points, np.array([camera]))[1] == "estimated-unoriented"


def test_a_camera_inside_sees_the_inner_side():
    points, truth = ball()
    normals, kind = normals_of_cloud(points, np.array([[0.3, 0.2, 0.1]]))
    assert kind == "estimated-oriented" and right(normals, -truth) == 1


def test_no_cameras_are_none():
    points, _ = ball(500)
    with_none, without = normals_of_cloud(points, np.empty((0, 3))), normals_of_cloud(points)
    np.testing.assert_array_equal(with_none[0], without[0])


@pytest.mark.parametrize("dimension", [2, 3])
@pytest.mark.parametrize("count", [0, 1, 2, 3, 4, 9, 17, 18])
def test_few_points(dimension, count):
    points = np.random.default_rng(0).normal(size=(count, dimension))
    for cameras in (None, np.full((1, dimension), 9.0), np.eye(dimension) * 9):
        normals, kind = normals_of_cloud(points, cameras)
        assert normals.shape == points.shape and kind.startswith("estimated")
        length = np.linalg.norm(normals, axis=1)
        assert np.all((length == 0) | (np.abs(length - 1) < 1e-9))


def test_points_on_a_line_or_in_one_place_have_no_normal():
    line = np.linspace([0.0, 0, 0], [1, 2, 3], 400)
    place = np.tile([[1.0, 2, 3]], (300, 1))
    for points in (line, place):
        normals, kind = normals_of_cloud(points)
        assert not normals.any() and kind == "estimated-unoriented"
    points, truth = ball(2000)
    normals, kind = normals_of_cloud(np.repeat(points, 3, axis=0))
    assert kind == "estimated-oriented" and right(normals, np.repeat(truth, 3, axis=0)) == 1


@pytest.mark.slow
def test_bodies_and_their_scans():
    from shapespace.synthetic.dataset import SUBJECTS, Scanner, body, body_mesh

    pytest.importorskip("embreex", reason="rays are cast by embreex")
    for row, motion in enumerate(("hips", "punching", "knees")):
        mesh = body_mesh(body(list(SUBJECTS)[row], motion, 0.3))
        points, truth = sample(mesh, 60_000)
        normals, kind = normals_of_cloud(points)
        assert kind == "estimated-oriented" and right(normals, truth) > 0.99
        scanner = Scanner()
        scan = scanner(mesh, seed=row)
        eyes = scanner._eyes(mesh.bounds.mean(axis=0))
        for cameras in (None, eyes):
            normals, kind = normals_of_cloud(np.asarray(scan.vertices), cameras)
            assert kind == "estimated-oriented" and right(normals, scan.vertex_normals) > 0.98
