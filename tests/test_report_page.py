"""A page of every kind of run: whole, without network, with each section where its files are."""

import json
import re
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest

from shapespace.card_sections import cell, number, titled
from shapespace.case_sections import neighbours, usual_gap
from shapespace.cases import ranked, read_case
from shapespace.cli import main
from shapespace.data.points import prepare_scan
from shapespace.data.readers import checked
from shapespace.data.writer import StoreWriter
from shapespace.errors import InputError
from shapespace.metrics import point_to_mesh
from shapespace.report_page import write_report
from shapespace.run_record import read_run
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
    """What shapespace evaluate leaves: a card, and results that are training shapes a bit moved."""
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
    card = {
        "conventions": {"chamfer_half_unsquared": "both <ways>, halved"},
        "facts": {"num_samples": 1000, "truth": None},
        "shapes": shapes,
        "summary": {"scan": summary(0.01), "nearest_scan": summary(0.03)},
    }
    (folder / "card.json").write_text(json.dumps(card))
    return folder


CERTIFICATE = {
    "meaning": {"eikonal_rms": "root mean square of |grad f| - 1"},
    "shapes": [{"name": "ball", "eikonal_rms": 0.1}],
    "summary": {"eikonal_rms": {"median": 0.1, "worst": None}},
    "verdict": ["Nearly a distance."],
}


@pytest.fixture(scope="module")
def whole(run, evaluation, tmp_path_factory):
    """The page of a run that was evaluated and certified."""
    certificate = run / "last.certificate.json"
    certificate.write_text(json.dumps(CERTIFICATE))
    path = write_report(run, evaluation, tmp_path_factory.mktemp("page") / "page.html", **QUICK)
    certificate.unlink()
    return path


def test_a_whole_page(whole):
    page = read(whole)
    assert page.headings == [
        "A walk through the space",
        "What was trained on what",
        "How far off",
        "Reconstructions, from the best to the worst",
        "Is it only remembering?",
        "Is it a distance?",
        "Codes",
        "Training",
    ]
    assert page.tables >= 8
    for text in ("both <ways>, halved", "Nearly a distance.", "nearest training shape", "∞"):
        assert text in page.words
    assert "1 of 3" in page.words and "600 points a scan, normals: measured 4" in page.words


@pytest.mark.slow
def test_a_browser_opens_the_whole_page(whole):
    dom, console = opened(whole)
    assert console == []
    assert dom.count("<table") >= 8 and "loading</figcaption>" not in dom


def test_a_page_of_what_there_is(run, tmp_path, capsys):
    out = tmp_path / "page.html"
    options = ["--out", str(out), "--steps", "2", "--resolution", "16"]
    assert main(["report", str(run), *options]) == 0
    assert capsys.readouterr().out.startswith(f"wrote {out} (")
    page = read(out)
    assert page.headings[-1] == "Not on this page"
    assert "shapespace evaluate" in page.words and "shapespace certify" in page.words
    assert "How far off" not in page.headings
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


def test_cases_come_from_best_to_worst_with_exact_errors(run, evaluation):
    record = read_run(run, evaluation)
    column, part, shapes = ranked(record)
    assert (column, part) == ("point_to_mesh", "scan")
    assert [shape["name"] for shape in shapes] == ["ball", "egg", "lost"]
    assert read_case(record, shapes[2], part) is None
    case = read_case(record, shapes[0], part)
    assert (case.unit, case.per_unit) == ("mm", 1000)
    in_mm = replace(case, facts={**case.facts, "unit": "mm", "scale": 1000.0})
    assert in_mm.per_unit == 1
    expected = 1000 * point_to_mesh(case.scan.vertices, case.mesh)
    np.testing.assert_allclose(case.errors, expected)


def test_a_training_shape_is_its_own_neighbour(run, evaluation):
    record = read_run(run, evaluation)
    for shape in record.shapes[:2]:
        near = neighbours(record.space, read_case(record, shape, "scan"))
        assert near.by_code == near.by_surface == shape["name"]
        assert near.gap < 0.1 and near.off < 20


def test_usual_gap_is_that_of_a_slow_search():
    table = np.random.default_rng(0).normal(size=(9, 3))
    slow = [
        min(np.linalg.norm(a - b) for j, b in enumerate(table) if j != i)
        for i, a in enumerate(table)
    ]
    assert usual_gap(table) == pytest.approx(np.median(slow))
    assert usual_gap(table[:1]) == usual_gap(np.zeros((3, 0))) == 1


def test_numbers_are_read_in_millimetres():
    assert titled("chamfer_half_unsquared") == "chamfer_half_unsquared, mm"
    assert cell("chamfer_half_unsquared", 0.00123) == "1.23"
    assert titled("chamfer_sum_squared") == "chamfer_sum_squared, mm²"
    assert cell("chamfer_sum_squared", 2e-6) == "2.00"
    assert titled("fscore_5mm") == "fscore_5mm" and cell("fscore_5mm", 0.5) == "0.500"
    assert cell("median", [0.001, 0.25]) == "1.00 to 250"
    assert [number(value) for value in (None, True, "inf", 3, 12345.6)] == [
        *("–", "yes", "∞", "3", "12346")
    ]


def test_mistakes(run, tmp_path):
    with pytest.raises(InputError, match=r"holds no last\.ckpt; give the folder"):
        write_report(tmp_path)
    with pytest.raises(InputError, match="make it by shapespace evaluate"):
        write_report(run, tmp_path)
    (tmp_path / "card.json").write_text("{")
    with pytest.raises(InputError, match="is not JSON"):
        write_report(run, tmp_path)
    with pytest.raises(InputError, match="steps=0"):
        write_report(run, steps=0)


def test_errors_are_to_the_true_surface_in_its_own_unit(run, evaluation, tmp_path):
    record = read_run(run, evaluation)
    frame, name = record.space.frame("ball"), "ball"
    surface = record.space.mesh(record.space.code(name), frame, 24)
    surface.vertices = 1000 * (surface.vertices + np.array([0.1, 0, 0]))
    surface.export(tmp_path / f"{name}.ply")
    shape = next(shape for shape in record.shapes if shape["name"] == name)
    case = read_case(read_run(run, evaluation, tmp_path), shape, "scan")
    np.testing.assert_allclose(case.truth.bounds - case.mesh.bounds, [[0.1, 0, 0]] * 2, atol=1e-4)
    assert len(case.errors) == len(case.mesh.vertices)
    assert 90 < case.errors.max() < 101
