"""Screened Poisson on a sphere, and what it says where it cannot work."""

import sys

import numpy as np
import pytest
import trimesh

from shapespace.baselines import poisson
from shapespace.baselines.poisson import DEPTHS, poisson_baselines, screened_poisson
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


def test_one_point_is_refused_since_it_would_end_the_process():
    pytest.importorskip("open3d", exc_type=ImportError)
    for count in (1, 3):
        with pytest.raises(InputError, match=f"all {count} points are the same"):
            screened_poisson(np.ones((count, 3)), np.ones((count, 3)))


def test_a_baseline_takes_the_best_normals_there_are(monkeypatch):
    given = []

    def recorded(points, normals, depth):
        given.append((points, normals, depth))
        return trimesh.util.concatenate(
            [trimesh.creation.icosphere(1), trimesh.creation.box(bounds=[[5, 5, 5], [6, 6, 6]])]
        )

    monkeypatch.setattr(poisson, "screened_poisson", recorded)
    points, normals = sphere(500)
    half = normals * (normals[:, 2:] > 0)
    ball = trimesh.creation.icosphere(3)
    soup = trimesh.Trimesh(*trimesh.triangles.to_kwargs(ball.triangles).values(), process=False)
    for scan, words in (
        ((points, half, soup), ""),
        ((soup.vertices, 0 * soup.vertices, soup), "normals of its triangles"),
        ((points, None, None), "estimated normals"),
    ):
        given.clear()
        meshes, said = poisson_baselines(*scan)
        assert said == words and [depth for *_, depth in given] == list(DEPTHS)
        assert [len(meshes[depth].faces) for depth in DEPTHS] == [80, 80], "the largest part"
        used, outward, _ = given[0]
        middle = 0 if scan[2] is soup and words else CENTRE
        cosine = np.einsum("ki,ki->k", (used - middle), outward)
        cosine /= np.linalg.norm(used - middle, axis=1)
        assert cosine.min() > 0.9, words
        # Points of unknown orientation are left out; a vertex of several triangles counts once.
        assert len(used) == {"": (normals[:, 2] > 0).sum(), "estimated normals": 500}.get(
            words, 642
        )
    with pytest.raises(InputError, match="no point has a normal"):
        poisson_baselines(np.linspace(0, 1, 9)[:, None] * np.ones(3))
