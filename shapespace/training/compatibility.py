"""Whether a checkpoint belongs to the training that is to go on from it."""

from pathlib import Path

from torch import Tensor

from shapespace.checkpoint import read_checkpoint
from shapespace.errors import InputError
from shapespace.training.datamodule import ScanData
from shapespace.training.module import ShapeSpace

MOMENT = {"rows": "visits", "dense": "exp_avg_sq"}
"""What the optimiser of the codes knows of them, by its name."""


def check_same_run(path: Path, model: ShapeSpace, data: ScanData) -> int:
    """InputError unless the checkpoint ``path`` holds this model, trained on these scans.

    Its step otherwise.
    """
    content = read_checkpoint(path)
    before, now = content["state_dict"], model.state_dict()
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
