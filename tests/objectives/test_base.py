"""What every objective inherits."""

import copy

import torch

from shapespace.objectives.base import Objective
from shapespace.objectives.igr import IGR
from shapespace.space import TrainedSpace
from shapespace.training.statistics import read_metrics
from shapespace.utils.schedules import RunProgress
from tests.parts import Learnt


class Bare(Objective):
    """An objective as a user writes it who does not think of modules."""

    def __init__(self):
        self.weights = {"a": 2.0, "b": 0.5}

    def terms(self, field, samples, latent):
        return {name: field(samples.surface, latent).mean(-1) for name in self.weights}


def test_an_objective_without_super_init_is_a_module():
    objective = Bare()
    assert list(objective.parameters()) == [] and objective.state_dict() == {}
    assert copy.deepcopy(objective).eval().weights == objective.weights
    assert (objective.needs, objective.kind) == (frozenset(), "distance")
    total = objective.total({"a": torch.ones(3), "b": torch.ones(3)})
    assert total.tolist() == [2.5] * 3


def test_weights_follow_the_progress_and_a_fit_takes_the_last():
    objective = IGR(eikonal="linear 1 0.1 from 0 to 0.5", normal="steps 2, 3 at 4 epochs")
    assert objective.weight("eikonal") == 0.1 and objective.weight("normal") == 3
    objective.progress = RunProgress(0.25, 1.0)
    assert objective.weight("eikonal") == 0.55 and objective.weight("normal") == 2
    ones = {name: torch.ones(1) for name in objective.weights}
    assert torch.isclose(objective.total(ones), torch.tensor([1 + 0.55 + 2 + 1e-3]))
    assert IGR(eikonal="0.2").for_unseen().weights["eikonal"] == 0.2


def test_a_learnt_weight_is_trained_kept_and_resumed(train, tmp_path, monkeypatch):
    monkeypatch.setenv("SHAPESPACE_TRUST", "tests")
    options = ["--model.objective=tests.parts.Learnt"]
    whole = train(tmp_path / "whole", 4, *options)
    train(tmp_path / "parts", 3, *options)
    parts = train(tmp_path / "parts", 4, *options)
    one, two = (torch.load(path, weights_only=True) for path in (whole, parts))
    assert one["state_dict"].keys() == two["state_dict"].keys()
    for name, value in one["state_dict"].items():
        if isinstance(value, torch.Tensor):
            assert torch.equal(value, two["state_dict"][name]), name
    scale = one["state_dict"]["objective.scale"]
    assert (scale != 0.5).all()
    space = TrainedSpace.load(parts)
    assert isinstance(space.objective, Learnt) and torch.equal(space.objective.scale, scale)
    assert not space.objective.scale.requires_grad
    assert space.objective.weight("eikonal") == 0.05
    last, again = (read_metrics(path.with_name("metrics.csv"))[-1] for path in (whole, parts))
    assert last["loss"] == again["loss"]


def test_an_objective_without_parameters_adds_nothing_to_a_checkpoint(toy_checkpoint):
    content = torch.load(toy_checkpoint, weights_only=True)
    assert not [name for name in content["state_dict"] if name.startswith("objective")]
    assert len(content["optimizer_states"]) == 2
