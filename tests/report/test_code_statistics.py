"""Laws of the statistics of codes, against tables whose answers are known."""

import numpy as np
import pytest

from shapespace.report.code_statistics import (
    code_statistics,
    nearest_codes,
    principal_axes,
)


def orthogonal(rows, columns, seed=0):
    """Columns [rows, columns] of length 1, orthogonal to each other and to a constant."""
    table = np.random.default_rng(seed).normal(size=(rows, columns))
    return np.linalg.qr(np.column_stack([np.ones(rows), table]))[0][:, 1:]


def with_spectrum(spectrum, rows=40, mean=0.0):
    """A table of codes whose covariance has just these eigenvalues, along turned axes."""
    length = len(spectrum)
    turn = np.linalg.qr(np.random.default_rng(1).normal(size=(length, length)))[0]
    return orthogonal(rows, length) * np.sqrt(rows * np.array(spectrum)) @ turn + mean


@pytest.mark.parametrize("length", [1, 2, 7])
def test_a_round_cloud_has_full_rank(length):
    found = code_statistics(with_spectrum([0.3] * length, mean=5.0))
    assert found.effective_rank == pytest.approx(length)
    assert found.participation_ratio == pytest.approx(length)
    np.testing.assert_allclose(found.spectrum, 0.3)


def test_many_gaussian_codes_come_near_full_rank():
    found = code_statistics(np.random.default_rng(0).normal(size=(20_000, 8)))
    assert found.effective_rank == pytest.approx(8, rel=1e-3)


def test_a_line_has_rank_one():
    table = np.outer(np.random.default_rng(0).normal(size=30), np.ones(6)) + 3
    found = code_statistics(table)
    assert found.effective_rank == pytest.approx(1)
    assert found.participation_ratio == pytest.approx(1)
    assert found.axes_for(0.99) == 1
    assert not found.coordinates[:, 1].any()


def test_the_spectrum_is_that_of_the_covariance():
    table = np.random.default_rng(3).normal(size=(25, 5)) * [3, 1, 0.5, 0.2, 0.1]
    slow = np.sort(np.linalg.eigvalsh(np.cov(table.T, bias=True)))[::-1]
    found = code_statistics(table)
    np.testing.assert_allclose(found.spectrum, slow)
    np.testing.assert_allclose(found.norms, [sum(x * x for x in row) ** 0.5 for row in table])
    np.testing.assert_allclose(found.coordinates.var(axis=0), slow[:2])


def test_rank_does_not_change_by_shift_scale_turn_or_order():
    table = with_spectrum([4.0, 2.0, 1.0, 0.5])
    turn = np.linalg.qr(np.random.default_rng(5).normal(size=(4, 4)))[0]
    others = [table + 7, 3 * table, table @ turn, table[::-1]]
    rank = code_statistics(table).effective_rank
    assert [code_statistics(other).effective_rank for other in others] == pytest.approx([rank] * 4)


def test_known_values_between():
    found = code_statistics(with_spectrum([0.5, 0.25, 0.25]))
    assert found.effective_rank == pytest.approx(2**1.5)
    assert found.participation_ratio == pytest.approx(1 / (0.25 + 0.125))
    assert (found.axes_for(0.5), found.axes_for(0.75), found.axes_for(1.0)) == (1, 2, 3)


@pytest.mark.parametrize("shape", [(5, 0), (1, 4), (1, 0), (6, 3)])
def test_nothing_varies(shape):
    found = code_statistics(np.full(shape, 2.5))
    assert found.effective_rank == found.participation_ratio == found.axes_for(0.9) == 0
    assert found.spectrum.shape == shape[1:] and found.coordinates.shape == (shape[0], 2)
    assert len(found.norms) == shape[0] and not found.coordinates.any()


def test_neighbours_are_those_of_a_slow_search():
    generator = np.random.default_rng(0)
    codes, table = generator.normal(size=(3, 4)), generator.normal(size=(12, 4))
    rows, gaps = nearest_codes(codes, table, 5)
    for code, found, gap in zip(codes, rows, gaps, strict=True):
        slow = sorted(
            (sum((a - b) ** 2 for a, b in zip(code, other, strict=True)) ** 0.5, row)
            for row, other in enumerate(table)
        )[:5]
        assert [row for _, row in slow] == found.tolist()
        np.testing.assert_allclose(gap, [gap for gap, _ in slow])
    assert nearest_codes(codes, table[:2], 5)[0].shape == (3, 2)


def test_principal_axes_give_the_codes_back():
    table = with_spectrum([4.0, 1.0, 0.25, 0.0], mean=2.0)
    axes = principal_axes(table)
    np.testing.assert_allclose(axes.variances, [4.0, 1.0, 0.25])
    np.testing.assert_allclose(axes.directions @ axes.directions.T, np.eye(3), atol=1e-12)
    assert (axes.directions[range(3), np.abs(axes.directions).argmax(1)] > 0).all()
    found = axes.coordinates(table)
    np.testing.assert_allclose(found.var(0), axes.variances)
    np.testing.assert_allclose(axes.mean + found @ axes.directions, table, atol=1e-9)
    for empty in (np.zeros((3, 0)), np.ones((1, 4))):
        assert principal_axes(empty).directions.shape == (0, empty.shape[1])
