"""``shapespace methods``: what each method is, needs and gives, read from its overlay."""

from pathlib import Path

import pytest
import yaml

from shapespace.cli.main import main
from shapespace.cli.methods import described
from shapespace.config.recipes import FOLDER, METHODS

ROOT = Path(__file__).resolve().parents[2]


def test_each_is_listed_with_what_it_needs(capsys):
    assert main(["methods"]) == 0
    head, *lines = capsys.readouterr().out.splitlines()
    assert head.split() == ["method", "field", "needs", "what"]
    assert [line.split()[0] for line in lines] == list(METHODS)
    found = {line.split()[0]: line for line in lines}
    assert " clamped " in found["deepsdf"] and " signed " in found["deepsdf"]
    assert " logit " in found["occnet"] and "Mescheder et al. 2019" in found["occnet"]
    assert " unsigned " in found["sal"] and " second derivatives " in found["digs"]


def test_each_has_a_note_that_says_what_is_published():
    for name, path in METHODS.items():
        method = described(name)
        assert method.what and method.paper and method.note, name
        content = yaml.safe_load(path.read_text())
        assert content.keys() == {"model"}, "an overlay leaves data and run to the recipe"
        assert {"decoder", "objective", "sampler", "optimiser", "lr"} <= content["model"].keys()
        link = ROOT / "configs" / path.relative_to(FOLDER)
        assert link.is_symlink() and link.resolve() == path


def test_one_is_described(capsys):
    assert main(["methods", "--about", "sal"]) == 0
    text = capsys.readouterr().out
    assert "paper  SAL (h2)" in text and str(METHODS["sal"]) in text and "@4a3359d" in text


@pytest.mark.parametrize(
    ("name", "hint"), [("seld", "did you mean 'sald'?"), ("xyz", "one of igr-published,")]
)
def test_an_unknown_one(name, hint, capsys):
    assert main(["methods", "--about", name]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert f"there is no method {name!r}; {hint}" in line
