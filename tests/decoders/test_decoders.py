"""Laws of every decoder that is not a SkipMLP itself, in float64, with and without codes."""

import pytest
import torch

from shapespace.config.parts import build_part, check_size
from shapespace.decoders import (
    FourierMLP,
    GridMLP,
    ImNet,
    OccupancyResNet,
    PositionalMLP,
    ReluMLP,
    Siren,
)
from shapespace.decoders.base import Decoder, gradient_by_autograd, jacobian_by_autograd

SKIP = {"width": 40, "depth": 4, "skip": 2}
SINES = {"width": 16, "depth": 3, "omega": 5.0}
KINDS = {
    "deepsdf": (ReluMLP, {**SKIP, "output": "tanh", "start": "uniform", "divide_skip": False}),
    "sal": (ReluMLP, {**SKIP, "output": "tanh_plus", "start": "sal"}),
    "relu without weight norm": (ReluMLP, {**SKIP, "weight_norm": False}),
    "imnet": (ImNet, {"features": 4}),
    "imnet sphere": (ImNet, {"features": 4, "start": "sphere"}),
    "occupancy": (OccupancyResNet, {"width": 16, "blocks": 2}),
    "siren": (Siren, SINES),
    "digs": (Siren, {**SINES, "start": "mfgi"}),
    "modulated": (Siren, {**SINES, "codes": "modulated"}),
    "quadratic": (Siren, {**SINES, "neurons": "quadratic", "codes": "modulated"}),
    "positional": (PositionalMLP, {**SKIP, "octaves": 2}),
    "fourier": (FourierMLP, {**SKIP, "frequencies": 6}),
    "fourier published": (FourierMLP, {**SKIP, "frequencies": 6, "unit_slopes": False}),
    "grid": (GridMLP, {"levels": 2, "cells": 3, "width": 24, "extent": 1.5}),
}
SIZES = [(0, 3), (3, 3), (2, 2), (0, 2)]
each_kind = pytest.mark.parametrize("name", KINDS)


def build(name, latent_size=0, dimension=3, noise=0.05):
    """In float64, its weights moved by noise."""
    kind, arguments = KINDS[name]
    torch.manual_seed(0)
    made = kind(latent_size, dimension, **arguments).double().eval()
    with torch.no_grad():
        for weight in made.parameters():
            weight += noise * torch.randn_like(weight)
    return made


def inputs(made, scans=2, count=7):
    torch.manual_seed(1)
    points = torch.rand(scans, count, made.dimension).double() * 2.4 - 1.2
    return points, torch.randn(scans, made.latent_size).double()


@each_kind
def test_derivatives_are_those_of_autograd_and_of_differences(name):
    for size in SIZES:
        made = build(name, *size)
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
        step = 1e-6
        moves = step * torch.eye(made.dimension).double()
        differences = [
            (made(points + move, latent) - made(points - move, latent)) / (2 * step)
            for move in moves
        ]
        gradient = made.value_and_gradient(points, latent)[1]
        torch.testing.assert_close(gradient, torch.stack(differences, -1), atol=1e-5, rtol=1e-5)


@each_kind
def test_weights_codes_and_points_learn_from_the_gradient_as_by_autograd(name):
    made = build(name, 3)
    points, latent = inputs(made)
    learnt = [*made.parameters(), latent.requires_grad_(), points.requires_grad_()]
    slopes = []
    for method in (made.value_and_gradient, lambda *of: gradient_by_autograd(made, *of)):
        sdf, gradient = method(points, latent)
        loss = sdf.abs().mean() + (gradient.norm(dim=-1) - 1).square().mean()
        slopes.append(torch.autograd.grad(loss, learnt, allow_unused=True, materialize_grads=True))
    for found, expected in zip(*slopes, strict=True):
        torch.testing.assert_close(found, expected)
    assert all(slope.ne(0).any() for slope in slopes[0][-2:]), "codes and points have a gradient"


@each_kind
def test_second_derivatives_are_there_or_denied(name):
    made = build(name, 2)
    points, latent = inputs(made, scans=1, count=4)
    points.requires_grad_()
    gradient = gradient_by_autograd(made, points, latent)[1]
    rows = [
        torch.autograd.grad(gradient[..., k].sum(), points, retain_graph=True, create_graph=True)[0]
        for k in range(3)
    ]
    hessian = torch.stack(rows, -2)
    torch.testing.assert_close(hessian, hessian.mT)
    if made.twice_differentiable:
        step = 1e-6
        for k, move in enumerate(step * torch.eye(3).double()):
            ends = [gradient_by_autograd(made, points + s * move, latent)[1] for s in (1, -1)]
            difference = (ends[0] - ends[1]) / (2 * step)
            torch.testing.assert_close(hessian[..., k], difference, atol=1e-4, rtol=1e-4)
    elif name not in ("deepsdf", "sal"):
        assert hessian.eq(0).all()


@each_kind
def test_each_point_of_each_scan_stands_for_itself(name):
    made = build(name, 3)
    points, latent = inputs(made)
    both = made(points, latent)
    for row in range(2):
        alone = made(points[row : row + 1], latent[row : row + 1])
        torch.testing.assert_close(both[row : row + 1], alone)
    torch.testing.assert_close(both[:, 2:4], made(points[:, 2:4], latent))
    assert made(points, latent + 0.5).ne(both).any(), "codes have an influence"


@each_kind
def test_slopes_stay_below_the_bound(name):
    known = 0
    for latent_size, dimension in SIZES:
        made = build(name, latent_size, dimension)
        points, latent = inputs(made, scans=3, count=500)
        steepest = made.value_and_gradient(points, latent)[1].norm(dim=-1).max()
        assert 0 < steepest <= made.lipschitz_bound()
        known += made.lipschitz_bound() < torch.inf
    bounded = name not in ("occupancy", "digs", "quadratic", "grid")
    assert known == (len(SIZES) if bounded else 0)


@each_kind
def test_a_checkpoint_rebuilds_it(name):
    """Its size is known without memory, and its weights and buffers give the same field."""
    kind, arguments = KINDS[name]
    part = {
        "class_path": f"shapespace.decoders.{kind.__name__}",
        "init_args": {"latent_size": 2, **arguments},
    }
    torch.manual_seed(3)
    made = build_part(part, Decoder, "decoder")
    check_size(part, Decoder, made.state_dict())
    torch.manual_seed(4)
    again = build_part(part, Decoder, "decoder")
    again.load_state_dict(made.state_dict())
    points, latent = torch.randn(1, 9, 3), torch.randn(1, 2)
    assert torch.equal(again.eval()(points, latent), made.eval()(points, latent))


SPHERES = {
    "relu": (ReluMLP, {"width": 256, "depth": 5, "skip": 3}, 1.0, 1.0),
    "relu without division": (
        ReluMLP,
        {"width": 256, "depth": 5, "skip": 3, "divide_skip": False},
        1.0,
        1.0,
    ),
    "sal": (ReluMLP, {"width": 256, "depth": 5, "skip": 3, "start": "sal"}, 2.0, 0.5),
    "imnet": (ImNet, {"start": "sphere"}, 1.0, 1.0),
    "occupancy": (OccupancyResNet, {"width": 256}, 1.0, 1.0),
    "positional": (PositionalMLP, {"width": 256, "depth": 5, "skip": 3}, 1.0, 1.0),
    "fourier": (FourierMLP, {"width": 256, "depth": 4, "skip": 0}, 1.0, 1.0),
    "grid": (GridMLP, {"width": 256}, 1.0, 1.0),
}
"""Arguments, slope and radius of the starts that are spheres."""


@pytest.mark.parametrize("name", SPHERES)
def test_it_begins_as_a_sphere_for_any_code(name):
    kind, arguments, slope, radius = SPHERES[name]
    if kind is not OccupancyResNet:
        arguments = {**arguments, "zero_latent_columns": True}
    for dimension in (2, 3):
        torch.manual_seed(1)
        made = kind(8, dimension, **arguments)
        assert made.zero_latent_columns
        directions = torch.nn.functional.normalize(torch.randn(1, 500, dimension), dim=-1)
        at = made(directions * radius * 0.9, torch.randn(1, 8))
        # A network of finite width is a sphere on average; ImNet's last layers are narrow.
        ratio = (at + radius * slope) / (0.9 * radius * slope)
        assert abs(ratio.mean() - 1) < 0.3
        assert ratio.std() < 0.25
        assert made(directions * 0.4 * radius, 3 * torch.randn(1, 8)).max() < 0
        assert made(directions * 2.0 * radius, 3 * torch.randn(1, 8)).min() > 0
