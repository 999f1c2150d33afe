import torch

from shapespace.decoders import SkipMLP
from shapespace.decoders.base import Decoder
from shapespace.fitting import fit_codes_adam
from shapespace.objectives import IGR
from shapespace.sampling import NearSurface
from shapespace.scan import Scan


class Spheres(Decoder):
    """f(x; z) = |x| - (0.5 + z): the code is the radius."""

    dimension, latent_size = 3, 1

    def __init__(self):
        super().__init__()
        self.radius = torch.nn.Parameter(torch.tensor(0.5))

    def forward(self, points, latent):
        return points.norm(dim=-1) - self.radius - latent


def spheres(radii, num=200):
    generator = torch.Generator().manual_seed(0)
    directions = torch.nn.functional.normalize(
        torch.randn(len(radii), num, 3, generator=generator), dim=-1
    )
    points = torch.tensor(radii)[:, None, None] * directions
    return Scan(torch.arange(len(radii)), points, directions, torch.full((len(radii), num), 0.05))


def test_code_of_an_exact_space_is_found():
    result = fit_codes_adam(Spheres(), spheres([0.45, 0.5, 0.62]), IGR(), NearSurface(), steps=200)
    torch.testing.assert_close(
        result.codes[:, 0], torch.tensor([-0.05, 0.0, 0.12]), rtol=0, atol=2e-3
    )
    assert result.terms["surface"].max() < 2e-3
    assert result.steps.tolist() == [200] * 3


def test_fitted_in_a_batch_as_if_alone():
    torch.manual_seed(0)
    decoder, batch = SkipMLP(8, width=32, depth=3, skip=2), spheres([0.4, 0.6, 0.8])
    together = fit_codes_adam(decoder, batch, IGR(), NearSurface(), steps=20, seed=5)
    for row in range(3):
        alone = fit_codes_adam(
            decoder, batch[row : row + 1], IGR(), NearSurface(), steps=20, seed=5
        )
        torch.testing.assert_close(together.codes[row], alone.codes[0], rtol=1e-3, atol=1e-5)


def test_decoder_is_left_as_it_was():
    decoder = Spheres()
    decoder.radius.grad = torch.tensor(7.0)
    before = {name: value.clone() for name, value in decoder.state_dict().items()}
    fit_codes_adam(decoder, spheres([0.4]), IGR(), NearSurface(), steps=5)
    assert all(torch.equal(value, before[name]) for name, value in decoder.state_dict().items())
    assert decoder.radius.requires_grad and decoder.radius.grad.item() == 7.0
    assert decoder.training


def test_same_seed_same_code_other_seed_other_code():
    torch.manual_seed(0)
    decoder, batch = SkipMLP(8, width=32, depth=3, skip=2), spheres([0.6])
    first, again, other = (
        fit_codes_adam(decoder, batch, IGR(), NearSurface(), steps=5, seed=seed).codes
        for seed in (1, 1, 2)
    )
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_code_of_length_zero_and_scans_without_normals():
    decoder = SkipMLP(0, width=32, depth=3, skip=2)
    given = spheres([0.6, 0.7])
    bare = Scan(given.index, given.points, None, given.sigma)
    calls = []
    result = fit_codes_adam(decoder, bare, IGR(), NearSurface(), 3, on_step=lambda: calls.append(1))
    assert result.codes.shape == (2, 0)
    assert not result.terms["normal"].any()
    assert len(calls) == 3


def test_works_where_gradients_are_switched_off():
    with torch.no_grad():
        result = fit_codes_adam(Spheres(), spheres([0.62]), IGR(), NearSurface(), steps=100)
    assert abs(result.codes.item() - 0.12) < 0.01
