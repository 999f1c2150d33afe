"""Ranks and one process on the union of their batches are the same training."""

import json
import os
import subprocess
import sys

import pytest
import torch

from shapespace.callbacks import read_metrics
from tests.conftest import RADII, ROOT, TOY

FIVE = {**RADII, "pill": (0.8, 0.8, 1.2)}
EVEN, UNEVEN = ["--data.batch_size=4"], ["--data.batch_size=4", "--data.repeats=3"]


@pytest.fixture(scope="module")
def five(write_store, tmp_path_factory):
    """A store of five scans."""
    return write_store(tmp_path_factory.mktemp("five") / "five.hdf5", FIVE)


def arguments(folder, store, *options):
    return [
        f"--config={TOY}",
        f"--data.store={store}",
        f"--trainer.default_root_dir={folder}",
        "--data.num_points=64",
        "--preview.every=1000",
        *options,
    ]


def train(ranks, runs):
    """Train the ``runs``, each a list of arguments, by so many ranks."""
    if ranks > 1:
        more = ["--trainer.strategy=ddp", f"--trainer.devices={ranks}"]
        runs = [[*run, *more] for run in runs]
    launcher = ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={ranks}"]
    done = subprocess.run(
        [sys.executable, *(launcher if ranks > 1 else []), "-m", "tests.ranks", json.dumps(runs)],
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert done.returncode == 0, done.stderr


def state(folder):
    return torch.load(folder / "last.ckpt", weights_only=True)


def tensors(folder):
    """Weights, codes and moments of a run, flat, by name."""
    content = state(folder)
    found = dict(content["state_dict"])
    for number, optimiser in enumerate(content["optimizer_states"]):
        for row, values in optimiser["state"].items():
            found |= {f"{number}.{row}.{name}": value for name, value in values.items()}
    return {name: v.double() for name, v in found.items() if isinstance(v, torch.Tensor)}


def differences(left, right):
    """Of two runs, by tensor and by column of the metrics, relative to the size of each."""
    one, two = tensors(left), tensors(right)
    assert one.keys() == two.keys()
    rows = [read_metrics(folder / "metrics.csv") for folder in (left, right)]
    for name in rows[0][0].keys() - {"seconds"}:
        found = [torch.tensor([float(row[name]) for row in part]).double() for part in rows]
        one[name], two[name] = found
    return {
        name: float((one[name] - two[name]).norm() / one[name].norm().clamp(min=1e-30))
        for name in one
        if one[name].numel()
    }


def farthest(left, right):
    """The largest difference of two runs."""
    return max(differences(left, right).values())
