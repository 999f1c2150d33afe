"""IM-NET's decoder: published layers, start and clamp."""

import pytest
import torch

from shapespace.decoders import ImNet


def test_it_has_the_published_layers_and_start():
    torch.manual_seed(0)
    made = ImNet()
    widths = [layer.weight.shape[0] for layer in made.layers]
    assert widths == [1024, 1024, 1024, 512, 256, 128, 1]
    assert made.layers[0].weight.shape[1] == 259
    for layer in made.layers[:-1]:
        assert layer.weight.std().item() == pytest.approx(0.02, rel=0.02)
        assert layer.bias.eq(0).all()
    assert made.layers[-1].bias.item() == 0.5


def test_the_clamp_leaks_a_hundredth():
    made = ImNet(0, features=1)
    with torch.no_grad():
        for layer in made.layers:
            layer.weight.zero_()
    found = []
    for value in (-1.0, 0.0, 0.3, 1.0, 2.0):
        with torch.no_grad():
            made.layers[-1].bias.fill_(value)
        found.append(0.5 - made(torch.zeros(1, 1, 3), torch.zeros(1, 0)).item())
    assert found == pytest.approx([-0.01, 0.0, 0.3, 1.0, 1.01])
