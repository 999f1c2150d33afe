"""Exported spaces: the same space comes back, without pickle, and damage is one line."""

import hashlib
import json
import pickle
import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file

from shapespace.checkpoint import read_checkpoint, write_checkpoint
from shapespace.cli.main import main
from shapespace.errors import InputError
from shapespace.sharing.bundle import FACTS, TENSORS, read_bundle, write_bundle
from shapespace.sharing.model_card import CARD
from shapespace.space import TrainedSpace


@pytest.fixture(scope="module")
def bundle(toy_checkpoint, tmp_path_factory):
    """An exported space; not to be written to."""
    folder = tmp_path_factory.mktemp("shared") / "bundle"
    words = ["export", str(toy_checkpoint), "--out", str(folder), "--licence", "CC-BY-4.0"]
    assert main(words) == 0
    return folder


@pytest.fixture
def copy(bundle, tmp_path):
    return shutil.copytree(bundle, tmp_path / "copy")


def test_the_same_space_comes_back(bundle, toy_checkpoint):
    space, back = TrainedSpace.load(toy_checkpoint), TrainedSpace.from_pretrained(bundle)
    assert back.digest == space.digest and back.names == space.names
    assert (back.unit, back.kind, back.extent) == (space.unit, space.kind, space.extent)
    for name in space:
        assert torch.equal(space[name], back[name])
        assert (space.frame(name).centre == back.frame(name).centre).all()
        assert space.frame(name).scale == back.frame(name).scale
    points, codes = torch.randn(4, 9, 3), space.codes.table.weight
    assert torch.equal(space.decoder(points, codes), back.decoder(points, codes))


def test_the_json_says_all_that_is_no_tensor(bundle, toy_checkpoint):
    facts = json.loads((bundle / FACTS).read_text())
    recipe = read_checkpoint(toy_checkpoint)["hyper_parameters"]
    assert facts["recipe"] == json.loads(json.dumps(recipe))
    assert facts["names"] == ["ball", "egg", "lens", "melon"] and facts["licence"] == "CC-BY-4.0"
    assert facts["trained"] == {"epochs": 2, "steps": 4} and facts["unit"] == "m"
    assert {path.name for path in bundle.iterdir()} == {FACTS, TENSORS, CARD}
    assert str(toy_checkpoint.parent) not in (bundle / FACTS).read_text()


def test_no_pickle_is_read(bundle, monkeypatch):
    def refuse(*_, **__):
        raise AssertionError("pickle")

    for module, name in ((pickle, "load"), (pickle, "loads"), (torch, "load")):
        monkeypatch.setattr(module, name, refuse)
    monkeypatch.setattr(pickle, "Unpickler", refuse)
    assert len(TrainedSpace.from_pretrained(bundle)) == 4


def test_commands_take_it(bundle, tmp_path, capsys):
    assert main(["info", str(bundle)]) == 0
    assert "space of 4 shapes" in capsys.readouterr().out
    words = ["mesh", str(bundle), "egg", "--out", str(tmp_path / "m"), "--resolution", "16"]
    assert main(words) == 0 and (tmp_path / "m" / "egg.ply").is_file()
    assert main(["export", str(bundle), "--out", str(tmp_path / "again")]) == 0
    assert (tmp_path / "again" / TENSORS).read_bytes() == (bundle / TENSORS).read_bytes()


def test_degenerate_sizes(toy_checkpoint, tmp_path):
    """A single surface has a code of length 0."""
    content = read_checkpoint(toy_checkpoint)
    content["hyper_parameters"]["decoder"]["init_args"] |= {"latent_size": 0}
    decoder = TrainedSpace.load(toy_checkpoint).decoder
    plain = type(decoder)(**content["hyper_parameters"]["decoder"]["init_args"])
    state = {f"decoder.{name}": value for name, value in plain.state_dict().items()}
    content["state_dict"] = (
        content["state_dict"] | state | {"codes.table.weight": torch.zeros(4, 0)}
    )
    write_checkpoint(content, tmp_path / "last.ckpt")
    space = TrainedSpace.load(tmp_path / "last.ckpt")
    write_bundle(content, tmp_path / "b", space.digest)
    back = TrainedSpace.from_pretrained(tmp_path / "b")
    assert back.digest == space.digest and back["egg"].shape == (0,)


def changed(folder, **values):
    facts = json.loads((folder / FACTS).read_text())
    (folder / FACTS).write_text(json.dumps(facts | values))


def with_tensors(folder, **tensors):
    save_file(load_file(folder / TENSORS) | tensors, folder / TENSORS)
    changed(folder, sha256=hashlib.sha256((folder / TENSORS).read_bytes()).hexdigest())


def with_codes(folder, codes):
    with_tensors(folder, **{"codes.table.weight": codes})


def linked(folder):
    (folder / FACTS).rename(folder / "x")
    (folder / FACTS).symlink_to(folder / "x")


def strange(folder):
    facts = json.loads((folder / FACTS).read_text())
    facts["recipe"]["decoder"]["class_path"] = "os.system"
    changed(folder, recipe=facts["recipe"])


FAULTS = {
    "no tensors": (lambda f: (f / TENSORS).unlink(), "copy the whole folder"),
    "no facts": (lambda f: (f / FACTS).unlink(), "is no exported space"),
    "cut": (lambda f: (f / TENSORS).write_bytes((f / TENSORS).read_bytes()[:-9]), "is damaged"),
    "no json": (lambda f: (f / FACTS).write_text("{"), "is not JSON"),
    "deep": (lambda f: (f / FACTS).write_text('{"a":' * 10**5), "is not JSON"),
    "a list": (lambda f: (f / FACTS).write_text("[]"), "holds no object"),
    "format": (lambda f: changed(f, format=9), "has format 9, this version reads 1"),
    "unit": (lambda f: changed(f, unit="ell"), "unit='ell'"),
    "field": (lambda f: changed(f, field="odd"), "no known kind"),
    "sha": (lambda f: changed(f, sha256=3), "sha256=3"),
    "names": (lambda f: changed(f, names=["a"]), "one centre and one scale each"),
    "way out": (lambda f: changed(f, names=["../a", "b", "c", "d"]), "cannot name a scan"),
    "frames": (lambda f: changed(f, frames=[]), "frames is a list"),
    "nan": (lambda f: with_codes(f, torch.full((4, 8), torch.nan)), "not finite"),
    "rows": (lambda f: with_codes(f, torch.zeros(3, 8)), "has codes of 3"),
    "class": (strange, "os.system"),
    "link": (linked, "symbolic link"),
}


def test_every_fault_is_one_line(bundle, toy_checkpoint, tmp_path, capsys):
    for name, (spoil, said) in FAULTS.items():
        folder = shutil.copytree(bundle, tmp_path / name)
        spoil(folder)
        with pytest.raises(InputError) as error:
            TrainedSpace.from_pretrained(folder)
        assert said in str(error.value) and "\n" not in str(error.value), (name, error.value)
        if name != "no facts":
            assert main(["info", str(folder)]) == 2, name
            assert len(capsys.readouterr().err.splitlines()) == 1, name
    for given, said in (
        (toy_checkpoint, "is a checkpoint; give a folder that shapespace export wrote"),
        (toy_checkpoint.parent, "holds no space.json"),
        (tmp_path / "none", "there is no such folder"),
    ):
        with pytest.raises(InputError, match=said):
            read_bundle(given)


def test_nothing_of_others_is_overwritten(toy_checkpoint, tmp_path, capsys):
    (tmp_path / TENSORS).write_text("mine")
    assert main(["export", str(toy_checkpoint), "--out", str(tmp_path)]) == 2
    assert "is not of an exported space" in capsys.readouterr().err
    assert (tmp_path / TENSORS).read_text() == "mine"
    assert main(["export", str(tmp_path / "none"), "--out", str(tmp_path / "new")]) == 2
    assert not (tmp_path / "new").exists()
    (tmp_path / "file").write_text("")
    assert main(["export", str(toy_checkpoint), "--out", str(tmp_path / "file")]) == 2
    assert len(capsys.readouterr().err.splitlines()) == 2
