"""Percentiles, and intervals by drawing people, against resampling by hand."""

import math

import numpy as np
import pytest

from shapespace.evaluation.bootstrap import (
    RESAMPLES,
    draws,
    summary_of,
    weighted_means,
    weighted_medians,
)

VALUES = np.random.default_rng(0).gamma(2.0, size=23)
GROUPS = [f"person {row % 6}" for row in range(23)]


def test_percentiles_and_mean():
    found = summary_of(np.arange(101.0), ["a"] * 101)
    assert (found.p5, found.p50, found.p95, found.mean) == (5, 50, 95, 50)
    assert (found.shapes, found.groups) == (101, 1)
    assert found.median_ci is found.mean_ci is None, "one person says nothing of others"


def test_weighted_means_and_medians_equal_those_of_repeated_values():
    count = np.random.default_rng(1).integers(0, 4, size=(50, 23))
    count[:, 0] = 1
    for row, mean, median in zip(
        count, weighted_means(VALUES, count), weighted_medians(VALUES, count), strict=True
    ):
        drawn = np.repeat(VALUES, row)
        assert mean == pytest.approx(drawn.mean(), rel=1e-12)
        assert median == pytest.approx(np.median(drawn), rel=1e-12)


def test_the_intervals_are_those_of_resampled_people():
    people = sorted(set(GROUPS))
    by_person = [VALUES[[g == person for g in GROUPS]] for person in people]
    resamples = [
        np.concatenate([np.tile(by_person[i], n) for i, n in enumerate(row)])
        for row in draws(6, RESAMPLES, 4)
    ]
    found = summary_of(VALUES, GROUPS, seed=4)
    for interval, statistic in ((found.mean_ci, np.mean), (found.median_ci, np.median)):
        naive = np.percentile([statistic(drawn) for drawn in resamples], [2.5, 97.5])
        np.testing.assert_allclose(interval, naive, rtol=1e-12)


def test_frames_of_one_person_make_no_one_surer():
    """Ten equal frames a person are worth one."""
    one = summary_of(VALUES[:6], GROUPS[:6])
    ten = summary_of(np.repeat(VALUES[:6], 10), np.repeat(GROUPS[:6], 10).tolist())
    assert ten.mean_ci == pytest.approx(one.mean_ci, rel=1e-12)
    alone = summary_of(np.repeat(VALUES[:6], 10), [str(row) for row in range(60)])
    assert np.ptp(alone.mean_ci) < 0.5 * np.ptp(one.mean_ci)


def test_draws_repeat_and_are_of_groups():
    assert (draws(5, 40, 1).sum(1) == 5).all()
    assert summary_of(VALUES, GROUPS, 7) == summary_of(VALUES, GROUPS, 7)
    assert summary_of(VALUES, GROUPS, 7) != summary_of(VALUES, GROUPS, 8)


def test_the_mean_is_within_its_interval_as_often_as_promised():
    rng = np.random.default_rng(2)
    hits = 0
    for _ in range(100):
        low, high = summary_of(rng.normal(size=40), [str(i) for i in range(40)]).mean_ci
        hits += low <= 0 <= high
    assert 88 <= hits <= 99


def test_infinite_values_are_kept_as_such():
    values = np.array([1.0, 2.0, 3.0, math.inf])
    found = summary_of(values, list("abcd"))
    assert (found.p50, found.p95, found.mean) == (2.5, math.inf, math.inf)
    assert found.mean_ci[1] == math.inf and found.median_ci[0] == 1
    assert summary_of(np.array([math.inf]), ["a"]).p5 == math.inf
    assert not any(map(math.isnan, [*found.mean_ci, *found.median_ci]))
