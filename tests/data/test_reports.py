"""Public reports: scans with one fault each, and what prepare and the check say about it."""

import re

import numpy as np
import pytest

from shapespace.data.check import check_scans
from shapespace.data.prepare.run import prepare, prepare_file
from shapespace.data.store.store import ScanStore
from shapespace.errors import InputError


def kinds(report):
    return {(finding.kind, finding.level) for finding in report.findings}


def test_a_stray_part_sets_no_scale(reports, tmp_path):
    path = reports / "stray_part_far_away.off"
    store = tmp_path / "s.hdf5"
    summary = prepare(path, store, normalise=True, num_points=20_000, progress=False)
    frame = ScanStore(store).frame(path.stem)
    # The body is an ellipsoid of 1 by 0.7 by 1.6 metres about the origin.
    assert frame.scale == pytest.approx(0.8, abs=0.01)
    assert np.abs(frame.centre).max() < 0.02
    assert "scans with stray points: 1, of 'stray_part_far_away' 2." in str(summary)
    assert "up to 24.3 radii away" in str(summary) and "--clean" in str(summary)
    (finding,) = check_scans(path, progress=False).findings
    assert finding.kind == "clutter" and "--clean" in finding.remedy
    cleaned = prepare(path, store, normalise=True, num_points=20_000, clean=True, progress=False)
    assert "--clean: 1 part apart from the shape left out" in str(cleaned)
    assert "stray" not in str(cleaned).replace("stray_part", "")
    assert check_scans(store, progress=False).findings == ()


def test_rounding_against_spacing(reports, tmp_path):
    single = reports / "utm_metres_float32_two_metre_statue.ply"
    report = check_scans(single, progress=False)
    assert kinds(report) == {("rounding", "error")}
    assert "y takes 2 values 0.5 apart, the points lie 0.045 apart" in report.findings[0].measured
    store = tmp_path / "s.hdf5"
    assert "rounded to float32: y takes 2 values" in str(prepare(single, store, progress=False))
    assert kinds(check_scans(store, progress=False)) == {("rounding", "error")}
    double = reports / "utm_metres_double_control.ply"
    said = [str(check_scans(double, progress=False)), str(prepare(double, store, progress=False))]
    said.append(str(check_scans(store, progress=False)))
    for text in said:
        assert not any(word in text for word in ("rounded", "in float32", "sizes away")), text


def test_bones_of_both_hands_in_millimetres(reports, tmp_path):
    folder = reports / "left_and_right_bones_mm"
    report = check_scans(folder, unit="mm", progress=False)
    left = ("bone2_L", "bone5_L")
    found = {finding.kind: finding for finding in report.findings}
    assert {finding.kind for finding in report.findings if finding.level == "error"} == {"flipped"}
    assert found["mirrored"].names == left
    assert {name for f in report.findings if f.kind == "flipped" for name in f.names} == set(left)
    assert found["scale"].level == "warning" and "--normalise common" in found["scale"].remedy
    store = tmp_path / "s.hdf5"
    summary = prepare(folder, store, normalise="common", num_points=2000, progress=False)
    scales = {ScanStore(store).frame(name).scale for name in ScanStore(store).names}
    assert scales == {summary.common} and summary.common == pytest.approx(67.3, abs=0.1)
    assert {"scale"}.isdisjoint(f.kind for f in check_scans(store, progress=False).findings)


def test_a_vertex_a_million_away_is_an_error_by_name(reports, tmp_path):
    path = reports / "far_point.ply"
    with pytest.raises(InputError, match=r"far_point\.ply: 1 of 642 points lie far beyond") as told:
        prepare(path, tmp_path / "s.hdf5", progress=False)
    assert "--clean" in str(told.value)
    with pytest.raises(InputError, match="far beyond the shape"):
        prepare_file(path)
    assert kinds(check_scans(path, progress=False)) == {("far", "error")}
    summary = prepare(path, tmp_path / "s.hdf5", clean=True, num_points=2000, progress=False)
    assert re.search("--clean: [56] faces at points far beyond it left out", str(summary))
    assert np.abs(ScanStore(tmp_path / "s.hdf5").read("far_point")[0]).max() < 0.51


def test_colours_are_no_normals_and_estimated_ones_are_as_good_as_the_true_ones(reports):
    true = prepare_file(reports / "control_nx.ply")
    for normals, name in (("estimate", "xyz_with_rgb.xyz"),):
        scan = prepare_file(reports / name, normals=normals)
        assert scan.normals_kind == "estimated-oriented"
        # The same points in another order.
        order, other = (
            np.lexsort(np.round(s.frame.to_source(s.points), 3).T) for s in (scan, true)
        )
        cosine = (scan.normals[order] * true.normals[other]).sum(axis=1)
        assert np.median(cosine) > 0.98 and (cosine < 0).mean() < 0.01


def test_zeros_of_a_depth_camera_are_named(reports):
    for name, said in (("zeros", "0 0 0 repeated 1245 times"), ("nan", "NaN or infinite")):
        report = check_scans(reports / f"depth_camera_invalid_{name}.ply", progress=False)
        assert any(said in finding.measured for finding in report.findings)
