"""Cameras and their files: what one convention writes, the other reads as the same camera."""

import json

import numpy as np
import pytest

from shapespace.cameras.files import read_cameras, write_cameras
from shapespace.cameras.images import read_depth, read_mask, write_depth
from shapespace.cameras.pinhole import Pinhole, looking_at, ring
from shapespace.errors import InputError
from shapespace.rendering.meshes import save_image

RING = ring(3, np.array([0.1, 0.2, 0.3]), 0.8, size=(64, 48))


def same(one, other):
    assert (one.width, one.height, one.focal, one.middle) == (
        other.width,
        other.height,
        pytest.approx(other.focal),
        pytest.approx(other.middle),
    )
    np.testing.assert_allclose(one.rotation, other.rotation, atol=1e-9)
    np.testing.assert_allclose(one.position, other.position, atol=1e-9)


def test_a_ray_through_a_pixel_meets_the_points_that_the_pixel_shows():
    for camera in RING:
        points = camera.position + 1.7 * camera.directions().reshape(-1, 3)
        found, inside = camera.pixels(points)
        columns, rows = np.meshgrid(np.arange(64) + 0.5, np.arange(48) + 0.5)
        np.testing.assert_allclose(found, np.stack([columns.ravel(), rows.ravel()], 1), atol=1e-9)
        assert inside.all()
        behind = camera.position - camera.forward
        assert not camera.pixels(behind[None])[1].any()


def test_cameras_of_a_ring_see_the_ball_and_stand_upright():
    for camera in RING:
        middle, inside = camera.pixels(np.array([[0.1, 0.2, 0.3]]))
        np.testing.assert_allclose(middle[0], camera.middle)
        assert inside[0] and camera.rotation[1, 1] < -0.9  # down is down
        ball = np.random.default_rng(0).normal(size=(500, 3))
        ball *= 0.8 / np.linalg.norm(ball, axis=1, keepdims=True)
        assert camera.pixels(ball + np.array([0.1, 0.2, 0.3]))[1].all()


@pytest.mark.parametrize("axes", ["opengl", "opencv"])
def test_a_file_gives_the_cameras_that_were_written(axes, tmp_path):
    path = tmp_path / "transforms.json"
    named = [Pinhole(**{**vars(c), "depth": tmp_path / "d" / f"{c.name}.png"}) for c in RING]
    write_cameras(path, named, axes)
    for one, other in zip(read_cameras(path), named, strict=True):
        same(one, other)
        assert one.depth == other.depth
    matrix = np.array(json.loads(path.read_text())["frames"][0]["transform_matrix"])
    forward = -matrix[:3, 2] if axes == "opengl" else matrix[:3, 2]
    np.testing.assert_allclose(forward, RING[0].forward)
    same(read_cameras(path, "opencv" if axes == "opengl" else "opengl")[1], RING[1].turned())


def quaternion(matrix):
    """w x y z of a rotation matrix, by its eigenvector of 1."""
    w = np.sqrt(max(0.0, 1 + np.trace(matrix))) / 2
    assert w > 0.05
    off = [matrix[2, 1] - matrix[1, 2], matrix[0, 2] - matrix[2, 0], matrix[1, 0] - matrix[0, 1]]
    return [w, *(np.array(off) / (4 * w))]


def test_colmap_gives_the_same_cameras(tmp_path):
    camera = looking_at(
        "a b.png", np.array([0.3, 0.1, -2]), np.zeros(3), np.array([0, -1.0, 0]), (64, 48), 40.0
    )
    f = camera.focal[0]
    (tmp_path / "cameras.txt").write_text(f"# cameras\n7 PINHOLE 64 48 {f} {f} 32 24\n")
    q, t = quaternion(camera.rotation.T), -camera.rotation.T @ camera.position
    words = " ".join(map(repr, map(float, [*q, *t])))
    (tmp_path / "images.txt").write_text(f"# images\n1 {words} 7 a b.png\n\n2 {words} 7 c.png\n\n")
    one, two = read_cameras(tmp_path)
    same(one, camera)
    same(two, camera)
    assert (one.name, two.name) == ("a b.png", "c.png")
    with pytest.raises(InputError, match="OpenCV axes"):
        read_cameras(tmp_path / "images.txt", "opengl")
    (tmp_path / "cameras.txt").write_text("7 OPENCV 64 48 9 9 32 24 0.1 0 0 0\n")
    with pytest.raises(InputError, match="undistort"):
        read_cameras(tmp_path)


def test_intrinsics_may_stand_in_each_frame_or_be_an_angle(tmp_path):
    path = tmp_path / "t.json"
    frame = {"transform_matrix": np.eye(4).tolist(), "w": 100, "h": 50}
    path.write_text(json.dumps({"camera_angle_x": np.pi / 2, "frames": [frame]}))
    (camera,) = read_cameras(path)
    assert camera.focal == pytest.approx((50, 50)) and camera.middle == (50, 25)


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"transform_matrix": np.diag([1, 1, -1, 1]).tolist()}, "is no rotation"),
        ({"transform_matrix": [[1, 2], [3, 4]]}, "shape"),
        ({"k1": 0.3}, "distorted"),
        ({"fl_x": float("nan")}, "finite"),
        ({"w": 0}, "0 x 10 pixels"),
        ({"transform_matrix": None}, "frame 0"),
    ],
)
def test_a_bad_frame_is_named(change, match, tmp_path):
    path = tmp_path / "t.json"
    good = {"transform_matrix": np.eye(4).tolist(), "w": 20, "h": 10, "fl_x": 9}
    path.write_text(json.dumps({"frames": [{**good, **change}]}))
    with pytest.raises(InputError, match=match):
        read_cameras(path)


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"frames": []}', "no"])
def test_a_file_without_cameras_is_named(content, tmp_path):
    path = tmp_path / "t.json"
    path.write_text(content)
    with pytest.raises(InputError, match=r"t\.json"):
        read_cameras(path)


# Images.


def test_depth_in_files(tmp_path):
    depth = np.array([[0.0, 1.2345], [2.0, np.nan]])
    kept = np.array([[0, 1.2345], [2, 0]])
    write_depth(tmp_path / "a.npy", np.nan_to_num(depth))
    np.testing.assert_allclose(read_depth(tmp_path / "a.npy"), kept, atol=1e-6)
    write_depth(tmp_path / "a.png", kept)
    np.testing.assert_array_equal(read_depth(tmp_path / "a.png"), [[0, 1234], [2000, 0]])
    np.save(tmp_path / "nan.npy", depth)
    np.testing.assert_array_equal(read_depth(tmp_path / "nan.npy"), kept)
    with pytest.raises(InputError, match="16 bits"):
        write_depth(tmp_path / "b.png", 70 * kept)


def test_depth_in_an_exr(tmp_path):
    openexr = pytest.importorskip("OpenEXR", reason="EXR files are read by OpenEXR")
    depth = np.array([[0, 1.25], [2.5, 3]], np.float32)
    header = {"compression": openexr.ZIP_COMPRESSION, "type": openexr.scanlineimage}
    with openexr.File(header, {"Z": depth}) as file:
        file.write(str(tmp_path / "a.exr"))
    np.testing.assert_array_equal(read_depth(tmp_path / "a.exr"), depth)


def test_what_is_no_depth_map_is_named(tmp_path, monkeypatch):
    save_image(np.zeros((4, 4, 3), np.uint8), tmp_path / "rgb.png")
    save_image(np.zeros((4, 4), np.uint8), tmp_path / "grey.png")
    np.save(tmp_path / "flat.npy", np.zeros(5))
    (tmp_path / "not.png").write_bytes(b"nothing")
    (tmp_path / "a.exr").write_bytes(b"nothing")
    monkeypatch.setitem(__import__("sys").modules, "OpenEXR", None)
    for name, match in {
        "rgb.png": "one number a pixel",
        "grey.png": "8 bits",
        "flat.npy": "one number a pixel",
        "not.png": "is no picture",
        "missing.png": "cannot be read",
        "a.jpg": "unknown suffix",
        "a.exr": "pip install OpenEXR",
    }.items():
        with pytest.raises(InputError, match=match):
            read_depth(tmp_path / name)


def test_masks_of_any_kind(tmp_path):
    inside = np.eye(4, dtype=bool)
    save_image(np.uint8(255 * inside), tmp_path / "grey.png")
    save_image(np.uint8(200 * inside)[..., None].repeat(3, 2), tmp_path / "rgb.png")
    alpha = np.full((4, 4, 4), 255, np.uint8)
    alpha[..., 3] = 255 * inside
    save_image(alpha, tmp_path / "alpha.png")
    np.save(tmp_path / "a.npy", inside)
    for name in ("grey.png", "rgb.png", "alpha.png", "a.npy"):
        np.testing.assert_array_equal(read_mask(tmp_path / name), inside)
    save_image(np.zeros((4, 4), np.uint8), tmp_path / "empty.png")
    with pytest.raises(InputError, match="mask is empty"):
        read_mask(tmp_path / "empty.png")


def test_a_quaternion_without_a_direction_is_no_camera(tmp_path):
    (tmp_path / "cameras.txt").write_text("1 PINHOLE 8 6 10 10 4 3\n")
    (tmp_path / "images.txt").write_text("1 0 0 0 0 1 2 3 1 a.png\n\n")
    with pytest.raises(InputError, match="is no image of a known camera"):
        read_cameras(tmp_path)
