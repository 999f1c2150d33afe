"""Killed at any moment, a training goes on from a whole checkpoint of a step before."""

import os
import random
import re
import resource
import signal
import subprocess
import sys
import time

import pytest

from shapespace.checkpoint import CHECKPOINT, newest_checkpoint, read_checkpoint
from shapespace.training.statistics import METRICS, read_metrics
from tests.conftest import ROOT, TOY
from tests.waiting import PATIENCE

KILLS = int(os.environ.get("SHAPESPACE_KILLS", "5"))


def fit(store, folder, *options, limit=None):
    arguments = [
        *("-m", "shapespace", "train", f"--config={TOY}", f"--data.store={store}"),
        *(f"--trainer.default_root_dir={folder}", "--data.num_points=64", "--data.repeats=5"),
        *("--trainer.max_epochs=100000", "--preview.every=1000000", *options),
    ]

    def limited():
        if limit is not None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

    return subprocess.Popen(
        [sys.executable, *arguments],
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=limited,
    )


def step_of(folder):
    path, _ = newest_checkpoint(folder)
    return 0 if path is None else read_checkpoint(path)["global_step"]


@pytest.mark.slow
def test_killed_again_and_again(toy_store, tmp_path):
    """A checkpoint after every step, so that many kills meet one that is being written."""
    chance, folder, steps = random.Random(5), tmp_path / "run", [0]
    met = 0
    for _ in range(KILLS):
        process = fit(toy_store, folder, "--checkpoint.minutes=1e-9")
        lines = []
        for line in process.stderr:
            lines.append(line)
            if re.search(r"training: *\d+/", line):
                break
        time.sleep(chance.uniform(0.2, 3))
        process.kill()
        said = "".join(lines) + process.communicate()[1]
        went_on = re.findall(r"going on from \S+, step (\d+)\n", said)
        assert [int(step) for step in went_on] == [step for step in steps[-1:] if step]
        met += any(".part" in path.name for path in folder.iterdir())
        steps.append(step_of(folder))
        assert steps[-1] > steps[-2]
        shown = [int(step) for step in re.findall(r"training: *(\d+)/", said)]
        assert steps[-1] >= max(shown) - 2  # the one being written, and the one before it
    rows = read_metrics(folder / METRICS)
    assert [int(row["epoch"]) for row in rows] == list(range(len(rows)))
    assert [int(row["step"]) for row in rows] == [10 * (k + 1) for k in range(len(rows))]
    process = fit(toy_store, folder, f"--trainer.max_steps={steps[-1] + 5}")
    assert process.wait(PATIENCE) == 0
    assert not [path for path in folder.iterdir() if ".part" in path.name]


@pytest.mark.slow
def test_a_file_that_may_not_grow_is_a_full_disk(toy_store, tmp_path):
    folder = tmp_path / "run"
    options = ["--trainer.max_epochs=3", "--checkpoint.every=1"]
    assert fit(toy_store, folder, *options).wait(PATIENCE) == 0
    size = (folder / CHECKPOINT).stat().st_size
    before = (folder / CHECKPOINT).read_bytes()
    process = fit(toy_store, folder, "--trainer.max_epochs=6", *options[1:], limit=size // 2)
    said = process.communicate(timeout=PATIENCE)[1]
    assert process.returncode == 2
    assert "the training goes on, older checkpoints stay" in said
    assert "last.ckpt: cannot be written (File too large)" in said and "make room and run" in said
    assert "Traceback" not in said
    assert (folder / CHECKPOINT).read_bytes() == before
    process = fit(toy_store, folder, "--trainer.max_epochs=6")
    assert "going on from" in process.communicate(timeout=PATIENCE)[1]
    assert len(read_metrics(folder / METRICS)) == 6


def test_the_signal_of_files_that_grow_too_large_is_no_end():
    assert signal.getsignal(signal.SIGXFSZ) == signal.SIG_IGN
