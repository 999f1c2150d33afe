"""A mesh that is carried along exact motions: equal faces, no fold, on the zero set, identity."""

import numpy as np
import pytest
import torch

from shapespace.bending import carry as module
from shapespace.bending.carry import carry, turned_over
from shapespace.bending.samples import derivatives
from shapespace.surface.mesh import extract_mesh
from tests.exact import (
    bending_capsule,
    moving_capsule,
    shrinking_capsule,
    sphere,
    two_spheres,
)

BOUND = 1e-4
"""Distance to the zero set, for shapes of a size near 0.4."""


def carried(field, start, end, times=(0.0, 1.0), resolution=24):
    start, end = (torch.tensor(each, dtype=torch.float64) for each in (start, end))
    mesh = extract_mesh(field, start, resolution, extent=1.0)

    def code_at(time):
        return (1 - time) * start + time * end

    return mesh, carry(field, code_at, mesh, times), code_at


@pytest.mark.parametrize(
    ("field", "start", "end"),
    [
        (moving_capsule(), [0.0, 0, 0, 0], [0.1, 0.1, 0, 0.6]),
        (bending_capsule(), [0.5], [1.5]),
        (shrinking_capsule(), [0.4], [0.1]),
    ],
)
def test_faces_stay_unfolded_and_on_the_zero_set(field, start, end, monkeypatch):
    monkeypatch.setattr(module, "NODES", 300)
    mesh, shapes, code_at = carried(field, start, end, (0.0, 0.5, 1.0))
    for time, shape in zip((0.0, 0.5, 1.0), shapes, strict=True):
        assert shape.vertices.shape == mesh.vertices.shape
        assert shape.flipped == 0 and shape.distance.max() < BOUND
        code = code_at(time)
        # By itself: exact distances, and face normals against grad f at the middles of faces.
        assert np.abs(derivatives(field, code, shape.vertices)[0]).max() < BOUND
        a, b, c = shape.vertices[mesh.faces.T]
        gradient = derivatives(field, code, (a + b + c) / 3)[1]
        assert ((np.cross(b - a, c - a) * gradient).sum(1) > 0).all()


def test_a_turning_capsule_keeps_its_vertices():
    _, shapes, _ = carried(moving_capsule(), [0.0, 0, 0, 0], [0.1, 0.05, 0, 0.6])
    turn = np.array([[np.cos(0.6), -np.sin(0.6), 0], [np.sin(0.6), np.cos(0.6), 0], [0, 0, 1]])
    exact = shapes[0].vertices @ turn.T + np.array([0.1, 0.05, 0])
    # A turn about the axis of the capsule moves no surface: it alone is free.
    assert np.linalg.norm(shapes[1].vertices - exact, axis=1).max() < 0.01
    moved = np.linalg.norm(shapes[1].vertices - shapes[0].vertices, axis=1)
    assert moved.max() > 0.2


def test_a_bend_there_and_back_ends_where_it_began():
    start, bent = torch.tensor([0.5]).double(), torch.tensor([1.5]).double()
    mesh = extract_mesh(bending_capsule(), start, 24, extent=1.0)

    def code_at(time):
        share = 1 - abs(time - 1)
        return (1 - share) * start + share * bent

    first, _, last = carry(bending_capsule(), code_at, mesh, (0.0, 1.0, 2.0))
    assert np.linalg.norm(first.vertices - last.vertices, axis=1).max() < 0.02


def test_what_has_lost_its_surface_is_told():
    """A ball beside another shrinks away: its vertices have nowhere to go."""

    def field(points, latent):
        shift = torch.tensor([0.6, 0.0, 0.0], dtype=points.dtype)
        other = torch.linalg.vector_norm(points - shift, dim=-1) - latent[:, None, 0]
        return torch.minimum(torch.linalg.vector_norm(points, dim=-1) - 0.3, other)

    start, end = torch.tensor([0.2]).double(), torch.tensor([-0.2]).double()
    mesh = extract_mesh(field, start, 24, extent=1.0, largest_only=False)
    shapes = carry(field, lambda t: (1 - t) * start + t * end, mesh, (0.0, 1.0))
    assert shapes[0].distance.max() < BOUND
    assert shapes[1].distance.max() > 0.1 or shapes[1].flipped > 0


@pytest.mark.parametrize("field", [sphere(0.5), two_spheres(0.8, (0.3, 0.1))])
def test_a_shape_that_does_not_move_stays(field):
    mesh = extract_mesh(field, torch.zeros(0).double(), 20, extent=1.2, largest_only=False)
    first, last = carry(field, lambda _: torch.zeros(0).double(), mesh, (0.0, 1.0))
    assert first.flipped == 0 and last.distance.max() < BOUND
    assert np.linalg.norm(first.vertices - last.vertices, axis=1).max() < 0.01


def test_nothing_is_carried_as_nothing():
    mesh = extract_mesh(sphere(3.0), torch.zeros(0), 20, extent=1.0)
    shapes = carry(sphere(3.0), lambda _: torch.zeros(0), mesh, (0.0, 1.0))
    assert [shape.vertices.shape for shape in shapes] == [(0, 3), (0, 3)]


def test_a_turned_triangle_is_found():
    mesh = extract_mesh(sphere(0.5), torch.zeros(0).double(), 12, extent=1.0)
    faces = np.array(mesh.faces)
    faces[3] = faces[3, ::-1]
    found = turned_over(np.array(mesh.vertices), faces, np.array(mesh.vertices))
    assert np.flatnonzero(found).tolist() == [3]
