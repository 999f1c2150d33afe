"""Every method of the field trains on top of a recipe, and resumes bit for bit."""

import json
import shutil

import numpy as np
import pytest
import torch

from shapespace.cli.main import main
from shapespace.config.recipes import METHODS
from shapespace.errors import InputError
from shapespace.space import TrainedSpace


def tensors(path):
    state = torch.load(path, weights_only=True)["state_dict"]
    return {name: value for name, value in state.items() if isinstance(value, torch.Tensor)}


def options_of(method, store):
    return [
        f"--config={method}",
        f"--data.store={store}",
        "--data.batch_size=4",
        "--data.num_points=32",
        "--checkpoint.keep=2",
    ]


@pytest.fixture(scope="module")
def run_of(train, with_targets, tmp_path_factory):
    """The folder of a run of four epochs, by method; trained once."""
    folder = tmp_path_factory.mktemp("methods")

    def run(method):
        if not (folder / method).exists():
            train(folder / method, 4, *options_of(method, with_targets))
        return folder / method

    return run


@pytest.mark.parametrize("method", METHODS)
def test_a_run_that_was_stopped_repeats_an_undisturbed_one(
    method, run_of, train, with_targets, tmp_path
):
    whole = run_of(method)
    (tmp_path / "stopped").mkdir()
    shutil.copy(whole / "epoch_00002.ckpt", tmp_path / "stopped/last.ckpt")
    resumed = train(tmp_path / "stopped", 4, *options_of(method, with_targets))
    middle, one, two = map(tensors, (whole / "epoch_00002.ckpt", whole / "last.ckpt", resumed))
    assert all(torch.equal(one[name], two[name]) for name in one)
    assert any(one[name].ne(middle[name]).any() for name in one)
    assert one["codes.table.weight"].isfinite().all() and one["codes.table.weight"].any()
    space = TrainedSpace.load(resumed)
    points, code = torch.randn(1, 9, 3), one["codes.table.weight"][:1]
    found = space.decoder(points, code)
    assert found.isfinite().all() and torch.equal(found, space.decoder(points, code))


@pytest.mark.slow
def test_the_other_commands_run_on_it(run_of, write_store, tmp_path):
    """Two kinds of field; all would take minutes: untrained fields have large zero sets."""
    new = write_store(tmp_path / "new.hdf5", {"new": (1.1, 0.9, 0.95)})
    meshes = "--resolution=8"
    for method in ("deepsdf", "occnet"):
        checkpoint, out = str(run_of(method) / "last.ckpt"), tmp_path / method
        words = [f"--out={out}", meshes, "--num-points=48", "--num-samples=100"]
        assert main(["evaluate", checkpoint, str(new), *words]) == 0, method
        facts = json.loads((out / "shapes/new.json").read_text())
        assert facts["terms"] and all(np.isfinite(value) for value in facts["terms"].values())
        words = ["--num-shapes=1", "--num-points=64", "--num-rays=8", meshes]
        assert main(["diagnose", checkpoint, *words]) == 0, method
    page = tmp_path / "page.html"
    assert main(["report", str(run_of("occnet")), f"--out={page}", "--steps=2", meshes]) == 0
    assert page.stat().st_size


def test_relus_are_refused_where_second_derivatives_are_needed(train, tmp_path):
    for relu, recipe in (("ReluMLP", "deepsdf"), ("OccupancyResNet", "occnet"), ("ImNet", "imnet")):
        objective = "--model.objective=shapespace.objectives.DiGS"
        with pytest.raises(InputError, match=f"model.decoder={relu}: its second derivatives"):
            train(tmp_path / relu, 1, f"--config={recipe}", objective)


def test_a_store_without_signed_distances_is_refused(train, tmp_path):
    for method in ("deepsdf", "occnet", "imnet"):
        with pytest.raises(InputError, match=r"prepare .*--targets"):
            train(tmp_path / method, 1, f"--config={method}")
