"""Every method of the field trains on top of a recipe, and resumes bit for bit."""

import dataclasses
import shutil

import numpy as np
import pytest
import torch

from shapespace.config.recipes import METHODS
from shapespace.data.store.store import ScanStore
from shapespace.data.store.writer import StoreWriter
from shapespace.errors import InputError
from shapespace.scan import Targets
from shapespace.space import TrainedSpace


@pytest.fixture(scope="module")
def with_targets(toy_store, tmp_path_factory):
    """The toy store with signed distances to the unit ball, which is near enough to its scans."""
    path = tmp_path_factory.mktemp("targets") / "targets.hdf5"
    store = ScanStore(toy_store)
    rng = np.random.default_rng(0)
    with StoreWriter(path, "m", 3) as writer:
        for name in store.names:
            points = rng.normal(size=(200, 3)).astype(np.float32)
            distance = np.linalg.norm(points, axis=1) - np.float32(1)
            scan = dataclasses.replace(store.scan(name), targets=Targets(points, distance, True))
            writer.add(scan)
    return path


def tensors(path):
    state = torch.load(path, weights_only=True)["state_dict"]
    return {name: value for name, value in state.items() if isinstance(value, torch.Tensor)}


@pytest.mark.parametrize("method", METHODS)
def test_a_run_that_was_stopped_repeats_an_undisturbed_one(method, train, with_targets, tmp_path):
    options = [
        f"--config={method}",
        f"--data.store={with_targets}",
        "--data.batch_size=4",
        "--data.num_points=32",
        "--checkpoint.keep=2",
    ]
    whole = train(tmp_path / "whole", 4, *options)
    (tmp_path / "stopped").mkdir()
    shutil.copy(tmp_path / "whole/epoch_00002.ckpt", tmp_path / "stopped/last.ckpt")
    resumed = train(tmp_path / "stopped", 4, *options)
    middle, one, two = map(tensors, (tmp_path / "whole/epoch_00002.ckpt", whole, resumed))
    assert all(torch.equal(one[name], two[name]) for name in one)
    assert any(one[name].ne(middle[name]).any() for name in one)
    assert one["codes.table.weight"].isfinite().all() and one["codes.table.weight"].any()
    space = TrainedSpace.load(resumed)
    points, code = torch.randn(1, 9, 3), one["codes.table.weight"][:1]
    found = space.decoder(points, code)
    assert found.isfinite().all() and torch.equal(found, space.decoder(points, code))


def test_relus_are_refused_where_second_derivatives_are_needed(train, tmp_path):
    for relu, recipe in (("ReluMLP", "deepsdf"), ("OccupancyResNet", "occnet"), ("ImNet", "imnet")):
        objective = "--model.objective=shapespace.objectives.DiGS"
        with pytest.raises(InputError, match=f"model.decoder={relu}: its second derivatives"):
            train(tmp_path / relu, 1, f"--config={recipe}", objective)


def test_a_store_without_signed_distances_is_refused(train, tmp_path):
    for method in ("deepsdf", "occnet", "imnet"):
        with pytest.raises(InputError, match=r"prepare .*--targets"):
            train(tmp_path / method, 1, f"--config={method}")
