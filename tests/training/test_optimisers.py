import math

import pytest
import torch

from shapespace.training.optimisers import decoder_optimisers
from shapespace.utils.schedules import cosine, halved


def test_a_cosine_rises_falls_and_ends_at_zero():
    assert cosine(0.0, 0.0) == 1.0
    assert cosine(0.5, 0.0) == pytest.approx(0.5)
    assert cosine(1.0, 0.1) == pytest.approx(0.0, abs=1e-15)
    assert cosine(0.05, 0.1) == pytest.approx(0.5 * (0.5 + 0.5 * math.cos(math.pi * 0.05)))
    assert cosine(2.0, 0.1) == pytest.approx(0.0, abs=1e-15)


def test_a_rate_is_halved():
    assert [halved(epoch, 2) for epoch in range(5)] == [1, 1, 0.5, 0.5, 0.25]


def test_muon_takes_the_large_matrices_and_its_steps_are_orthogonal():
    torch.manual_seed(0)
    shapes = [(64, 32), (64,), (1, 64), (32, 3), (32, 64)]
    parameters = [torch.nn.Parameter(torch.randn(shape)) for shape in shapes]
    adam, muon = decoder_optimisers(parameters, "muon", 1e-3, 1e-2)
    taken = [p.shape for group in muon.param_groups for p in group["params"]]
    left = [p.shape for group in adam.param_groups for p in group["params"]]
    assert taken == [(64, 32), (32, 64)] and left == [(64,), (1, 64), (32, 3)]
    before = parameters[0].detach().clone()
    for parameter in parameters:
        parameter.grad = torch.randn_like(parameter)
    muon.step()
    # 0.2 sqrt(64) lr times an orthogonal matrix, as far as five Newton-Schulz steps make it one.
    singular = torch.linalg.svdvals(before - parameters[0].detach()) / (0.2 * 8 * 1e-2)
    assert singular.min() > 0.6 and singular.max() < 1.3


def test_adam_takes_all():
    parameter = torch.nn.Parameter(torch.ones(32, 32))
    (adam,) = decoder_optimisers([parameter], "adam", 1e-3, 1e-2)
    assert isinstance(adam, torch.optim.Adam)
