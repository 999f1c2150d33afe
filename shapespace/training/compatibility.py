"""The check that a checkpoint belongs to the training that is resumed from it."""

from pathlib import Path

from torch import Tensor

from shapespace.checkpoint import read_checkpoint
from shapespace.errors import InputError
from shapespace.training.datamodule import ScanData
from shapespace.training.module import ShapeSpace

MOMENT = {"rows": "visits", "dense": "exp_avg_sq"}
"""A key in the state of each optimiser of the codes; it tells which optimiser wrote the state."""


def check_same_run(path: Path, model: ShapeSpace, data: ScanData) -> int:
    """Check that a checkpoint holds this model, trained on these scans with these optimisers.

    Args:
        path: checkpoint that the training would be resumed from.
        model: model as the options build it.
        data: scans as the options name them.

    Returns:
        The number of steps that were taken before the checkpoint.

    Raises:
        InputError: scans, shapes of parameters or optimisers differ.
    """
    content = read_checkpoint(path)
    before = content["state_dict"]
    now = model.state_dict()
    try:
        model.codes.set_extra_state(before["codes._extra_state"])
        model.codes.assign(data.names, data.frames)
    except InputError as error:
        raise InputError(f"{path}: {error}") from error
    odd = [
        name
        for name in sorted(before.keys() | now.keys())
        if _shape(before.get(name)) != _shape(now.get(name))
    ]
    other = "start in another run folder, --trainer.default_root_dir"
    if odd:
        raise InputError(
            f"{path}: is of another model ({odd[0]} differs): resume with the config beside it, or "
            f"{other}"
        )
    *of_decoder, of_codes = content["optimizer_states"]
    moments = [values.keys() for values in of_codes["state"].values()]
    same = len(of_decoder) == (1 if model.optimiser == "adam" else 2)
    if not same or any(MOMENT[model.code_optimiser] not in names for names in moments):
        raise InputError(
            f"{path}: decoder or codes were moved by another optimiser: resume with the config "
            f"beside it, or, if an older version wrote it, {other}"
        )
    return content["global_step"]


def _shape(value: object) -> tuple[int, ...] | None:
    return tuple(value.shape) if isinstance(value, Tensor) else None
