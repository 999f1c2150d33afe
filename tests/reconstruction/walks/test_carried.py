"""Walks with one mesh: what is written, what is refused, what is said."""

import json

import numpy as np
import pytest
import torch
import trimesh

from shapespace.config.options import WalkOptions
from shapespace.errors import InputError
from shapespace.reconstruction.export import mesh_names
from shapespace.reconstruction.walks.carried import (
    CarriedWalk,
    carried_landmarks,
    carried_walk,
    read_landmarks,
    write_carried,
)
from shapespace.reconstruction.walks.interpolate import interpolate_shapes, planned
from shapespace.surface.mesh import extract_mesh
from tests.reconstruction.walks.spaces import space_of, spoke


@pytest.fixture(scope="module")
def turned():
    """A spoke that turns by 30 degrees in three shapes, in a source of millimetres."""
    angle = np.radians(30)
    space = space_of(
        spoke, [[0.6, 0], [0.6 * np.cos(angle), 0.6 * np.sin(angle)]], extent=1.0, scale=1000.0
    )
    walk = planned(space, ("a", "b"), [None, None], WalkOptions(steps=3))
    mesh = extract_mesh(space.decoder, space.code("a"), 20, extent=1.0)
    return carried_walk(space, walk, mesh), angle


def test_vertices_turn_with_the_spoke(turned):
    found, angle = turned
    turn = np.array(
        [[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]]
    )
    error = np.linalg.norm(found.vertices[2] - found.vertices[0] @ turn.T, axis=1)
    assert np.median(error) < 15 < np.ptp(found.vertices[0], axis=0).max()
    assert max(found.distance) < 1.0 and max(found.flipped) == 0
    assert found.mesh(2).is_watertight
    assert "no flipped triangle" in found.lines("mm")[0] and len(found.lines("mm")) == 1


def test_files_share_faces_and_carry_landmarks(turned, tmp_path):
    found, angle = turned
    tip = {"tip": np.array([750.0, 0, 0]), "root": np.array([-150.0, 0, 0])}
    paths = write_carried(found, tmp_path, tip)
    assert [path.name for path in paths] == [
        "walk.glb",
        "vertices.npy",
        "faces.npy",
        "landmarks.json",
    ]
    np.testing.assert_array_equal(np.load(tmp_path / "vertices.npy"), found.vertices)
    np.testing.assert_array_equal(np.load(tmp_path / "faces.npy"), found.faces)
    read = json.loads((tmp_path / "landmarks.json").read_text())
    assert list(read) == ["tip", "root"]
    places = np.array(read["tip"]["points"])
    exact = 750 * np.array([np.cos(angle), np.sin(angle), 0])
    assert np.linalg.norm(places[0] - [750, 0, 0]) < 10
    assert np.linalg.norm(places[2] - exact) < 25
    corners = found.vertices[1][found.faces[read["tip"]["triangle"]]]
    foot = np.array(read["tip"]["weights"]) @ corners
    assert np.linalg.norm(foot - places[1]) == pytest.approx(abs(read["tip"]["height"]), abs=1e-9)


def test_a_landmark_in_the_air_is_refused(turned):
    with pytest.raises(InputError, match=r"landmark 'nose': lies .* from the first shape"):
        carried_landmarks(turned[0], {"nose": np.array([0.0, 500, 0])})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[1, 2]", "holds no object"),
        ("{", "is not JSON"),
        ('{"nose": [1, 2]}', "'nose' is no point"),
        ('{"nose": [1, 2, NaN]}', "'nose' is no point"),
        ('{"nose": "here"}', "'nose' is no point"),
    ],
)
def test_bad_landmarks_are_refused(text, message, tmp_path):
    path = tmp_path / "marks.json"
    path.write_text(text)
    with pytest.raises(InputError, match=message):
        read_landmarks(path)
    with pytest.raises(InputError, match="cannot be read"):
        read_landmarks(tmp_path / "none.json")


def test_landmarks_need_a_carried_mesh():
    with pytest.raises(InputError, match="--fixed-topology"):
        WalkOptions(landmarks="marks.json")


def test_what_is_wrong_is_said():
    ball = trimesh.creation.icosphere(1)
    vertices = np.stack([ball.vertices] * 2)
    bad = CarriedWalk(vertices, np.array(ball.faces), (0.0, 0.5), (0, 3), loose=2, far=0.1)
    lines = bad.lines("m")
    assert "3 flipped triangles" in lines[0]
    assert [line.split(":")[0] for line in lines[1:]] == ["warning"] * 3


def test_a_walk_of_one_mesh(toy_checkpoint, tmp_path):
    said = []
    (ball,) = mesh_names(toy_checkpoint, ["ball"], tmp_path, 16)
    marks = tmp_path / "marks.json"
    top = trimesh.load(ball, process=False).vertices[0]
    marks.write_text(json.dumps({"top": top.tolist()}))
    options = WalkOptions(2, 16, fixed_topology=True, landmarks=str(marks))
    paths = interpolate_shapes(
        toy_checkpoint, ["ball", "egg"], tmp_path / "walk", options, on_remark=said.append
    )
    names = {path.name for path in paths}
    assert {"000.ply", "001.ply", "walk.glb", "vertices.npy", "faces.npy", "walk.json"} <= names
    first, last = (trimesh.load(paths[row], process=False) for row in (0, 1))
    np.testing.assert_array_equal(first.faces, last.faces)
    found = json.loads((tmp_path / "walk" / "walk.json").read_text())["carried"]
    assert found["faces"] == len(first.faces) and len(found["flipped"]) == 2
    assert any(line.startswith("one mesh of") for line in said)
    carried = json.loads((tmp_path / "walk" / "landmarks.json").read_text())["top"]["points"]
    np.testing.assert_allclose(carried[0], top, atol=0.2)


def test_an_empty_first_shape_is_refused():
    space = space_of(lambda points, latent: points.norm(dim=-1) + 1, [[0.6, 0], [0.5, 0]])
    walk = planned(space, ("a", "b"), [None, None], WalkOptions(steps=2))
    with pytest.raises(InputError, match="a: has no surface"):
        carried_walk(space, walk, trimesh.Trimesh())
    assert torch.equal(walk.points[0].code, space.code("a"))
