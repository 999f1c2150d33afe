import torch

from shapespace.decoders import Decoder
from shapespace.fitting import Pose, Search
from shapespace.fitting.residuals import State
from shapespace.fitting.uncertainty import PATCHES, covariance, surface_deviation
from tests.fitting.ellipsoids import CODES, Ellipsoids, ellipsoids, training_codes


class Plates(Decoder):
    """F(x; z) = |x_0| - 1 - z_0 for x_0 > 0 and |x_0| - 1 - z_1 beyond: two independent sides."""

    dimension, latent_size = 3, 2

    def forward(self, points, latent):
        side = (points[..., 0] < 0).long()
        return points[..., 0].abs() - 1 - latent.gather(1, side)


def test_a_linear_space_has_the_variance_of_the_textbook():
    information = torch.tensor([[[0.5, 0.0], [0.0, 0.0]]]).double()
    prior = torch.diag(torch.tensor([4.0, 25.0])).double()
    spread = torch.tensor([0.1]).double()
    found = covariance(information, prior, spread)
    expected = torch.diag(torch.tensor([1 / (0.5 * PATCHES / 0.01 + 4.0), 1 / 25.0])).double()
    torch.testing.assert_close(found[0], expected, rtol=1e-4, atol=1e-9)
    ends = torch.tensor([[[1.0, 0.3, 0.2], [-1.0, 0.3, 0.2]]]).double()
    state = State(torch.zeros(1, 2).double(), Pose.identity(1, ends))
    deviation = surface_deviation(
        Plates(), ends, state, covariances=found, spread=spread, freedom="none"
    )
    sides = torch.hypot(expected.diagonal().sqrt(), spread)
    torch.testing.assert_close(deviation[0], sides, rtol=1e-4, atol=1e-9)


def test_what_was_not_seen_is_less_sure():
    decoder, codes = Ellipsoids(), training_codes()
    scan = ellipsoids(CODES[:1], 3000)
    noise = 0.005 * torch.randn(scan.points.shape, generator=torch.Generator().manual_seed(2))
    points = scan.points + noise.double()
    seen = scan.points[0, :, 0].abs() < 0.3
    part = type(scan)(scan.index, points[:, seen], None, scan.sigma[:, seen])
    result = Search()(decoder, part, codes)
    assert result.covariances is not None and result.covariances.shape == (1, 6, 6)
    state = State(result.codes, result.poses)
    deviation = surface_deviation(
        decoder,
        scan.points,
        state,
        covariances=result.covariances,
        spread=result.scatter,
        freedom=result.freedom,
    )[0]
    tip = scan.points[0, :, 0].abs() > 0.6
    assert deviation[tip].median() > 1.5 * deviation[seen].median()
    error = (decoder(scan.points, result.codes)[0]).abs()
    assert (error[tip] < 2 * deviation[tip]).float().mean() > 0.8
    assert 0.003 < result.scatter.item() < 0.008
