"""A trained space as a folder for others: tensors in one safetensors file, the rest in plain JSON.

Nothing in the folder is executed, and no pickle is read. The folder has what a space needs:
decoder, codes, names, frames, unit and recipe. It has no states of optimisers: a training goes on
from the checkpoint.
"""

import hashlib
import json
from pathlib import Path
from typing import Any, Literal

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from shapespace.checkpoint import FORMAT as CHECKPOINT_FORMAT
from shapespace.checkpoint import SCANS, check_content, read_checkpoint
from shapespace.config.parts import check_like
from shapespace.errors import InputError, one_line
from shapespace.sharing.hub import fetched, is_hub_name
from shapespace.utils.files import find_inside, output_folder, read_inside, replacing
from shapespace.utils.kinds import kind_of
from shapespace.utils.plain import json_object

FORMAT = 1
FACTS = "space.json"
"""File of all that is no tensor."""
TENSORS = "space.safetensors"
"""File of weights and codes."""
LIKE = {
    "format": int,
    "version": str,
    "unit": Literal["m", "radius"],
    "field": str,
    "digest": str,
    "sha256": str,
    "names": list,
    "frames": {"centres": list, "scales": list},
    "recipe": dict,
    "trained": {"epochs": int, "steps": int},
}
"""What the JSON holds."""
BYTES_AT_ONCE = 1 << 24


def is_bundle(path: str | Path) -> bool:
    """True for a folder that :func:`write_bundle` wrote."""
    return Path(path).is_dir() and (Path(path) / FACTS).is_file()


def read_space(path: str | Path) -> dict[str, Any]:
    """The content of a checkpoint, or of a folder that ``shapespace export`` wrote.

    Raises:
        InputError: ``path`` is neither.
    """
    return read_bundle(path) if is_bundle(path) else read_checkpoint(path)


def write_bundle(
    content: dict[str, Any], folder: str | Path, digest: str, licence: str | None = None
) -> Path:
    """Write a space as a folder. A bundle that is there already is replaced.

    Args:
        content: of a checkpoint, as :func:`~shapespace.checkpoint.read_checkpoint` gives it.
        folder: for the two files.
        digest: sha256 of weights and codes, the identity of the space.
        licence: under which others may use the space, such as CC-BY-4.0; None says nothing.

    Raises:
        InputError: the folder holds files of these names that are no bundle, cannot be written, or
            the decoder keeps a state that is neither a tensor nor plain.
    """
    folder = output_folder(folder)
    if (folder / TENSORS).exists() and not is_bundle(folder):
        raise InputError(f"{folder / TENSORS}: is not of an exported space; choose another folder")
    state = content["state_dict"]
    tensors = {
        name: value.detach().cpu().contiguous().clone()
        for name, value in state.items()
        if isinstance(value, Tensor)
    }
    odd = sorted(state.keys() - tensors.keys() - {SCANS})
    if odd:
        raise InputError(f"{odd[0]}: is no tensor, and cannot be exported; keep it as a buffer")
    with replacing(folder / TENSORS) as part:
        save_file(tensors, part)
        sha256 = _sha256(part)
    ours, scans = content["shapespace"], state[SCANS]
    facts = {
        "format": FORMAT,
        "version": ours["version"],
        "unit": ours["unit"],
        "field": ours.get("field", "distance"),
        "licence": licence,
        "digest": digest,
        "sha256": sha256,
        "trained": {
            "epochs": content["loops"]["fit_loop"]["epoch_progress"]["current"]["processed"],
            "steps": content["global_step"],
        },
        "recipe": content["hyper_parameters"],
        "names": scans["names"],
        "frames": {"centres": scans["centres"], "scales": scans["scales"]},
    }
    with replacing(folder / FACTS) as part:
        part.write_text(json.dumps(facts, indent=1, ensure_ascii=False) + "\n", "utf-8")
    return folder


def read_bundle(folder: str | Path) -> dict[str, Any]:
    """The content of an exported space, as that of a checkpoint.

    Classes are named by the recipe and built later, under the same rules as those of a checkpoint.
    OWNER/NAME, where there is no such folder, is fetched from the Hugging Face hub.

    Raises:
        InputError: the folder is no exported space, is damaged, or its files are not of one export.
    """
    folder = fetched(str(folder), (FACTS, TENSORS)) if is_hub_name(folder) else Path(folder)
    facts = _read_facts(folder)
    path = find_inside(folder, TENSORS)
    if path is None:
        raise InputError(f"{folder}: holds {FACTS} but no {TENSORS}; copy the whole folder")
    if _sha256(path) != facts["sha256"]:
        raise InputError(f"{path}: is damaged, or not of the {FACTS} beside it; fetch both again")
    try:
        state: dict[str, Any] = dict(load_file(path))
    except (SafetensorError, OSError, ValueError) as error:
        raise InputError(
            f"{path}: is not a readable safetensors file ({one_line(error, 120)})"
        ) from error
    state[SCANS] = {"names": facts["names"], **facts["frames"]}
    epochs, steps = facts["trained"]["epochs"], facts["trained"]["steps"]
    content = {
        "epoch": epochs,
        "global_step": steps,
        "loops": {"fit_loop": {"epoch_progress": {"current": {"processed": epochs}}}},
        "shapespace": {
            "format": CHECKPOINT_FORMAT,
            "version": facts["version"],
            "unit": facts["unit"],
            "field": facts["field"],
        },
        "hyper_parameters": facts["recipe"],
        "state_dict": state,
    }
    check_content(folder, content)
    return content


def _read_facts(folder: Path) -> dict[str, Any]:
    """The JSON of a bundle, with all that :data:`LIKE` names."""
    kind = kind_of(folder)
    if kind != "a folder":
        what = f"is {kind}" if kind else "there is no such folder"
        raise InputError(f"{folder}: {what}; give a folder that shapespace export wrote")
    read = read_inside(folder, FACTS)
    path = folder / FACTS
    if read is None:
        raise InputError(
            f"{folder}: is no exported space, it holds no {FACTS}; shapespace export makes one of "
            "a checkpoint"
        )
    try:
        facts = json_object(read)
    except ValueError as error:
        raise InputError(f"{path}: {one_line(error, 120)}; fetch it again") from error
    if facts.get("format") != FORMAT:
        raise InputError(
            f"{path}: has format {one_line(facts.get('format'), 20)}, this version reads {FORMAT}"
        )
    check_like(facts, LIKE, f"{path}: space")
    return facts


def _sha256(path: Path) -> str:
    """sha256 of a file, hexadecimal."""
    found = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(BYTES_AT_ONCE):
            found.update(block)
    return found.hexdigest()
