"""Every planted fault is found, by its kind, in files and in the store; clean scans are clean."""

import json
from dataclasses import replace

import h5py
import numpy as np
import pytest
import trimesh

from shapespace.data.check import check_scans
from shapespace.data.check.cloud import cloud_of_scan
from shapespace.data.formats.readers import checked
from shapespace.data.prepare.points import PointOptions, prepare_scan
from shapespace.data.sources import find_sources
from shapespace.data.store.writer import StoreWriter
from shapespace.errors import InputError
from shapespace.synthetic.dataset import write_dataset
from tests.conftest import ellipsoid
from tests.data.check.corpus import ERRORS, FAULTS

FOUND_IN_STORE = {k: v for k, v in FAULTS.items() if k not in ("nan", "empty", "clean1_moved")}


def kinds_of(report, name):
    return {f.kind for f in report.findings if name in f.names}


@pytest.mark.parametrize("name", FAULTS)
def test_planted_faults_are_found_in_files(planted_report, name):
    assert FAULTS[name] in kinds_of(planted_report, name)
    levels = {f.level for f in planted_report.findings if name in f.names}
    assert ("error" in levels) == (FAULTS[name] in ERRORS)


@pytest.mark.parametrize("name", FOUND_IN_STORE)
def test_planted_faults_are_found_in_the_store(planted_store_report, name):
    assert FOUND_IN_STORE[name] in kinds_of(planted_store_report, name)


@pytest.mark.parametrize("report", ["planted_report", "planted_store_report"])
def test_clean_scans_among_faults_are_clean(report, request):
    report = request.getfixturevalue(report)
    named = {name for f in report.findings if f.kind != "duplicate" for name in f.names}
    assert not any(name.startswith("clean") for name in named)
    assert not report.ok and not report.strict_ok


def test_words_of_the_findings(planted_report):
    text = str(planted_report)
    for part in (
        "times the median size",
        "are these millimetres?",
        "z is here what y is in most",
        "when turned by -90 degrees about x",
        "when turned by 180 degrees about x",
        "clean0, clean0_again: the same bytes",
        "clean1, clean1_moved: the same points, moved or in another order",
        "empty.ply: the file is empty",
        "seen from +z",
        "longest along: y",
        "training should not start",
    ):
        assert part in text, part


def test_clean_files_and_store(clean_folder, clean_store):
    for path in (clean_folder, clean_store):
        report = check_scans(path, progress=False)
        assert report.findings == () and report.ok and report.strict_ok
        assert len(report.facts) == 8
        assert "ready to train (nothing found)" in str(report)


def test_unit_of_files(clean_folder):
    report = check_scans(clean_folder, unit="mm", scans=["clean0", "clean1"], progress=False)
    assert {f.kind for f in report.findings} == {"scale"} and len(report.facts) == 2
    assert "are these metres?" in str(report) and "--unit m" in str(report)


@pytest.mark.slow
def test_workers_change_nothing(clean_folder):
    names = ["clean0", "clean2"]
    one, two = (
        check_scans(clean_folder, scans=names, workers=n, progress=False).as_json() for n in (1, 2)
    )
    assert one == two


def test_json_is_plain_and_complete(planted_report):
    content = json.loads(planted_report.as_json())
    assert [scan["name"] for scan in content["scans"]] == [f.name for f in planted_report.facts]
    assert len(content["findings"]) == len(planted_report.findings) and content["ok"] is False
    assert {f["level"] for f in content["findings"]} == {"error", "warning", "note"}
    # How a scan was read stands beside what was measured, not below it.
    read = {"per_unit", "left_out", "from_file", "rounded", "repeated", "cleaned"}
    assert all(read <= set(scan) and "reading" not in scan for scan in content["scans"])


def ball(radius=0.5, name="ball", dimension=3, count=8000, **changed):
    """A prepared sphere or circle."""
    rng = np.random.default_rng(0)
    towards = rng.normal(size=(count, dimension))
    towards /= np.linalg.norm(towards, axis=1, keepdims=True)
    scan = prepare_scan(checked(towards * radius, normals=towards), name, PointOptions())
    return replace(scan, **changed)


def write(path, *scans, unit="m", dimension=3):
    with StoreWriter(path, unit, dimension) as writer:
        for scan in scans:
            writer.add(scan)
    return path


@pytest.mark.parametrize("dimension", [2, 3])
def test_round_shapes_of_both_dimensions(tmp_path, dimension):
    store = write(tmp_path / "s.hdf5", ball(dimension=dimension), dimension=dimension)
    report = check_scans(store, progress=False)
    assert report.findings == ()
    (facts,) = report.facts
    assert facts.dimension == dimension and facts.openness == pytest.approx(0, abs=0.05)
    assert facts.outward == pytest.approx(1, abs=0.02) and facts.inward == 0
    flipped = ball(dimension=dimension)
    flipped = replace(flipped, normals=-flipped.normals)
    store = write(tmp_path / "f.hdf5", flipped, dimension=dimension)
    assert [f.kind for f in check_scans(store, progress=False).findings] == ["flipped"]


def test_a_scan_that_was_changed_is_damaged(tmp_path):
    store = write(tmp_path / "s.hdf5", ball(name="a"), ball(name="b"))
    with h5py.File(store, "r+") as file:
        file["scans/b/points"][7] += 0.25
    report = check_scans(store, progress=False)
    assert [(f.kind, f.level, f.names) for f in report.findings] == [("damaged", "error", ("b",))]


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_store_of_what_is_no_number(tmp_path, bad):
    scan = ball()
    scan.points[5, 1] = bad
    (finding,) = check_scans(write(tmp_path / "s.hdf5", scan), progress=False).findings
    assert (finding.kind, finding.level) == ("damaged", "error")
    assert "1 of 8000 points are NaN or infinite" in finding.measured


def test_a_store_that_is_not_centred(tmp_path):
    scan = ball()
    scan.points[:] += np.float32(0.3)
    (finding,) = check_scans(write(tmp_path / "s.hdf5", scan), progress=False).findings
    assert (finding.kind, finding.level) == ("centre", "warning")


def test_radius_stores_have_no_scale(tmp_path):
    store = write(tmp_path / "s.hdf5", ball(0.01), ball(name="b"), ball(1.0, "c"), unit="radius")
    assert check_scans(store, progress=False).findings == ()


def test_normals_of_unknown_side_are_not_judged(tmp_path):
    inward = ball()
    inward = replace(inward, normals=-inward.normals, normals_kind="estimated-unoriented")
    (finding,) = check_scans(write(tmp_path / "s.hdf5", inward), progress=False).findings
    assert (finding.kind, finding.level) == ("unoriented", "note")


def test_cloud_of_a_scan_is_a_subset():
    scan = ball(count=2500)
    cloud = cloud_of_scan(scan)
    assert len(cloud.points) == 2500 and cloud.prepared == 2500
    assert cloud.sigma == pytest.approx(float(np.median(scan.sigma)))


@pytest.mark.parametrize("count", [1, 2, 3, 9, 50, 51])
def test_few_points(tmp_path, count):
    rows = 0.3 * np.random.default_rng(0).normal(size=(count, 3))
    np.save(tmp_path / "few.npy", rows)
    report = check_scans(tmp_path, progress=False)
    assert kinds_of(report, "few") & {"sparse", "unreadable"}
    assert report.ok == (count > 50) and json.loads(report.as_json())


def test_other_dimension_than_most(tmp_path):
    for name, side in (("a", 3), ("b", 3), ("c", 2)):
        np.save(tmp_path / f"{name}.npy", np.random.default_rng(len(name)).normal(size=(99, side)))
    assert "dimension" in kinds_of(check_scans(tmp_path, progress=False), "c")


def test_a_box_is_clean_and_open_borders_are_facts(tmp_path):
    box = trimesh.creation.box((1, 0.8, 0.6))
    box.export(tmp_path / "box.ply")
    hole = box.copy()
    hole.update_faces(np.arange(12) > 0)
    hole.export(tmp_path / "lid.ply")
    report = check_scans(tmp_path, progress=False)
    assert report.findings == ()
    assert [(f.border, f.border_loops) for f in report.facts] == [(0, 0), (3 / 18, 1)]


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        ({"workers": 0}, "workers=0"),
        ({"extent": 0.0}, "extent=0.0"),
        ({"scans": ["cleen0"]}, "the nearest is 'clean0'"),
    ],
)
def test_wrong_arguments(clean_folder, clean_store, arguments, part):
    for path in (clean_folder, clean_store):
        with pytest.raises(InputError, match=part):
            check_scans(path, progress=False, **arguments)


def test_registrations_are_files_though_they_are_hdf5(tmp_path):
    with h5py.File(tmp_path / "registrations_m.hdf5", "w") as file:
        ball = trimesh.creation.icosphere(2, 0.5)
        file["faces"] = ball.faces.astype("u4")
        file["a_run"] = np.stack([ball.vertices, 1.1 * ball.vertices], axis=2)
    for path in (tmp_path, tmp_path / "registrations_m.hdf5"):
        report = check_scans(path, progress=False)
        assert len(report.facts) == 2 and report.findings == () and not report.is_store


def test_nothing_there(tmp_path):
    with pytest.raises(InputError, match="no such file or folder"):
        check_scans(tmp_path / "nothing", progress=False)


@pytest.mark.slow
def test_samples_of_a_volume_are_no_fault_beside_a_scan(tmp_path):
    points, normals = ellipsoid((1.0, 1.0, 1.0))
    np.savez(tmp_path / "points.npz", points=points, occupancies=points[:, 0] > 0)
    with pytest.raises(InputError, match=r"points.npz: no scan but samples of a volume"):
        check_scans(tmp_path, progress=False)
    np.savez(tmp_path / "pointcloud.npz", points=points, normals=normals)
    report = check_scans(tmp_path, progress=False)
    note = next(finding for finding in report.findings if finding.kind == "no scan")
    assert (note.level, note.names) == ("note", ("points",)) and report.ok


def test_default_synthetic_data_set_is_clean(tmp_path):
    pytest.importorskip("embreex")
    folder = write_dataset(tmp_path).folder
    for part in ("surfaces", "scans"):
        report = check_scans(folder / part, progress=False)
        assert len(report.facts) == 48 and report.findings == (), str(report)


@pytest.mark.slow
def test_registrations_are_clean_and_raw_scans_have_clutter_only(shared):
    bodies = shared / "data" / "bodies"
    if not bodies.is_dir():
        pytest.skip(f"no bodies at {bodies}")
    names = [source.name for source in find_sources(bodies)]
    report = check_scans(bodies, scans=names[::4], progress=False)
    assert len(report.facts) == 104 and report.findings == (), str(report)
    report = check_scans(bodies / "scans", progress=False)
    assert report.ok and {f.kind for f in report.findings} == {"clutter"}
    assert len(report.findings) == 13


def test_open_borders_are_a_note_and_a_soup_has_none(tmp_path):
    ball = trimesh.creation.icosphere(subdivisions=4)
    ball.export(tmp_path / "soup.stl")
    assert check_scans(tmp_path / "soup.stl", progress=False).findings == ()
    low = ball.triangles_center[:, 1] < 0.97
    trimesh.Trimesh(ball.vertices, ball.faces[low], process=False).export(tmp_path / "open.ply")
    (found,) = check_scans(tmp_path / "open.ply", progress=False).findings
    assert (found.kind, found.level) == ("open borders", "note")
    assert found.measured.startswith("1 open borders")


def test_a_curve_in_the_plane_is_questioned(tmp_path):
    """Two columns may be a curve, or the first two of three."""
    turn = np.linspace(0, 2 * np.pi, 300, endpoint=False)
    np.savetxt(tmp_path / "curve.xyz", np.stack([np.cos(turn), np.sin(turn)], axis=1))
    report = check_scans(tmp_path)
    (found,) = [f for f in report.findings if f.kind == "2-D"]
    assert found.level == "note" and "name the --columns" in found.remedy
    assert report.ok
