"""The mixture against exact densities, loops and known clusters."""

import math

import pytest
import torch

from shapespace.priors.mixture import Components, GaussianMixture, chosen


def clusters(num=40, length=5, apart=1.0, seed=0):
    """Codes of two clusters, at +apart and -apart in every number."""
    generator = torch.Generator().manual_seed(seed)
    noise = 0.1 * torch.randn(2 * num, length, generator=generator)
    side = torch.tensor([1.0, -1.0]).repeat_interleave(num)[:, None]
    return noise + apart * side


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def test_densities_are_those_of_the_formula_written_as_loops():
    covariances = torch.stack([torch.eye(2), torch.tensor([[2.0, 0.5], [0.5, 1.0]])]).double()
    means = torch.tensor([[0.0, 1.0], [-1.0, 2.0]]).double()
    parts = Components(torch.tensor([0.25, 0.75]).double().log(), means, covariances)
    points = torch.randn(6, 2, generator=seeded()).double()
    for row, point in enumerate(points):
        for each in range(2):
            offset = point - means[each]
            square = offset @ torch.linalg.inv(covariances[each]) @ offset
            volume = 2 * math.pi * math.sqrt(torch.linalg.det(covariances[each]))
            value = [0.25, 0.75][each] * math.exp(-0.5 * square) / volume
            assert float(parts.joint(points)[row, each].exp()) == pytest.approx(value, rel=1e-9)


def test_two_clusters_are_told_by_the_criterion_and_one_stays_one():
    found = GaussianMixture.fit(clusters(), seeded())
    assert found.log_weights.exp().tolist() == pytest.approx([0.5, 0.5])
    means = found.in_codes().means
    assert sorted(means.mean(1).tolist()) == pytest.approx([-1, 1], abs=0.05)
    one = torch.randn(200, 5, generator=seeded())
    assert len(chosen(one.double(), seeded()).means) == 1


def test_whole_codes_have_the_density_of_their_components():
    codes = clusters(length=4) @ torch.randn(4, 4, generator=seeded(3))
    found = GaussianMixture.fit(codes, seeded())
    whole = found.in_codes().joint(codes.double()).logsumexp(1)
    torch.testing.assert_close(whole, found.log_prob(codes), rtol=1e-8, atol=1e-8)


def test_the_density_integrates_to_one():
    found = GaussianMixture.fit(clusters(length=2), seeded())
    axis = torch.linspace(-2, 2, 801).double()
    nodes = torch.cartesian_prod(axis, axis)
    mass = float(found.log_prob(nodes).exp().sum()) * (4 / 800) ** 2
    assert mass == pytest.approx(1, abs=1e-3)


def test_the_order_of_the_codes_does_not_matter_much_and_seeds_repeat():
    codes = clusters()
    turned = codes[torch.randperm(len(codes), generator=seeded(5))]
    first, other = (GaussianMixture.fit(each, seeded()) for each in (codes, turned))
    torch.testing.assert_close(first.log_prob(codes), other.log_prob(codes), rtol=0, atol=1e-3)
    assert torch.equal(first.sample(5, seeded(7)), first.sample(5, seeded(7)))


def textbook(parts, held, values):
    """Share, mean and covariance of the free numbers of each component, by inverses."""
    free = [i for i in range(parts.means.shape[1]) if i not in held]
    shares, means, covariances = [], [], []
    for weight, mean, covariance in zip(*parts, strict=True):
        inner = torch.linalg.inv(covariance[held][:, held])
        off = values - mean[held]
        density = torch.distributions.MultivariateNormal(mean[held], covariance[held][:, held])
        shares.append(float((weight + density.log_prob(values)).exp()))
        means.append(mean[free] + covariance[free][:, held] @ inner @ off)
        covariances.append(
            covariance[free][:, free]
            - covariance[free][:, held] @ inner @ covariance[held][:, free]
        )
    return torch.tensor(shares).double() / sum(shares), torch.stack(means), torch.stack(covariances)


def test_held_numbers_condition_the_mixture_as_the_textbook_says():
    generator = seeded(1)
    roots = torch.randn(3, 4, 4, generator=generator).double()
    parts = Components(
        torch.tensor([0.2, 0.5, 0.3]).double().log(),
        torch.randn(3, 4, generator=generator).double(),
        roots @ roots.mT + torch.eye(4),
    )
    held, values = [0, 2], torch.tensor([0.4, -1.0]).double()
    found = parts.given(values, torch.eye(4).double()[held], torch.zeros(2, 2).double())
    shares, means, covariances = textbook(parts, held, values)
    torch.testing.assert_close(found.log_weights.exp(), shares)
    torch.testing.assert_close(found.means[:, held], values.expand(3, 2))
    torch.testing.assert_close(found.means[:, [1, 3]], means)
    torch.testing.assert_close(found.covariances[:, [1, 3]][:, :, [1, 3]], covariances)


def test_samples_have_the_held_numbers_and_the_others_that_go_with_them():
    # Two clusters: who has the numbers of one is of that one.
    codes = clusters(length=6)
    found = GaussianMixture.fit(codes, seeded())
    drawn = found.sample_holding(200, seeded(2), codes[-1], slice(0, 2))
    assert torch.equal(drawn[:, :2], codes[-1, :2].expand(200, 2))
    assert (drawn[:, 2:] < 0).all()
    torch.testing.assert_close(drawn[:, 2:].mean(0), -torch.ones(4), rtol=0, atol=0.1)
    assert found.sample_holding(0, seeded(), codes[0], slice(0, 2)).shape == (0, 6)
    whole = found.sample_holding(2, seeded(), codes[0], slice(0, None))
    torch.testing.assert_close(whole, codes[:1].expand(2, 6))


def test_few_codes_of_many_numbers_can_be_held():
    codes = torch.randn(9, 40, generator=seeded(4))
    found = GaussianMixture.fit(codes, seeded())
    drawn = found.sample_holding(5, seeded(), codes[3], slice(8, None))
    assert torch.isfinite(drawn).all() and torch.equal(drawn[:, 8:], codes[3, 8:].expand(5, 32))
    # What is held leaves little doubt whose code it is.
    near = torch.cdist(drawn[:, :8], codes[:, :8]).argmin(1)
    assert (near == 3).all()


def test_equal_codes_leave_nothing_to_draw():
    codes = torch.ones(5, 3)
    drawn = GaussianMixture.fit(codes, seeded()).sample_holding(2, seeded(), codes[0], slice(0, 1))
    torch.testing.assert_close(drawn, torch.ones(2, 3))
