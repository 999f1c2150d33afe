"""A damaged checkpoint is one line or is resumed; nothing crashes, hangs or shows a traceback."""

import json
import os
import shutil
import subprocess
import sys

import pytest
import torch

from shapespace.checkpoint import CHECKPOINT, write_checkpoint
from shapespace.cli.main import main
from shapespace.errors import InputError
from tests.conftest import ROOT
from tests.damaged import damaged, damages
from tests.waiting import PATIENCE

NUM = 110


def changed(path, place, change):
    content = torch.load(path, weights_only=True)
    holder = content
    for key in place[:-1]:
        holder = holder[key]
    holder[place[-1]] = change(holder[place[-1]])
    path.unlink()
    write_checkpoint(content, path)


def test_a_hundred_damaged_checkpoints(train, tmp_path):
    run = train(tmp_path / "run", 2).parent
    content = torch.load(run / CHECKPOINT, weights_only=True)
    assert len(damages(content)) > 3000
    done = subprocess.run(
        [sys.executable, "-m", "tests.damaged", str(run), "0", str(NUM), "1"],
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(lines) == NUM
    refused = [line for line in lines if line["outcome"].startswith("line: ")]
    resumed = [line for line in lines if line["outcome"] == "resumed"]
    assert len(refused) + len(resumed) == NUM, [
        each for each in lines if "FAULT" in each["outcome"]
    ]
    assert len(refused) > NUM / 2 and len(resumed) > NUM / 8
    assert not any("\n" in line["outcome"] for line in refused)


SHORT = ("optimizer_states", 0, "state", 0, "exp_avg_sq")
CASES = (
    (SHORT, lambda old: old[:1], "exp_avg_sq has shape (1, 11), not (64, 11)"),
    (SHORT, lambda old: old.half(), "exp_avg_sq holds torch.float16, not torch.float32"),
    (SHORT, lambda old: old - 1, "exp_avg_sq is negative"),
    (("optimizer_states", 1, "state", 0, "mean"), lambda old: old * float("nan"), "mean holds"),
    (("optimizer_states", 0, "param_groups", 0, "amsgrad"), lambda _: True, "amsgrad is not that"),
    (("ScanData", "visits_of_an_epoch"), lambda _: 0, "visits_of_an_epoch is 0"),
    (("loops", "fit_loop"), lambda _: "text", "loops.fit_loop is a str, not a mapping"),
    (("callbacks", "Health", "counts"), lambda _: [], "Health.counts=[]: must be dict"),
    (("state_dict", "decoder.layers.1.bias"), lambda old: old / 0, "layers.1.bias holds numbers"),
    (("state_dict", "decoder.layers.1.bias"), lambda old: old.half(), "have different precision"),
)


def test_each_fault_is_named(train, tmp_path, capsys):
    kept = train(tmp_path / "kept", 1).parent
    config = [f"--config={kept / 'config.yaml'}", f"--trainer.default_root_dir={tmp_path / 'run'}"]
    for place, change, said in CASES:
        shutil.rmtree(tmp_path / "run", ignore_errors=True)
        (tmp_path / "run").mkdir()
        shutil.copy(kept / CHECKPOINT, tmp_path / "run" / CHECKPOINT)
        changed(tmp_path / "run" / CHECKPOINT, place, change)
        capsys.readouterr()
        assert main(["train", *config, "--trainer.max_epochs=2"]) == 2
        error = capsys.readouterr().err
        assert error.count("\n") == 1 and said in error, error


def test_lost_moments_are_said(train, tmp_path):
    run = train(tmp_path / "run", 1).parent
    changed(run / CHECKPOINT, ("optimizer_states", 0, "state"), lambda old: {0: old[0]})
    with pytest.warns(UserWarning, match=r"no state of decoder\.layers\.0\.bias, which begins at"):
        train(tmp_path / "run", 2)


def test_commands_that_change_scans_name_the_damage(train, tmp_path, toy_store, capsys):
    path = train(tmp_path / "run", 1)
    content = torch.load(path, weights_only=True)
    for place, change in (
        (("optimizer_states",), "text"),
        (("optimizer_states", 1, "state", 0, "mean"), "a row less"),
        (("ScanData", "visits_of_an_epoch"), "0"),
    ):
        path.unlink()
        write_checkpoint(damaged(content, place, change), path)
        capsys.readouterr()
        words = ["codes", "drop", str(path), "--names", "egg", "--out", str(tmp_path / "x.ckpt")]
        assert main(words) == 2
        error = capsys.readouterr().err
        assert error.count("\n") == 1 and "of the checkpoint are damaged" in error, error


def test_another_objective_is_refused_unless_it_is_asked_for(train, tmp_path):
    folder = tmp_path / "run"
    train(folder, 1)
    # The same by another name of the class, or by an argument that is the default.
    same = ["--model.objective=shapespace.objectives.igr.IGR", "--model.objective.eikonal=0.1"]
    train(folder, 2, *same)
    changed = "--model.objective.init_args.eikonal=0.2"
    with pytest.raises(InputError, match=r"objective eikonal=0.1, not eikonal=0.2: resume with"):
        train(folder, 3, changed)
    with pytest.raises(InputError, match="by the objective IGR, not PublishedIGR"):
        train(folder, 3, "--model.objective=shapespace.objectives.reference.PublishedIGR")
    path = train(folder, 3, changed, "--change_objective=true")
    assert torch.load(path, weights_only=True)["global_step"] == 6
    train(folder, 4, changed)
