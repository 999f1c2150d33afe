"""A page of every kind of run: whole, without network, with each section where its files are."""

import json
import re
import shutil
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest

from shapespace.cli.main import main
from shapespace.config.options import ReadOptions
from shapespace.data.formats.readers import checked
from shapespace.data.prepare.points import prepare_scan
from shapespace.data.store.writer import StoreWriter
from shapespace.errors import InputError
from shapespace.evaluation.tables import cell, number, titled
from shapespace.geometry.proximity import point_to_mesh
from shapespace.report.cases import Case, ranked, read_case
from shapespace.report.page import write_report
from shapespace.report.run import read_run
from shapespace.report.sections.cases import (
    median_nearest_distance,
    nearest_shapes,
    training_figure,
)
from shapespace.space import TrainedSpace
from tests.browser import opened

pytest.importorskip("embreex", reason="pictures need shapespace[report]")
pytest.importorskip("igl", reason="exact distances need shapespace[report]")

QUICK = {"steps": 2, "resolution": 16}


class Reader(HTMLParser):
    """Headings, tables and what a page asks the network for."""

    def __init__(self, text):
        super().__init__()
        self.headings, self.tables, self.asked, self.open, self.words = [], 0, [], [], ""
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        if tag not in ("meta", "img", "input", "wbr"):
            self.open.append(tag)
        self.tables += tag == "table"
        links = [value for name, value in attrs if name in ("src", "href", "action", "srcset")]
        self.asked += [value for value in links if not value.startswith("data:")]
        self.asked += [tag] if tag in ("link", "iframe", "object", "base") else []

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        inside = self.open[-1] if self.open else ""
        if inside not in ("script", "style"):
            self.words += data
        if inside == "h2":
            self.headings.append(data)
        if inside == "style":
            assert "url(" not in data and "@import" not in data


def read(path):
    text = path.read_text("utf-8")
    page = Reader(text)
    assert page.asked == [] and not re.search(r"https?://", text)
    assert "default-src 'none'" in text and path.stat().st_size < 10e6
    return page


@pytest.fixture(scope="module")
def run(train, tmp_path_factory):
    folder = tmp_path_factory.mktemp("report") / "run"
    train(folder, 30)
    return folder


def numbers(value):
    return {"chamfer_half_unsquared": value, "point_to_mesh": 0.9 * value, "fscore_5mm": 1.0}


def summary(value):
    spans = {"median_ci": [value, 2 * value], "mean_ci": None}
    return {
        name: {"p5": of, "p50": of, "p95": "inf", "mean": of, **spans}
        for name, of in numbers(value).items()
    }


@pytest.fixture(scope="module")
def evaluation(run, toy_store, tmp_path_factory):
    """What shapespace evaluate leaves: scores, and results that are training shapes a bit moved."""
    folder = tmp_path_factory.mktemp("evaluation")
    space = TrainedSpace.load(run / "last.ckpt")
    (folder / "shapes").mkdir()
    shapes = []
    for row, name in enumerate(["egg", "ball"]):
        frame = space.frame(name)
        path = folder / "shapes" / f"{name}.ply"
        space.mesh(space.code(name), frame, 24).export(path)
        np.save(path.with_suffix(".npy"), space.code(name).numpy() + 1e-4)
        facts = {"scan": f"{toy_store}/{name}", "unit": "m", "scale": frame.scale}
        pose = {"rotation": np.eye(3).tolist(), "shift": [0.0] * 3, "scale": 1.0}
        facts |= {"centre": frame.centre.tolist(), "pose": pose}
        path.with_suffix(".json").write_text(json.dumps(facts))
        shapes.append({"name": name, "group": name, "registration": None})
        shapes[-1]["scan"] = numbers(0.02 - 0.01 * row)
    shapes.append({"name": "lost", "group": "lost", "registration": None, "scan": {}})
    content = {
        "conventions": {"chamfer_half_unsquared": "both <ways>, halved"},
        "facts": {"num_samples": 1000, "truth": None},
        "shapes": shapes,
        "summary": {"scan": summary(0.01), "nearest_scan": summary(0.03)},
    }
    (folder / "scores.json").write_text(json.dumps(content))
    return folder


DIAGNOSTICS = {
    "meaning": {"eikonal_rms": "root mean square of |grad f| - 1"},
    "shapes": [{"name": "ball", "eikonal_rms": 0.1}],
    "summary": {"eikonal_rms": {"median": 0.1, "worst": None}},
    "verdict": ["Nearly a distance."],
}


@pytest.fixture(scope="module")
def whole(run, evaluation, toy_store, tmp_path_factory):
    """The page of a run that was evaluated and diagnosed."""
    diagnostics = run / "last.diagnostics.json"
    diagnostics.write_text(json.dumps(DIAGNOSTICS))
    page = tmp_path_factory.mktemp("page") / "page.html"
    path = write_report(run, evaluation, page, scans=[toy_store], **QUICK)
    diagnostics.unlink()
    return path


def test_a_whole_page(whole):
    page = read(whole)
    assert page.headings == [
        "Animation between training shapes",
        "Model and data",
        "Scores",
        "Reconstructions, from the best to the worst",
        "Nearest training shapes",
        "Is it a distance? (diagnostics, sampled)",
        "Codes",
        "Training",
        "Not on this page",  # the run has no new shapes
    ]
    assert "shapespace prior sample" in page.words
    assert page.tables >= 8
    for text in ("both <ways>, halved", "Nearly a distance.", "nearest training shape", "∞"):
        assert text in page.words
    assert "1 of 2" in page.words and "Left out because they lack this score: 1." in page.words
    assert "600 points a scan, normals: measured 4" in page.words


@pytest.mark.slow
def test_a_browser_opens_the_whole_page(whole):
    dom, console = opened(whole)
    assert console == []
    assert dom.count("<table") >= 8 and "loading</figcaption>" not in dom


def test_the_files_of_earlier_versions_are_read(run, evaluation, whole, toy_store, tmp_path):
    old = tmp_path / "old"
    (old / "evaluation").mkdir(parents=True)
    for name in ("last.ckpt", "config.yaml", "metrics.csv"):
        shutil.copy(run / name, old / name)
    shutil.copytree(evaluation / "shapes", old / "evaluation" / "shapes")
    shutil.copy(evaluation / "scores.json", old / "evaluation" / "card.json")
    (old / "last.certificate.json").write_text(json.dumps(DIAGNOSTICS))
    (old / "last.certificate.html").write_text("")
    page, today = read(write_report(old, scans=[toy_store], **QUICK)), read(whole)
    assert page.headings == today.headings and page.tables == today.tables
    assert "Nearly a distance." in page.words and "1 of 2" in page.words
    assert "last.certificate.html, beside the checkpoint" in page.words
    newer = {"shapes": [{"name": "ball"}]}
    (old / "evaluation" / "scores.json").write_text(json.dumps(newer))
    (old / "last.diagnostics.json").write_text(json.dumps({"verdict": ["Newer."]}))
    record = read_run(old)
    assert record.scores == newer and record.diagnostics["verdict"] == ["Newer."]


def test_a_page_of_what_there_is(run, tmp_path, capsys):
    out = tmp_path / "page.html"
    options = ["--out", str(out), "--steps", "2", "--resolution", "16"]
    assert main(["report", str(run), *options]) == 0
    assert capsys.readouterr().out.startswith(f"wrote {out} (")
    page = read(out)
    assert page.headings[-1] == "Not on this page"
    assert "shapespace evaluate" in page.words and "shapespace diagnose" in page.words
    assert "Scores" not in page.headings
    assert [path.name for path in tmp_path.iterdir()] == ["page.html"]


def test_a_run_of_which_only_the_checkpoint_is_left(toy_checkpoint, tmp_path):
    (tmp_path / "last.ckpt").write_bytes(toy_checkpoint.read_bytes())
    page = read(write_report(tmp_path, **QUICK))
    assert "metrics.csv is missing" in page.words and "Training" not in page.headings


def test_one_scan_and_code_length_0(train, write_store, tmp_path):
    store = write_store(tmp_path / "one.hdf5", {"ball": (1.0, 1.0, 1.0)})
    options = [f"--data.store={store}", "--model.decoder.latent_size=0"]
    path = train(tmp_path / "run", 2, *options)
    page = read(write_report(path.parent, **QUICK))
    assert "Codes of length 0" in page.words


def circles(path):
    angle = np.random.default_rng(0).uniform(0, 2 * np.pi, 600)
    normals = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    with StoreWriter(path, "m", 2) as writer:
        for radius in (0.6, 0.9):
            raw = checked(radius * normals, normals=normals)
            source = {"source": "formula", "source_hash": "0" * 64}
            writer.add(prepare_scan(raw, f"circle_{radius}", **source))
    return path


def test_shapes_of_the_plane(train, tmp_path):
    options = [f"--data.store={circles(tmp_path / 'flat.hdf5')}", "--model.decoder.dimension=2"]
    path = train(tmp_path / "run", 2, *options)
    page = read(write_report(path.parent, **QUICK))
    assert "Level sets of training shapes" in page.words


def test_cases_come_from_best_to_worst_with_exact_errors(run, evaluation, toy_store):
    record = read_run(run, evaluation, scans=[toy_store])
    column, part, shapes = ranked(record)
    assert (column, part) == ("point_to_mesh", "scan")
    assert [shape["name"] for shape in shapes] == ["ball", "egg"]
    assert read_case(record, record.shapes[2], part) is None
    case = read_case(record, shapes[0], part)
    assert (case.unit, case.per_unit) == ("mm", 1000)
    in_mm = replace(case, facts={**case.facts, "unit": "mm", "scale": 1000.0})
    assert in_mm.per_unit == 1
    expected = 1000 * point_to_mesh(case.scan.vertices, case.mesh)
    np.testing.assert_allclose(case.errors, expected)


def test_scans_and_truths_have_the_columns_that_the_user_names(run, evaluation, tmp_path):
    points = np.random.default_rng(0).normal(size=(90, 3))
    np.savetxt(tmp_path / "ball.csv", np.hstack([9 * points, points]), delimiter=",")
    for reading in (ReadOptions("u,v,w,x,y,z"), ReadOptions()):
        record = read_run(run, evaluation, tmp_path, [tmp_path], reading)
        case = read_case(record, ranked(record)[2][0], "scan")
        assert (case.scan is None) == bool(record.remarks) == (reading.columns is None)
        assert case.truth is None  # a cloud has no surface
        if case.scan is not None:
            np.testing.assert_allclose(case.scan.vertices, points)
    assert "--columns" in record.remarks[0]


def test_a_training_shape_is_its_own_neighbour(run, evaluation):
    record = read_run(run, evaluation)
    for shape in record.shapes[:2]:
        case = read_case(record, shape, "scan")
        near = nearest_shapes(record.space, case, 1.0)
        assert near.by_code == near.by_surface == shape["name"]
        assert near.code_distance < 0.1 and near.mean_abs_f < 20
        told = nearest_shapes(record.space, case, 1.0, "lens")
        assert told.by_surface == "lens" and told.mean_abs_f > near.mean_abs_f


def test_a_neighbour_stands_in_the_pose_and_unit_of_the_case(run):
    space = TrainedSpace.load(run / "last.ckpt")
    code, half = space.code("egg"), np.sqrt(0.5)
    turn = [[half, -half, 0], [half, half, 0], [0, 0, 1]]
    facts = {"unit": "mm", "scale": 1000.0, "centre": [5.0, 6.0, 7.0]}
    facts |= {"pose": {"rotation": turn, "shift": [0.1, 0.2, 0.3], "scale": 2.0}}
    moved = Case("egg", {}, space.mesh(code, None, 16), facts, code.numpy())
    moved = replace(moved, mesh=space.mesh(code, moved.placement[0], 16, pose=moved.placement[1]))
    figure = training_figure(space, moved, "egg", resolution=16)
    np.testing.assert_allclose(figure.shape.vertices, moved.drawn(moved.mesh).vertices)
    still = {"unit": "m", "scale": 1.0, "centre": [0.0] * 3}
    still |= {"pose": {"rotation": np.eye(3).tolist(), "shift": [0.0] * 3, "scale": 1.0}}
    plain = replace(moved, mesh=space.mesh(code, None, 16), facts=still)
    assert np.ptp(figure.shape.vertices[:, 2]) == pytest.approx(
        np.ptp(plain.mesh.vertices[:, 2]) / 2
    )
    off = [nearest_shapes(space, case, 1.0, "egg").mean_abs_f for case in (moved, plain)]
    assert off[0] == pytest.approx(off[1] / 2, rel=1e-3)


def test_the_median_nearest_distance_is_that_of_a_slow_search():
    table = np.random.default_rng(0).normal(size=(9, 3))
    slow = [
        min(np.linalg.norm(a - b) for j, b in enumerate(table) if j != i)
        for i, a in enumerate(table)
    ]
    assert median_nearest_distance(table) == pytest.approx(np.median(slow))
    assert median_nearest_distance(table[:1]) == median_nearest_distance(np.zeros((3, 0))) == 1


def test_numbers_are_read_in_millimetres():
    assert titled("chamfer_half_unsquared") == "chamfer_half_unsquared, mm"
    assert cell("chamfer_half_unsquared", 0.00123) == "1.23"
    assert titled("chamfer_sum_squared") == "chamfer_sum_squared, mm²"
    assert cell("chamfer_sum_squared", 2e-6) == "2"
    assert titled("area") == "area, m²" and cell("volume", 0.07) == "70"
    assert titled("hausdorff", "none") == "hausdorff" and cell("watertight", 0.5) == "0.500"
    assert titled("fscore_5mm") == "fscore_5mm" and cell("fscore_5mm", 0.5) == "0.500"
    assert cell("hausdorff", [0.001, "inf"]) == "1.00 to ∞"
    assert titled("of_another_version") == "of_another_version"
    assert cell("of_another_version", 0.25) == "0.250"
    assert [number(value) for value in (None, True, "inf", 3, 12345.6)] == [
        *("–", "yes", "∞", "3", "12346")
    ]


def test_mistakes(run, tmp_path):
    with pytest.raises(InputError, match=r"holds no last\.ckpt; give the folder"):
        write_report(tmp_path)
    with pytest.raises(InputError, match="make it by shapespace evaluate"):
        write_report(run, tmp_path)
    (tmp_path / "scores.json").write_text("{")
    with pytest.raises(InputError, match="is not JSON"):
        write_report(run, tmp_path)
    (tmp_path / "scores.json").write_text('{"shapes": [{"group": "a"}]}')
    with pytest.raises(InputError, match="holds a shape without a name; redo"):
        write_report(run, tmp_path)
    with pytest.raises(InputError, match="steps=0"):
        write_report(run, steps=0)
    with pytest.raises(InputError, match="there is no such file or folder"):
        write_report(run, truth=tmp_path / "mistyped")


def test_a_place_that_cannot_be_written_is_found_before_the_animation(run, tmp_path, monkeypatch):
    monkeypatch.setattr("shapespace.report.sections.space.animation", None)
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot be an output folder"):
        write_report(run, out=tmp_path / "file" / "page.html")
    with pytest.raises(InputError, match="is a folder; name the page"):
        write_report(run, out=tmp_path)


def test_what_is_of_other_weights_is_left_out(toy_checkpoint, tmp_path):
    (tmp_path / "last.ckpt").write_bytes(toy_checkpoint.read_bytes())
    (tmp_path / "evaluation").mkdir()
    scores, shapes = tmp_path / "evaluation" / "scores.json", [{"name": "ball"}]
    digest = TrainedSpace.load(toy_checkpoint).digest
    for space, kept in (("0" * 64, False), (digest, True)):
        scores.write_text(json.dumps({"facts": {"space": space}, "shapes": shapes}))
        told = json.dumps(DIAGNOSTICS | {"digest": space})
        (tmp_path / "last.diagnostics.json").write_text(told)
        record = read_run(tmp_path)
        assert (record.scores is not None, record.diagnostics is not None) == (kept, kept)
        said = [line for line in record.remarks if "is of an earlier state of the run" in line]
        assert len(said) == (0 if kept else 2)
        if not kept:
            with pytest.raises(InputError, match="is of other weights than"):
                read_run(tmp_path, scores.parent)
    scores.write_text(json.dumps({"facts": {"truth": str(tmp_path / "gone")}, "shapes": shapes}))
    words = read(write_report(tmp_path, **QUICK)).words
    assert "give --truth, as to shapespace evaluate" in words and "give --scans with" in words
    (tmp_path / "other.ply").write_text("")
    with pytest.raises(InputError, match="has no surface with the name of a shape such as 'ball'"):
        read_run(tmp_path, truth=tmp_path / "other.ply")


@pytest.mark.parametrize("suffix", [".ply", ".json", ".npy"])
@pytest.mark.parametrize("content", [b"", b'{"pose": 1}', b"ply\nformat ascii 1.0\nelement"])
def test_damaged_files_are_named(run, evaluation, tmp_path, suffix, content):
    record = replace(read_run(run, evaluation), evaluation=tmp_path)
    shutil.copytree(evaluation / "shapes", tmp_path / "shapes")
    (tmp_path / "shapes" / f"ball{suffix}").write_bytes(content)
    with pytest.raises(InputError, match=rf"ball\{suffix}: is damaged \(.*\); remove it"):
        read_case(record, next(s for s in record.shapes if s["name"] == "ball"), "scan")


def test_errors_are_to_the_true_surface_in_its_own_unit(run, evaluation, tmp_path):
    record = read_run(run, evaluation)
    frame, name = record.space.frame("ball"), "ball"
    surface = record.space.mesh(record.space.code(name), frame, 24)
    surface.vertices = 1000 * (surface.vertices + np.array([0.1, 0, 0]))
    surface.export(tmp_path / f"{name}.ply")
    shape = next(shape for shape in record.shapes if shape["name"] == name)
    given = read_run(run, evaluation, tmp_path)
    case = read_case(given, shape, "scan")
    np.testing.assert_allclose(case.truth.bounds - case.mesh.bounds, [[0.1, 0, 0]] * 2, atol=1e-4)
    assert len(case.errors) == len(case.mesh.vertices)
    assert 90 < case.errors.max() < 101
    protocol = {"facts": {"protocol": {"unit": "m"}}}
    named = replace(record, scores=record.scores | protocol, truths=given.truths)
    assert np.ptp(read_case(named, shape, "scan").truth.vertices[:, 0]) > 1000
