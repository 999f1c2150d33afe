"""A training with copies of its scans resumes exactly, and refuses what copies cannot have."""

import pytest

from shapespace.errors import InputError
from shapespace.space import TrainedSpace
from tests.training.test_cli import assert_same_run


def test_distances_are_mirrored_and_not_warped(with_targets, train, tmp_path):
    options = [f"--data.store={with_targets}", "--model.objective=shapespace.objectives.DeepSDF"]
    done = train(tmp_path / "run", 1, *options, "--data.copies.mirror=x")
    assert len(TrainedSpace.load(done).names) == 8
    with pytest.raises(InputError, match=r"copies\.warps=1: DeepSDF reads distances"):
        train(tmp_path / "no", 1, *options, "--data.copies.warps=1")


OPTIONS = ["--data.copies.mirror=x", "--data.copies.warps=1", "--data.copies.strain=0.1"]


@pytest.mark.parametrize("more", [[], ["--data.copies.tied=true"]])
def test_a_resumed_run_repeats_the_rest(more, train, tmp_path):
    whole = train(tmp_path / "whole", 4, *OPTIONS, *more)
    train(tmp_path / "run", 2, *OPTIONS, *more)
    assert_same_run(whole, train(tmp_path / "run", 4, *OPTIONS, *more))
    assert len(TrainedSpace.load(whole).names) == (4 if more else 16)
