import pytest
import torch

from shapespace.errors import InputError
from shapespace.sampling import NearSurface, seeded_generator
from shapespace.scan import Scan


def scan(batch=2, num=4000, dimension=3):
    sigma = torch.full((batch, num), 0.1)
    sigma[:, num // 2 :] = 0.02
    points = torch.randn(batch, num, dimension, generator=torch.Generator().manual_seed(0))
    return Scan(torch.arange(batch), points, None, sigma)


def test_neighbours_have_the_spread_of_their_own_point():
    given = scan()
    space = NearSurface()(given, seeded_generator("cpu", 0)).space
    offset = (space[:, : given.num_points] - given.points).std(dim=(0, 2))
    half = given.num_points // 2
    assert abs(offset[:half].mean() - 0.1) < 0.005
    assert abs(offset[half:].mean() - 0.02) < 0.001


def test_constant_sigma_overrides_the_scan():
    given = scan()
    space = NearSurface(sigma=0.5)(given, seeded_generator("cpu", 0)).space
    assert abs((space[:, : given.num_points] - given.points).std() - 0.5) < 0.02


def test_an_eighth_is_uniform_in_the_box():
    given = scan(dimension=2)
    samples = NearSurface(extent=0.7)(given, seeded_generator("cpu", 0))
    box = samples.space[:, given.num_points :]
    assert box.shape == (2, 500, 2)
    assert samples.num_points == 4000 + 4000 + 500
    assert box.abs().max() <= 0.7
    assert abs(box.std() - 1.4 / 12**0.5) < 0.02


@pytest.mark.parametrize(("near", "count"), [(0.0, 0), (0.25, 1000), (1.0, 4000)])
def test_a_fraction_of_the_points_gets_a_neighbour(near, count):
    given = scan()
    samples = NearSurface(near=near)(given, seeded_generator("cpu", 0))
    assert samples.surface is given.points
    assert samples.space.shape == (2, count + 500, 3)
    offset = samples.space[:, :count] - given.points[:, :count]
    assert (offset.norm(dim=-1) < 6 * given.sigma[:, :count]).all()


@pytest.mark.parametrize("near", [-0.1, 1.1])
def test_a_wrong_fraction(near):
    with pytest.raises(InputError, match="near="):
        NearSurface(near=near)


def test_surface_is_the_scan_itself_and_the_draw_follows_its_keys():
    given = scan()
    first, again, other = (
        NearSurface()(given, seeded_generator("cpu", 7, key)) for key in (1, 1, 2)
    )
    assert first.surface is given.points and first.normals is None
    assert torch.equal(first.space, again.space)
    assert not torch.equal(first.space, other.space)
