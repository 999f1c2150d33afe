"""Checkpoints: written whole or not at all, and read without executing anything in them.

A checkpoint is a zip file of tensors and plain data, as torch writes it. Its checksums are compared
when it is read.

Letters: S scans of a table, K rows that are kept, L code length.
"""

import os
import pickle
import shutil
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor

from shapespace.codes import LatentCodes, check_scans
from shapespace.config.parts import build_part, check_like, check_parts, check_size
from shapespace.data.names import subjects_of
from shapespace.decoders.base import Decoder
from shapespace.encoders.base import Encoder
from shapespace.encoders.codes import EncodedCodes
from shapespace.encoders.factors import TABLE, FactorCodes
from shapespace.errors import InputError, one_line
from shapespace.objectives.base import FIELDS, Objective
from shapespace.sampling import Sampler
from shapespace.utils.files import replacing
from shapespace.utils.kinds import kind_of

FORMAT = 1
CHECKPOINT = "last.ckpt"
"""Name of the newest checkpoint in a run folder."""
PREVIOUS = "previous.ckpt"
"""Name of the checkpoint before the newest."""
BEST = "best.ckpt"
"""Name of the checkpoint of the lowest loss."""
SCANS = "codes._extra_state"
"""Key of the names and frames of its scans."""
EVALUATION = "evaluation"
"""Folder in a run folder that holds the evaluation of its last checkpoint."""
PLACE = "ScanData"
"""Key of the training's position in the data, which ``ScanData.state_dict`` gives."""
PARTS = ("decoder", "objective", "sampler")
"""Keys of the parts in the hyper-parameters."""
NEEDED = {
    "epoch": int,
    "global_step": int,
    "loops": {"fit_loop": {"epoch_progress": {"current": {"processed": int}}}},
    "shapespace": {"version": str, "unit": Literal["m", "radius"]},
}
"""What every command relies on, beside parts, weights and scans."""
INSTANTIATOR = "pytorch_lightning.cli.instantiate_module"
"""Function that Lightning would import to build a module from its hyper-parameters."""


def read_checkpoint(path: str | Path) -> dict[str, Any]:
    """The content of a shapespace checkpoint, on the CPU.

    Nothing in the file is executed (``weights_only=True``). A checkpoint may name parts of
    shapespace and torch, and classes of the packages in SHAPESPACE_TRUST, because what it names is
    built later. Parts, weights and scans are checked for what every command relies on.

    Raises:
        InputError: for any other file.
    """
    path = Path(path)
    kind = kind_of(path)
    if kind not in ("", "a checkpoint"):
        raise InputError(f"{path}: is {kind}; give a checkpoint, such as runs/NAME/last.ckpt")
    if not path.is_file():
        raise InputError(f"{path}: no such checkpoint; a run keeps its newest in <run>/last.ckpt")
    try:
        _check_bytes(path)
        content = torch.load(path, map_location="cpu", weights_only=True)  # noqa: TID251
    except Exception as error:
        reason = (
            "it holds more than tensors and plain data, or is damaged"
            if isinstance(error, pickle.UnpicklingError)
            else one_line(error, 120)
        )
        raise InputError(f"{path}: is not a readable checkpoint ({reason})") from error
    ours = content.get("shapespace") if isinstance(content, dict) else None
    if not isinstance(ours, dict) or "hyper_parameters" not in content:
        raise InputError(
            f"{path}: is not a shapespace checkpoint; give one made by shapespace train"
        )
    if ours.get("format") != FORMAT:
        raise InputError(
            f"{path}: has checkpoint format {ours.get('format')}, this version reads {FORMAT}"
        )
    check_content(path, content)
    return content


def write_checkpoint(content: dict[str, Any], path: Path, also: Sequence[str] = ()) -> None:
    """Write a checkpoint, so that its folder holds a whole checkpoint at every moment.

    An existing ``last.ckpt`` becomes ``previous.ckpt``.

    Args:
        content: of the checkpoint.
        path: of the file.
        also: further names of the same file, in the same folder.

    Raises:
        InputError: if the file cannot be written; the folder is then as before.
    """
    with replacing(path) as part:
        try:
            with part.open("wb") as file:
                torch.save(content, file)
        except RuntimeError as error:
            # torch's writer hides the disk's own message, such as "no space left on device".
            said = error.__context__
            raise said if isinstance(said, OSError) else OSError(None, one_line(error)) from error
        if path.name == CHECKPOINT and path.exists():
            _name_also(path, path.with_name(PREVIOUS))
    for name in also:
        _name_also(path, path.with_name(name))


def newest_checkpoint(folder: Path) -> tuple[Path | None, str]:
    """The checkpoint from which a run resumes, and a message for the user, mostly empty.

    The checkpoint is None if the folder has none.

    Raises:
        InputError: if the folder has checkpoints and none can be read.
    """
    last = folder / CHECKPOINT
    previous = folder / PREVIOUS
    if not last.exists():
        return (previous, "") if previous.exists() else (None, "")
    try:
        read_checkpoint(last)
    except InputError as error:
        if not previous.exists():
            raise
        read_checkpoint(previous)
        return previous, f"{error}; taking {previous}"
    return last, ""


def _name_also(path: Path, other: Path) -> None:
    """Give the file ``path`` a second name, or copy it where the file system has no links."""
    with replacing(other) as part:
        try:
            os.link(path, part)
        except OSError:
            shutil.copyfile(path, part)


def _check_bytes(path: Path) -> None:
    """Raise OSError unless the file is a sound zip file as torch writes it.

    Its entries are not compressed, so that what is read is no larger than the file. torch does not
    compare the checksums.
    """
    if not zipfile.is_zipfile(path):
        raise OSError("it is no zip file of tensors")
    size = path.stat().st_size
    with zipfile.ZipFile(path) as archive:
        entries = archive.infolist()
        packed = [entry for entry in entries if entry.compress_type != zipfile.ZIP_STORED]
        if packed:
            raise OSError(f"{one_line(packed[0].filename, 60)} is compressed; torch writes none so")
        if sum(entry.file_size for entry in entries) > size:
            raise OSError("its entries claim more bytes than the file has")
        damaged = archive.testzip()
    if damaged is not None:
        raise OSError(f"damaged: the checksum of {damaged} does not hold")


def check_content(path: Path, content: dict[str, Any]) -> None:
    """Raise InputError unless parts, codes and scans are what every command relies on."""
    hyper, state = content["hyper_parameters"], content.get("state_dict")
    for name, value in (("hyper_parameters", hyper), ("state_dict", state)):
        if not isinstance(value, dict) or not all(isinstance(key, str) for key in value):
            raise InputError(f"{path}: its {name} are no mapping from names")
    check_like(content, NEEDED, f"{path}: checkpoint")
    field = content["shapespace"].get("field", "distance")
    if field not in FIELDS:
        raise InputError(f"{path}: shapespace.field is {one_line(field, 40)}, no known kind")
    check_parts(hyper, PARTS, str(path))
    if hyper.get("_instantiator") not in (None, INSTANTIATOR):
        raise InputError(f"{path}: is to be built by a function that is not part of Lightning")
    assert isinstance(state, dict)
    _check_tensors(path, content)
    table = state.get(TABLE)
    if not isinstance(table, Tensor) or table.dim() != 2 or not table.is_floating_point():
        raise InputError(f"{path}: {TABLE} is not a table of codes")
    if hyper.get("num_scans") != len(table):
        declared = one_line(hyper.get("num_scans"), 30)
        raise InputError(f"{path}: declares {declared} scans but has codes of {len(table)}")
    scans: Any = state.get(SCANS)
    try:
        check_scans(scans)
    except InputError as error:
        raise InputError(f"{path}: {error}") from error
    if len(scans["names"]) != len(table):
        raise InputError(f"{path}: names {len(scans['names'])} scans but has {len(table)} codes")


def _check_tensors(path: Path, content: dict[str, Any]) -> None:
    """Raise InputError for a tensor that claims more numbers than the file holds."""
    waiting: list[object] = [content]
    seen: set[int] = set()
    while waiting:
        value = waiting.pop()
        if id(value) in seen:
            continue
        seen.add(id(value))
        if isinstance(value, dict):
            waiting += value.values()
        elif isinstance(value, list | tuple):
            # Lists of plain values are passed over: names and frames may have a million items.
            waiting += [each for each in value if isinstance(each, dict | list | tuple | Tensor)]
        elif isinstance(value, Tensor):
            plain = value.layout == torch.strided and value.device.type == "cpu"
            if not plain or value.nbytes > value.untyped_storage().nbytes():
                raise InputError(f"{path}: holds a tensor of shape {tuple(value.shape)} without it")


def check_numbers(given: Mapping[str, Any], expected: Mapping[str, Any]) -> None:
    """Raise InputError, by its name, for a weight of another type, or one that is not finite.

    Args:
        given: weights by name, as a checkpoint holds them.
        expected: weights of the same names, as a new model has them.
    """
    kinds: dict[torch.dtype, str] = {}
    for name, want in expected.items():
        if not isinstance(want, Tensor):
            continue
        have = given.get(name)
        if not isinstance(have, Tensor):
            raise InputError(f"{name} is missing, or no tensor")
        same = have.is_floating_point() if want.is_floating_point() else have.dtype == want.dtype
        if not same:
            raise InputError(
                f"{name} holds {str(have.dtype).removeprefix('torch.')}, not "
                f"{str(want.dtype).removeprefix('torch.')}"
            )
        if not is_finite(have):
            raise InputError(f"{name} holds numbers that are not finite")
        # A training may have weights of less or more precision, but has all alike.
        if want.dtype == torch.float32 and kinds.setdefault(have.dtype, name) and len(kinds) > 1:
            raise InputError(f"{' and '.join(kinds.values())} have different precision")


def is_finite(value: Tensor) -> bool:
    """Whether all numbers of a tensor are finite, without a copy of it."""
    if not value.is_floating_point() or not value.numel():
        return True
    # Least and greatest number are NaN if any number is.
    return bool(torch.isfinite(torch.stack(torch.aminmax(value.detach()))).all())


def built(
    content: dict[str, Any], path: str | Path
) -> tuple[Decoder, LatentCodes, Objective, Sampler]:
    """All parts of a space from the content of a checkpoint.

    Raises:
        InputError: the parts do not fit together; the message names ``path``.
    """
    try:
        decoder, objective, sampler = build_parts(content)
        return decoder, built_codes(content, decoder.latent_size), objective, sampler
    except (AttributeError, KeyError, TypeError, ValueError, RuntimeError) as error:
        raise InputError(f"{path}: its parts do not fit together ({one_line(error)})") from error


def build_parts(content: dict[str, Any]) -> tuple[Decoder, Objective, Sampler]:
    """Decoder and objective with their weights, and sampler, from the content of a checkpoint.

    Raises:
        InputError: a part is not known, has other arguments, or its weights are no finite numbers.
        RuntimeError: the weights are those of another decoder or objective.
    """
    hyper = content["hyper_parameters"]
    weights = _part(content, "decoder.")
    check_size(hyper["decoder"], Decoder, weights, "decoder")
    decoder = build_part(hyper["decoder"], Decoder, "decoder")
    check_numbers(weights, decoder.state_dict())
    decoder.load_state_dict(weights)
    objective = build_part(hyper["objective"], Objective, "objective")
    learnt = _part(content, "objective.")
    check_numbers(learnt, objective.state_dict())
    objective.load_state_dict(learnt)
    return decoder, objective, build_part(hyper["sampler"], Sampler, "sampler")


def built_codes(content: dict[str, Any], latent_size: int) -> LatentCodes:
    """The codes of a checkpoint, with their scans, and with their encoder if they have one."""
    state = _part(content, "codes.")
    num_scans, length = content["state_dict"][TABLE].shape
    if length != latent_size:
        raise InputError(f"codes have length {length} but the decoder takes {latent_size}")
    encoder = content["hyper_parameters"].get("encoder")
    codes = LatentCodes(num_scans, latent_size)
    identity_size = content["hyper_parameters"].get("identity_size", 0)
    if identity_size:
        check_like(identity_size, int, "hyper_parameters.identity_size")
        codes = FactorCodes(num_scans, latent_size, identity_size, subjects_of)
        # The names say how many subjects there are.
        codes.set_extra_state(state["_extra_state"])
    if encoder is not None:
        weights = _part(content, "codes.encoder.")
        check_size(encoder, Encoder, weights, "encoder")
        codes = EncodedCodes(num_scans, build_part(encoder, Encoder, "encoder"))
    check_numbers(state, codes.state_dict())
    codes.load_state_dict(state)
    codes.check_named()
    if isinstance(codes, FactorCodes):
        codes.renew_table()
    return codes


def _part(content: dict[str, Any], prefix: str) -> dict[str, Any]:
    """The entries of the state whose keys begin with ``prefix``, without the prefix."""
    state = content["state_dict"]
    return {key[len(prefix) :]: state[key] for key in state if key.startswith(prefix)}
