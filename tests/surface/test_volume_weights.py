"""NeuS' weights: laws of planes at any incidence, a slow oracle, and depth against the formula."""

import math
from itertools import pairwise

import pytest
import torch

from shapespace.surface.ray_gradients import box_depths
from shapespace.surface.sphere_tracing import trace
from shapespace.surface.volume_weights import sharpness_at, soft_surface, volume_weights
from tests import exact


def slow(f, s):
    """The weights section by section, as they are published."""
    phi = [1 / (1 + math.exp(-s * value)) for value in f]
    light, weights = 1.0, []
    for here, there in pairwise(phi):
        alpha = max((here - there) / here, 0.0)
        weights.append(light * alpha)
        light *= 1 - alpha
    return weights


def test_weights_are_the_published_ones():
    torch.manual_seed(0)
    f = torch.randn(5, 20).double() * 0.3
    for s in (1.0, 8.0, 30.0):
        found = volume_weights(f, s)
        expected = [slow(row.tolist(), s) for row in f]
        torch.testing.assert_close(
            found, torch.tensor(expected, dtype=f.dtype), rtol=1e-9, atol=1e-12
        )


@pytest.mark.parametrize("cosine", [1.0, 0.7, 0.3, 0.05])
@pytest.mark.parametrize("s", [100.0, 1000.0])
def test_weights_of_a_plane_are_largest_where_it_is_met(cosine, s):
    t = torch.linspace(0, 2, 4001).double()
    f = cosine * (1.2345 - t)  # a plane at depth 1.2345, seen at an angle
    weights = volume_weights(f, s)
    middle = 0.5 * (t[1:] + t[:-1])
    assert float(middle[weights.argmax()]) == pytest.approx(1.2345, abs=5e-4)
    # Exactly: opacity is 1 - Phi(end) / Phi(start).
    end = torch.sigmoid(s * f[-1]) / torch.sigmoid(s * f[0])
    assert float(weights.sum()) == pytest.approx(float(1 - end), abs=1e-9)


def test_sums_are_at_most_one_and_the_first_of_two_planes_is_seen():
    torch.manual_seed(1)
    for s in (1.0, 50.0, 1e4):
        weights = volume_weights(torch.randn(100, 50), s)
        assert (weights >= 0).all() and (weights.sum(-1) <= 1 + 1e-6).all()
    t = torch.linspace(0, 3, 3001).double()
    f = torch.maximum(-(t - 0.5 - 0.6).abs() + 0.1, torch.tensor(-9.0)) * -1  # slab 1.0 to 1.2
    f = torch.minimum(f, (t - 2.1).abs() - 0.1)  # and one behind it
    weights = volume_weights(f, 500.0)
    assert float((weights * 0.5 * (t[1:] + t[:-1])).sum()) == pytest.approx(1.0, abs=5e-3)
    assert weights[t[1:] > 1.5].sum() < 1e-6


def test_extreme_values_have_finite_weights_and_gradients():
    f = torch.tensor([[1e4, 10.0, 1e-3, -1e4], [-1e4, -1e4, 1e4, 1e4]]).requires_grad_()
    weights = volume_weights(f, 1e3)
    assert weights.isfinite().all() and weights[0].sum() == 1 and weights[1].sum() == 0
    weights.sum().backward()
    assert f.grad is not None and f.grad.isfinite().all()


def rays(num=41):
    x = torch.linspace(-0.9, 0.9, num).double()
    origins = torch.stack([x, 0 * x + 0.05, 0 * x + 2.0], -1)[None]
    directions = torch.tensor([0.0, 0, -1]).double().expand_as(origins)
    return origins, directions


def test_a_soft_sphere_is_the_traced_one_when_it_is_sharp():
    origins, directions = rays()
    near, far = box_depths(origins, directions, 1.0)
    soft = soft_surface(
        exact.sphere(0.6),
        torch.zeros(1, 0).double(),
        origins,
        directions,
        near=near,
        far=far,
        sharpness=5000.0,
    )
    hits = trace(exact.sphere(0.6), torch.zeros(0).double(), origins[0], directions[0], extent=1.0)
    steep = hits.hit & (-(hits.normals * directions[0]).sum(-1) > 0.3)
    assert steep.sum() > 20
    assert (soft.opacity[0][steep] > 0.99).all()
    assert (soft.opacity[0][hits.closest > 0.02] < 0.01).all()
    torch.testing.assert_close(soft.depth[0][steep], hits.depth[steep], rtol=0, atol=3e-3)
    torch.testing.assert_close(soft.normals[0][steep], hits.normals[steep], rtol=0, atol=0.02)


def test_gradients_reach_code_and_sharpness():
    origins, directions = rays(9)
    near, far = box_depths(origins, directions, 1.0)
    code = torch.tensor([[0.5]]).double().requires_grad_()
    sharpness = torch.tensor(40.0).double().requires_grad_()

    def sphere(points, latent):
        return torch.linalg.vector_norm(points, dim=-1) - latent

    def opacity(z, s):
        return soft_surface(
            sphere, z, origins, directions, near=near, far=far, sharpness=s, rounds=0
        ).opacity.sum()

    gradients = torch.autograd.grad(opacity(code, sharpness), [code, sharpness])
    step = 1e-5
    with torch.no_grad():
        by_code = opacity(code + step, sharpness) - opacity(code - step, sharpness)
        by_sharpness = opacity(code, sharpness + step) - opacity(code, sharpness - step)
    assert float(gradients[0]) == pytest.approx(float(by_code) / (2 * step), rel=1e-4)
    assert float(gradients[1]) == pytest.approx(float(by_sharpness) / (2 * step), rel=1e-3)


def test_the_schedule_grows_by_equal_factors():
    values = [sharpness_at(share / 4, 10.0, 160.0) for share in range(5)]
    assert values == pytest.approx([10, 20, 40, 80, 160])
    assert sharpness_at(-1.0) == sharpness_at(0.0) and sharpness_at(2.0) == sharpness_at(1.0)
