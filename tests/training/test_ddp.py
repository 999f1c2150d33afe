"""Ranks and one process on the union of their batches are the same training."""

import json
import os
import subprocess
import sys

import pytest
import torch

from shapespace.config.recipes import METHODS
from shapespace.training.statistics import read_metrics
from tests.conftest import RADII, ROOT, TOY
from tests.parts import small_decoder
from tests.waiting import PATIENCE

FIVE = {**RADII, "pill": (0.8, 0.8, 1.2)}
SCANS = ("anna_run_1", "anna_run_2", "bert_run_1", "anna_walk_1", "bert_walk_1")
PEOPLE = dict(zip(SCANS, FIVE.values(), strict=True))
"""The same five scans under the names of two people."""


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
        "--model.sampler=tests.parts.InDouble",
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
        env={**os.environ, "OMP_NUM_THREADS": "1", "SHAPESPACE_TRUST": "tests"},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
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


SETTINGS = {
    "even": ["--trainer.max_epochs=20", "--data.scans={four}"],
    "uneven": ["--trainer.max_epochs=10"],
    "no code": ["--trainer.max_epochs=10", "--model.decoder.init_args.latent_size=0"],
    "bounded": [
        "--trainer.max_epochs=10",
        "--model.code_max_norm=0.004",
        "--model.code_init_std=0.01",
        "--model.points_per_chunk=1",
    ],
    "dense": ["--trainer.max_epochs=10", "--model.code_optimiser=dense"],
    "learnt": ["--trainer.max_epochs=10", "--model.objective=tests.parts.Learnt"],
    "targets": ["--trainer.max_epochs=10", "--model.objective=tests.parts.FromTargets"],
    "encoder": [
        "--trainer.max_epochs=10",
        "--model.encoder=shapespace.encoders.PointNet",
        "--model.encoder.latent_size=8",
        "--model.encoder.width=16",
        "--model.encoder.variational=true",
    ],
    "validated": [
        "--trainer.max_epochs=20",
        "--data.scans={four}",
        "--data.validation={fifth}",
        "--validation.every=1",
        "--validation.share=1e9",
    ],
    "factors": [
        "--trainer.max_epochs=10",
        "--data.store={people}",
        "--model.identity_size=3",
        "--model.code_max_norm=0.01",
    ],
    "copies": [
        "--trainer.max_epochs=4",
        "--data.copies.mirror=x",
        "--data.copies.warps=1",
    ],
    "tied": ["--trainer.max_epochs=10", "--data.copies.mirror=x", "--data.copies.tied=true"],
    "muon": ["--trainer.max_epochs=10", "--model.optimiser=muon", "--model.schedule=cosine"],
    "bending": ["--trainer.max_epochs=10", "--model.bending=0.001", "--model.bending_every=3"],
}
"""Each of 20 steps of four scans, of five scans but where four are named."""


@pytest.fixture(scope="module")
def runs(five, write_store, tmp_path_factory):
    """The folder of a run, by setting and number of ranks."""
    folder = tmp_path_factory.mktemp("runs")
    four = folder / "four.txt"
    four.write_text("ball\negg\nlens\nmelon\n")
    people = write_store(folder / "people.hdf5", PEOPLE)
    fifth = folder / "fifth.txt"
    fifth.write_text("pill\n")
    files = {"four": four, "fifth": fifth, "people": people}
    for ranks in (1, 2, 4):
        batch = f"--data.batch_size={4 // ranks}"
        train(
            ranks,
            [
                arguments(folder / f"{name}_{ranks}", five, batch, *options)
                for name, given in SETTINGS.items()
                for options in [[option.format(**files) for option in given]]
            ],
        )
    return lambda name, ranks: folder / f"{name}_{ranks}"


@pytest.mark.slow
@pytest.mark.parametrize("name", SETTINGS)
@pytest.mark.parametrize("ranks", [2, 4])
def test_ranks_equal_one_process(name, ranks, runs):
    assert state(runs(name, 1))["global_step"] == 20
    assert farthest(runs(name, 1), runs(name, ranks)) < 1e-10


@pytest.mark.slow
def test_two_ranks_train_every_method_as_one_process_does(with_targets, tmp_path):
    def runs(ranks):
        size = ["--trainer.max_epochs=2", f"--data.batch_size={4 // ranks}"]
        return [
            [
                f"--config={TOY}",
                f"--config={method}",
                *arguments(folder, with_targets, *size, *small_decoder(method))[1:],
            ]
            for method in METHODS
            for folder in [tmp_path / f"{method}_{ranks}"]
        ]

    for ranks in (1, 2):
        train(ranks, runs(ranks))
    found = {name: farthest(tmp_path / f"{name}_1", tmp_path / f"{name}_2") for name in METHODS}
    assert max(found.values()) < 1e-10, found


@pytest.mark.slow
def test_ranks_differ_where_they_should(runs):
    assert farthest(runs("uneven", 1), runs("bounded", 2)) > 1e-3


@pytest.mark.slow
def test_ranks_with_different_free_memory_do_not_wait_for_each_other(runs, five, tmp_path):
    options = ["--data.batch_size=2", "--trainer.max_epochs=10"]
    uneven = arguments(tmp_path / "run", five, *options)
    train(2, [[*uneven, "--model.sampler=tests.parts.Uneven"]])
    assert farthest(runs("uneven", 1), tmp_path / "run") < 1e-10


LONG = ["--data.repeats=3", "--trainer.max_epochs=5"]
"""15 visits an epoch: three steps of four scans and one of three."""


@pytest.mark.slow
def test_a_run_goes_on_with_another_number_of_ranks(five, tmp_path):
    def run(ranks, name, *options):
        size = f"--data.batch_size={4 // ranks}"
        return arguments(tmp_path / name, five, size, *LONG, *options)

    stop = "--trainer.max_steps=7"
    train(1, [run(1, "whole"), run(1, "one then two", stop)])
    train(2, [run(2, "two then one", stop), run(2, "one then two")])
    assert state(tmp_path / "two then one")["global_step"] == 7
    train(1, [run(1, "two then one")])
    for name in ("one then two", "two then one"):
        assert state(tmp_path / name)["global_step"] == 20
        assert farthest(tmp_path / "whole", tmp_path / name) < 1e-10


@pytest.mark.slow
def test_a_run_goes_on_with_steps_of_another_size(five, tmp_path):
    """Two ranks of one scan each, then one process of four, from the middle of an epoch."""
    run = arguments(tmp_path / "run", five, *LONG, "--data.shuffle=false")
    train(2, [[*run, "--data.batch_size=1", "--trainer.max_steps=11"]])
    place = state(tmp_path / "run")["ScanData"]
    assert place == {"visits": 21, "visits_of_an_epoch": 15}  # eight steps, then three of two
    train(1, [[*run, "--data.batch_size=4"]])
    content, rows = state(tmp_path / "run"), read_metrics(tmp_path / "run" / "metrics.csv")
    assert content["ScanData"]["visits"] == 75
    assert [int(row["step"]) for row in rows] == [8, 14, 18, 22, 26]
    visits = content["optimizer_states"][-1]["state"][0]["visits"]
    assert visits.tolist() == [15] * 5


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_gpu_equals_cpu(five, tmp_path):
    for kind in ("cpu", "gpu"):
        run = arguments(tmp_path / kind, five, f"--trainer.accelerator={kind}")
        train(1, [run])
    assert farthest(tmp_path / "cpu", tmp_path / "gpu") < 1e-6
