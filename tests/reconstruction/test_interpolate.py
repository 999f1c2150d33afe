"""Straight lines whose ends are the stops themselves."""

import numpy as np
import pytest
import torch

from shapespace.reconstruction.interpolate import Waypoint, interpolate
from shapespace.scan import Frame


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
