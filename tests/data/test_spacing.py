"""Neighbours by brute force; pieces that were put apart on purpose."""

import numpy as np
import pytest

from shapespace.data.spacing import GAP, NUM_NEIGHBOURS, spacing_of, split_components


def sphere(count, dimension=3, seed=0):
    points = np.random.default_rng(seed).normal(size=(count, dimension))
    return points / np.linalg.norm(points, axis=1, keepdims=True)


@pytest.mark.parametrize(("count", "dimension"), [(9, 3), (300, 3), (17, 2), (300, 2)])
def test_neighbours_are_those_of_brute_force(count, dimension):
    points = sphere(count, dimension)
    near = spacing_of(points)
    apart = np.linalg.norm(points[:, None] - points, axis=2)
    np.fill_diagonal(apart, np.inf)
    order = np.argsort(apart, axis=1)[:, : NUM_NEIGHBOURS[dimension]]
    np.testing.assert_array_equal(near.index, order)
    np.testing.assert_allclose(near.distance, np.take_along_axis(apart, order, 1))


@pytest.mark.parametrize("dimension", [2, 3])
@pytest.mark.parametrize("count", [60, 500, 5000])
def test_one_piece(count, dimension):
    for seed in range(3):
        points = sphere(count, dimension, seed)
        shape, pieces = split_components(points, spacing_of(points))
        assert shape.all() and pieces == []


def test_pieces_and_their_gaps():
    ball = sphere(5000)
    bits = [0.05 * sphere(60) + [1.55, 0, 0], 0.02 * sphere(20) + [0, 0, 1.32], [[0, -3.0, 0]]]
    points = np.concatenate([ball, *bits])
    near = spacing_of(points)
    shape, pieces = split_components(points, near)
    assert shape[:5000].all() and not shape[5000:].any()
    unit = np.median(near.spacing)
    assert [count for count, _ in pieces] == [60, 20, 1]
    np.testing.assert_allclose([gap for _, gap in pieces], [0.5 / unit, 0.3 / unit, 2 / unit], 0.05)


def test_what_lies_close_belongs_to_the_shape():
    ball = sphere(5000)
    unit = np.median(spacing_of(ball).spacing)
    for times, own in ((0.7 * GAP, True), (1.5 * GAP, False)):
        bit = 0.01 * sphere(40) + [0, 0, 1.01 + times * unit]
        points = np.concatenate([ball, bit])
        shape, pieces = split_components(points, spacing_of(points))
        assert shape.all() == own and bool(pieces) != own


def test_a_large_part_belongs_to_the_shape_and_is_told():
    points = np.concatenate([sphere(3000), 0.5 * sphere(800) + [3, 0, 0]])
    shape, pieces = split_components(points, spacing_of(points))
    assert shape.all() and [count for count, _ in pieces] == [800]


def test_points_on_top_of_each_other():
    points = np.repeat(sphere(40), 20, axis=0)
    shape, pieces = split_components(points, spacing_of(points))
    assert shape.sum() + sum(count for count, _ in pieces) >= len(points) - shape.sum()
