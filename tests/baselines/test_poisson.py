"""Screened Poisson on a sphere, and what it says where it cannot work."""

import sys

import numpy as np
import pytest

from shapespace.baselines.poisson import screened_poisson
from shapespace.errors import InputError

CENTRE, RADIUS = np.array([300.0, -20.0, 7.0]), 5.0


def sphere(count=4000):
    directions = np.random.default_rng(0).normal(size=(count, 3))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    return CENTRE + RADIUS * directions, directions


def test_a_sphere_is_recovered_in_its_own_frame():
    pytest.importorskip("open3d", exc_type=ImportError)
    mesh = screened_poisson(*sphere(), depth=6)
    distance = np.linalg.norm(mesh.vertices - CENTRE, axis=1)
    assert np.abs(distance - RADIUS).max() < 0.02 * RADIUS
    assert mesh.is_watertight
    assert mesh.volume == pytest.approx(4 / 3 * np.pi * RADIUS**3, rel=0.01)
    points, normals = sphere()
    points.setflags(write=False)
    again = screened_poisson(points, normals, depth=6)
    np.testing.assert_array_equal(mesh.vertices, again.vertices)


def test_trimming_opens_what_no_point_has_seen():
    pytest.importorskip("open3d", exc_type=ImportError)
    points, normals = sphere()
    seen = normals[:, 2] < 0.5
    whole, cut = (screened_poisson(points[seen], normals[seen], 6, trim) for trim in (0.0, 0.2))
    top, rim = ((mesh.vertices[:, 2] - CENTRE[2]).max() / RADIUS for mesh in (whole, cut))
    assert top > 0.7
    assert rim == pytest.approx(0.5, abs=0.05)
    assert len(cut.vertices) == pytest.approx(0.8 * len(whole.vertices), rel=0.01)


def test_without_open3d(monkeypatch):
    monkeypatch.setitem(sys.modules, "open3d", None)
    with pytest.raises(InputError, match=r"pip install 'shapespace\[baseline\]'"):
        screened_poisson(*sphere(9))


@pytest.mark.parametrize(
    ("count", "depth", "trim", "named"),
    [(9, 0, 0.0, "depth=0"), (9, 40, 0.0, "depth=40"), (9, 5, 1.0, "trim=1"), (0, 5, 0.0, "0 po")],
)
def test_a_wrong_argument(count, depth, trim, named):
    with pytest.raises(InputError, match=named):
        screened_poisson(*sphere(count), depth, trim)


def test_a_missing_normal():
    points, normals = sphere(9)
    with pytest.raises(InputError, match="9 points and 8 normals"):
        screened_poisson(points, normals[:8])
