"""Reading checkpoints: tensors and plain data only, and no part that is not ours or torch's."""

import os
import pickle
from pathlib import Path
from typing import Any

import torch

from shapespace.errors import InputError, one_line

FORMAT = 1
TRUSTED = ("shapespace", "torch", "pytorch_lightning")
TRUST_VARIABLE = "SHAPESPACE_TRUST"
"""Environment variable with further packages, separated by commas, whose classes may be built."""


def read_checkpoint(path: str | Path) -> dict[str, Any]:
    """The content of a shapespace checkpoint on the CPU; InputError for anything else.

    Nothing in the file is executed (``weights_only=True``) and no class outside shapespace, torch,
    pytorch_lightning and the packages in SHAPESPACE_TRUST is named by it.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"{path}: no such checkpoint; a run keeps its newest in <run>/last.ckpt")
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)  # noqa: TID251
    except Exception as error:
        reason = (
            "it holds more than tensors and plain data, or is damaged"
            if isinstance(error, pickle.UnpicklingError)
            else one_line(error, 120)
        )
        raise InputError(f"{path}: is not a readable checkpoint ({reason})") from error
    kind = content.get("shapespace") if isinstance(content, dict) else None
    if not isinstance(kind, dict) or "hyper_parameters" not in content:
        raise InputError(f"{path}: is not a shapespace checkpoint; give one made by shapespace fit")
    if kind.get("format") != FORMAT:
        raise InputError(
            f"{path}: has checkpoint format {kind.get('format')}, this version reads {FORMAT}"
        )
    _check_class_paths(path, content["hyper_parameters"])
    return content


def _check_class_paths(path: Path, value: object) -> None:
    if isinstance(value, dict):
        named = value.get("class_path")
        trusted = (*TRUSTED, *os.environ.get(TRUST_VARIABLE, "").split(","))
        if named is not None and str(named).partition(".")[0] not in trusted:
            raise InputError(
                f"{path}: names the class {one_line(named)!r}, which is not part of shapespace; if "
                f"you trust it, set {TRUST_VARIABLE}={one_line(str(named).partition('.')[0])}"
            )
        for item in value.values():
            _check_class_paths(path, item)
    elif isinstance(value, list | tuple):
        for item in value:
            _check_class_paths(path, item)
