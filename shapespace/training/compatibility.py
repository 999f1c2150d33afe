"""The check that a checkpoint is whole and belongs to the training that is resumed from it."""

import inspect
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.utilities import rank_zero_warn
from torch import Tensor

from shapespace.checkpoint import PLACE, check_numbers, is_finite, read_checkpoint
from shapespace.config.parts import check_like, part_arguments
from shapespace.errors import InputError, one_line
from shapespace.objectives.base import Objective
from shapespace.training.datamodule import ScanData
from shapespace.training.module import ShapeSpace
from shapespace.training.optimisers import shapes_of_state

OTHER_OPTIMISER = "decoder or codes were moved by another optimiser"
CALLBACKS = {
    "Health": {
        "counts": dict[str, int],
        "recent": dict[str, int],
        "losses": list[float],
        "in_a_row": int,
        "rollbacks": int,
    },
    "PrecisionGuard": {"fell_back": bool},
    "MetricsFile": {"seconds": float},
    "KeepCheckpoint": {"lowest": float},
}
"""State of each callback of a training, by its key in a checkpoint."""
NEEDED = {
    "pytorch-lightning_version": str,
    "callbacks": CALLBACKS,
    "optimizer_states": list,
    "lr_schedulers": list,
    PLACE: {"visits": int, "visits_of_an_epoch": int},
}
"""What a training needs to go on, beside what every command needs."""
NOT_NEGATIVE = ("step", "visits", "exp_avg_sq", "square")
"""Counts and mean squares in the state of an optimiser."""
MEANS = {"sums": dict[str, float], "num_scans": int, "refused": int}
"""Means of an epoch that was begun."""
FIRST_LOSSES = {"values": list[float], "odd": list[int]}
"""What the losses of scans are compared with."""


def check_same_run(
    path: Path,
    trainer: pl.Trainer,
    model: ShapeSpace,
    data: ScanData,
    change_objective: bool = False,
) -> int:
    """Check that a checkpoint is whole and holds this model, trained on these scans.

    Args:
        path: checkpoint that the training would be resumed from.
        trainer: trainer of the run.
        model: model as the options build it.
        data: scans as the options name them.
        change_objective: go on with another objective than before.

    Returns:
        The number of steps that were taken before the checkpoint.

    Raises:
        InputError: a part is missing or of another type; or scans, shapes of parameters,
            optimisers or the objective differ.
    """
    content = read_checkpoint(path)
    other = "start in another run folder, --trainer.default_root_dir"
    try:
        check_like(content, NEEDED, "checkpoint")
        _check_progress(content, trainer)
        model.codes.set_extra_state(content["state_dict"]["codes._extra_state"])
        model.codes.assign(data.names, data.frames)
        if not change_objective:
            _check_objective(content["hyper_parameters"]["objective"], model, other)
        _check_weights(content["state_dict"], model, other)
        _check_optimisers(content, model, other)
    except InputError as error:
        raise InputError(f"{path}: {error}") from error
    return content["global_step"]


def _check_progress(content: Mapping[str, Any], trainer: pl.Trainer) -> None:
    """Raise InputError unless the training's place can be taken from a checkpoint."""
    version = content["pytorch-lightning_version"]
    # Lightning changes the content of a checkpoint of version 1, which shapespace never used.
    if not re.fullmatch(r"2\.\d{1,4}\.\d{1,4}((a|b|rc|\.post|\.dev)\d{1,9})?", version):
        raise InputError(f"pytorch-lightning_version={one_line(version, 40)}: is none of 2.x")
    check_like(content["loops"]["fit_loop"], trainer.fit_loop.state_dict(), "loops.fit_loop")
    if content["lr_schedulers"]:
        raise InputError("lr_schedulers is not empty, but shapespace sets the rates itself")
    if not content[PLACE]["visits_of_an_epoch"]:
        raise InputError(f"{PLACE}.visits_of_an_epoch is 0; an epoch has visits")
    for key, like in {"means": MEANS, "first_losses": FIRST_LOSSES}.items():
        if key in content["shapespace"]:
            check_like(content["shapespace"][key], like, f"shapespace.{key}")
    scaler = trainer.precision_plugin.state_dict()
    name = type(trainer.precision_plugin).__qualname__
    if name in content:
        check_like(content[name], scaler, name)


def _check_objective(before: object, model: ShapeSpace, other: str) -> None:
    """Raise InputError unless the objective is the one that the checkpoint was trained by."""
    now = model.hparams.get("objective")
    if not isinstance(now, dict):
        return  # a model that was built of objects, without options
    kind, then = _options(before)
    wanted, here = _options(now)
    changed = [name for name in {**then, **here} if then.get(name) != here.get(name)]
    if kind is wanted and not changed:
        return
    was, is_now = (
        (kind.__name__, wanted.__name__)
        if kind is not wanted
        else (f"{changed[0]}={then.get(changed[0])!r}", f"{changed[0]}={here.get(changed[0])!r}")
    )
    raise InputError(
        f"was trained by the objective {one_line(was, 80)}, not {one_line(is_now, 80)}: resume "
        f"with the config beside it, {other}, or go on with the new one by --change_objective=true"
    )


def _options(part: object) -> tuple[type[Objective], dict[str, object]]:
    """The class of an objective and all of its arguments, those by default too."""
    kind, arguments = part_arguments(part, Objective, "objective")
    parameters = inspect.signature(kind).parameters.values()
    defaults = {p.name: p.default for p in parameters if p.default is not p.empty}
    return kind, defaults | arguments


def _check_weights(before: Mapping[str, Any], model: ShapeSpace, other: str) -> None:
    """Raise InputError unless the weights are those of this model, and finite."""
    now = model.state_dict()
    odd = [
        name
        for name in sorted(before.keys() | now.keys())
        if _shape(before.get(name)) != _shape(now.get(name))
    ]
    if odd:
        raise InputError(
            f"is of another model ({one_line(odd[0], 80)} differs): resume with the config beside "
            f"it, or {other}"
        )
    check_numbers(before, now)


def _check_optimisers(content: Mapping[str, Any], model: ShapeSpace, other: str) -> None:
    """Raise InputError unless each optimiser finds its own state, of its parameters' shapes."""
    states = content["optimizer_states"]
    optimisers = model.configure_optimizers()
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    if len(states) != len(optimisers):
        raise InputError(
            f"{OTHER_OPTIMISER}: resume with the config beside it, or, if an older version wrote "
            f"it, {other}"
        )
    for number, (state, optimiser) in enumerate(zip(states, optimisers, strict=True)):
        where = f"optimizer_states[{number}]"
        check_like(state, {"state": dict, "param_groups": list}, where)
        parameters = [p for group in optimiser.param_groups for p in group["params"]]
        if not state["state"].keys() <= set(range(len(parameters))):
            raise InputError(f"{where}.state is of other parameters")
        for row, parameter in enumerate(parameters):
            name = names[id(parameter)]
            if row not in state["state"] and not parameter.requires_grad:
                continue
            if row not in state["state"]:
                rank_zero_warn(f"{where} has no state of {name}, which begins at zero")
                continue
            wanted = {
                key: torch.empty(shape, dtype=content["state_dict"][name].dtype, device="meta")
                for key, shape in shapes_of_state(optimiser, parameter).items()
            }
            try:
                _check_moments(state["state"][row], wanted, f"{where}, {name}")
            except LookupError as error:
                raise InputError(
                    f"{OTHER_OPTIMISER} ({error}): resume with the config beside it, or, if an "
                    f"older version wrote it, {other}"
                ) from error
        _check_groups(state["param_groups"], optimiser, where)


def _check_groups(groups: Sequence[Any], optimiser: torch.optim.Optimizer, where: str) -> None:
    """Raise InputError unless the options of an optimiser are those of this run."""
    now = optimiser.state_dict()["param_groups"]
    if len(groups) != len(now):
        raise InputError(f"{where} has {len(groups)} groups of parameters, not {len(now)}")
    for group, wanted in zip(groups, now, strict=True):
        check_like(group, {"lr": float, "params": list}, f"{where}.param_groups")
        if group["params"] != wanted["params"]:
            raise InputError(f"{where}.param_groups.params are not those of this run")
    # torch adds the options that an older torch did not have.
    optimiser.load_state_dict({"state": {}, "param_groups": list(groups)})
    loaded = optimiser.state_dict()["param_groups"]
    for group, wanted in zip(loaded, now, strict=True):
        # The rates are set anew in each step.
        for key in wanted.keys() - {"lr"}:
            if key not in group or not _same(group[key], wanted[key]):
                raise InputError(f"{where}.param_groups.{key} is not that of this run")


def _same(have: object, want: object) -> bool:
    """Whether an option of an optimiser is as wanted; a list stands for a tuple."""
    if isinstance(have, list | tuple) and isinstance(want, list | tuple):
        return len(have) == len(want) and all(map(_same, have, want))
    return type(have) is type(want) and have == want


def _check_moments(moments: object, wanted: Mapping[str, Tensor], where: str) -> None:
    """Check the state of one parameter: InputError if damaged, LookupError if of another kind.

    Args:
        moments: state of the parameter, as a checkpoint holds it.
        wanted: tensors of the shapes and types that the state has to have.
        where: name of the state, for messages.
    """
    check_like(moments, {}, where)
    assert isinstance(moments, dict)
    if moments.keys() != wanted.keys():
        raise LookupError(f"{where} has {one_line(', '.join(map(str, moments)), 80)}")
    for key, want in wanted.items():
        value = moments[key]
        if not isinstance(value, Tensor) or value.shape != want.shape:
            found = tuple(value.shape) if isinstance(value, Tensor) else type(value).__name__
            raise InputError(f"{where}: {key} has shape {found}, not {tuple(want.shape)}")
        # Adam counts its steps in float32.
        if value.dtype not in (want.dtype, torch.float32 if key == "step" else want.dtype):
            raise InputError(f"{where}: {key} holds {value.dtype}, not {want.dtype}")
        if not is_finite(value):
            raise InputError(f"{where}: {key} holds numbers that are not finite")
        if key in NOT_NEGATIVE and value.numel() and value.min() < 0:
            raise InputError(f"{where}: {key} is negative")


def _shape(value: object) -> tuple[int, ...] | None:
    return tuple(value.shape) if isinstance(value, Tensor) else None
