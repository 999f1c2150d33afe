"""Depths and normals against formulas, and against marching densely along the ray."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from shapespace.decoders import SkipMLP
from shapespace.rendering.camera import Orthographic, View
from shapespace.surface.query import lipschitz_estimate
from shapespace.surface.sphere_tracing import trace
from tests import exact
from tests.rays import camera_rays, rays_from_an_eye

NONE = torch.zeros(0, dtype=torch.float64)
PARALLEL = Orthographic(-1.0, 1.0, -1.0, 1.0)
WIDER = Orthographic(-1.26, 1.26, -1.26, 1.26)  # an eye 4 away opens by 35 degrees
RAYS = [
    camera_rays(PARALLEL, 48, 40),
    rays_from_an_eye(WIDER, 48, 40),
    camera_rays(replace(PARALLEL, view=View(70.0, 40.0, "z")), 48, 40),
]


def scaled(field, factor):
    return lambda points, latent: factor * field(points, latent)


def one_ray(field, origin, direction, latent=NONE, **options):
    rays = (torch.tensor([vector], dtype=torch.float64) for vector in (origin, direction))
    return trace(field, latent, *rays, **options)


def sphere_depth(origins, directions, radius):
    """Depth, infinite where missed, and how much of the radius the chord comes near the middle."""
    half = (origins * directions).sum(-1)
    room = half**2 - (origins**2).sum(-1) + radius**2
    return torch.where(room > 0, -half - room.clamp(min=0).sqrt(), torch.inf), room


@pytest.mark.parametrize("factor", [0.3, 1.0, 3.0])
@pytest.mark.parametrize("rays", RAYS, ids=["parallel", "eye", "turned"])
def test_a_sphere_is_met_where_the_formula_says(rays, factor):
    origins, directions = (part.double() for part in rays)
    hits = trace(scaled(exact.sphere(0.6), factor), NONE, origins, directions)
    depth, room = sphere_depth(origins, directions, 0.6)
    sure = room.abs() > 1e-3
    assert torch.equal(hits.hit[sure], (room > 0)[sure])
    seen = hits.hit & (room > 0.01)
    assert seen.sum() > 300
    torch.testing.assert_close(hits.depth[seen], depth[seen], atol=1e-4, rtol=0)
    torch.testing.assert_close(hits.normals[seen], hits.points[seen] / 0.6, atol=1e-3, rtol=0)
    assert hits.depth[~hits.hit].isinf().all() and not hits.normals[~hits.hit].any()


@pytest.mark.parametrize("field", [exact.box(), exact.torus(), exact.capsule()])
def test_hits_lie_on_the_surface_and_misses_do_not(field):
    origins, directions = (part.double() for part in camera_rays(PARALLEL, 40, 40))
    hits = trace(field, NONE, origins, directions)
    assert field(hits.points[hits.hit], NONE).abs().max() < 5.1e-5
    share = torch.linspace(0, 1, 1501, dtype=torch.float64)[:, None, None]
    line = origins + (2 + 4 * share) * directions
    lowest = field(line, NONE).amin(0)
    assert (lowest[~hits.hit] > 0).all() and (lowest[hits.hit] < 3e-3).all()
    assert (hits.closest[~hits.hit & hits.closest.isfinite()] > 4e-5).all()


@pytest.mark.parametrize("length", [0, 3])
def test_a_network_is_met_where_dense_marching_meets_it(length):
    torch.manual_seed(length)
    decoder = SkipMLP(length, width=32, depth=3, skip=0, radius=0.5).double()
    with torch.no_grad():
        for layer in decoder.linears()[:-1]:
            layer.bias.normal_(0, 0.1)
        latent = torch.randn(length).double()
        middle = decoder(torch.zeros(1, 1, 3).double(), latent[None])
        decoder.linears()[-1].bias -= middle[0, 0] + 0.3  # f = -0.3 in the middle
    camera = Orthographic(-2.0, 2.0, -2.0, 2.0)
    origins, directions = (part.double() for part in camera_rays(camera, 8, 8))
    hits = trace(decoder, latent, origins, directions)
    assert 5 < hits.hit.sum() < 60
    share = torch.arange(20_001, dtype=torch.float64) / 20_000
    for row in range(0, 64, 5):
        t = 1 + 6 * share
        points = origins[row] + t[:, None] * directions[row]
        t, points = t[points.abs().amax(1) <= 1.8], points[points.abs().amax(1) <= 1.8]
        with torch.no_grad():
            f = decoder(points[None], latent[None])[0]
        other = f * f[:1] < 0
        expected = t[other.int().argmax()] if other.any() else torch.inf
        assert float(hits.depth[row]) == pytest.approx(float(expected), abs=4e-4)


def test_along_a_normal_one_step_is_enough():
    hits = one_ray(exact.sphere(0.6), [0.0, 0, 3], [0.0, 0, -1], lipschitz=1.0)
    assert hits.steps.item() == 2 and hits.depth.item() == pytest.approx(2.4)


def test_directions_of_any_length_and_rays_along_an_axis():
    for scale in (1e-3, 1.0, 50.0):
        hits = one_ray(exact.box(), [0.1, 0.1, -4.0], [0.0, 0.0, scale])
        assert hits.depth.item() == pytest.approx(3.6, abs=1e-6)
        np.testing.assert_allclose(hits.normals[0], [0, 0, -1], atol=1e-9)


def test_from_within_the_way_out_is_found():
    hits = one_ray(exact.sphere(0.6), [0.1, 0.0, 0.0], [1.0, 0, 0])
    assert hits.depth.item() == pytest.approx(0.5, abs=1e-6)
    np.testing.assert_allclose(hits.normals[0], [1, 0, 0], atol=1e-9)


@pytest.mark.parametrize(
    ("origin", "direction"),
    [
        ([0.0, 0, 3], [0.0, 0, 1]),  # looks away
        ([0.0, 0, 1], [0.0, 0, 1]),  # begins beyond
        ([0.0, 2.5, 3], [0.0, 0, -1]),  # passes the box, along a face
        ([0.0, 1.8, 3], [0.0, 0, -1]),  # in a face of the box
        ([0.7, 0, 3], [0.0, 0, -1]),  # passes the sphere
    ],
)
def test_rays_that_meet_nothing(origin, direction):
    hits = one_ray(exact.sphere(0.6), origin, direction)
    assert not hits.hit.any() and hits.depth.isinf().all() and hits.closest.item() > 0.09


def test_closest_is_how_far_a_ray_passes():
    hits = one_ray(exact.sphere(0.6), [0.61, 0.0, 3.0], [0.0, 0, -1.0])
    assert hits.closest.item() == pytest.approx(0.01, rel=0.2)


@pytest.mark.parametrize("value", [1.0, float("nan"), float("inf")])
def test_a_field_without_a_surface(value):
    def field(points, latent):
        return 0 * points.sum(-1) + value

    assert not one_ray(field, [0.0, 0, 3], [0.0, 0, -1]).hit.any()


def test_no_rays():
    hits = trace(exact.sphere(), NONE, torch.zeros(0, 3), torch.zeros(0, 3))
    assert [len(part) for part in (hits.depth, hits.points, hits.normals)] == [0, 0, 0]


def test_rays_are_independent_and_chunks_change_nothing(monkeypatch):
    rays = rays_from_an_eye(WIDER, 20, 20)
    whole = trace(exact.torus(), NONE, *rays)
    monkeypatch.setattr("shapespace.surface.sphere_tracing.RAYS_PER_CALL", 37)
    monkeypatch.setattr("shapespace.surface.query.POINTS_PER_CALL", 11)
    parts = trace(exact.torus(), NONE, *rays)
    assert torch.equal(whole.depth, parts.depth) and torch.equal(whole.steps, parts.steps)


def test_a_field_steeper_than_was_said_is_saved_by_going_back():
    field = scaled(exact.sphere(0.6), 1.4)
    hits = one_ray(field, [0.2, 0.0, 3.0], [0.0, 0, -1], lipschitz=1.0)
    assert hits.overshot.item()
    assert hits.depth.item() == pytest.approx(3 - 0.32**0.5, abs=1e-4)


@pytest.mark.parametrize("steps", [0, 1, 2])
def test_samples_save_rays_that_too_few_steps_leave_open(steps):
    hits = one_ray(exact.sphere(0.6), [0.3, 0, 3.0], [0.0, 0, -1], steps=steps)
    assert hits.steps.item() > 100
    assert hits.depth.item() == pytest.approx(3 - 0.27**0.5, abs=1e-4)


@pytest.mark.parametrize("factor", [0.3, 1.0, 3.0])
def test_steepness_of_a_distance_is_its_scale(factor):
    assert lipschitz_estimate(scaled(exact.sphere(), factor), NONE) == pytest.approx(factor)


def test_a_start_saves_steps_and_changes_no_depth():
    rays = camera_rays(PARALLEL, 32, 32)
    full = trace(exact.torus(), NONE, *rays)
    start = torch.where(full.hit, full.depth - 0.01, torch.inf)
    short = trace(exact.torus(), NONE, *rays, start=start)
    steep = full.hit & ((full.normals * rays[1]).sum(-1) < -0.2)
    assert steep.sum() > 100 and torch.equal(short.hit, full.hit)
    torch.testing.assert_close(short.depth[steep], full.depth[steep], atol=1e-4, rtol=0)
    assert short.steps.sum() < 0.5 * full.steps.sum()


@pytest.mark.parametrize("direction", [[0.0, 0, 0], [float("nan"), 0, 1]])
def test_a_ray_without_a_direction_is_named(direction):
    with pytest.raises(ValueError, match="ray 0 from"):
        one_ray(exact.sphere(), [0.0, 0, 3], direction)
