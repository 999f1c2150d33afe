"""What a training is said to take: exact where it can be known, sound where it is measured."""

import dataclasses
import json
import math

import pytest
import torch

from shapespace.checkpoint import CHECKPOINT
from shapespace.cli.main import main
from shapespace.decoders import SkipMLP
from shapespace.errors import InputError
from shapespace.planning import measure as measuring
from shapespace.planning.cli import plan
from shapespace.planning.estimate import Job, Measured, MeasuredStep, estimate_run, table
from shapespace.planning.measure import PlanCLI, measure, num_devices, sizes
from shapespace.training import batches as steps
from shapespace.training.batches import Steps
from shapespace.training.cli import one_line_misconfigurations
from shapespace.training.distributed import bytes_of_rows, bytes_sent, mean_of_rows
from tests.conftest import TOY

JOB = Job(
    ranks=4,
    num_scans=100,
    latent_size=8,
    num_numbers=1000,
    batch_size=5,
    num_points=64,
    repeats=1,
    drop_last=False,
    max_epochs=10,
    max_steps=None,
)
MEASURED = Measured(
    device="a device",
    steps=(MeasuredStep(1, 32, 68, 0.1, 100.0), MeasuredStep(1, 64, 136, 0.2, 100.0)),
    memory={"program": 100, "decoder": 20, "codes": 3},
    checkpoint=1000,
    free=10**6,
    most_points=300,
)


@pytest.fixture(scope="module")
def measured(toy_arguments):
    """Job and measurement of the toy recipe."""
    return measured_by(toy_arguments)


def measured_by(arguments, ranks=None, num_scans=None):
    with one_line_misconfigurations():
        cli = PlanCLI(arguments, num_scans)
        job = cli.job(ranks)
        return job, measure(cli, job)


@pytest.mark.parametrize("latent_size", [0, 1, 8])
def test_rows_are_the_bytes_that_are_gathered(latent_size):
    gathered = []

    def all_gather(part):
        gathered.append(part.nbytes)
        return part[None]

    rows = torch.tensor([[3, 1]])
    gradient = torch.sparse_coo_tensor(rows, torch.ones(2, latent_size), (9, latent_size))
    mean_of_rows(gradient, 5, all_gather)
    assert sum(gathered) == bytes_of_rows(5, latent_size)


@pytest.mark.parametrize("ranks", [1, 2, 3, 8])
def test_a_ring_of_ranks_sends_these_bytes(ranks):
    decoder = SkipMLP(latent_size=8, width=24, depth=4, skip=2)
    value, gradient = decoder.value_and_gradient(torch.randn(2, 5, 3), torch.randn(2, 8))
    (value.sum() + gradient.square().sum()).backward()
    numbers = sum(p.grad.numel() for p in decoder.parameters())
    own = sum(p.grad.nbytes for p in decoder.parameters())
    # each of W parts goes W-1 times on to be summed, and W-1 times to be spread
    of_sum = sum(own / ranks for _ in range(ranks - 1)) * 2
    of_rows = sum(bytes_of_rows(5, 8) for _ in range(ranks - 1))
    found = bytes_sent(ranks, numbers, bytes_of_rows(5, 8))
    assert found[0] == math.floor(of_sum + 1e-6) and found[1] == of_rows


@pytest.mark.parametrize("drop_last", [True, False])
@pytest.mark.parametrize("ranks", [1, 2, 3, 7])
@pytest.mark.parametrize(("num_scans", "batch_size"), [(97, 16), (8, 2), (14, 1), (50, 7)])
def test_steps_of_an_epoch_are_those_that_are_taken(
    ranks, num_scans, batch_size, drop_last, monkeypatch
):
    monkeypatch.setattr(steps, "world", lambda: (ranks - 1, ranks))
    dealt = Steps(num_scans, batch_size, 2, drop_last=drop_last)
    changes = {"num_scans": num_scans, "batch_size": batch_size, "drop_last": drop_last}
    job = dataclasses.replace(JOB, ranks=ranks, repeats=2, **changes)
    taken = list(dealt)
    assert job.steps_per_epoch == len(dealt) == len(taken)
    assert job.scans_of_a_step == len(taken[0].visits)
    assert job.total_steps == 10 * len(taken)


def test_bounds_of_a_run():
    assert dataclasses.replace(JOB, limit=3).total_steps == 30
    assert dataclasses.replace(JOB, limit=0.4).steps_per_epoch == 2
    assert dataclasses.replace(JOB, max_steps=7).total_steps == 7
    endless = estimate_run(dataclasses.replace(JOB, max_epochs=None), MEASURED)
    assert endless["hours"] is None and "no end" in table(endless)
    with pytest.raises(InputError, match=r"make no step: data\.drop_last .* lower data"):
        dataclasses.replace(JOB, num_scans=3, drop_last=True)


def test_what_was_not_measured_is_scaled():
    found = estimate_run(JOB, MEASURED)
    assert found["num_points"] == 5 * 136
    assert found["seconds_per_step"] == pytest.approx(0.2 * 5)
    assert found["memory"]["activations"] == 13600 * 2  # a backward pass of 300 holds two scans
    assert found["memory"]["peak"] == 13600 * 2 + 123
    assert found["hours"] == pytest.approx(10 * 5 * 1.0 / 3600)
    assert found["epochs_per_hour"] == pytest.approx(3600 / 5)
    assert (found["decoder_bytes"], found["code_bytes"]) == (6000, 3 * 5 * 40)
    assert "those of a step of 136 points, scaled" in table(found) and "network" in table(found)
    whole = (*MEASURED.steps, MeasuredStep(5, 320, 680, 0.5, 100.0))
    found = estimate_run(JOB, dataclasses.replace(MEASURED, steps=whole))
    assert found["seconds_per_step"] == 0.5 and "scaled" not in table(found)


def test_suggestions():
    text = table(estimate_run(JOB, MEASURED))
    assert "8,000 points fits 1 MB that are free: data.batch_size=58 at most" in text
    assert "model.points_per_chunk=8000" in text
    tight = dataclasses.replace(MEASURED, free=10**4)
    assert "do not fit 10 kB that are free: lower data.num_points to 37" in table(
        estimate_run(JOB, tight)
    )
    rows = (*MEASURED.steps, MeasuredStep(5, 320, 680, 0.5, 1.0))
    flat = dataclasses.replace(MEASURED, steps=(*rows, MeasuredStep(10, 640, 1360, 1.0, 1.0)))
    assert "data.batch_size=5 is the smallest of 1, 5, 10 " in table(estimate_run(JOB, flat))
    rising = dataclasses.replace(MEASURED, steps=(*rows, MeasuredStep(10, 640, 1360, 0.6, 1.0)))
    assert "data.batch_size=10 is the smallest of 1, 5, 10 " in table(estimate_run(JOB, rising))


def test_sizes_grow_to_twice_the_batch():
    assert list(sizes(1, 100)) == [(1, 16), (1, 64), (1, 100), (2, 100)]
    assert list(sizes(6, 1000)) == [
        *((1, n) for n in (16, 64, 256)),
        *((n, 1000) for n in (1, 2, 4, 6, 12)),
    ]


def test_the_toy_recipe(measured, toy_checkpoint):
    job, found = measured
    assert (job.ranks, job.num_scans, job.steps_per_epoch, job.total_steps) == (1, 4, 2, 10)
    for step in found.steps:
        assert 0 < step.seconds < 60 and step.points > step.surface > 0
    assert found.steps[-1].scans == 4
    assert min(*found.memory.values(), found.free) > 0
    assert found.memory["codes"] == 4 * (3 * 8 * 4 + 4)
    assert found.memory["decoder"] == pytest.approx(16 * job.num_numbers, rel=0.01)
    size = toy_checkpoint.with_name(CHECKPOINT).stat().st_size
    assert found.checkpoint == pytest.approx(size, rel=0.1)
    predicted = estimate_run(job, found)
    assert all(0 < predicted[name] < math.inf for name in ("hours", "points_per_second"))
    assert (predicted["decoder_bytes"], predicted["code_bytes"]) == (0, 0)


def test_without_a_store(tmp_path, monkeypatch):
    monkeypatch.setattr(measuring, "LONGEST_STEP", 0.0)
    arguments = [f"--config={TOY}", f"--data.store={tmp_path / 'none.hdf5'}"]
    arguments += ["--model.decoder.dimension=2", "--trainer.devices=2", "--trainer.num_nodes=4"]
    job, found = measured_by(arguments, num_scans=1000)
    assert (job.ranks, job.num_scans) == (8, 1000)
    assert found.memory["codes"] == 1000 * (3 * 8 * 4 + 4)
    assert len(found.steps) == 2, "after a step that takes too long there is no larger one"
    assert "too long to be measured" in table(estimate_run(job, found))
    assert PlanCLI(arguments, 1000).job(3).ranks == 3
    with pytest.raises(InputError, match=r"none.hdf5: there is no such file; .* --scans N"):
        measured_by(arguments)
    with pytest.raises(InputError, match="batch_size=0: give at least 1"):
        measured_by([*arguments, "--data.batch_size=0"], num_scans=1000)
    assert list(tmp_path.iterdir()) == []


def test_codes_of_length_0():
    changes = ["--model.decoder.latent_size=0", "--data.batch_size=1", "--data.num_points=16"]
    arguments = [f"--config={TOY}", *changes, "--trainer.max_steps=3"]
    job, found = measured_by(arguments, ranks=2, num_scans=1)
    assert len(found.steps) == 2 and job.total_steps == 3
    assert estimate_run(job, found)["code_bytes"] == 8


@pytest.mark.parametrize(
    ("devices", "count"), [(3, 3), ("3", 3), ("auto", 1), (-1, 1), ([0, 2], 2), ("0,2,", 2)]
)
def test_devices(devices, count):
    assert num_devices(devices, "cpu") == count


def test_the_command(toy_arguments, tmp_path, capfd, monkeypatch):
    run, file = tmp_path / "run", tmp_path / "plan.json"
    options = [f"--trainer.default_root_dir={run}", "--json", str(file)]
    predicted = plan([toy_arguments[0], "--ranks", "2", *options, *toy_arguments[1:]])
    assert predicted is not None
    out = capfd.readouterr().out
    assert out == f"{table(predicted)}\n" and "ranks: 2, from --ranks" in out
    written = json.loads(file.read_text())
    assert written == predicted
    assert written["job"]["ranks"] == 2 and written["steps_per_epoch"] == 1
    assert written["seconds_per_step"] > 0 and written["memory"]["peak"] > 10**7
    assert [path.name for path in tmp_path.iterdir()] == ["plan.json"]


def test_help_teaches(capsys):
    assert main(["plan", "--help"]) == 0
    text = capsys.readouterr().out
    assert text.startswith("usage: shapespace plan ")
    assert all(word in text for word in ("--ranks", "--scans", "--json", "shapespace train --help"))
    assert text.count("\n  shapespace plan --config ") == 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--ranks", "0"], "ranks=0: give at least 1"),
        (["--ranks", "many"], "--ranks: invalid int value: 'many'"),
        (["--scans"], "--scans: expected one argument"),
        (["--scans=0"], "scans=0: give at least 1"),
        (["--model.lrr=1"], "unknown key 'model.lrr'; did you mean 'model.lr'?"),
    ],
)
def test_a_mistake_is_one_line(arguments, message, toy_arguments, capfd):
    assert main(["plan", *toy_arguments, *arguments]) == 2
    assert capfd.readouterr() == ("", f"shapespace plan: error: {message}\n")


@pytest.mark.parametrize(
    ("argument", "message"),
    [
        ("--data.num_points=601", "holds 600 points but data.num_points is 601"),
        ("--trainer.accelerator=abacus", "abacus"),
        ("--trainer.devices=none", "trainer.devices=none: give a number of at least 1, or auto"),
        ("--trainer.limit_train_batches=0", "trainer.limit_train_batches=0.0 leave none"),
    ],
)
def test_what_fit_refuses_is_refused(argument, message, toy_arguments):
    with pytest.raises(InputError, match=message):
        measured_by([*toy_arguments, argument])


def test_one_process_plans(toy_arguments, monkeypatch):
    monkeypatch.setenv("RANK", "1")
    monkeypatch.setenv("WORLD_SIZE", "4")
    with pytest.raises(InputError, match="rank 1 of 4: one process plans for all; say --ranks 4"):
        plan(toy_arguments)
