"""The gradient of the bending energy by the envelope theorem, against finite differences."""

import numpy as np
import pytest
import torch

from shapespace.bending.energy import RIDGE, SOFT
from shapespace.bending.meshed import bending
from shapespace.bending.samples import derivatives
from shapespace.bending.term import bending_term
from shapespace.decoders.mlp import SkipMLP


def made():
    """A small decoder with its sphere, and a code and a direction of codes."""
    torch.manual_seed(0)
    decoder = SkipMLP(latent_size=3, dimension=3, width=16, depth=3, skip=1, beta=20.0)
    decoder = decoder.double()
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for weight in decoder.parameters():
            weight += 0.05 * torch.randn(weight.shape, generator=generator, dtype=weight.dtype)
    code = torch.tensor([0.1, -0.2, 0.05]).double()
    return decoder, code, torch.tensor([1.0, 0.5, -0.7]).double()


def slow_energy(decoder, code, direction, found, slope):
    """The energy at fixed samples by dense algebra, in v alone; ``slope`` and speed are held."""
    points, count = found.samples.points, len(found.speed)
    _, gradient, in_code = derivatives(decoder, code, points)
    constraint = np.zeros((count, 3 * count))
    for row in range(count):
        constraint[row, 3 * row : 3 * row + 3] = gradient[row] / slope[row]
    rate = -in_code @ direction.numpy() / slope
    form = found.samples.size**2 * found.graph.matrix().toarray()
    form += constraint.T @ constraint / (SOFT * count) + RIDGE / count * np.eye(3 * count)
    pull = constraint.T @ rate / (SOFT * count)
    least = np.square(rate).mean() / SOFT - pull @ np.linalg.solve(form, pull)
    return least / found.mean_square_speed


def test_gradient_equals_finite_differences():
    decoder, code, direction = made()
    found = bending(decoder, code, direction, extent=2.0, count=80)
    assert len(found.speed) > 70 and found.energy > 1e-3
    slope = np.linalg.norm(derivatives(decoder, code, found.samples.points)[1], axis=1)
    term = bending_term(decoder, code, direction, found, step=1e-5)
    assert float(term.detach()) == pytest.approx(found.energy)
    assert slow_energy(decoder, code, direction, found, slope) == pytest.approx(
        found.energy, rel=1e-6
    )
    weights = [weight for weight in decoder.parameters() if weight.requires_grad]
    gradients = torch.autograd.grad(term, weights, allow_unused=True, materialize_grads=True)
    generator = torch.Generator().manual_seed(2)
    for _ in range(3):
        ways = [torch.randn(w.shape, generator=generator, dtype=w.dtype) for w in weights]
        exact = float(sum((g * way).sum() for g, way in zip(gradients, ways, strict=True)))
        values = []
        for sign in (1, -1):
            with torch.no_grad():
                for weight, way in zip(weights, ways, strict=True):
                    weight += sign * 1e-6 * way
                values.append(slow_energy(decoder, code, direction, found, slope))
                for weight, way in zip(weights, ways, strict=True):
                    weight -= sign * 1e-6 * way
        difference = (values[0] - values[1]) / 2e-6
        assert exact == pytest.approx(difference, rel=1e-4, abs=1e-4 * found.energy)


def test_nothing_is_learnt_where_nothing_moves():
    decoder, code, direction = made()
    found = bending(decoder, code, 0 * direction, extent=2.0, count=20)
    assert float(bending_term(decoder, code, 0 * direction, found)) == 0
    found = bending(decoder, code, direction, extent=0.01, count=20)
    assert float(bending_term(decoder, code, direction, found)) == 0
