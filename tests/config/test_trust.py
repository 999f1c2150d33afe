"""What a file of somebody else may name, and how large a config may be."""

import json
import os
import subprocess
import sys

import pytest
from jsonargparse import get_loader
from jsonargparse._common import parsing_settings

from shapespace.cli.main import main
from shapespace.config import trust
from shapespace.config.parts import build_part, check_like
from shapespace.config.recipes import RECIPES
from shapespace.config.trust import (
    TRUST_VARIABLE,
    check_limits,
    known_imports_only,
    packages_of,
    split_trust,
    trusted_packages,
    trusting,
)
from shapespace.errors import InputError
from shapespace.sampling import NearSurface, Sampler
from tests.conftest import ROOT
from tests.foreign import CANARY, SECRET
from tests.waiting import PATIENCE


def test_trust_is_taken_out_of_a_command_line():
    words = ["a", "--trust", "mine", "--x=1", "--trust=yours.parts"]
    assert split_trust(words) == (["a", "--x=1"], ["mine", "yours.parts"])
    for odd in (["--trust"], ["--trust", "../x"], ["--trust="], ["--trust", "jsonargparse"]):
        with pytest.raises(InputError, match="give the name of a Python package"):
            split_trust(odd)


@pytest.mark.parametrize("empty", ["", ",", " , "])
def test_an_empty_name_is_no_package(empty, monkeypatch):
    monkeypatch.setenv(TRUST_VARIABLE, empty)
    assert trusted_packages() == ()
    with pytest.raises(InputError, match="no import path"):
        trust.check_class_path("", "x.ckpt")


def test_packages_are_trusted_during_a_block(monkeypatch):
    monkeypatch.delenv(TRUST_VARIABLE, raising=False)
    with trusting(["mine"]), trusting(["yours", "mine"]):
        assert trusted_packages() == ("mine", "yours")
        trust.check_class_path("mine.Part", "x.ckpt")
    assert TRUST_VARIABLE not in os.environ
    with pytest.raises(InputError, match="say --trust mine or set SHAPESPACE_TRUST=mine"):
        trust.check_class_path("mine.Part", "x.ckpt")


def test_a_class_on_the_command_line_is_trusted():
    words = ["--model.decoder", "mine.Net", "--trainer.plugins={class_path: yours.P}"]
    files = ["--data.store=toy.hdf5", "--trainer.default_root_dir=my.runs", "--model.lr=os.system"]
    assert packages_of([*words, *files]) == {"mine", "yours"}


def test_the_settings_of_jsonargparse_come_back():
    before, load = dict(parsing_settings), get_loader("yaml")
    with known_imports_only():
        assert parsing_settings["import_paths_enforced"] is True
    assert dict(parsing_settings) == before and get_loader("yaml") is load


def test_recipes_are_within_the_limits():
    for path in RECIPES.values():
        check_limits(path.read_text())


def test_a_part_is_built_of_plain_data():
    plain = {"class_path": "shapespace.sampling.NearSurface", "init_args": {"extent": 2}}
    part = build_part(plain, Sampler, "sampler")
    assert isinstance(part, NearSurface) and part.extent == 2
    for init, said in (
        ({"extent": "2"}, "sampler.extent='2': must be float"),
        ({"sigma": True}, r"sampler.sigma=True: must be float \| None"),
        ({"width": 2}, "NearSurface has no argument 'width'"),
    ):
        with pytest.raises(InputError, match=said):
            build_part({**plain, "init_args": init}, Sampler, "sampler")


def test_what_data_must_be_like():
    like = {"a": int, "b": {"c": list[float]}}
    check_like({"a": 1, "b": {"c": [1.0]}, "more": None}, like, "x")
    for odd, said in (
        ({"a": 1}, "x lacks b"),
        ({"a": -1, "b": {"c": []}}, "x.a is -1"),
        ({"a": True, "b": {"c": []}}, "x.a=True: must be int"),
        ({"a": 10**5000, "b": {"c": []}}, "more than 15 digits"),
        ({"a": 1, "b": {"c": [float("nan")]}}, r"x.b.c is \[nan\]"),
    ):
        with pytest.raises(InputError, match=said):
            check_like(odd, like, "x")


OWN = """
from shapespace.decoders import SkipMLP

class Net(SkipMLP):
    pass
"""


def test_a_part_of_the_user_s_own_package(tmp_path, toy_arguments, monkeypatch, capsys):
    monkeypatch.delenv(TRUST_VARIABLE, raising=False)
    config = tmp_path / "own.yaml"
    config.write_text("model:\n  decoder:\n    class_path: ownpackage.Net\n")
    run = f"--trainer.default_root_dir={tmp_path / 'run'}"
    words = ["train", *toy_arguments, f"--config={config}", run, "--trainer.max_epochs=1"]
    assert main(words) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and f"{config}: names the class 'ownpackage.Net'" in said
    assert "--trust ownpackage" in said
    assert main([*words, "--trust", "ownpackage"]) == 2
    assert "put the folder of ownpackage on PYTHONPATH" in capsys.readouterr().err
    (tmp_path / "ownpackage.py").write_text(OWN)
    monkeypatch.syspath_prepend(tmp_path)
    assert main([*words, "--trust=ownpackage"]) == 0
    info = ["info", str(tmp_path / "run/last.ckpt")]
    capsys.readouterr()
    assert main(info) == 2
    assert "names the class 'ownpackage.Net'" in capsys.readouterr().err
    assert main([*info, "--trust", "ownpackage"]) == 0
    # A class that the user types is the user's own act.
    again = [*toy_arguments, "--model.decoder=ownpackage.Net", "--trainer.max_epochs=2", run]
    assert main(["train", *again]) == 0
    monkeypatch.delitem(sys.modules, "ownpackage")
    (tmp_path / "ownpackage.py").unlink()
    capsys.readouterr()
    assert main([*info, "--trust", "ownpackage"]) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and "put the folder of ownpackage on PYTHONPATH" in said
    assert TRUST_VARIABLE not in os.environ


def test_nothing_foreign_is_imported_or_opened(train, tmp_path):
    """Some 250 checkpoints and configs, in a process that counts imports and opened files."""
    run = train(tmp_path / "run", 1).parent
    good = (run / "last.ckpt").rename(tmp_path / "good.ckpt")
    (tmp_path / "canary.py").write_text(CANARY)
    (tmp_path / "secret.yaml").write_text(SECRET)
    done = subprocess.run(
        [sys.executable, "-m", "tests.foreign", str(tmp_path), str(good)],
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1", TRUST_VARIABLE: ""},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(lines) > 230
    wrong = [
        line
        for line in lines
        if line["seen"]
        or not line["outcome"].startswith(("line: ", "exit 2: "))
        or "\n" in line["outcome"]
        or "do-not-show" in line["outcome"]
    ]
    assert wrong == []


ODD = """
from typing import TYPE_CHECKING
from shapespace.sampling import NearSurface

if TYPE_CHECKING:
    from fractions import Fraction

class Annotated(NearSurface):
    def __init__(self, sigma: "Fraction" = 1):
        super().__init__()

class Raising(NearSurface):
    def __init__(self, sigma: float = 1.0):
        raise ZeroDivisionError("by nought")
"""


def test_a_class_of_a_user_that_cannot_be_built_is_one_line(tmp_path, monkeypatch):
    (tmp_path / "oddpackage.py").write_text(ODD)
    monkeypatch.syspath_prepend(tmp_path)
    for name, fault in {
        "Annotated": "sampler: the annotations of Annotated raised NameError .*'Fraction'",
        "Raising": r"sampler: Raising raised ZeroDivisionError \(by nought\)",
        "Missing": "cannot be imported .*on PYTHONPATH; .* --trust oddpackage",
    }.items():
        with trusting(["oddpackage"]), pytest.raises(InputError, match=fault):
            part = {"class_path": f"oddpackage.{name}", "init_args": {"sigma": 1.0}}
            build_part(part, Sampler, "sampler")
