"""What motions of exact shapes cost: nothing, little, much."""

import numpy as np
import pytest
import torch

from shapespace.bending.energy import completed
from shapespace.bending.meshed import bending
from shapespace.bending.samples import ZeroSamples
from tests.exact import (
    bending_capsule,
    blended_capsules,
    moving_capsule,
    shrinking_capsule,
    sphere,
)


def cost(field, code, direction, **more):
    code, direction = (torch.tensor(each, dtype=torch.float64) for each in (code, direction))
    return bending(field, code, direction, extent=1.0, count=400, **more)


@pytest.mark.parametrize("direction", [*np.eye(4).tolist(), [0.3, -0.1, 0.2, 2.0]])
def test_rigid_motions_cost_nothing(direction):
    assert cost(moving_capsule(), [0.1, 0, 0, 0.5], direction).energy < 1e-4


def test_bending_is_cheap_and_shrinking_dear():
    bent = cost(bending_capsule(), [1.0], [1.0]).energy
    shrunk = cost(shrinking_capsule(), [0.3], [1.0]).energy
    assert 0.01 < bent < 0.2
    assert shrunk > 5 * bent


def test_a_blend_of_distances_costs_more_than_the_turn_it_stands_for():
    turn = cost(moving_capsule(), [0, 0, 0, 0.5], [0, 0, 0, 1.0]).energy
    costs = [cost(blended_capsules(angle), [0.1], [1.0]).energy for angle in (0.2, 0.5, 1.0)]
    assert turn < 1e-4 < 0.05 < costs[0] < costs[1] < costs[2]
    assert costs[2] > 2


def test_energy_has_no_unit_and_no_speed():
    one = cost(bending_capsule(), [1.0], [1.0]).energy
    fast = cost(bending_capsule(), [1.0], [-7.0]).energy
    large = bending(
        bending_capsule(5.0, 1.0),
        torch.tensor([0.1]).double(),
        torch.ones(1).double(),
        extent=10.0,
        count=400,
    )
    assert fast == pytest.approx(one, rel=1e-6)
    assert large.energy == pytest.approx(one, rel=0.05)


def test_the_motion_of_a_bend_is_found_along_the_surface_too():
    found = cost(bending_capsule(), [1.0], [1.0])
    # Cross-sections of the arc move as rigid bodies: the middle one stays where it is.
    middle = np.abs(found.samples.points[:, 0]) < 0.05
    ends = np.abs(found.samples.points[:, 0]) > 0.45
    speed = np.linalg.norm(found.velocity, axis=1)
    assert speed[middle].mean() < 0.2 * speed[ends].mean()
    across = (found.velocity * found.samples.normals).sum(1)
    np.testing.assert_allclose(across, found.speed, atol=0.02 * np.abs(found.speed).max())


def test_nothing_moves():
    assert cost(sphere(0.5), [], []).energy == 0
    assert cost(moving_capsule(), [0, 0, 0, 0], [0, 0, 0, 0]).energy == 0


def test_no_surface_has_no_energy():
    found = cost(sphere(3.0), [], [])
    assert np.isnan(found.energy) and found.mean_square_speed == 0


def test_the_minimum_is_a_minimum():
    found = cost(bending_capsule(), [1.0], [1.0])
    again = completed(found.samples, found.speed)
    assert again.energy == pytest.approx(found.energy, rel=1e-9)
    size, count = found.samples.size, len(found.speed)

    def value(velocity):
        misfit = np.square(found.speed - (velocity * found.samples.normals).sum(1)).mean()
        ridge = 1e-6 * np.square(velocity).sum(1).mean()
        return (size**2 * found.graph.strain(velocity) + misfit / 1e-4 + ridge) / np.square(
            found.speed
        ).mean()

    assert value(found.velocity) == pytest.approx(found.energy, rel=1e-9)
    for seed in range(5):
        change = np.random.default_rng(seed).normal(size=(count, 3))
        assert value(found.velocity + 1e-4 * change) > found.energy


def test_one_sample():
    one = ZeroSamples(np.zeros((1, 3)), np.array([[0, 0, 1.0]]))
    assert completed(one, np.ones(1)).energy == pytest.approx(0, abs=1e-5)
