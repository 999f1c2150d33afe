"""What an objective needs reaches its loss: in training, resumed, planned, fitted and refined."""

import dataclasses

import numpy as np
import pytest
import torch

from shapespace.data.distances import measured_targets
from shapespace.data.store.store import ScanStore
from shapespace.data.store.writer import StoreWriter
from shapespace.errors import InputError
from shapespace.fitting.refine import Refinement
from shapespace.planning.measure import PlanCLI, measure
from shapespace.scan import Targets
from shapespace.space import TrainedSpace


def objective(reads):
    return ["--model.objective=tests.parts.FromTargets", f"--model.objective.reads={reads}"]


@pytest.fixture(autouse=True)
def _trusted(monkeypatch):
    monkeypatch.setenv("SHAPESPACE_TRUST", "tests")


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


def test_two_and_two_equal_four_with_targets_read_and_measured(train, with_targets, tmp_path):
    for reads, more in {
        "unsigned distance_gradient": [],
        "signed second_derivatives": [f"--data.store={with_targets}", "--data.num_targets=32"],
    }.items():
        whole, parts = tmp_path / f"{reads} whole", tmp_path / f"{reads} parts"
        options = [*objective(reads), *more]
        train(parts, 2, *options)
        one, two = tensors(train(whole, 4, *options)), tensors(train(parts, 4, *options))
        assert all(torch.equal(one[name], two[name]) for name in one)
        assert one["codes.table.weight"].abs().sum() > 0


def test_worker_processes_read_the_same_targets(train, tmp_path):
    alone = train(tmp_path / "alone", 1, *objective("unsigned"))
    helped = train(tmp_path / "helped", 1, *objective("unsigned"), "--data.num_workers=1")
    assert all(torch.equal(value, tensors(helped)[name]) for name, value in tensors(alone).items())


def test_what_is_lacking_is_refused_before_the_first_step(train, toy_store, tmp_path):
    with pytest.raises(InputError, match=r"toy.hdf5: scan 'ball' holds no distances around it"):
        train(tmp_path / "a", 1, *objective("signed"))
    relu = ["--model.decoder=tests.parts.Relu"]
    with pytest.raises(InputError, match=r"model.decoder=Relu: its second derivatives are 0 or"):
        train(tmp_path / "b", 1, *objective("unsigned second_derivatives"), *relu)


def test_a_plan_measures_steps_with_targets(toy_arguments):
    with pytest.raises(InputError, match=r"toy.hdf5: scan 'ball' holds no distances around it"):
        PlanCLI([*toy_arguments, *objective("signed")], None)
    cli = PlanCLI([*toy_arguments, *objective("unsigned distance_gradient")], None)
    found = measure(cli, cli.job(None))
    assert found.steps[-1].points == found.steps[-1].surface * 3 + found.steps[-1].surface // 8


def test_unseen_scans_are_fitted_and_refined_by_the_same_targets(train, with_targets, tmp_path):
    options = [*objective("signed"), f"--data.store={with_targets}", "--trainer.max_epochs=30"]
    space = TrainedSpace.load(train(tmp_path / "run", 30, *options), "cpu")
    scan = ScanStore(with_targets).scan("egg")
    bare = dataclasses.replace(scan, normals=None, normals_kind="none", targets=None)
    fitted = space.fit([scan])
    assert fitted.terms.keys() == {"distance", "code"}
    assert space.fit([bare]).terms == {}, "it has no sides: the terms are not known"
    known = space.fit_reference([scan], steps=60)
    assert known.terms["distance"] < 0.5
    for fit in (space.fit_reference, lambda scans: space.refined(fitted, 0, scans[0])):
        with pytest.raises(InputError, match=r"'egg' has no signed distances, .*FromTargets reads"):
            fit([bare])
    refined = space.refined(fitted, 0, scan, Refinement(steps=40, hold=0.01, lr=1e-3))
    targets = measured_targets(scan, frozenset({"signed"}), 200, 0)

    def off(decoder):
        found = decoder(fitted.poses(targets.points), fitted.codes)
        return float((found - targets.distance).abs().mean())

    assert off(refined.decoder) < off(space.decoder)
