"""The page of an exported space says what the space is, and nothing that is not so."""

import json
import sys
import types

import pytest
import yaml

from shapespace.checkpoint import read_checkpoint
from shapespace.cli.main import main
from shapespace.errors import InputError
from shapespace.sharing.bundle import FACTS, TENSORS, write_bundle
from shapespace.sharing.hub import fetched, is_hub_name
from shapespace.sharing.model_card import CARD, evaluated, model_card
from shapespace.space import TrainedSpace


def exported(checkpoint, out, *more):
    assert main(["export", str(checkpoint), "--out", str(out), *more]) == 0
    return (out / CARD).read_text()


def facts_of(text):
    return yaml.safe_load(text.split("---")[1])


def test_it_says_what_the_space_is(toy_checkpoint, tmp_path):
    text = exported(toy_checkpoint, tmp_path / "a", "--licence", "CC-BY-4.0")
    facts = json.loads((tmp_path / "a" / FACTS).read_text())
    assert facts_of(text)["license"] == "cc-by-4.0"
    for said in ("A space of 4 shapes", "SkipMLP", "IGR", facts["digest"], "2 epochs, 4 steps"):
        assert said in text
    assert "Nobody has measured it" in text
    text = exported(toy_checkpoint, tmp_path / "b")
    assert "license" not in facts_of(text) and "none is stated" in text


def test_scores_of_the_same_weights_only(toy_checkpoint, tmp_path):
    run = tmp_path / "run"
    (run / "evaluation").mkdir(parents=True)
    (run / "last.ckpt").write_bytes(toy_checkpoint.read_bytes())
    digest = TrainedSpace.load(run / "last.ckpt").digest
    (run / "evaluation" / "scores.txt").write_text("chamfer 3.1 mm ``` | x |\n")
    (run / "evaluation" / "scores.json").write_text(json.dumps({"facts": {"space": "0" * 64}}))
    assert evaluated(run, digest) is None
    (run / "evaluation" / "scores.json").write_text("{")
    assert evaluated(run, digest) is None
    (run / "evaluation" / "scores.json").write_text(json.dumps({"facts": {"space": digest}}))
    text = exported(run / "last.ckpt", tmp_path / "out")
    assert "chamfer 3.1 mm  | x |" in text and "Nobody" not in text


def test_a_page_of_the_user_stays(toy_checkpoint, tmp_path, capsys):
    exported(toy_checkpoint, tmp_path)
    (tmp_path / CARD).write_text("mine")
    assert exported(toy_checkpoint, tmp_path) == "mine"
    assert "a page of your own" in capsys.readouterr().out


def test_words_of_others_stay_in_their_cells(toy_checkpoint, tmp_path):
    exported(toy_checkpoint, tmp_path)
    facts = json.loads((tmp_path / FACTS).read_text())
    text = model_card(facts | {"version": "1 | evil\n# title"}, None)
    assert "\n# title" not in text and "1 \\| evil # title" in text


def test_a_space_of_the_hub(toy_checkpoint, tmp_path, monkeypatch):
    calls = []

    def snapshot_download(*, repo_id, revision, allow_patterns, local_dir):
        calls.append((repo_id, revision, allow_patterns))
        if repo_id == "nobody/nothing":
            raise OSError("404 of the hub")
        write_bundle(read_checkpoint(toy_checkpoint), local_dir, "0" * 64)

    module = types.SimpleNamespace(snapshot_download=snapshot_download)
    monkeypatch.setitem(sys.modules, "huggingface_hub", module)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    space = TrainedSpace.from_pretrained("some.one/bodies@v1", "cpu")
    assert space.digest == TrainedSpace.load(toy_checkpoint, "cpu").digest
    assert calls == [("some.one/bodies", "v1", [FACTS, TENSORS])]
    with pytest.raises(InputError, match=r"nobody/nothing: the hub does not give it .*404"):
        fetched("nobody/nothing", [FACTS])
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(InputError, match=r"pip install 'shapespace\[hub\]'"):
        TrainedSpace.from_pretrained("some.one/bodies")


def test_names_of_the_hub(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a" / "b").mkdir(parents=True)
    assert is_hub_name("c/d") and is_hub_name("c/d@main")
    assert not any(map(is_hub_name, ("a/b", "c", "/c/d", "c/d/e", "../c/d", "c/d@", "~/c")))
