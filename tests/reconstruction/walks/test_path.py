"""Straight lines whose ends are the stops themselves, and chains of training codes."""

import numpy as np
import pytest
import torch

from shapespace.reconstruction.walks.path import (
    Waypoint,
    chains,
    chosen_leg,
    code_at,
    interpolate,
    passing_leg,
    strain_of,
)
from shapespace.scan import Frame
from tests.exact import moving_capsule, sphere
from tests.reconstruction.walks.spaces import space_of, spoke


def stop(value, size=3):
    return Waypoint(torch.full((size,), value), Frame(np.full(3, 10 * value), 1 + value))


@pytest.mark.parametrize("steps", [2, 3, 8])
@pytest.mark.parametrize("count", [2, 4])
@pytest.mark.parametrize("size", [0, 3])
def test_ends_and_corners_are_the_stops(steps, count, size):
    stops = [stop(float(value) ** 2, size) for value in range(count)]
    places = interpolate(stops, steps)
    assert len(places) == (count - 1) * (steps - 1) + 1
    for corner, given in zip(places[:: steps - 1], stops, strict=True):
        assert corner is given


def test_places_between_are_even():
    places = interpolate([stop(1.0), stop(3.0)], 5)
    for place, value in zip(places, (1.0, 1.5, 2.0, 2.5, 3.0), strict=True):
        torch.testing.assert_close(place.code, torch.full((3,), value))
        np.testing.assert_allclose(place.frame.centre, np.full(3, 10 * value))
        assert place.frame.scale == pytest.approx(1 + value)


@pytest.mark.parametrize(("count", "steps"), [(1, 3), (2, 1), (0, 0)])
def test_too_few_are_refused(count, steps):
    with pytest.raises(ValueError, match="give at least 2 of each"):
        interpolate([stop(1.0)] * count, steps)


def fan(degrees=150, count=11):
    """Codes on a circle: from each to the next the spoke turns and keeps its length."""
    angles = np.radians(np.linspace(0, degrees, count))
    return space_of(spoke, np.stack([np.cos(angles), np.sin(angles)], 1))


def test_a_chain_goes_where_the_straight_line_is_strained():
    space = fan()
    start, end = space.code("a"), space.code("k")
    leg = chosen_leg(space, start, end, "best")
    assert set(leg.through) <= set("bcdefghij") and leg.through == tuple(sorted(leg.through))
    assert leg.strain < 0.5 * leg.straight
    assert torch.equal(leg.corners[0], start) and torch.equal(leg.corners[-1], end)
    for chain in chains(space.codes.table.weight, start, end):
        assert 0 < len(chain) <= 9 and len(set(chain)) == len(chain)


def test_the_chain_that_is_not_measured_is_one_of_those_that_are():
    space = fan()
    start, end = space.code("a"), space.code("k")
    leg = passing_leg(space, start, end)
    assert leg.strain is None and len(leg.through) > 2
    rows = tuple(space.names.index(name) for name in leg.through)
    assert rows in chains(space.codes.table.weight, start, end)
    assert torch.equal(leg.corners[1:-1], space.codes.table.weight[list(rows)])
    assert torch.equal(leg.corners[0], start) and torch.equal(leg.corners[-1], end)


def test_a_straight_line_stays_where_a_detour_is_worse():
    # The other codes stretch the spoke, and the line between both ends only turns it a little.
    space = space_of(spoke, [[1.0, 0], [1.0, 0.2], [0.4, 0.1], [1.4, 0.1]])
    start, end = space.code("a"), space.code("b")
    assert chosen_leg(space, start, end, "best").through == ()
    straight = chosen_leg(space, start, end, "straight")
    assert straight.through == () and straight.strain is None


@pytest.mark.parametrize("path", ["straight", "training", "best"])
def test_without_codes_between_the_line_is_straight(path):
    space = space_of(spoke, [[1.0, 0], [0, 1.0]])
    leg = chosen_leg(space, space.code("a"), space.code("b"), path)
    assert leg.through == ()
    same = chosen_leg(space, space.code("a"), space.code("a"), path)
    assert same.through == () and (same.strain or 0) == 0
    assert len(passing_leg(space, space.code("a"), space.code("b")).corners) == 2


def test_a_code_of_length_0_has_one_path():
    space = space_of(sphere(0.5), np.zeros((3, 0)))
    assert chosen_leg(space, space.code("a"), space.code("b"), "best").through == ()
    assert passing_leg(space, space.code("a"), space.code("b")).through == ()


def test_points_of_a_chain_are_even_and_meet_its_corners():
    corners = torch.tensor([[0.0, 0], [1, 0], [1, 1], [1, 3]])
    for t, code in [(0.0, [0, 0]), (0.25, [1, 0]), (0.5, [1, 1]), (0.75, [1, 2]), (1.0, [1, 3])]:
        torch.testing.assert_close(code_at(corners, t), torch.tensor(code).float())


def test_strain_of_a_turn_is_nothing_and_of_a_vanished_shape_infinite():
    codes = torch.tensor([[0.0, 0, 0, 0], [0.1, 0, 0, 0.5]])
    assert strain_of(moving_capsule(), codes, 1.0) < 0.01
    assert strain_of(sphere(3.0), codes, 1.0) == np.inf
