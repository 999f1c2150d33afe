"""The metrics of samples against naive twins, and laws that hold exactly."""

import numpy as np
import pytest
import trimesh

from shapespace.errors import InputError
from shapespace.evaluation.sampled_surface import SampledSurface
from shapespace.evaluation.samples.metrics import (
    compactness,
    copies,
    coverage,
    distances_between,
    minimum_matching_distance,
    nearest_neighbour_accuracy,
    novelty,
    on_leading_axes,
    specificity,
    surface_distance,
)


def points(num, seed, at=0.0):
    return np.random.default_rng(seed).normal(size=(num, 3)) + at


def between(a, b):
    return np.linalg.norm(a[:, None] - b[None], axis=2)


def accuracy(a, b):
    return nearest_neighbour_accuracy(between(a, a), between(a, b), between(b, b))


def test_naive_twins_agree():
    a, b = points(7, 0), points(5, 1)
    d = between(a, b)
    hit = {min(range(5), key=lambda j, k=k: d[k, j]) for k in range(7)}
    assert coverage(d) == len(hit) / 5
    closest = [min(d[k, j] for k in range(7)) for j in range(5)]
    assert minimum_matching_distance(d) == pytest.approx(sum(closest) / 5)
    assert specificity(d) == pytest.approx(sum(min(row) for row in d) / 7)
    both, right = np.concatenate([a, b]), 0
    for row, one in enumerate(both):
        others = [(np.linalg.norm(one - x), at) for at, x in enumerate(both) if at != row]
        right += (min(others)[1] < 7) == (row < 7)
    assert accuracy(a, b) == pytest.approx(right / 12)


def test_the_training_set_itself_is_covered_copied_and_told_by_nobody():
    a = points(9, 0)
    d = between(a, a)
    assert coverage(d) == 1 and minimum_matching_distance(d) == 0 and specificity(d) == 0
    assert accuracy(a, a) == 0
    assert copies(d.min(1), np.ones(3)) == 9 and novelty(d.min(1), np.ones(3)) == 0


def test_clusters_apart_are_told_by_everybody_and_one_point_covers_one():
    a, b = points(9, 0), points(8, 1, at=100.0)
    assert accuracy(a, b) == 1
    assert coverage(between(a[:1], b)) == 1 / 8
    near = b[:3] + 1e-3
    assert coverage(between(np.concatenate([near, near]), b)) == 3 / 8


def test_halves_of_one_set_are_hardly_told_apart():
    both = points(600, 0)
    assert accuracy(both[:300], both[300:]) == pytest.approx(0.5, abs=0.08)


def test_the_order_does_not_matter():
    a, b = points(7, 0), points(6, 1)
    rows, columns = np.random.default_rng(2).permutation(7), np.random.default_rng(3).permutation(6)
    assert accuracy(a, b) == accuracy(a[rows], b[columns])
    d, turned = between(a, b), between(a[rows], b[columns])
    for metric in (coverage, minimum_matching_distance, specificity):
        assert metric(turned) == pytest.approx(metric(d))


def test_held_out_shapes_are_as_new_as_themselves():
    some = np.array([1.0, 2.0, 4.0])
    assert novelty(some, some) == 1 and novelty(3 * some, some) == 3
    assert copies(some, some) == 0 and copies(np.array([0.1, 0.3, 5.0]), some) == 1
    assert np.isnan(novelty(some, np.zeros(2)))


def test_one_shape_has_a_neighbour_only_in_the_other_set():
    a, b = points(1, 0), points(1, 1)
    assert accuracy(a, b) == 0 and coverage(between(a, b)) == 1
    with pytest.raises(InputError, match="0 samples and 3 reference shapes"):
        coverage(np.zeros((0, 3)))


def sphere(radius, num=400, seed=0):
    mesh = trimesh.creation.icosphere(4, radius)
    return SampledSurface.of_mesh(mesh, num, seed)


def test_spheres_lie_as_far_apart_as_their_radii():
    pytest.importorskip("igl")
    small, large = sphere(1.0), sphere(1.25, seed=1)
    assert surface_distance(small, large) == pytest.approx(0.25, abs=2e-3)
    assert surface_distance(small, small) == pytest.approx(0, abs=1e-9)
    assert surface_distance(small, large) == surface_distance(large, small)
    empty = SampledSurface.of_mesh(trimesh.Trimesh())
    assert surface_distance(empty, small) == np.inf and surface_distance(empty, empty) == 0


def test_a_set_to_itself_is_measured_like_two_sets():
    pytest.importorskip("igl")
    some = [sphere(radius) for radius in (1.0, 1.1, 1.4)]
    np.testing.assert_allclose(
        distances_between(some, some), distances_between(some, list(some)), atol=1e-9
    )


def test_compactness_is_the_cumulated_variance_and_ends_at_one():
    rng = np.random.default_rng(0)
    codes = rng.normal(size=(50, 4)) * [4.0, 2.0, 1.0, 0.0] + 7
    found = compactness(codes)
    variances = np.sort(np.linalg.eigvalsh(np.cov(codes.T)))[::-1][:3]
    np.testing.assert_allclose(found, np.cumsum(variances) / variances.sum())
    assert len(found) == 3 and found[-1] == pytest.approx(1)
    assert len(compactness(np.ones((5, 3)))) == len(compactness(np.ones((5, 0)))) == 0


def test_codes_on_all_axes_stay_and_on_none_become_the_mean():
    training, codes = points(9, 0), points(4, 1)
    np.testing.assert_allclose(on_leading_axes(codes, training, 3), codes, atol=1e-12)
    np.testing.assert_allclose(
        on_leading_axes(codes, training, 0), np.tile(training.mean(0), (4, 1)), atol=1e-12
    )
    off = [np.linalg.norm(on_leading_axes(codes, training, n) - codes) for n in range(4)]
    assert sorted(off, reverse=True) == off
