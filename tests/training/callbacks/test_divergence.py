"""What spoils a step does not touch the weights; what spoils a training is gone back from."""

import math
import warnings

import numpy as np
import pytest
import torch

from shapespace.checkpoint import CHECKPOINT, read_checkpoint
from shapespace.data.store.writer import StoreWriter
from shapespace.errors import InputError
from shapespace.scan import Frame, PreparedScan, Samples
from shapespace.training import module
from shapespace.training.module import ShapeSpace
from shapespace.training.statistics import METRICS, FirstLosses, read_metrics
from tests.conftest import ellipsoid


def bad_store(path, spoilt=("lens",), count=5):
    """Balls, of which some have a point that is not a number, as no ``prepare`` would write."""
    with StoreWriter(path, "m", 3) as writer:
        for name in ("ball", "egg", "lens", "melon", "pill")[:count]:
            points, normals = (part.astype(np.float32) for part in ellipsoid((1.0, 1.0, 1.0), 200))
            if name in spoilt:
                points[::20] = math.nan
            sigma = np.full(200, 0.05, np.float32)
            facts = ("", "", 0, 0, 0, "measured")
            writer.add(PreparedScan(name, points, normals, sigma, Frame(np.zeros(3)), *facts))
    return path


def spoil(monkeypatch, which):
    """NaN in the samples of the scans and visits that ``which`` tells."""
    draw = module.samples_of_visits

    def spoilt(sampler, scan, seed, visits):
        samples = draw(sampler, scan, seed, visits)
        space = samples.space.clone()
        for row, (index, visit) in enumerate(zip(scan.index.tolist(), visits, strict=True)):
            if which(index, visit):
                space[row, 0] = math.nan
        return Samples(samples.surface, samples.normals, space)

    monkeypatch.setattr(module, "samples_of_visits", spoilt)


def weights(path):
    state = read_checkpoint(path)["state_dict"]
    return {name: value for name, value in state.items() if isinstance(value, torch.Tensor)}


def test_a_scan_of_no_numbers_is_named_counted_and_left_out(train, tmp_path):
    store = bad_store(tmp_path / "bad.hdf5")
    options = [f"--data.store={store}", "--health.excluded=0.5", "--data.batch_size=1"]
    with pytest.warns(UserWarning) as said:
        done = train(tmp_path / "run", 6, *options)
    texts = [str(warning.message) for warning in said]
    named = [text for text in texts if "was not taken" in text]
    assert len(named) == 3 and all(f"'lens' ({k + 1} of 3)" in t for k, t in enumerate(named))
    assert "scan 'lens' is left out from now on" in texts
    rows = read_metrics(done.with_name(METRICS))
    assert [int(row["refused"]) for row in rows] == [1, 1, 1, 0, 0, 0]
    assert [int(row["step"]) for row in rows] == [4, 8, 12, 16, 20, 24]
    assert all(torch.isfinite(value).all() for value in weights(done).values())
    moved = weights(done)["codes.table.weight"].abs().sum(1) > 0
    assert moved.tolist() == [True, True, False, True, True]


def test_what_was_left_out_stays_so_after_a_resume(train, tmp_path, recwarn):
    store = bad_store(tmp_path / "bad.hdf5")
    options = [f"--data.store={store}", "--health.excluded=0.5"]
    whole = train(tmp_path / "whole", 6, *options)
    train(tmp_path / "run", 4, *options)
    again = train(tmp_path / "run", 6, *options)
    for name, value in weights(whole).items():
        assert torch.equal(value, weights(again)[name])


def test_too_many_bad_scans_end_the_training(train, tmp_path):
    store = bad_store(tmp_path / "bad.hdf5", ("lens", "egg"))
    with (
        pytest.warns(UserWarning),
        pytest.raises(InputError, match=r"2 of 5 scans spoil the training.*health\.excluded=0\.3"),
    ):
        train(tmp_path / "run", 9, f"--data.store={store}", "--health.excluded=0.3")


def test_a_single_bad_scan_ends_the_training(train, tmp_path):
    store = bad_store(tmp_path / "bad.hdf5", ("ball",), 1)
    with (
        pytest.warns(UserWarning),
        pytest.raises(InputError, match="1 of 1 scans spoil the training, for example 'ball'"),
    ):
        train(tmp_path / "run", 9, f"--data.store={store}")


def test_a_spoilt_step_moves_nothing(train, monkeypatch, tmp_path):
    steps = []
    take = ShapeSpace.training_step

    def seen(self, batch, batch_idx):
        before = [p.detach().clone() for p in self.parameters()]
        take(self, batch, batch_idx)
        same = all(map(torch.equal, before, self.parameters()))
        steps.append((self.last_step.taken, same, self.last_step.offending_rows))

    monkeypatch.setattr(ShapeSpace, "training_step", seen)
    spoil(monkeypatch, lambda index, visit: visit in (5, 6))
    with pytest.warns(UserWarning, match="step 3 was not taken"):
        train(tmp_path / "run", 3)
    assert [taken for taken, _, _ in steps] == [True, True, False, False, True, True]
    assert all(taken != same for taken, same, _ in steps)
    assert [len(offending_rows) for _, _, offending_rows in steps] == [0, 0, 1, 1, 0, 0]


def diverge(monkeypatch, steps, factor=3.0):
    """Weights that are far off after each of the ``steps``, by number of the batch."""
    take, counter = ShapeSpace.training_step, iter(range(10**6))

    def pushed(self, batch, batch_idx):
        if next(counter) in steps:
            with torch.no_grad():
                for parameter in self.decoder.parameters():
                    parameter.mul_(factor)
        take(self, batch, batch_idx)

    monkeypatch.setattr(ShapeSpace, "training_step", pushed)


OPTIONS = ("--data.repeats=10", "--health.patience=4", "--checkpoint.every=1")


def test_a_diverging_training_goes_back_to_its_checkpoint(train, monkeypatch, tmp_path):
    diverge(monkeypatch, {100})
    with pytest.warns(UserWarning, match=r"diverges: loss .* going back to step 100 \(.*last"):
        done = train(tmp_path / "run", 8, *OPTIONS)
    losses = [float(row["loss"]) for row in read_metrics(done.with_name(METRICS))]
    assert max(losses[5:]) > 5 * losses[4] and losses[-1] < 1.5 * losses[4]
    assert read_checkpoint(done)["callbacks"]["Health"]["rollbacks"] == 1


def test_a_training_that_diverges_again_and_again_ends(train, monkeypatch, tmp_path):
    diverge(monkeypatch, set(range(100, 10**4)))
    with (
        pytest.warns(UserWarning, match="going back"),
        pytest.raises(InputError, match=r"diverges: .* again, after 1 returns to .*: lower model"),
    ):
        train(tmp_path / "run", 20, *OPTIONS, "--health.rollbacks=1")
    assert read_checkpoint(tmp_path / "run" / CHECKPOINT)["global_step"] == 100


def test_without_a_checkpoint_it_ends_at_once(train, monkeypatch, tmp_path):
    spoil(monkeypatch, lambda index, visit: True)
    with (
        pytest.warns(UserWarning, match="by no scan alone"),
        pytest.raises(InputError, match=r"the training diverges: loss nan at step 0: lower model"),
    ):
        train(tmp_path / "run", 9)
    assert not (tmp_path / "run" / CHECKPOINT).exists()


def test_weights_that_are_no_numbers_are_no_scan_s_fault(train, monkeypatch, tmp_path):
    diverge(monkeypatch, {100}, math.nan)
    with pytest.warns(UserWarning) as said:
        done = train(tmp_path / "run", 8, *OPTIONS)
    texts = [str(warning.message) for warning in said]
    assert any("by no scan alone" in text for text in texts)
    assert any("going back to step 100" in text for text in texts)
    health = read_checkpoint(done)["callbacks"]["Health"]
    assert health["counts"] == {} and health["rollbacks"] == 1


def far_store(path, far, by, count=11):
    """Ellipsoids, of which one is ``by`` away."""
    with StoreWriter(path, "m", 3) as writer:
        for row in range(count):
            axes = (1.0, 0.8 + 0.02 * row, 1.0)
            points, normals = (part.astype(np.float32) for part in ellipsoid(axes, 200, row))
            sigma = np.full(200, 0.05, np.float32)
            facts = ("", "", 0, 0, 0, "measured")
            points += np.float32(by * (row == far))
            frame = Frame(np.zeros(3))
            writer.add(PreparedScan(f"s{row}", points, normals, sigma, frame, *facts))
    return path


@pytest.mark.parametrize("batch", [1, 2, 11])
def test_a_scan_far_away_is_named_and_left_out(batch, train, tmp_path):
    options = [f"--data.batch_size={batch}", "--data.shuffle=false"]
    done = []
    for name, far in (("far", 7), ("sound", None)):
        store = far_store(tmp_path / f"{name}.hdf5", far, 1e6)
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            done.append(train(tmp_path / name, 6, f"--data.store={store}", *options))
        texts = [str(w.message) for w in said]
        named = [text for text in texts if "was not taken, a loss in it is more than 100" in text]
        assert len(named) == (0 if far is None else 3)
        assert all(f"'s7' ({k + 1} of 3)" in text for k, text in enumerate(named))
        assert ("scan 's7' is left out from now on" in texts) == (far is not None)
    far, sound = (float(read_metrics(path.with_name(METRICS))[-1]["loss"]) for path in done)
    assert far < 3 * sound
    assert all(torch.isfinite(value).all() for value in weights(done[0]).values())


def test_it_is_left_out_after_a_resume_too(train, tmp_path):
    store = far_store(tmp_path / "far.hdf5", 7, 1e6)
    options = [f"--data.store={store}", "--data.batch_size=3"]
    with pytest.warns(UserWarning):
        whole = train(tmp_path / "whole", 5, *options)
        train(tmp_path / "run", 2, *options)
        again = train(tmp_path / "run", 5, *options)
    for name, value in weights(whole).items():
        assert torch.equal(value, weights(again)[name])


def judged(first, *steps):
    """The rows that are blamed in each of some steps, given as losses by row."""
    found = []
    for losses in steps:
        mean = sum(losses.values()) / len(losses)
        needed = first.are_needed(mean, len(losses))
        found.append(first.standing_out(losses) if needed else ())
    return found


def test_whose_loss_stands_out():
    calm = [{0: 1.0, 1: 2.0}] * 60
    assert judged(FirstLosses(), *calm, {0: 0.001, 1: 5.0}) == [()] * 61
    assert judged(FirstLosses(), {0: 1.0, 1: 1e6}, {1: 1e6, 2: 1.0}) == [(1,), (1,)]
    assert judged(FirstLosses(), {1: 1e6}, {2: 1.0}, {1: 1e6}, {1: 1e6}) == [(), (), (1,), (1,)]
    # All scans of a step, or different scans one after the other: the weights are at fault.
    assert judged(FirstLosses(), *calm, {0: 1e6, 1: 1e6}) == [()] * 61
    assert judged(FirstLosses(), *calm, {0: 1e6}, {1: 1e6}, {2: 1e6})[-2:] == [(), ()]
    assert judged(FirstLosses(), {0: 0.0, 1: 1.0}) == [()]
