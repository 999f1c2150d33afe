"""The steepest place of fields whose steepest place is known."""

import numpy as np
import pytest
import torch

from shapespace.decoders import SkipMLP
from shapespace.diagnostics.lipschitz import gradient_lengths, lipschitz
from tests import exact

NONE = torch.zeros(0, dtype=torch.float64)
CORNERS = np.array([[-1.0, -1.0, -1.0], [1.0, 1.0, 1.0]])


def measured(field, dimension=3, count=4000, extent=1.0, latent=NONE):
    points = np.random.default_rng(0).uniform(-extent, extent, (count, dimension))
    return lipschitz(field, latent, points, gradient_lengths(field, latent, points), extent)


@pytest.mark.parametrize("factor", [0.3, 1.0, 3.0])
@pytest.mark.parametrize("dimension", [2, 3])
def test_a_scaled_distance_has_its_factor(factor, dimension):
    found = measured(lambda points, latent: factor * exact.sphere()(points, latent), dimension)
    assert found.found == pytest.approx(factor, rel=1e-12)
    assert found.likely == pytest.approx(factor, rel=1e-12)
    assert found.certain == np.inf


def bump(points, latent):
    """x + 0.02 exp(-|p - c|^2 / 2 s^2): a summit that random points miss."""
    square = ((points - 0.4) ** 2).sum(-1)
    return points[..., 0] + 0.02 * torch.exp(-square / (2 * 0.04**2))


def test_the_climb_finds_what_samples_miss():
    found = measured(bump)
    line = torch.full((1, 20001, 3), 0.4, dtype=torch.float64)
    line[..., 0] = torch.linspace(-1, 1, 20001)
    slowly = gradient_lengths(bump, NONE, line[0].numpy())
    points = np.random.default_rng(0).uniform(-1, 1, (4000, 3))
    assert gradient_lengths(bump, NONE, points).max() < 0.99 * slowly.max()
    assert found.found == pytest.approx(slowly.max(), rel=1e-3)
    assert found.found <= slowly.max() + 1e-9 and found.likely >= found.found


def test_a_summit_at_the_border_of_the_box_is_met():
    found = measured(lambda points, latent: (points**2).sum(-1), 3)
    assert 2 * 3**0.5 * 0.995 <= found.found <= 2 * 3**0.5


def test_a_decoder_is_between_what_was_met_and_what_is_certain():
    torch.manual_seed(0)
    decoder = SkipMLP(2, width=32, depth=3, skip=2).double()
    points = np.random.default_rng(1).uniform(-1, 1, (500, 3))
    latent = torch.tensor([0.2, -0.1], dtype=torch.float64)
    found = lipschitz(decoder, latent, points, gradient_lengths(decoder, latent, points), 1.0)
    place = torch.from_numpy(points)[None].requires_grad_()
    (slow,) = torch.autograd.grad(decoder(place, latent[None]).sum(), place)
    assert slow.norm(dim=-1).max() <= found.found <= found.likely < found.certain


def test_places_that_are_not_finite_are_left_out():
    def holed(points, latent):
        return torch.where(points[..., 0] > 0.5, torch.nan, points[..., 0])

    assert measured(holed).found == pytest.approx(1.0)
    nothing = measured(lambda points, latent: points[..., 0] * torch.nan)
    assert np.isnan([nothing.found, nothing.likely]).all()
