"""Principal axes and the shrunk covariance."""

import pytest
import torch

from shapespace.errors import InputError
from shapespace.priors.axes import CodeAxes, ledoit_wolf


def drawn(num, length, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(num, length, generator=generator).double()


def test_the_shrinkage_is_that_of_the_formula_written_as_loops():
    offsets = drawn(7, 4) * torch.tensor([3.0, 1.0, 0.5, 0.1])
    plain = sum(torch.outer(x, x) for x in offsets) / 7
    ball = plain.trace() / 4 * torch.eye(4)
    far = ((plain - ball) ** 2).sum()
    near = sum(((torch.outer(x, x) - plain) ** 2).sum() for x in offsets) / 7**2
    share = min(1.0, float(near / far))
    found = ledoit_wolf(offsets)
    assert 0 < share < 1 and found.shrinkage == pytest.approx(share, rel=1e-9)
    torch.testing.assert_close(found.covariance, (1 - share) * plain + share * ball)


def test_whole_weights_count_copies_in_the_covariance():
    offsets = drawn(5, 3)
    weights = torch.tensor([1.0, 2.0, 0.0, 1.0, 3.0]).double()
    copies = offsets.repeat_interleave(weights.long(), 0)
    weighted, plain = ledoit_wolf(offsets, weights), ledoit_wolf(copies)
    trace = plain.covariance.trace()
    torch.testing.assert_close(weighted.covariance.trace(), trace)
    # Copies are no independent evidence: weights shrink more than as many points would.
    assert weighted.shrinkage >= plain.shrinkage


def test_the_more_codes_the_less_shrinkage_and_none_of_nothing():
    shares = [ledoit_wolf(drawn(num, 6) * torch.arange(1, 7)).shrinkage for num in (4, 40, 4000)]
    assert shares[0] > shares[1] > shares[2] and shares[2] < 0.01
    assert ledoit_wolf(torch.zeros(3, 2).double()).covariance.tolist() == [[0, 0], [0, 0]]
    assert ledoit_wolf(torch.zeros(3, 0).double()).covariance.shape == (0, 0)


def test_codes_of_a_plane_have_two_leading_axes_and_come_back():
    plane = drawn(50, 2) @ drawn(2, 9, seed=1) + 3
    axes = CodeAxes.of_codes(plane.float())
    assert axes.num_leading == 2
    back = axes.codes(axes.along(plane)[:, :2])
    torch.testing.assert_close(back, plane, rtol=0, atol=1e-5)


@pytest.mark.parametrize("codes", [torch.ones(1, 3), torch.ones(4, 3), torch.zeros(2, 5)])
def test_equal_codes_have_no_leading_axis_and_a_finite_volume(codes):
    axes = CodeAxes.of_codes(codes)
    assert axes.num_leading == 0 and torch.isfinite(axes.log_volume)
    assert axes.codes(torch.zeros(2, 0).double()).tolist() == codes[:1].repeat(2, 1).tolist()


@pytest.mark.parametrize(("shape", "said"), [((3, 0), "code length 0"), ((0, 3), "0 codes")])
def test_without_codes_or_numbers_there_is_no_prior(shape, said):
    with pytest.raises(InputError, match=said):
        CodeAxes.of_codes(torch.zeros(shape))
