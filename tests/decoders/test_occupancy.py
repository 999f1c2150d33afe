"""The decoder of occupancy networks: the blocks of the paper, the code as scale and shift."""

import torch

from shapespace.decoders import OccupancyResNet


def test_the_blocks_are_those_of_the_formula():
    torch.manual_seed(0)
    made = OccupancyResNet(2, width=5, blocks=2).double()
    with torch.no_grad():
        for weight in made.parameters():
            weight += 0.3 * torch.randn_like(weight)
    points, latent = torch.randn(2, 3, 3).double(), torch.randn(2, 2).double()

    def norm(layer, h, z):
        return (layer.gamma @ z + layer.gamma_bias) * h + layer.beta @ z + layer.beta_bias

    for scan in range(2):
        z = latent[scan]
        for row in range(3):
            h = made.first.weight @ points[scan, row] + made.first.bias
            for block in made.blocks:
                inner = block.layers[0](norm(block.norms[0], h, z).clamp(min=0))
                h = h + block.layers[1](norm(block.norms[1], inner, z).clamp(min=0))
            expected = made.last(norm(made.norm, h, z).clamp(min=0))
            torch.testing.assert_close(made(points, latent)[scan, row], expected[0])


def test_its_start_ignores_codes_that_therefore_must_not_begin_at_0():
    assert OccupancyResNet(2).zero_latent_columns
    assert not OccupancyResNet(0).zero_latent_columns
    made = OccupancyResNet(2, width=8)
    code = torch.randn(1, 2, requires_grad=True)
    made(torch.randn(1, 9, 3), code).sum().backward()
    assert code.grad.eq(0).all()
    assert made.blocks[0].norms[0].gamma.grad is not None
    assert made.norm.gamma.grad.ne(0).any()
