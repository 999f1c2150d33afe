"""The notebooks of the docs, run from top to bottom at small sizes, in one folder."""

import ast
import json
import os
import sys

import pytest

from tests.conftest import ROOT

FOLDER = ROOT / "docs" / "notebooks"
SMALL = {
    "five_minutes": {"EPOCHS": 60, "RESOLUTION": 24},
    "fit_and_trust": {"NUM_POINTS": 1500, "RESOLUTION": 24},
    "own_decoder": {"EPOCHS": 10, "RESOLUTION": 24},
}
"""Names in the order in which they are run, and what takes the place of their parameters."""


def cells(name):
    """The cells of a notebook."""
    return json.loads((FOLDER / f"{name}.ipynb").read_text("utf-8"))["cells"]


def code_of(name):
    """The code of a notebook, with small parameters; all that it names as such are replaced."""
    for cell in cells(name):
        if cell["cell_type"] != "code":
            continue
        text = "".join(cell["source"])
        if "parameters" in cell["metadata"].get("tags", ()):
            tree = ast.parse(text)
            assert {node.targets[0].id for node in tree.body} == set(SMALL[name])
            text = "\n".join(f"{key} = {value!r}" for key, value in SMALL[name].items())
        yield text


def test_the_three_are_there_without_outputs():
    assert {path.stem for path in FOLDER.glob("*.ipynb")} == set(SMALL)
    for name in SMALL:
        for cell in cells(name):
            assert not cell.get("outputs") and cell.get("execution_count") is None


@pytest.mark.slow
def test_they_run(tmp_path, monkeypatch, capsys):
    pytest.importorskip("igl", reason="exact distances need shapespace[report]")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setattr(os, "environ", os.environ.copy())
    known = {}
    for name in SMALL:
        known[name] = {}
        for text in code_of(name):
            exec(compile(text, f"{name}.ipynb", "exec"), known[name])
    said = capsys.readouterr().out
    assert "volume" in said and "points off by" in said and "half sides" in said
    # Even a short training knows the size of what it has seen.
    truth = known["five_minutes"]["truth"]
    assert known["five_minutes"]["mesh"].volume == pytest.approx(truth, rel=0.3)
    assert (tmp_path / "out" / "guest.ply").exists()
    assert type(known["own_decoder"]["space"].decoder).__name__ == "Star"
