"""Help of ``train`` without waiting, recipes where none is given, and what to do at the end."""

import re
import shutil
import subprocess
import sys

from shapespace.cli.main import main
from shapespace.cli.train import OPTIONS, ending, help_text
from shapespace.config.recipes import RECIPES

HEAVY = {"torch", "numpy", "pytorch_lightning", "h5py", "trimesh", "wandb"}


def test_help_and_the_list_of_recipes_import_nothing_heavy():
    calls = "main(['train', '--help']), main(['plan', '--help']), main(['train']), main(['fit'])"
    program = f"from shapespace.cli.main import main; print([{calls}])"
    words = [sys.executable, "-X", "importtime", "-c", program]
    run = subprocess.run(words, capture_output=True, text=True, check=True)
    imported = {line.rpartition("|")[2].strip() for line in run.stderr.splitlines()}
    assert "shapespace.planning.cli" in imported and not imported & HEAVY
    assert run.stdout.splitlines()[-1] == "[0, 0, 2, 2]"


def test_help_begins_with_our_options_and_fits_a_screen(capsys):
    assert main(["train", "-h"]) == 0
    text = capsys.readouterr().out
    assert text == help_text() and len(text.splitlines()) <= 45
    assert max(map(len, text.splitlines())) <= 100
    assert main(["train", "--help-all"]) == 0
    everything = capsys.readouterr().out
    assert len(everything.splitlines()) > 300
    # What the short help shows is an option of the parser.
    shown = [name.split()[0] for options in OPTIONS.values() for name in options]
    for name in ["--config", "--help-all", *shown]:
        assert f"  {name} " in text, name
    for name in shown:
        assert re.search(rf"^  {re.escape(name)}\b", everything, re.MULTILINE), name
    assert all(name in text for name in RECIPES)


def test_without_a_recipe_they_are_listed(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for words in ([], ["--data.store", "s.hdf5"]):
        assert main(["train", *words]) == 2
        said = capsys.readouterr()
        assert said.err.startswith("shapespace train: error: give a recipe and a store, as in ")
        listed = [line.split()[0] for line in said.out.splitlines()[1:]]
        assert listed == list(RECIPES) and list(tmp_path.iterdir()) == []


def test_the_end_names_the_checkpoint_and_what_takes_it(
    toy_checkpoint, toy_arguments, capsys, tmp_path
):
    folder = shutil.copytree(toy_checkpoint.parent, tmp_path / "run")
    trained, checkpoint, *rest = ending(folder / "last.ckpt")
    assert re.fullmatch(r"trained: 4 scans, 4 steps, loss [0-9.]+", trained)
    assert checkpoint == f"checkpoint: {folder / 'last.ckpt'}"
    assert rest[0] == "next:" and rest[1] == f"  shapespace report {folder}"
    assert rest[2] == f"  shapespace mesh {folder / 'last.ckpt'} ball --out meshes/"
    assert [line.split()[1] for line in rest[1:]] == ["report", "mesh", "reconstruct", "evaluate"]
    # A run that is done says the same again.
    options = ["--trainer.max_epochs=2", f"--trainer.default_root_dir={folder}"]
    assert main(["train", *toy_arguments, *options]) == 0
    said = capsys.readouterr()
    assert said.out.splitlines() == [trained, checkpoint, *rest] and "a batch of" not in said.err
    options = ["--trainer.max_epochs=1", f"--trainer.default_root_dir={tmp_path / 'b'}"]
    assert main(["train", *toy_arguments, *options, "--data.batch_size=16"]) == 0
    remark = "a batch of 16 is larger than the 4 scans of an epoch: each step has all of them"
    assert remark in capsys.readouterr().err.splitlines()
