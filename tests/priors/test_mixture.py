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
