"""Gradients of hits against finite differences in double precision, and of silhouettes."""

import math

import pytest
import torch

from shapespace.decoders import SkipMLP
from shapespace.errors import InputError
from shapespace.surface.query import least_depths
from shapespace.surface.ray_gradients import (
    box_depths,
    least_values,
    mask_loss,
    trace_with_gradients,
)
from shapespace.surface.sphere_tracing import trace
from tests import exact
from tests.rays import rays_from_an_eye
from tests.surface.test_sphere_tracing import NONE, WIDER, one_ray

FINE = {"threshold": 1e-12, "steps": 16}
STEP = 1e-5


def ellipsoid(points, latent):
    """A sphere of radius 0.5 that a code of three numbers shifts, stretches and lets bulge."""
    moved = points - torch.stack([latent[:, 0], 0 * latent[:, 0], 0 * latent[:, 0]], -1)[:, None]
    stretched = torch.stack(
        [moved[..., 0], moved[..., 1] * (1 + latent[:, 1:2]), moved[..., 2]], -1
    )
    wave = latent[:, 2:3] * torch.sin(3 * points[..., 1])
    return torch.linalg.vector_norm(stretched, dim=-1) - 0.5 - wave


def network(length=2):
    torch.manual_seed(3)
    decoder = SkipMLP(length, width=24, depth=3, skip=1, radius=0.5).double()
    with torch.no_grad():
        for layer in decoder.linears()[:-1]:
            layer.bias.normal_(0, 0.05)
        centre = decoder(torch.zeros(1, 1, 3).double(), torch.zeros(1, length).double())
        decoder.linears()[-1].bias -= centre[0, 0] + 0.35
    return decoder


def some_rays():
    origins, directions = (part.double() for part in rays_from_an_eye(WIDER, 7, 7))
    return origins, 1.7 * directions  # no unit directions


def traced(field, code, origins, directions):
    return trace_with_gradients(
        field, code[None], origins[None], directions[None], lipschitz=1.3, **FINE
    )


def slopes(value, gradient, at, count=2):
    """Pairs of slopes of a function in random directions: by its gradient, and by differences."""
    torch.manual_seed(5)
    pairs = []
    with torch.no_grad():
        for _ in range(count):
            step = torch.randn_like(at)
            ends = [value(at + sign * STEP * step) for sign in (1, -1)]
            pairs.append([float((gradient * step).sum()), float(ends[0] - ends[1]) / (2 * STEP)])
    found, wanted = zip(*pairs, strict=True)
    return list(found), pytest.approx(list(wanted), rel=1e-4, abs=1e-5)


@pytest.mark.parametrize("kind", ["formula", "network"])
def test_gradients_are_those_of_differences(kind):
    field = ellipsoid if kind == "formula" else network()
    code = torch.tensor([0.1, 0.2, 0.05][: 3 if kind == "formula" else 2]).double()
    origins, directions = some_rays()
    clear = traced(field, code, origins, directions)
    unit = directions / torch.linalg.vector_norm(directions, dim=-1, keepdim=True)
    steep = clear.hit[0] & ((clear.normals[0] * unit).sum(-1) < -0.3)
    # The hits are independent: four rays say as much as all, and differences take time.
    origins, directions = origins[steep][:4], directions[steep][:4]
    assert len(origins) == 4
    torch.manual_seed(0)
    a, b = torch.randn(2, len(origins), 3).double()

    def value(z, c, v):
        found = traced(field, z, c, v)
        return (a * found.points[0]).sum() + (b * found.normals[0]).sum() + found.depth.sum()

    given = [part.clone().requires_grad_() for part in (code, origins, directions)]
    gradients = torch.autograd.grad(value(*given), given)
    moved = [
        lambda z: value(z, origins, directions),
        lambda c: value(code, c, directions),
        lambda v: value(code, origins, v),
    ]
    for function, gradient, at in zip(moved, gradients, (code, origins, directions), strict=True):
        found, wanted = slopes(function, gradient, at)
        assert found == wanted


def test_gradients_in_the_weights_are_those_of_differences():
    decoder = network()
    weight = decoder.linears()[1].bias
    code = torch.tensor([0.3, -0.1]).double()
    rays = some_rays()

    def value():
        found = traced(decoder, code, *rays)
        return found.depth[found.hit].sum()

    (gradient,) = torch.autograd.grad(value(), weight)
    before = weight.detach().clone()

    def at(moved):
        weight.copy_(moved)
        found = value()
        weight.copy_(before)
        return found

    found, wanted = slopes(at, gradient, before)
    assert found == wanted


def test_a_batch_equals_its_shapes_and_rays_alone():
    decoder = network()
    codes = torch.tensor([[0.3, -0.1], [-0.4, 0.2]]).double()
    origins, directions = some_rays()
    rays = torch.stack([origins, origins + 0.05]), torch.stack([directions, directions])
    whole = trace_with_gradients(decoder, codes, *rays, lipschitz=2.0)
    for row in range(2):
        for ray in (10, 24, 38):
            one = trace_with_gradients(
                decoder,
                codes[row : row + 1],
                rays[0][row : row + 1, ray : ray + 1],
                rays[1][row : row + 1, ray : ray + 1],
                lipschitz=2.0,
            )
            assert bool(one.hit) == bool(whole.hit[row, ray])
            torch.testing.assert_close(one.points[0, 0], whole.points[row, ray])
            torch.testing.assert_close(one.normals[0, 0], whole.normals[row, ray])


@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU")
def test_a_gpu_finds_what_the_cpu_finds():
    decoder, (origins, directions) = network(), some_rays()
    code = torch.tensor([0.3, -0.1]).double()
    here = traced(decoder, code, origins, directions)
    parts = [part.to("cuda") for part in (code, origins, directions)]
    there = traced(decoder.to("cuda"), *parts)
    torch.testing.assert_close(there.points.cpu(), here.points)
    torch.testing.assert_close(there.normals.cpu(), here.normals)


def test_misses_and_grazing_rays_have_no_gradient_and_no_nan():
    origins = torch.tensor([[[0.0, 0.9, 2.0], [0.0, 0.0, 2.0], [0.0, 0.6, 2.0]]]).double()
    directions = torch.tensor([0.0, 0, -1]).double().expand(1, 3, 3)
    code = torch.zeros(1, 0).double()
    origins.requires_grad_()
    found = trace_with_gradients(exact.sphere(0.6), code, origins, directions)
    assert found.hit[0, :2].tolist() == [False, True]
    (gradient,) = torch.autograd.grad(found.depth[found.hit].sum(), origins)
    assert gradient.isfinite().all() and not gradient[0, 0].any()
    torch.testing.assert_close(gradient[0, 1], torch.tensor([0.0, 0, 1]).double())


@pytest.mark.parametrize(("shapes", "rays"), [(0, 4), (2, 0)])
def test_no_shape_and_no_ray(shapes, rays):
    zero = torch.zeros(shapes, rays, 3)
    found = trace_with_gradients(exact.sphere(), torch.zeros(shapes, 0), zero, zero)
    assert found.depth.shape == found.hit.shape == (shapes, rays)
    assert found.points.shape == found.normals.shape == (shapes, rays, 3)


# Relaxed steps.


@pytest.mark.parametrize("relaxation", [1.2, 1.4, 1.6, 1.9])
@pytest.mark.parametrize(
    "field", [exact.sphere(), exact.torus(), exact.two_spheres(), exact.capsule()]
)
def test_relaxed_steps_find_what_plain_steps_find(field, relaxation):
    rays = [part.double() for part in rays_from_an_eye(WIDER, 16, 16)]
    plain = trace(field, NONE, *rays, lipschitz=1.0, steps=50)
    relaxed = trace(field, NONE, *rays, lipschitz=1.0, steps=50, relaxation=relaxation)
    assert torch.equal(plain.hit, relaxed.hit) and not relaxed.overshot.any()
    steep = plain.hit & ((plain.normals * rays[1]).sum(-1) < -0.2)
    torch.testing.assert_close(relaxed.depth[steep], plain.depth[steep], rtol=0, atol=2e-4)


def test_relaxed_steps_save_evaluations_along_a_surface_and_go_back_at_a_thin_one():
    plane = lambda points, latent: points[..., 1] + 1.0  # noqa: E731
    ray = [0.0, -0.8, 1.7], [0.0, -0.1, -1.0]
    plain = one_ray(plane, *ray, lipschitz=1.0, steps=100)
    relaxed = one_ray(plane, *ray, lipschitz=1.0, steps=100, relaxation=1.5)
    assert plain.steps.item() > 1.3 * relaxed.steps.item()
    assert relaxed.depth.item() == pytest.approx(plain.depth.item(), abs=1e-3)
    sheet = lambda points, latent: points[..., 2].abs() - 1e-3  # noqa: E731
    through = one_ray(sheet, [0.0, 0, 1.0], [0.0, 0, -1], lipschitz=1.0, relaxation=1.9)
    assert through.depth.item() == pytest.approx(0.999, abs=1e-4) and not through.overshot.item()


@pytest.mark.parametrize("relaxation", [0.9, 2.0, math.nan])
def test_a_relaxation_out_of_range_is_named(relaxation):
    with pytest.raises(InputError, match="relaxation="):
        one_ray(exact.sphere(), [0.0, 0, 3], [0.0, 0, -1], relaxation=relaxation)


# Silhouettes.


def test_the_least_value_of_a_ray_is_its_distance_from_the_middle():
    origins = torch.zeros(1, 50, 3).double()
    origins[0, :, 0] = torch.linspace(-1.2, 1.2, 50)
    origins[..., 2] = 3
    directions = torch.tensor([0.0, 0, -1]).double().expand(1, 50, 3)
    near, far = box_depths(origins, directions, 1.5)
    code = torch.zeros(1, 0).double()
    rays = {"origins": origins, "directions": directions, "near": near, "far": far}
    least = least_values(exact.sphere(0.6), code, **rays)
    torch.testing.assert_close(least, origins[..., 0].abs() - 0.6, rtol=0, atol=1e-4)
    depth = least_depths(exact.sphere(0.6), code, **rays)
    off_axis = origins[..., 0].abs() > 0.05
    assert (depth[off_axis] - 3).abs().max() < 0.01
    hit = trace(exact.sphere(0.6), code[0], origins[0], directions[0]).hit
    assert torch.equal(hit, least[0] < 0)


def test_the_least_value_moves_as_differences_say():
    decoder, (origins, directions) = network(), some_rays()
    directions = directions / torch.linalg.vector_norm(directions, dim=-1, keepdim=True)
    near, far = box_depths(origins[None], directions[None], 1.8)
    code = torch.tensor([0.3, -0.1]).double().requires_grad_()

    def value(z):
        least = least_values(
            decoder, z[None], origins[None], directions[None], near=near, far=far, samples=200
        )
        return least.sum()

    (gradient,) = torch.autograd.grad(value(code), code)
    found, wanted = slopes(value, gradient, code.detach())
    assert found == wanted


@pytest.mark.parametrize("alpha", [50.0, 400.0])
def test_the_mask_term_is_least_at_the_sphere_that_was_seen(alpha):
    torch.manual_seed(1)
    inside_radius = torch.rand(900).double().sqrt()  # even on a disc
    angle = 2 * math.pi * torch.rand(900).double()
    flat = inside_radius[:, None] * torch.stack([angle.cos(), angle.sin()], -1)
    origins = torch.cat([flat, torch.full((900, 1), 3.0).double()], -1)[None]
    directions = torch.tensor([0.0, 0, -1]).double().expand(1, 900, 3)
    near, far = box_depths(origins, directions, 1.5)
    mask = inside_radius[None] < 0.5

    def sphere(points, latent):
        centre = torch.nn.functional.pad(latent[:, 1:], (0, 1))[:, None]
        return torch.linalg.vector_norm(points - centre, dim=-1) - latent[:, :1]

    def loss(z):
        rays = {"origins": origins, "directions": directions, "near": near, "far": far}
        return mask_loss(least_values(sphere, z[None], **rays), mask, alpha).sum()

    true = torch.tensor([0.5, 0.0, 0.0]).double()
    for i in range(3):
        for step in (-0.03, 0.03):
            moved = true.clone()
            moved[i] += step
            assert loss(moved) > loss(true)
    start = torch.tensor([0.38, 0.08, -0.06]).double().requires_grad_()
    optimiser = torch.optim.LBFGS([start], max_iter=60, line_search_fn="strong_wolfe")

    def closure():
        optimiser.zero_grad()
        value = loss(start)
        value.backward()
        return value

    optimiser.step(closure)
    torch.testing.assert_close(start.detach(), true, rtol=0, atol=0.02)


def test_the_mask_term_is_the_cross_entropy():
    torch.manual_seed(0)
    least, inside = torch.randn(3, 20).double(), torch.rand(3, 20) > 0.5
    found = mask_loss(least, inside, 7.0)
    entropy = torch.nn.functional.binary_cross_entropy(
        torch.sigmoid(-7 * least), inside.double(), reduction="none"
    )
    torch.testing.assert_close(found, entropy.mean(1) / 7)
