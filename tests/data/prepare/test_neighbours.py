"""The k-th distance by cells equals that of the naive loop and of the tree, bit for bit."""

import numpy as np
import pytest
from scipy.spatial import KDTree

from shapespace.data.prepare.neighbours import MIN_POINTS, neighbour_distance


def by_tree(points, neighbour=50):
    return KDTree(points).query(points, [neighbour + 1])[0][:, 0].astype(np.float32)


def shell(count, seed=0):
    points = np.random.default_rng(seed).normal(size=(count, 3))
    return points / np.linalg.norm(points, axis=1, keepdims=True)


@pytest.mark.parametrize("dimension", [2, 3])
@pytest.mark.parametrize("neighbour", [1, 7, 50])
def test_equals_the_naive_distance(dimension, neighbour):
    points = np.random.default_rng(0).normal(size=(90, dimension)).astype(np.float32)
    exact = points.astype(np.float64)
    distances = np.sort(np.linalg.norm(exact[:, None] - exact[None], axis=2), axis=1)
    found = neighbour_distance(points, neighbour)
    np.testing.assert_allclose(found, distances[:, neighbour], rtol=1e-6)


RNG = np.random.default_rng(3)
SHELL = shell(MIN_POINTS + 2000)
CLOUDS = {
    "shell": SHELL,
    "just enough for cells": SHELL[:MIN_POINTS],
    "one too few for cells": SHELL[: MIN_POINTS - 1],
    "curve in the plane": np.column_stack([np.cos(t := RNG.random(8000) * 7), np.sin(2 * t)]),
    "filled square": RNG.random((8000, 2)),
    "filled cube": RNG.random((8000, 3)),
    "line": np.linspace([0, 0, 0], [1, 2, 3], 6000),
    "lattice": np.stack(np.meshgrid(*[np.arange(18.0)] * 3), -1).reshape(-1, 3),
    "every point 60 times": np.repeat(shell(100), 60, axis=0),
    "nearly all in one place": np.concatenate([np.zeros((5000, 3)), shell(100)]),
    "two densities": np.concatenate([SHELL, shell(3000, 1) * 0.01]),
    "far outliers": np.concatenate([SHELL, RNG.normal(size=(60, 3)) * 1e3]),
    "one beyond all cells": np.concatenate([SHELL, [[1e15, 0, 0]]]),
    "tiny": SHELL * 1e-15,
    "huge": SHELL * 1e15,
    "away from the origin": SHELL + 1000.0,
    "51 points": shell(51),
}


@pytest.mark.parametrize("name", CLOUDS)
def test_equals_the_tree(name):
    points = CLOUDS[name].astype(np.float32)
    found = neighbour_distance(points)
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, by_tree(points))


def test_order_changes_nothing():
    points = SHELL.astype(np.float32)
    order = np.random.default_rng(0).permutation(len(points))
    np.testing.assert_array_equal(
        neighbour_distance(points[order]), neighbour_distance(points)[order]
    )
