"""The winding number of a cloud against exact values, and patches that the tree left wrong."""

import numpy as np
import pytest

from shapespace.data.prepare import orientation
from shapespace.data.prepare.orientation import (
    _signs_by_winding,
    _Subset,
    _winding_numbers,
    orient_normals,
)


def ball(count, seed=0):
    points = np.random.default_rng(seed).normal(size=(count, 3))
    return points / np.linalg.norm(points, axis=1, keepdims=True)


def ring(count):
    angle = np.random.default_rng(0).random(count) * 2 * np.pi
    return np.column_stack([np.cos(angle), np.sin(angle)])


def nearest(points, count):
    """Indices of the nearest others by the naive loop."""
    distance = np.linalg.norm(points[:, None] - points[None], axis=2)
    return np.argsort(distance, axis=1)[:, 1 : count + 1].astype(np.int32)


@pytest.mark.parametrize("points", [ball(4000), ring(4000)])
@pytest.mark.parametrize("side", [1, -1])
def test_winding_at_a_closed_surface_is_one_half(points, side):
    patch = (points[:, 0] > 0).astype(np.int64)
    winding = _winding_numbers(_Subset(points, side * points, patch, 2))
    assert winding.shape == (orientation.PROBES, 2)
    np.testing.assert_allclose(winding.sum(axis=1), side * 0.5, atol=0.05)


def test_winding_equals_the_naive_sum():
    points = ball(300) * 0.5
    winding = _winding_numbers(_Subset(points, points * 2, np.zeros(300, np.int64), 1))[:, 0]
    radius = np.sort(np.linalg.norm(points[:, None] - points[None], axis=2), axis=1)[:, 8]
    step = points[None] - points[:, None]
    squared = (step**2).sum(axis=2) + radius**2 / 8
    naive = ((step * points * 2).sum(axis=2) * radius**2 / 8 / 4 / squared**1.5).sum(axis=1)
    np.testing.assert_allclose(winding, naive, atol=1e-4)


def test_every_choice_of_sides_is_undone():
    centres = np.array([[0.0, 0, 0], [0.6, 0, 0], [0, 0.6, 0]])
    unit = ball(600)
    points = np.concatenate([unit * 0.2 + centre for centre in centres])
    patch = np.repeat(np.arange(3), 600)
    for sides in np.ndindex(2, 2, 2):
        wrong = 2 * np.array(sides) - 1
        normals = np.tile(unit, (3, 1)) * wrong[patch, None]
        signs, certain = _signs_by_winding(_Subset(points, normals, patch, 4))
        np.testing.assert_array_equal(signs[:3], wrong)
        assert certain


@pytest.mark.parametrize("seed", [0, 1])
def test_random_sides_become_outward(seed):
    points = ball(1500, seed)
    sides = np.random.default_rng(seed).choice([-1.0, 1.0], size=(1500, 1))
    normals, trusted = orient_normals(points, points * sides, nearest(points, 16), None)
    np.testing.assert_array_equal(normals, points)
    assert trusted


def test_parts_without_a_link_between_them_agree():
    # a ring with gaps so wide that no point has a neighbour beyond one
    angle = np.concatenate([np.arange(40) * 0.01 + start for start in np.arange(0, 6.28, 0.628)])
    points = np.column_stack([np.cos(angle), np.sin(angle)])
    normals, _ = orient_normals(points, points.copy(), nearest(points, 8), None)
    np.testing.assert_array_equal(normals, points)
