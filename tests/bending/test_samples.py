"""Samples of the whole zero set, and its velocity along the normals."""

import numpy as np
import pytest
import torch

from shapespace.bending.meshed import zero_samples
from shapespace.bending.samples import normal_velocity, size_of
from tests.exact import moving_capsule, sphere, two_spheres

NO_CODE = torch.zeros(0, dtype=torch.float64)


def test_samples_lie_on_the_surface_and_cover_it_evenly():
    samples = zero_samples(sphere(0.6), NO_CODE, count=300, extent=1.0)
    distance = np.linalg.norm(samples.points, axis=1)
    np.testing.assert_allclose(distance, 0.6, atol=1e-10)
    np.testing.assert_allclose(samples.normals, samples.points / 0.6, atol=1e-8)
    assert samples.size == pytest.approx(0.6, rel=0.02)
    assert 280 < len(samples.points) <= 300
    gap = np.linalg.norm(samples.points[:, None] - samples.points, axis=2) + np.eye(
        len(samples.points)
    )
    assert gap.min() > 0.03


def test_loose_parts_are_sampled_too():
    samples = zero_samples(two_spheres(1.0, (0.4, 0.1)), NO_CODE, count=300, extent=1.5)
    loose = np.linalg.norm(samples.points - [1.0, 0, 0], axis=1) < 0.2
    assert 5 < loose.sum() < 60


def test_an_empty_zero_set_has_no_samples():
    samples = zero_samples(sphere(3.0), NO_CODE, count=100, extent=1.0)
    assert samples.points.shape == (0, 3) and samples.size == 0


def test_velocity_of_a_rigid_motion():
    code = torch.tensor([0.1, 0.0, 0.0, 0.4], dtype=torch.float64)
    samples = zero_samples(moving_capsule(), code, count=200, extent=1.0)
    motion = torch.tensor([0.3, -0.2, 0.1, 0.7], dtype=torch.float64)
    # The angle turns the capsule about its middle, which the shift has moved.
    turned = np.cross([0, 0, 0.7], samples.points - [0.1, 0, 0])
    exact = ((turned + np.array([0.3, -0.2, 0.1])) * samples.normals).sum(1)
    found = normal_velocity(moving_capsule(), code, motion, samples.points)
    np.testing.assert_allclose(found, exact, atol=1e-6)


def test_size_of_nothing():
    assert size_of(np.zeros((0, 3))) == 0
