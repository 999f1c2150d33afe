"""The section of new shapes on the page of a run."""

import json

import pytest

from shapespace.evaluation.samples import draw as drawing
from shapespace.evaluation.samples import shapes as shapes_module
from shapespace.evaluation.samples.draw import draw_samples_of
from shapespace.evaluation.samples.prior import make_prior
from shapespace.report import html
from shapespace.report.run import read_run
from shapespace.report.sections import samples as section

pytest.importorskip("igl")


@pytest.fixture
def run(toy_checkpoint, tmp_path, monkeypatch):
    """A run with two samples."""
    monkeypatch.setattr(shapes_module, "NODES", 20)
    monkeypatch.setattr(shapes_module, "POINTS", 100)
    for module in (drawing, section):
        monkeypatch.setattr(module, "HEIGHT", 60)
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / "last.ckpt").write_bytes(toy_checkpoint.read_bytes())
    make_prior(folder / "last.ckpt")
    draw_samples_of(folder / "last.ckpt", folder / "samples", num=2, resolution=20)
    return folder


def page_of(run, folder):
    """The sections of a page with new shapes alone, and the remarks."""
    record, page = read_run(run), html.Page("title", "lead")
    section.new_shapes(page, record, folder=folder, up="y")
    path = folder / "page.html"
    page.write(path)
    return path.read_text(), record.remarks


def test_samples_stand_on_the_page_with_their_nearest_training_shapes(run, tmp_path):
    text, remarks = page_of(run, tmp_path)
    assert "New shapes" in text and "2 samples" in text and remarks == []
    facts = json.loads((run / "samples" / "samples.json").read_text())
    assert all(each["nearest"] for each in facts["samples"])
    assert any(each["nearest"] in text for each in facts["samples"])


def test_samples_of_other_weights_and_damaged_ones_are_remarked(run, tmp_path):
    path = run / "samples" / "samples.json"
    facts = json.loads(path.read_text())
    path.write_text(json.dumps(facts | {"space": "0" * 64}))
    text, remarks = page_of(run, tmp_path)
    assert "New shapes" not in text and "samples of other weights" in remarks[0]
    for content in ('{"samples": [{"name": "../../etc"}]}', "{", '{"samples": 3}'):
        path.write_text(content)
        text, remarks = page_of(run, tmp_path)
        assert "New shapes" not in text and "is damaged" in remarks[0]
    path.write_text(json.dumps(facts))
    (run / "samples" / "001.ply").write_bytes(b"ply")
    text, remarks = page_of(run, tmp_path)
    assert "New shapes" not in text and "001.ply" in remarks[0]


def test_a_run_without_samples_has_no_section(run, tmp_path):
    (run / "samples").rename(run / "elsewhere")
    text, remarks = page_of(run, tmp_path)
    assert "New shapes" not in text and remarks == []
