"""The published formulation has the values, terms and gradients of the package's own."""

import pytest
import torch

from shapespace.decoders import PublishedMLP, SkipMLP
from shapespace.decoders.base import gradient_by_autograd
from shapespace.errors import InputError
from shapespace.objectives import IGR, PublishedIGR
from shapespace.scan import Samples


@pytest.fixture
def twins():
    """The same weights, published and ours, in training."""
    torch.manual_seed(0)
    published = PublishedMLP(5, width=24, depth=4, skip=2).double().train()
    ours = SkipMLP(5, width=24, depth=4, skip=2).double().train()
    ours.load_state_dict(published.state_dict())
    return published, ours


@pytest.mark.parametrize(("gradient_from", "value_until"), [(0, 7), (3, 5), (5, 5)])
@pytest.mark.parametrize("training", [True, False])
def test_values_and_gradients_are_those_of_autograd(gradient_from, value_until, training, twins):
    published, ours = twins
    points, latent = torch.randn(2, 7, 3).double(), torch.randn(2, 5).double()
    asked = {"gradient_from": gradient_from, "value_until": value_until}
    found = published.train(training).value_and_gradient(points, latent, **asked)
    oracle = gradient_by_autograd(ours.eval(), points, latent, **asked)
    for one, other in zip(found, oracle, strict=True):
        torch.testing.assert_close(one.detach(), other.detach(), rtol=0, atol=1e-8)


def test_the_loss_moves_the_weights_alike(twins):
    surface, space = torch.randn(2, 6, 3).double(), torch.randn(2, 9, 3).double()
    samples = Samples(surface, torch.nn.functional.normalize(surface, dim=-1), space)
    latent, gradients = torch.randn(2, 5).double(), []
    for decoder, objective in zip(twins, (PublishedIGR(), IGR()), strict=True):
        objective.total(objective.terms(decoder, samples, latent)).mean().backward()
        gradients.append(torch.cat([weight.grad.flatten() for weight in decoder.parameters()]))
    torch.testing.assert_close(*gradients, rtol=0, atol=1e-8)
    assert gradients[0].abs().max() > 1e-3


def test_a_step_is_said_to_need_what_a_graph_differentiated_twice_needs(twins):
    published, ours = twins
    assert published.bytes_per_point() > 2 * ours.bytes_per_point()


def test_what_the_published_loss_does_not_have_is_refused(twins):
    samples = Samples(torch.randn(1, 6, 3).double(), None, torch.randn(1, 6, 3).double())
    with pytest.raises(InputError, match="outside"):
        PublishedIGR(outside=1.0).terms(twins[0], samples, torch.zeros(1, 5).double())
