"""Sine perceptrons: the published statistics of their starts, quadratic neurons."""

import math

import pytest
import torch
import torch.nn.functional as F

from shapespace.decoders import Siren
from shapespace.decoders.base import hessian_by_autograd
from shapespace.errors import InputError


def test_siren_starts_as_published():
    torch.manual_seed(0)
    made = Siren(0)
    assert [tuple(layer.weight.shape) for layer in made.layers] == [
        (256, 3),
        *[(256, 256)] * 3,
        (1, 256),
    ]
    assert made.layers[0].weight.abs().max().item() == pytest.approx(1 / 3, rel=0.01)
    for layer in made.layers[1:]:
        assert layer.weight.abs().max().item() == pytest.approx(math.sqrt(6 / 256) / 30, rel=0.02)
    # omega W h has unit variance: the law that the start is made for.
    points, no_code = torch.rand(1, 2000, 3) * 2 - 1, torch.zeros(1, 0)
    hidden = None
    for index, layer in enumerate(made.layers[:-1]):
        a = layer(hidden, no_code, points)
        if index:
            assert 30 * (a - layer.bias).std().item() == pytest.approx(1, abs=0.15)
        hidden = torch.sin(30 * a)


def test_digs_starts_as_published():
    torch.manual_seed(0)
    made = Siren(0, depth=5, start="mfgi")
    first, second, third, _, last_sine, last = made.layers
    low = first.weight[:64]
    assert low.abs().max().item() == pytest.approx(1 / 30, rel=0.02)
    assert first.weight[64:].abs().max().item() == pytest.approx(1, rel=0.02)
    root = math.sqrt(3 / 256)
    assert second.weight[:64, :64].abs().max().item() == pytest.approx(root / 30, rel=0.02)
    assert second.weight[64:].min().item() == pytest.approx(-root * 5e-4, rel=0.02)
    assert second.weight[64:].max().item() == pytest.approx(root / 30 * 5e-4, rel=0.1)
    assert third.weight.abs().max().item() == pytest.approx(root / 30, rel=0.02)
    off = last_sine.weight - torch.eye(256) * math.pi / 60
    assert off.std().item() == pytest.approx(1e-3 / 30, rel=0.02)
    assert last_sine.bias.mean().item() == pytest.approx(math.pi / 60, rel=0.01)
    assert last.weight.mean().item() == pytest.approx(-1, abs=1e-4) and last.bias.item() == 256


@pytest.mark.parametrize("neurons", ["linear", "quadratic"])
def test_digs_starts_as_a_sphere_for_any_code(neurons):
    for latent_size, dimension in ((0, 3), (8, 3), (8, 2)):
        torch.manual_seed(0)
        made = Siren(
            latent_size,
            dimension,
            depth=5,
            start="mfgi",
            neurons=neurons,
            zero_latent_columns=latent_size > 0,
        )
        directions = F.normalize(torch.randn(1, 500, dimension), dim=-1)
        latent = 2 * torch.randn(1, latent_size)
        radii = [0.1, 0.3, 0.5, 0.7, 0.9, 1.1]
        values = [made(directions * r, latent) for r in radii]
        if latent_size == 0:
            assert values[1].max() < 0 < values[5].min()
            means = [value.mean() for value in values]
            assert means == sorted(means)
        other = made(directions, latent + 1)
        torch.testing.assert_close(other, made(directions, latent), rtol=0, atol=1e-6)


def test_a_modulated_code_shifts_every_layer():
    made = Siren(3, width=8, codes="modulated")
    assert [layer.parts for layer in made.layers] == [(0, 3, 3), *[(8, 3, 0)] * 3, (8, 0, 0)]
    assert [layer.parts[1] for layer in Siren(3, width=8).layers] == [3, 0, 0, 0, 0]


def test_a_quadratic_neuron_is_that_of_the_formula_and_begins_as_a_linear_one():
    torch.manual_seed(0)
    quadratic = Siren(2, width=6, depth=2, neurons="quadratic").double()
    torch.manual_seed(0)
    points, latent = torch.randn(1, 5, 3).double(), torch.randn(1, 2).double()
    inputs = torch.cat([latent[:, None].expand(1, 5, 2), points], -1)
    with torch.no_grad():
        for weight in quadratic.parameters():
            weight += 0.2 * torch.randn_like(weight)
    hidden = inputs
    for index, layer in enumerate(quadratic.layers):
        r, g, b = layer.plain, layer.gate, layer.square
        product = (hidden @ r.weight.T + r.bias) * (hidden @ g.weight.T + g.bias)
        hidden = product + hidden**2 @ b.weight.T + b.bias
        hidden = torch.sin(30 * hidden) if index < 2 else hidden
    torch.testing.assert_close(quadratic(points, latent), hidden[..., 0])
    made = Siren(2, width=6, neurons="quadratic").layers[1]
    hidden = torch.randn(1, 5, 6)
    near = made(hidden, torch.zeros(1, 2), points.float())
    plain = made.plain(hidden, torch.zeros(1, 2), points.float())
    torch.testing.assert_close(near, plain, atol=1e-3, rtol=0)


def test_a_wrong_argument():
    for given, named in (
        ({"depth": 2, "start": "mfgi"}, "depth=2"),
        ({"omega": 0.0}, "omega"),
        ({"latent_size": -1}, "latent_size=-1"),
    ):
        with pytest.raises(InputError, match=named):
            Siren(**given)


@pytest.mark.parametrize("start", ["siren", "mfgi"])
@pytest.mark.parametrize("neurons", ["linear", "quadratic"])
def test_second_derivatives_in_closed_form_are_those_of_autograd(start, neurons):
    for latent_size, dimension, codes in ((0, 3, "concatenated"), (3, 2, "modulated")):
        torch.manual_seed(0)
        made = Siren(
            latent_size, dimension, 12, 3, omega=5.0, start=start, codes=codes, neurons=neurons
        ).double()
        points = torch.randn(2, 6, dimension).double()
        latent = torch.randn(2, latent_size).double().requires_grad_()
        learnt = [*made.parameters(), latent]
        slopes = []
        pairs = (
            made.value_gradient_hessian(points, latent),
            hessian_by_autograd(made, points, latent),
        )
        for found, expected in zip(*pairs, strict=True):
            torch.testing.assert_close(found, expected, rtol=1e-10, atol=1e-10)
        for _, g, hessian in pairs:
            loss = hessian.square().sum() + g.sum()
            slopes.append(
                torch.autograd.grad(loss, learnt, allow_unused=True, materialize_grads=True)
            )
        for found, expected in zip(*slopes, strict=True):
            torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-9)
        g = pairs[0][1]
        along = (pairs[0][2] @ g[..., None])[..., 0]
        torch.testing.assert_close(made.hessian_vector(points, latent, g), along)
