"""Of several starts the nearest is bent; one that tore in the bending gives way to the next."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from shapespace.elastic.register import Target
from shapespace.reconstruction import bending
from tests.reconstruction.walks.spaces import space_of, spoke


def capsule_points(count=1500):
    """Points of the spoke of the code (1, 0), and their normals, in random order."""
    draws = np.random.default_rng(0)
    along = draws.uniform(-0.15, 1.15, count)
    angle = draws.uniform(0, 2 * np.pi, count)
    around = np.stack([np.zeros(count), np.cos(angle), np.sin(angle)], 1)
    off = np.clip(along, 0, 1) - along
    around *= np.sqrt(np.maximum(0.15**2 - off**2, 0))[:, None] / 0.15
    normals = around + np.stack([-off / 0.15, 0 * off, 0 * off], 1)
    axis = np.stack([np.clip(along, 0, 1), 0 * along, 0 * along], 1)
    return axis + 0.15 * normals, normals


@pytest.fixture
def scan():
    points, normals = capsule_points()
    return Target(points, normals, 1.0)


@pytest.fixture
def space():
    return space_of(spoke, [[1.0, 0], [0.9, 0.1], [0.8, -0.1]])


def moved(shape, node, shift):
    """The shape with one node moved alone."""
    there = shape.motion.shift.copy()
    there[node] += shift
    return replace(shape, motion=shape.motion._replace(shift=there))


def test_a_rigid_motion_tears_nothing_and_a_lone_node_tears_by_its_shift(space, scan):
    (shape,) = bending._rough(space, "a", space.code("a"), scan, None, limbs=None, at_rest=True)
    rigid = replace(
        shape,
        motion=shape.motion._replace(
            rotation=np.tile(np.eye(3), (len(shape.graph.nodes), 1, 1)),
            shift=np.tile([0.3, -0.2, 0.1], (len(shape.graph.nodes), 1)),
        ),
    )
    assert bending._tear(rigid, 2.0) == pytest.approx(0, abs=1e-12)
    assert bending._tear(moved(rigid, 0, [0.0, 0.8, 0.0]), 2.0) == pytest.approx(0.4)


@pytest.mark.parametrize("torn", [(), ("a",), ("a", "b")])
def test_a_torn_shape_gives_way_to_the_next(space, scan, torn, monkeypatch):
    bent = {
        name: next(
            bending._rough(space, name, space.code(name), scan, None, limbs=None, at_rest=True)
        )
        for name in "ab"
    }
    worth = {"a": 0.001, "b": 0.002}
    bent = {
        name: replace(shape, start=name, misfit=worth[name], unseen=0.0)
        for name, shape in bent.items()
    }
    finer = {name: moved(bent[name], 0, [0.0, 5.0, 0.0]) for name in torn}
    tried = []

    def rough(space, name, *_, **__):
        yield from [bent["a"], bent["b"]] if name == "" else []

    def refined(space, shape, *_):
        tried.append(shape.start)
        return finer.get(shape.start, shape)

    monkeypatch.setattr(bending, "_rough", rough)
    monkeypatch.setattr(bending, "_finer", refined)
    found = bending.bent_shape(space, torch.tensor([1.0, 0]), scan)
    assert found is not None
    assert tried == (["a", "b"] if torn else ["a"])
    # Where both are torn, the one that is torn less stays.
    tears = {name: bending._tear(finer.get(name, bent[name]), scan.size) for name in tried}
    assert found.start == min(tears, key=tears.get)
    assert (found.start == "b") == (torn == ("a",)) or len(torn) == 2
