"""The ReLU perceptrons: published starts and shapes, weight norm, dropout."""

import copy
import math

import pytest
import torch

from shapespace.decoders import ReluMLP
from shapespace.errors import InputError

DEEPSDF = {"output": "tanh", "start": "uniform", "divide_skip": False, "dropout": 0.2}


def test_deepsdf_has_the_published_layers():
    made = ReluMLP(**DEEPSDF)
    shapes = [tuple(layer.weight.shape) for layer in made.layers]
    assert shapes == [
        (512, 259),
        *[(512, 512)] * 2,
        (253, 512),
        *[(512, 512)] * 4,
        (1, 512),
    ]
    assert [layer.length is not None for layer in made.layers] == [True] * 8 + [False]
    bound = 1 / math.sqrt(512)
    assert made.layers[5].weight.abs().max() <= bound
    assert made.layers[5].weight.std().item() == pytest.approx(bound / math.sqrt(3), rel=0.01)


def test_sal_starts_with_the_published_statistics():
    torch.manual_seed(0)
    made = ReluMLP(start="sal")
    for layer in made.layers[:-1]:
        assert layer.weight.std().item() == pytest.approx(math.sqrt(2 / len(layer.bias)), rel=0.02)
        assert layer.bias.eq(0).all()
    last = made.layers[-1]
    assert last.weight.mean().item() == pytest.approx(2 * math.sqrt(math.pi / 512), rel=1e-4)
    assert last.bias.item() == -1


def test_the_layers_are_those_of_the_formula():
    """A code beside every point, [hidden, latent, x], rows of a length times a direction."""
    torch.manual_seed(0)
    made = ReluMLP(2, 3, width=12, depth=3, skip=2, output="tanh_plus").double()
    with torch.no_grad():
        for weight in made.parameters():
            weight += 0.3 * torch.randn_like(weight)
    points, latent = torch.randn(2, 4, 3).double(), torch.randn(2, 2).double()
    for scan in range(2):
        for row in range(4):
            inputs = torch.cat([latent[scan], points[scan, row]])
            hidden = inputs
            for index, layer in enumerate(made.layers):
                matrix = layer.weight
                if layer.length is not None:
                    norms = torch.stack([r.norm() for r in matrix])
                    matrix = torch.diag(layer.length / norms) @ matrix
                if index == 2:
                    hidden = torch.cat([hidden, inputs]) / math.sqrt(2)
                hidden = matrix @ hidden + layer.bias
                if index < 3:
                    hidden = hidden.clamp(min=0)
            expected = torch.tanh(hidden) + hidden
            torch.testing.assert_close(made(points, latent)[scan, row], expected[0])


def test_dropout_acts_in_training_alone_and_follows_from_the_state():
    torch.manual_seed(0)
    made = ReluMLP(2, width=40, depth=3, skip=2, dropout=0.2)
    points, latent = torch.randn(3, 200, 3), torch.randn(3, 2)
    exact = made.eval()(points, latent)
    made.train()
    state = torch.get_rng_state()
    dropped = made(points, latent)
    assert torch.equal(torch.get_rng_state(), state), "the generator of the process is not read"
    assert torch.equal(made(points, latent), dropped), "the same step, the same masks"
    assert torch.equal(made(points[1:2], latent[1:2]), dropped[1:2]), "whatever the chunks"
    assert 0.01 < (dropped - exact).abs().mean() < 1.0
    kept = copy.deepcopy(made.state_dict())
    with torch.no_grad():
        assert torch.equal(made(points, latent), exact), "a preview has no gradients"
        made.layers[-1].weight[0, 0] += 1e-7
    after = made(points, latent)
    assert (after - dropped).abs().mean() > 0.01, "a step changes the masks"
    resumed = ReluMLP(2, width=40, depth=3, skip=2, dropout=0.2)
    resumed.load_state_dict(kept)
    (
        torch.testing.assert_close(resumed(points, latent), after, rtol=1e-4, atol=1e-4),
        "a resumed run goes on",
    )
    shares = [
        made._kept(torch.ones(3, 200, 40), made._seeds(points), k).ne(0).float().mean().item()
        for k in range(3)
    ]
    # A kept neuron counts 1 / 0.8.
    assert shares == pytest.approx([0.8] * 3, abs=0.01)
    assert made._kept(torch.ones(1, 9, 40), [1], 0).max().item() == pytest.approx(1.25)


def test_a_wrong_argument():
    for given, named in (
        ({"dropout": 1.0}, "dropout=1"),
        ({"skip": 8}, "skip=8"),
        ({"width": 100}, "width=100"),
        ({"radius": 0.0}, "radius"),
    ):
        with pytest.raises(InputError, match=named):
            ReluMLP(**given)
