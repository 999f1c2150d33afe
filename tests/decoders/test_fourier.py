"""Waves beside the coordinates: the same laws as of the perceptron alone."""

import math

import pytest
import torch

from shapespace.decoders import SkipMLP, WaveMLP
from shapespace.decoders.base import gradient_by_autograd, jacobian_by_autograd
from shapespace.errors import InputError

SMALL = {"width": 40, "depth": 4, "skip": 2}


def decoder(latent_size=0, dimension=3, **more):
    """In float64, with weights of no special form."""
    torch.manual_seed(0)
    made = WaveMLP(latent_size, dimension, **{"octaves": 3, **SMALL, **more}).double()
    for weight in made.parameters():
        weight.data += 0.05 * torch.randn_like(weight)
    return made


def inputs(made, num=7):
    torch.manual_seed(1)
    shape = (2, num, made.dimension), (2, made.latent_size)
    return torch.randn(shape[0]).double(), torch.randn(shape[1]).double()


@pytest.mark.parametrize(("latent_size", "dimension"), [(0, 3), (3, 3), (2, 2)])
def test_the_gradient_is_that_of_autograd(latent_size, dimension):
    made = decoder(latent_size, dimension)
    points, latent = inputs(made)
    asked = {"gradient_from": 2, "value_until": 5}
    found = made.value_and_gradient(points, latent, **asked)
    oracle = gradient_by_autograd(made, points, latent, **asked)
    for part, expected in zip(found, oracle, strict=True):
        torch.testing.assert_close(part, expected)
    for part, expected in zip(
        made.jacobian(points, latent), jacobian_by_autograd(made, points, latent), strict=True
    ):
        torch.testing.assert_close(part, expected)


def test_weights_learn_from_the_gradient_as_by_autograd():
    made = decoder()
    points, latent = inputs(made)
    slopes = []
    for method in (made.value_and_gradient, lambda *of: gradient_by_autograd(made, *of)):
        sdf, gradient = method(points, latent)
        loss = sdf.abs().mean() + (gradient.norm(dim=-1) - 1).square().mean()
        slopes.append(torch.autograd.grad(loss, list(made.parameters())))
    for found, expected in zip(*slopes, strict=True):
        torch.testing.assert_close(found, expected)


def test_it_begins_as_a_sphere():
    torch.manual_seed(1)
    made = WaveMLP(width=256)
    points = torch.randn(1, 4000, 3)
    ratio = (made(points, torch.zeros(1, 0)) + 1) / points.norm(dim=-1)
    assert abs(ratio.mean() - 1) < 0.3
    assert ratio.std() < 0.25, "as even as that of a SkipMLP of this width"


def test_without_octaves_it_is_the_perceptron():
    torch.manual_seed(0)
    made = WaveMLP(octaves=0, **SMALL)
    torch.manual_seed(0)
    plain = SkipMLP(0, **SMALL)
    points = torch.randn(1, 9, 3)
    torch.testing.assert_close(made(points, torch.zeros(1, 0)), plain(points, torch.zeros(1, 0)))


def test_each_wave_has_slope_one():
    made = WaveMLP(octaves=4, base=math.pi, **SMALL)
    points = torch.linspace(-1, 1, 400).double().repeat(3, 1).T[None]
    seen, slopes = made.encode(points)
    assert seen.shape[-1] == 3 + 2 * 3 * 4
    torch.testing.assert_close(slopes.abs().amax(1), torch.ones(1, 27).double(), atol=1e-2, rtol=0)
    numeric = (seen[:, 2:] - seen[:, :-2]) / (points[:, 2:, :1] - points[:, :-2, :1])
    torch.testing.assert_close(numeric, slopes[:, 1:-1], atol=5e-3, rtol=0)


def test_the_precision_is_that_of_the_perceptron():
    made = WaveMLP(precision="bfloat16", **SMALL)
    points, latent = torch.randn(1, 50, 3), torch.zeros(1, 0)
    rough = made.value_and_gradient(points, latent)[1]
    made.precision = "float32"
    fine = made.value_and_gradient(points, latent)[1]
    assert 1e-5 < (rough - fine).abs().max() < 0.1


@pytest.mark.parametrize("given", [{"octaves": -1}, {"base": 0.0}, {"base": math.inf}])
def test_a_wrong_argument(given):
    with pytest.raises(InputError, match=next(iter(given))):
        WaveMLP(**given)


def test_its_slope_stays_below_the_bound():
    torch.manual_seed(0)
    made = WaveMLP(**SMALL).double()
    with torch.no_grad():
        for weight in made.parameters():
            weight += 0.1 * torch.randn_like(weight)
    points = torch.rand(1, 2000, 3).double() * 2 - 1
    lipschitz = made.value_and_gradient(points, torch.zeros(1, 0).double())[1].norm(dim=-1).max()
    assert 0 < lipschitz <= made.lipschitz_bound() < torch.inf


def test_too_narrow_a_network_is_refused_by_what_was_given():
    with pytest.raises(InputError, match=r"width=32.*octaves"):
        WaveMLP(width=32, octaves=6)
