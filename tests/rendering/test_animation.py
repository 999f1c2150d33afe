"""Animations in GLB files, read back byte by byte."""

import base64
import io
import json
import struct

import numpy as np
import pytest
import trimesh

from shapespace.errors import InputError
from shapespace.rendering.animation import RATE, write_morph


def parts_of(content):
    """The JSON tree and the accessors of a GLB, as arrays."""
    magic, version, length = struct.unpack("<4sII", content[:12])
    assert (magic, version, length) == (b"glTF", 2, len(content))
    size, kind = struct.unpack("<I4s", content[12:20])
    assert kind == b"JSON"
    tree = json.loads(content[20 : 20 + size])
    buffers = []
    for buffer in tree["buffers"]:
        if "uri" in buffer:
            buffers.append(base64.b64decode(buffer["uri"].partition(",")[2]))
        else:
            buffers.append(content[28 + size :])
    arrays = []
    for accessor in tree["accessors"]:
        view = tree["bufferViews"][accessor["bufferView"]]
        start = view.get("byteOffset", 0) + accessor.get("byteOffset", 0)
        width = {"SCALAR": 1, "VEC3": 3, "VEC4": 4}[accessor["type"]]
        kind = {5126: "<f4", 5125: "<u4", 5123: "<u2", 5121: "u1"}[accessor["componentType"]]
        count = width * accessor["count"]
        array = np.frombuffer(buffers[view["buffer"]], kind, count, start)
        arrays.append(array.reshape(accessor["count"], width))
        assert view["byteLength"] >= array.nbytes and start % array.itemsize == 0
    return tree, arrays


@pytest.fixture
def shapes():
    ball = trimesh.creation.icosphere(1)
    stretch = np.array([[1, 1, 1], [1.5, 1, 1], [1, 2, 1], [1, 1, 0.5]])
    return ball.vertices * stretch[:, None], np.array(ball.faces)


def test_targets_are_the_shapes_and_the_animation_goes_through_them(shapes, tmp_path):
    vertices, faces = shapes
    tree, arrays = parts_of(write_morph(vertices, faces, tmp_path / "a.glb").read_bytes())
    (mesh,) = tree["meshes"]
    (primitive,) = mesh["primitives"]
    base = arrays[primitive["attributes"]["POSITION"]]
    np.testing.assert_allclose(base, vertices[0], atol=1e-6)
    np.testing.assert_array_equal(arrays[primitive["indices"]].reshape(-1, 3), faces)
    assert len(primitive["targets"]) == len(mesh["weights"]) == 3
    for target, shape in zip(primitive["targets"], vertices[1:], strict=True):
        np.testing.assert_allclose(base + arrays[target["POSITION"]], shape, atol=1e-6)
        normal = arrays[primitive["attributes"]["NORMAL"]] + arrays[target["NORMAL"]]
        np.testing.assert_allclose(np.linalg.norm(normal, axis=1), 1, atol=1e-5)
        accessor = tree["accessors"][target["POSITION"]]
        np.testing.assert_allclose(accessor["max"], (shape - vertices[0]).max(0), atol=1e-6)
    (animation,) = tree["animations"]
    (channel,) = animation["channels"]
    (sampler,) = animation["samplers"]
    assert channel["target"]["path"] == "weights"
    assert tree["nodes"][channel["target"]["node"]]["mesh"] == 0
    np.testing.assert_allclose(arrays[sampler["input"]].ravel(), np.arange(4) / RATE)
    weights = arrays[sampler["output"]].reshape(4, 3)
    np.testing.assert_array_equal(weights, [[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1]])


def test_colours_and_faces_come_back_through_a_reader(shapes, tmp_path):
    vertices, faces = shapes
    colours = np.arange(len(vertices[0]) * 3, dtype=np.uint8).reshape(-1, 3)
    path = write_morph(vertices, faces, tmp_path / "a.glb", colours)
    scene = trimesh.load_scene(io.BytesIO(path.read_bytes()), file_type="glb", process=False)
    (mesh,) = scene.geometry.values()
    np.testing.assert_array_equal(mesh.faces, faces)
    np.testing.assert_array_equal(mesh.visual.vertex_colors[:, :3], colours)


def test_one_shape_has_no_target_that_moves(shapes, tmp_path):
    vertices, faces = shapes
    tree, _ = parts_of(write_morph(vertices[:1], faces, tmp_path / "a.glb").read_bytes())
    assert "targets" not in tree["meshes"][0]["primitives"][0] and "animations" not in tree


def test_no_surface_is_refused(tmp_path):
    nothing = np.zeros((0, 3), np.int64)
    with pytest.raises(InputError, match=r"a\.glb: the first shape has no surface"):
        write_morph(np.zeros((2, 0, 3)), nothing, tmp_path / "a.glb")
    assert list(tmp_path.iterdir()) == []
