"""Coordinates that float32 rounded are told from those that only look large or coarse."""

import numpy as np
import pytest
import trimesh

from shapespace.data.check import check_scans
from shapespace.data.formats.readers import checked
from shapespace.data.prepare.points import prepare_scan
from shapespace.data.prepare.run import prepare
from shapespace.data.rounding import FINELY_ROUNDED, ROUNDED, rounding_of
from shapespace.data.store.store import ScanStore


def statue(count=3000, size=2.0):
    points = np.random.default_rng(0).normal(size=(count, 3))
    return size / 2 * points / np.linalg.norm(points, axis=1, keepdims=True) * [0.5, 0.4, 1.0]


def rounded(points):
    return points.astype(np.float32).astype(np.float64)


def test_rounding_is_found_by_its_step():
    for count in (500, 3000, 40_000):
        spacing = 2 / np.sqrt(count)
        for axis in range(3):
            # Magnitudes whose float32 step is 0.25 to 16 spacings.
            for ratio in (0.25, 1.0, 16.0):
                offset = np.zeros(3)
                offset[axis] = 2.0 ** np.round(np.log2(ratio * spacing * 2**23)) * 1.3
                points = statue(count) + offset
                assert rounding_of(points) is None
                found = rounding_of(rounded(points))
                where = f"{count} {axis} {ratio}"
                assert found is not None and found.axis == "xyz"[axis], where
                assert str(found).startswith(ROUNDED), where
                values = np.unique(rounded(points)[:, axis])
                assert found.distinct == len(values), where
                assert found.step == np.diff(values).min(), where


def test_what_is_not_rounded_visibly_is_not_named():
    for unit in (1e-3, 1.0, 1e3):
        points = unit * statue()
        for times in (0, 1, 30):
            moved = points + times * unit * np.array([1.0, 2.0, 3.0])
            assert rounding_of(rounded(moved)) is None and rounding_of(moved) is None
    # Voxels and millimetres written as whole numbers are coarse, and not by float32.
    assert rounding_of(np.round(20 * statue())) is None
    assert rounding_of(np.round(statue() * 1000) + 4_000_000) is None
    assert rounding_of(np.zeros((60, 3))) is None


def test_visible_rounding_is_no_error():
    found = rounding_of(rounded(np.add(statue(), [0, 0, 5000.0])))
    assert str(found).startswith(FINELY_ROUNDED)


def test_the_account_and_the_check_say_it_of_files_and_stores(tmp_path):
    utm = np.add(statue(), [412345.0, 4485512.0, 230.0])
    ball = trimesh.creation.icosphere(3)
    faces = np.asarray(ball.faces, np.int64)
    meshed = np.add(ball.vertices, [0, 4485512.0, 0])
    for name, points, ends in (("single", rounded(utm), None), ("double", utm, None)):
        scan = prepare_scan(checked(points, ends), name)
        assert (ROUNDED in scan.account) == (name == "single")
        np.save(tmp_path / f"{name}.npy", points)
    assert ROUNDED in prepare_scan(checked(rounded(meshed), faces), "mesh").account
    assert ROUNDED not in prepare_scan(checked(meshed, faces), "mesh").account
    summary = prepare(tmp_path, tmp_path / "s.hdf5", progress=False)
    assert f"single: read x y z; {ROUNDED}y takes 3 values 0.5 apart" in str(summary)
    assert ROUNDED in ScanStore(tmp_path / "s.hdf5").account("single")
    for path in (tmp_path, tmp_path / "s.hdf5"):
        report = check_scans(path, progress=False)
        kinds = {(f.kind, f.level) for f in report.findings if "single" in f.names}
        assert kinds == {("rounding", "error")}
        (finding,) = (f for f in report.findings if f.kind == "rounding")
        assert finding.names == ("single",) and "the points lie 0.036 apart" in finding.measured
        assert "double precision" in finding.remedy
        kinds = {f.kind for f in report.findings if "double" in f.names}
        assert not kinds & {"rounding", "origin"}


@pytest.mark.parametrize("count", [9, 10, 500])
def test_a_repeated_point_is_named_with_count_and_place(tmp_path, count):
    points = statue()
    points[:count] = [0.25, 0.5, 0.125]
    np.save(tmp_path / "a.npy", np.random.default_rng(1).permutation(points))
    prepare(tmp_path, tmp_path / "s.hdf5", progress=False)
    for path in (tmp_path, tmp_path / "s.hdf5"):
        found = [f for f in check_scans(path, progress=False).findings if f.kind == "repeated"]
        assert len(found) == (count >= 10)
        if found:
            assert f"one point is there {count} times" in found[0].measured
            assert "(0.25, 0.5, 0.125)" in found[0].measured
