"""A decoder that is refined explains its scan better and is elsewhere what it was."""

import copy

import pytest
import torch

from shapespace.decoders import Decoder
from shapespace.errors import InputError
from shapespace.fitting import Refinement
from shapespace.objectives import IGR
from shapespace.sampling import NearSurface
from shapespace.scan import Scan

SAMPLER = NearSurface(sigma=0.05, extent=1.5)


def sphere(radius=0.55, dimension=3, num=800, normals=True):
    generator = torch.Generator().manual_seed(0)
    unit = torch.randn(1, num, dimension, generator=generator)
    unit = torch.nn.functional.normalize(unit, dim=-1)
    known = unit if normals else None
    return Scan(torch.tensor([0]), radius * unit, known, torch.full((1, num), 0.05))


class Bumpy(Decoder):
    """The distance to a sphere of radius a half, and bumps, none to begin with."""

    def __init__(self, latent_size=4, dimension=3):
        super().__init__()
        torch.manual_seed(0)
        self.latent_size, self.dimension = latent_size, dimension
        last = torch.nn.Linear(64, 1)
        torch.nn.init.zeros_(last.weight)
        torch.nn.init.zeros_(last.bias)
        first = torch.nn.Linear(dimension + latent_size, 64)
        self.bumps = torch.nn.Sequential(first, torch.nn.Softplus(20), last)

    def forward(self, points, latent):
        codes = latent[:, None].expand(-1, points.shape[1], -1)
        bumps = self.bumps(torch.cat([points, codes], -1))[..., 0]
        return points.norm(dim=-1) - 0.5 + bumps


def refined(decoder, scan, latent_size=4, seed=0, **options):
    refinement = Refinement(**{"steps": 60, "lr": 1e-2, "num_points": 200, **options})
    code = torch.zeros(1, latent_size)
    return refinement(decoder, scan, code, 0.5, IGR(), SAMPLER, seed)


@pytest.mark.parametrize(
    ("latent_size", "dimension", "normals"), [(4, 3, True), (0, 3, False), (4, 2, True)]
)
def test_the_scan_is_explained_better(latent_size, dimension, normals):
    decoder, scan = Bumpy(latent_size, dimension), sphere(0.52, dimension, normals=normals)
    code = torch.zeros(1, latent_size)
    new = refined(decoder, scan, latent_size, hold=0.01)
    before, after = (each(scan.points, code).abs().mean() for each in (decoder, new))
    assert after < 0.5 * before


def test_the_decoder_stays_as_it_was():
    decoder = Bumpy()
    before = copy.deepcopy(decoder.state_dict())
    with torch.no_grad():  # gradients are taken all the same
        new = refined(decoder, sphere(), outlier=0.2, steps=3)
    torch.testing.assert_close(decoder.state_dict(), before, rtol=0, atol=0)
    assert all(p.requires_grad and p.grad is None for p in decoder.parameters())
    assert not any(p.requires_grad for p in new.parameters())


def test_half_a_scan_leaves_the_other_half():
    decoder, whole, code = Bumpy(), sphere(0.5), torch.zeros(1, 4)
    near = whole.points[0, :, 0] > 0
    normals = whole.normals[:, near]
    half = Scan(whole.index, whole.points[:, near], normals, whole.sigma[:, near])
    objective = IGR(outside=5.0).for_refinement()
    new = Refinement(lr=1e-2, num_points=200)(decoder, half, code, 0.5, objective, SAMPLER)
    assert new(whole.points[:, ~near], code).abs().max() < 2e-3


def test_far_from_the_scan_the_field_is_held():
    decoder, code = Bumpy(), torch.zeros(1, 4)
    whole = sphere()
    near = whole.points[0, :, 0] > 0.3
    cap = Scan(whole.index, whole.points[:, near], None, whole.sigma[:, near])
    other_side = -cap.points
    change = {}
    for hold in (1e-6, 10.0):
        new = refined(decoder, cap, outlier=0.2, hold=hold)
        change[hold] = (new(other_side, code) - decoder(other_side, code)).abs().mean()
    assert change[10.0] < 0.5 * change[1e-6]


def test_outliers_alone_change_nothing():
    decoder, far = Bumpy(), sphere(1.2)
    new = refined(decoder, far, outlier=0.05)
    torch.testing.assert_close(new.state_dict(), decoder.state_dict(), rtol=0, atol=0)


def test_the_seed_decides():
    decoder, scan = Bumpy(), sphere()
    first, again, other = (refined(decoder, scan, outlier=0.2, seed=s, steps=2) for s in (0, 0, 1))
    torch.testing.assert_close(first.state_dict(), again.state_dict(), rtol=0, atol=0)
    pairs = zip(first.parameters(), other.parameters(), strict=True)
    assert any((a != b).any() for a, b in pairs)


@pytest.mark.parametrize("option", ["steps", "num_points", "lr", "reach", "outlier", "hold"])
def test_what_makes_no_sense_is_refused(option):
    none = 0 if option in ("steps", "num_points") else 0.0
    with pytest.raises(InputError, match=option):
        Refinement(**{option: none})
