"""At every moment a whole checkpoint; a training stopped anywhere goes on as if it never was."""

import os
import shutil
import signal

import pytest
import torch

from shapespace import checkpoint as checkpoints
from shapespace.checkpoint import BEST, CHECKPOINT, PREVIOUS, newest_checkpoint, read_checkpoint
from shapespace.errors import InputError, Stopped
from shapespace.training.module import ShapeSpace
from shapespace.training.statistics import METRICS, read_metrics
from tests.training.test_cli import assert_same_run

STEPS = 6
"""Of an epoch: four scans, three visits each, two scans a step."""


@pytest.fixture(scope="module")
def train(train):
    return lambda folder, epochs, *more: train(folder, epochs, "--data.repeats=3", *more)


@pytest.fixture
def at_step(monkeypatch):
    """Do something in the step of a number, counted from 1 over the run."""

    def plan(number, action):
        step = ShapeSpace.training_step

        def planned(self, batch, batch_idx):
            step(self, batch, batch_idx)
            if self.trainer.global_step == number:
                action()

        monkeypatch.setattr(ShapeSpace, "training_step", planned)

    return plan


@pytest.fixture(scope="module")
def whole(train, tmp_path_factory):
    """Three epochs without any disturbance."""
    return train(tmp_path_factory.mktemp("whole") / "run", 3)


def ask_to_stop(number=signal.SIGTERM):
    os.kill(os.getpid(), number)


@pytest.mark.parametrize("step", [1, 2, 4, 5, 6, 7, 9, 12, 14, 17])
def test_a_run_stopped_at_any_step_goes_on_bit_for_bit(
    step, train, at_step, monkeypatch, whole, tmp_path, capfd
):
    at_step(step, ask_to_stop)
    with pytest.raises(Stopped, match="SIGTERM"):
        train(tmp_path / "run", 3)
    monkeypatch.undo()
    assert read_checkpoint(tmp_path / "run" / CHECKPOINT)["global_step"] == step
    assert_same_run(whole, train(tmp_path / "run", 3))
    said = capfd.readouterr().err
    assert f"stopping at step {step} (SIGTERM): saved {tmp_path}/run/last.ckpt" in said
    assert f"going on from {tmp_path}/run/last.ckpt, step {step}\n" in said


@pytest.mark.parametrize("workers", [0, 2])
def test_readers_that_read_ahead_change_nothing(workers, train, at_step, whole, tmp_path):
    at_step(8, ask_to_stop)
    option = f"--data.num_workers={workers}"
    with pytest.raises(Stopped):
        train(tmp_path / "run", 3, option)
    again = train(tmp_path / "run", 3, option)
    assert_weights(whole, again)


def assert_weights(left, right):
    before, after = (read_checkpoint(path)["state_dict"] for path in (left, right))
    for name, value in before.items():
        if isinstance(value, torch.Tensor):
            assert torch.equal(value, after[name]), name


def test_a_crash_costs_what_came_after_the_last_checkpoint(
    train, at_step, monkeypatch, whole, tmp_path
):
    def crash():
        raise RuntimeError("power")

    at_step(9, crash)
    with pytest.raises(RuntimeError, match="power"):
        train(tmp_path / "run", 3, "--checkpoint.minutes=1e-9")
    monkeypatch.undo()
    assert read_checkpoint(tmp_path / "run" / CHECKPOINT)["global_step"] == 8
    assert_same_run(whole, train(tmp_path / "run", 3))


@pytest.mark.parametrize(("every", "step"), [(1, 5), (2, 4), (10, None)])
def test_a_checkpoint_every_so_many_epochs(every, step, train, at_step, tmp_path):
    def crash():
        raise RuntimeError("power")

    at_step(6, crash)
    with pytest.raises(RuntimeError):
        train(tmp_path / "run", 9, f"--checkpoint.every={every}", "--data.batch_size=12")
    path = tmp_path / "run" / CHECKPOINT
    assert (read_checkpoint(path)["global_step"] if path.exists() else None) == step


def test_the_best_and_some_for_good(train, tmp_path):
    options = ["--checkpoint.every=1", "--checkpoint.best=true", "--checkpoint.keep=2"]
    folder = train(tmp_path / "run", 4, *options, "--model.lr=0.02").parent
    names = {path.name for path in folder.glob("*.ckpt")}
    assert names == {CHECKPOINT, PREVIOUS, BEST, "epoch_00002.ckpt", "epoch_00004.ckpt"}
    losses = [float(row["loss"]) for row in read_metrics(folder / METRICS)]
    steps = {name: read_checkpoint(folder / name)["global_step"] for name in names}
    assert steps[BEST] == STEPS * (1 + losses.index(min(losses)))
    assert (steps["epoch_00002.ckpt"], steps[PREVIOUS], steps[CHECKPOINT]) == (12, 18, 24)


def test_a_damaged_checkpoint_is_noticed_and_the_one_before_is_taken(train, whole, tmp_path):
    folder = train(tmp_path / "run", 2, "--checkpoint.every=1").parent
    content = bytearray((folder / CHECKPOINT).read_bytes())
    content[len(content) // 2] ^= 1
    (folder / CHECKPOINT).write_bytes(content)
    with pytest.raises(InputError, match="checksum"):
        read_checkpoint(folder / CHECKPOINT)
    path, remark = newest_checkpoint(folder)
    assert path == folder / PREVIOUS and "damaged" in remark
    with pytest.warns(UserWarning, match="taking .*previous"):
        assert_same_run(whole, train(folder, 3))
    shutil.copy(folder / CHECKPOINT, tmp_path / "kept")
    (folder / CHECKPOINT).unlink()
    assert newest_checkpoint(folder) == (folder / PREVIOUS, "")
    (folder / PREVIOUS).unlink()
    assert newest_checkpoint(folder) == (None, "")


@pytest.mark.parametrize("error", [OSError(28, "No space left"), RuntimeError("enforce fail")])
def test_a_full_disk_is_a_warning_and_the_training_goes_on(
    error, train, whole, monkeypatch, tmp_path
):
    real, calls = torch.save, []

    def full_at_times(content, part):
        calls.append(content["global_step"])
        part.write(b"half")
        if len(calls) in (2, 3):
            raise error
        part.seek(0)
        real(content, part)

    monkeypatch.setattr(checkpoints.torch, "save", full_at_times)
    with pytest.warns(UserWarning, match=r"last\.ckpt: cannot be written.*the training goes on"):
        done = train(tmp_path / "run", 3, "--checkpoint.every=1", "--checkpoint.minutes=1e-9")
    assert calls == list(range(1, 19))
    assert_same_run(whole, done)
    assert not list((tmp_path / "run").glob(".*part*"))


def test_a_disk_that_stays_full_ends_in_a_line(train, monkeypatch, tmp_path):
    folder = train(tmp_path / "run", 1).parent
    before = (folder / CHECKPOINT).read_bytes()

    def full(content, part):
        raise OSError(28, "No space left")

    monkeypatch.setattr(checkpoints.torch, "save", full)
    with pytest.raises(InputError, match=r"last\.ckpt: cannot be written \(No space left\): make"):
        train(folder, 2)
    assert (folder / CHECKPOINT).read_bytes() == before


def test_the_second_interruption_stops_at_once(train, at_step, tmp_path):
    def twice():
        ask_to_stop(signal.SIGINT)
        ask_to_stop(signal.SIGINT)

    before = signal.getsignal(signal.SIGINT)
    at_step(2, twice)
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path / "run", 3)
    assert not (tmp_path / "run" / CHECKPOINT).exists()
    assert signal.getsignal(signal.SIGINT) == before
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL


def test_the_first_interruption_is_saved(train, at_step, whole, monkeypatch, tmp_path, capfd):
    at_step(2, lambda: ask_to_stop(signal.SIGINT))
    with pytest.raises(Stopped, match="SIGINT"):
        train(tmp_path / "run", 3)
    monkeypatch.undo()
    assert "stopping after this step; again to stop at once" in capfd.readouterr().err
    assert_same_run(whole, train(tmp_path / "run", 3))


@pytest.mark.parametrize("what", ["weight", "moment"])
def test_numbers_that_are_not_finite_are_not_saved(what, train, at_step, tmp_path):
    """In the last steps, before the divergence monitor would go back."""
    from shapespace.training import module as modules

    found = []
    configure = modules.ShapeSpace.configure_optimizers

    def kept(self):
        found[:] = [self, configure(self)]
        return found[1]

    def spoil():
        module, optimisers = found
        weight = module.decoder.linears()[1].weight
        part = weight if what == "weight" else optimisers[0].state[weight]["exp_avg"]
        with torch.no_grad():
            part[0, 0] = float("nan")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(modules.ShapeSpace, "configure_optimizers", kept)
        good = train(tmp_path / "run", 1)
        # A moment that is spoilt earlier spoils its weight in the next step.
        at_step(17 if what == "weight" else 18, spoil)
        with (
            pytest.warns(UserWarning, match=r"no checkpoint is written: .*layers\.1\.weight holds"),
            pytest.raises(InputError, match=r"not finite at the end .* as it was before"),
        ):
            train(tmp_path / "run", 3)
    assert read_checkpoint(good)["global_step"] == STEPS
