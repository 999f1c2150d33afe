"""Points that are denser where a surface bends: where, how much, and what stays."""

import numpy as np
import pytest
import trimesh

from shapespace.data.formats.readers import checked
from shapespace.data.prepare.curvature import MOST, bend, chosen_by_curvature
from shapespace.data.prepare.partial import _facts
from shapespace.data.prepare.points import PointOptions, prepare_scan
from shapespace.data.prepare.run import prepare
from shapespace.data.store.store import ScanStore
from shapespace.errors import InputError


def capsule():
    """A rod of radius 0.1 with round ends; the straight part has 10 / 11 of the area."""
    mesh = trimesh.creation.capsule(height=2.0, radius=0.1, count=[32, 32])
    mesh.vertices = np.asarray(mesh.vertices) - mesh.bounds.mean(0)
    return mesh


def prepared(curvature, mesh=None, **more):
    mesh = capsule() if mesh is None else mesh
    raw = checked(np.asarray(mesh.vertices), np.asarray(mesh.faces))
    return prepare_scan(raw, "a", PointOptions(num_points=4000, curvature=curvature, **more))


def test_ends_of_a_rod_get_more_points():
    share = []
    for curvature in (0.0, 1.0, 4.0):
        scan = prepared(curvature, sigma=False)
        assert scan.points.shape == (4000, 3)
        assert len(np.unique(scan.points, axis=0)) == 4000
        points = scan.frame.to_source(scan.points)
        share.append(float((np.abs(points[:, 2]) > 1.0).mean()))
        # The centre is that of the surface, not of the points.
        assert np.abs(scan.frame.centre).max() < 0.03
    assert share[0] == pytest.approx(0.1 / 1.1, abs=0.02)
    assert share[0] < share[1] < share[2]


def test_density_is_what_the_formula_says():
    rng = np.random.default_rng(0)
    # A plane of 3000 points and a tight ball of 1000.
    plane = np.concatenate([rng.random((3000, 2)) * 10, np.zeros((3000, 1))], axis=1)
    ball = rng.normal(size=(1000, 3))
    ball /= np.linalg.norm(ball, axis=1, keepdims=True)
    far = np.array([0.0, 0, 50])
    points = np.concatenate([plane, ball + far])
    normals = np.concatenate([np.tile([0.0, 0, 1], (3000, 1)), ball])
    b = bend(points, normals)
    assert (b[:3000] == 0).all() and b[3000:].mean() == pytest.approx(4.0)
    rows = [
        chosen_by_curvature(points, normals, weight=2.0, count=100, rng=np.random.default_rng(s))
        for s in range(40)
    ]
    of_ball = float((np.concatenate(rows) >= 3000).mean())
    assert of_ball == pytest.approx(1000 * 9 / (1000 * 9 + 3000), abs=0.03)


def test_a_plane_and_a_ball_stay_uniform():
    rng = np.random.default_rng(1)
    flat = np.concatenate([rng.random((500, 2)), np.zeros((500, 1))], axis=1)
    assert (bend(flat, np.tile([0.0, 0, 1], (500, 1))) == 0).all()
    rows = chosen_by_curvature(flat, np.tile([0.0, 0, 1], (500, 1)), weight=5.0, count=500, rng=rng)
    assert sorted(rows) == list(range(500))


def test_a_crease_does_not_take_all():
    rng = np.random.default_rng(2)
    points = np.concatenate([rng.random((5000, 2)) * 30, np.zeros((5000, 1))], axis=1)
    normals = np.tile([0.0, 0, 1], (5000, 1))
    normals[:3] = [1.0, 0, 0]
    assert bend(points, normals).max() == MOST


def test_weight_0_changes_neither_points_nor_stamps():
    plain = prepared(0.0)
    assert (
        plain.checksum
        == prepare_scan(
            checked(np.asarray(capsule().vertices), np.asarray(capsule().faces)),
            "a",
            PointOptions(num_points=4000),
        ).checksum
    )
    assert "curvature" not in _facts(PointOptions())
    assert _facts(PointOptions(curvature=1.0))["curvature"] == 1.0


def test_sigma_is_that_of_the_denser_points():
    scan = prepared(4.0)
    ends = np.abs(scan.frame.to_source(scan.points)[:, 2]) > 1.0
    assert scan.sigma[ends].mean() < scan.sigma[~ends].mean()


def test_a_cloud_is_refused():
    points = np.random.default_rng(0).normal(size=(300, 3))
    with pytest.raises(InputError, match=r"is a cloud, .* leave curvature=1 out"):
        prepare_scan(checked(points, None, points), "a", PointOptions(curvature=1.0))


def test_a_store_is_prepared_anew_for_another_curvature(tmp_path):
    capsule().export(tmp_path / "rod.ply")
    centres, points = [], []
    for curvature in (0.0, 2.0):
        prepare(tmp_path / "rod.ply", tmp_path / "s.hdf5", num_points=500, curvature=curvature)
        store = ScanStore(tmp_path / "s.hdf5")
        points.append(store["rod"].points)
        centres.append(store.frame("rod").centre)
        store.close()
    assert not np.array_equal(*points)
    np.testing.assert_allclose(*centres, atol=0.1)
    with pytest.raises(InputError, match=r"curvature=-1: give a number, 0 or more"):
        prepare(tmp_path / "rod.ply", tmp_path / "s.hdf5", curvature=-1.0)
