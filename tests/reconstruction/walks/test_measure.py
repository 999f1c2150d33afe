"""Facts of the shapes of a walk, against shapes whose facts are known."""

import json

import numpy as np
import pytest
import torch
import trimesh

from shapespace.config.options import WalkOptions
from shapespace.reconstruction.walks.interpolate import FACTS, interpolate_shapes
from shapespace.reconstruction.walks.measure import (
    OFF_LINE,
    NearestTraining,
    bending_along,
    leg_facts,
    shape_facts,
)
from shapespace.reconstruction.walks.path import Leg
from shapespace.surface.mesh import extract_mesh
from tests.exact import sphere, torus, two_spheres
from tests.reconstruction.walks.spaces import space_of, spoke

LINE = Leg(torch.zeros(2, 1))


def facts(field, t=0.0, file="000.ply", cost=0.0):
    mesh = extract_mesh(field, torch.zeros(0), 48, extent=1.5, largest_only=False)
    return shape_facts(mesh, file=file, t=t, dropped=0, cost=cost, nearest=("a", 0.0))


def test_a_ball_a_torus_and_two_balls():
    ball, ring, two = (facts(field) for field in (sphere(0.5), torus(), two_spheres()))
    assert (ball.parts, ball.euler, ball.genus, ball.closed) == (1, 2, 0, True)
    assert (ring.parts, ring.euler, ring.genus) == (1, 0, 1)
    assert (two.parts, two.euler, two.genus) == (2, 4, 0)
    assert ball.volume == pytest.approx(4 / 3 * np.pi * 0.5**3, rel=0.02)
    assert ball.area == pytest.approx(4 * np.pi * 0.5**2, rel=0.02)
    assert two.loose_share == pytest.approx(0.2, abs=0.01)
    assert ball.loose_share == pytest.approx(0, abs=1e-12)


def test_nothing_is_a_shape_too():
    none = facts(sphere(9.0), cost=float("nan"))
    assert (none.parts, none.euler, none.genus, none.volume, none.area) == (0, 0, None, None, 0)
    assert none.bending is None
    found = leg_facts([none, none], LINE, start="a", end="b")
    assert found.warnings == ("000.ply, 000.ply: no surface",)
    assert len(found.lines("m")) == 2
    json.dumps(found.plain(), allow_nan=False)


def test_an_open_shape_has_no_volume():
    box = trimesh.creation.box()
    opened = trimesh.Trimesh(box.vertices, box.faces[1:], process=False)
    found = shape_facts(opened, file="", t=0.0, dropped=0, cost=0.0, nearest=("a", float("nan")))
    assert (found.closed, found.volume, found.genus) == (False, None, None)
    assert found.nearest_distance is None


def test_what_is_off_the_line_is_warned_of():
    balls = [facts(sphere(0.5)), facts(sphere(0.4), 0.5, "001.ply"), facts(sphere(0.5), 1.0)]
    found = leg_facts(balls, LINE, start="a", end="b")
    assert found.shapes[1].volume_off == pytest.approx(0.8**3 - 1, abs=0.01)
    assert found.shapes[1].area_off == pytest.approx(0.8**2 - 1, abs=0.01)
    assert found.shapes[0].volume_off == found.shapes[2].volume_off == 0
    assert [warning.split(" ", 2)[1] for warning in found.warnings] == ["volume", "area"]
    assert "001.ply by -49 %" in found.warnings[0] and "1 of 3 shapes" in found.warnings[0]
    near = [balls[0], facts(sphere(0.5 * (1 + 0.9 * OFF_LINE / 3)), 0.5), balls[2]]
    assert leg_facts(near, LINE, start="a", end="b").warnings == ()


def test_loose_parts_are_warned_of():
    ball = facts(sphere(0.4))
    two = facts(two_spheres(1.0, (0.4, 0.03)), 0.5, "001.ply")
    found = leg_facts([ball, two, ball], LINE, start="a", end="b")
    assert any("001.ply has 2 parts" in warning for warning in found.warnings)
    # Ends of two large parts have between them what has two large parts.
    whole = [facts(two_spheres(), t) for t in (0.0, 0.5, 1.0)]
    assert leg_facts(whole, LINE, start="a", end="b").warnings == ()


def test_lines_say_the_path():
    ball = [facts(sphere(0.5), t, cost=0.1) for t in (0.0, 1.0)]
    line = leg_facts(ball, Leg(LINE.corners, ("c", "d"), 0.2, 0.8), start="a", end="b").lines("m")
    assert line[0].startswith(
        "a -> b, through 2 training codes, strain 0.2 for 0.8 straight: 1 part"
    )
    assert "volume 0.52" in line[0] and "m^3" in line[0]
    line = leg_facts(ball, LINE, start="a", end="b").lines("m")
    assert line[0].startswith("a -> b, straight: 1 part,")


def test_the_nearest_training_shape():
    space = space_of(spoke, [[1.0, 0], [0, 1.0], [0, 2.0]])
    name, distance = NearestTraining(space)(torch.tensor([0.1, 1.0]))
    mean = (np.sqrt(2) + 1 + 1) / 3
    assert name == "b" and distance == pytest.approx(0.1 / mean)
    alone = NearestTraining(space_of(spoke, [[1.0, 0]]))(torch.tensor([1.0, 1.0]))
    assert alone[0] == "a" and np.isnan(alone[1])


def test_bending_of_a_turn_and_of_a_stretch():
    space = space_of(spoke, [[0.8, 0], [0, 0.8]])
    code = space.code("a")
    mesh = extract_mesh(space.decoder, code, 48, extent=1.5)
    turn = bending_along(space, code, torch.tensor([0.0, 1.0]), mesh)
    stretch = bending_along(space, code, torch.tensor([1.0, 0.0]), mesh)
    assert turn < 1e-3 < 0.1 < stretch


def test_a_walk_writes_its_facts(toy_checkpoint, tmp_path):
    said = []
    out = tmp_path / "walk"
    options = WalkOptions(steps=3, resolution=24, path="best", parts="largest")
    interpolate_shapes(toy_checkpoint, ["ball", "egg", "lens"], out, options, on_remark=said.append)
    found = json.loads((out / FACTS).read_text())
    assert (found["unit"], found["bound"], len(found["legs"])) == ("m", OFF_LINE, 2)
    first, second = found["legs"]
    assert [shape["file"] for shape in first["shapes"]] == ["000.ply", "001.ply", "002.ply"]
    assert [shape["t"] for shape in first["shapes"]] == [0, 0.5, 1]
    assert [shape["t"] for shape in second["shapes"]] == [0, 0.5, 1]
    assert second["shapes"][0]["file"] == "002.ply"
    assert first["shapes"][0]["nearest"] == "ball" and second["shapes"][2]["nearest"] == "lens"
    assert first["strain"] <= first["strain_of_straight_line"]
    assert sum(line.startswith(("ball -> egg", "egg -> lens")) for line in said) == 2
