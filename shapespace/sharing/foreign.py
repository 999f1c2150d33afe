"""Spaces of others: weights and codes as the authors of DeepSDF, IGR, SAL and SALD save them.

Their files hold matrices and no word about the network. Sizes, code length, skip and weight norm
are read off the shapes of the matrices. Activation, output and the division at the skip are those
of the system that is named. Files are read with ``weights_only=True``: nothing in them is executed.

Letters: O outputs and I inputs of a layer, S scans, L code length.
"""

import json
import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
import yaml
from jaxtyping import Float
from torch import Tensor

from shapespace.checkpoint import FORMAT, SCANS
from shapespace.codes import LatentCodes
from shapespace.config.options import ImportOptions, SystemName
from shapespace.config.parts import build_part
from shapespace.config.recipes import METHODS
from shapespace.decoders.base import Decoder
from shapespace.decoders.mlp import SkipMLP
from shapespace.decoders.relu import Output, ReluMLP
from shapespace.errors import InputError, one_line
from shapespace.objectives.base import Objective
from shapespace.scan import Frame
from shapespace.utils.files import read_lines
from shapespace.version import __version__

WEIGHTS = Path("ModelParameters") / "latest.pth"
"""File of the weights below an experiment's folder, in all four systems."""
CODES = Path("LatentCodes") / "latest.pth"
"""File of the codes below an experiment's folder."""
LAYER = re.compile(r"^(?:.*\.)?lin(\d+)\.(.+)$")
"""Keys of a layer, behind any prefix of a wrapper: its number, and which tensor it is."""
PLAIN = ("weight",)
NORMED = (
    ("weight_v", "weight_g"),
    ("parametrizations.weight.original1", "parametrizations.weight.original0"),
)
"""Direction and length of weight norm, in torch's old and new names."""
TABLES = ("latent_codes", "lat_vecs", "latent_vecs", "codes")
"""Names of the table of codes in a file."""
DIMENSION = 3
GRID = 32
"""Nodes along each side of the box, to see whether a shape has an inside."""


@dataclass(frozen=True)
class System:
    """What the files of a system do not say.

    Args:
        recipe: overlay of shapespace that has its objective and sampler.
        softplus: softplus with beta 100 in place of ReLU.
        divide_skip: inputs of the skip layer are divided by sqrt 2.
        output: what follows the last layer.
        unit: of the points that it is trained on; "radius" is a normalised shape.
        extent: half the side of the box in which the authors evaluate f.
    """

    recipe: str
    softplus: bool
    divide_skip: bool
    output: Output
    unit: Literal["m", "radius"]
    extent: float


SYSTEMS: dict[SystemName, System] = {
    "deepsdf": System("deepsdf", False, False, output="tanh", unit="radius", extent=1.0),
    "igr": System("igr-published", True, True, output="linear", unit="m", extent=1.8),
    "sal": System("sal", False, True, output="linear", unit="m", extent=1.8),
    "sald": System("sald", True, True, output="linear", unit="m", extent=1.8),
}


@dataclass(frozen=True)
class AffineLayer:
    """One affine layer of a file.

    Args:
        weight: [O,I]; with weight norm its rows are directions of any length.
        bias: [O].
        length: [O], the lengths of the rows with weight norm; None without.
    """

    weight: Float[Tensor, "O I"]
    bias: Float[Tensor, " O"]
    length: Float[Tensor, " O"] | None

    def plain(self) -> Float[Tensor, "O I"]:
        """The matrix, with weight norm applied."""
        if self.length is None:
            return self.weight
        return self.weight * (self.length / self.weight.norm(dim=1))[:, None]


def foreign_content(
    weights: str | Path, codes: str | Path | None, options: ImportOptions
) -> dict[str, Any]:
    """The content of a checkpoint, made of the files of another system.

    Args:
        weights: file of the weights, or the folder of an experiment, which holds
            ``ModelParameters/latest.pth`` and ``LatentCodes/latest.pth``.
        codes: file of the codes; None takes them from the folder or from ``weights`` itself.
        options: what the files do not say.

    Raises:
        InputError: a file cannot be read, or the network is none of these systems.
    """
    system = SYSTEMS[options.like]
    path = Path(weights)
    if path.is_dir():
        _check_specs(path)
        codes = path / CODES if codes is None and (path / CODES).is_file() else codes
        path = path / WEIGHTS
    content = _read(path)
    layers = _layers(content, path)
    decoder, arguments = _decoder(layers, system, options, path)
    table = _table(content if codes is None else _read(Path(codes)), decoder.latent_size)
    if table is None:
        where = path if codes is None else codes
        raise InputError(
            f"{where}: holds no table of codes of length {decoder.latent_size}; give its file by "
            "--codes"
        )
    listed = LatentCodes(len(table), decoder.latent_size)
    listed.assign(_names(options.names, len(table)), [Frame(np.zeros(DIMENSION), 1.0)] * len(table))
    with torch.no_grad():
        listed.table.weight.copy_(table)
    model = yaml.safe_load(METHODS[system.recipe].read_text("utf-8"))["model"]
    sampler = dict(model["sampler"])
    extent = system.extent if options.extent is None else options.extent
    sampler["init_args"] = {**sampler.get("init_args", {}), "extent": extent}
    return {
        "epoch": 0,
        "global_step": 0,
        "loops": {"fit_loop": {"epoch_progress": {"current": {"processed": 0}}}},
        "shapespace": {
            "format": FORMAT,
            "version": __version__,
            "unit": options.unit or system.unit,
            "field": build_part(model["objective"], Objective, "objective").kind,
        },
        "hyper_parameters": {
            "decoder": arguments,
            "objective": model["objective"],
            "sampler": sampler,
            "num_scans": len(table),
        },
        "state_dict": {
            **{f"decoder.{name}": value for name, value in decoder.state_dict().items()},
            **{f"codes.{name}": value for name, value in listed.state_dict().items()},
            SCANS: listed.get_extra_state(),
        },
    }


@torch.no_grad()
def share_inside(decoder: Decoder, code: Float[Tensor, " L"], extent: float) -> float:
    """Share of a box about the origin in which f is negative, on a coarse grid.

    Args:
        decoder: f(x; z).
        code: of one shape.
        extent: half the side of the box, in the unit of the space.
    """
    along = torch.linspace(-extent, extent, GRID, device=code.device)
    points = torch.cartesian_prod(*[along] * decoder.dimension)
    return float((decoder(points[None], code[None]) < 0).double().mean())


def _read(path: Path) -> Any:
    """The content of a file of torch, of which nothing is executed."""
    if not path.is_file():
        raise InputError(f"{path}: there is no such file; give the file of the weights or its run")
    try:
        return torch.load(path, map_location="cpu", weights_only=True)  # noqa: TID251
    except Exception as error:
        reason = one_line(error, 100)
        raise InputError(
            f"{path}: is no file of plain tensors, and nothing else is read ({reason})"
        ) from error


def _check_specs(folder: Path) -> None:
    """Refuse what DeepSDF's ``specs.json`` says of a network that is not built here."""
    path = folder / "specs.json"
    if not path.is_file():
        return
    try:
        specs = json.loads(path.read_text("utf-8"))["NetworkSpecs"]
        odd = [name for name in ("xyz_in_all", "use_tanh", "latent_dropout") if specs.get(name)]
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(f"{path}: holds no NetworkSpecs ({one_line(error, 60)})") from error
    if odd:
        raise InputError(f"{path}: says {odd[0]}, and no decoder of shapespace has that")


def _layers(content: Any, path: Path) -> list[AffineLayer]:
    """The affine layers of a file, first to last."""
    state = content
    for key in ("model_state_dict", "state_dict"):
        if isinstance(state, Mapping) and isinstance(state.get(key), Mapping):
            state = state[key]
    tensors: dict[int, dict[str, Tensor]] = {}
    for key, value in state.items() if isinstance(state, Mapping) else ():
        found = LAYER.match(str(key))
        if found and isinstance(value, Tensor):
            tensors.setdefault(int(found[1]), {})[found[2]] = value.detach().float()
    if sorted(tensors) != list(range(len(tensors))) or len(tensors) < 2:
        what = f"layers {sorted(tensors)}" if tensors else "no layers lin0, lin1, ..."
        raise InputError(f"{path}: holds {what}; give the weights of a perceptron of these systems")
    return [_layer(tensors[index], f"{path}: lin{index}") for index in range(len(tensors))]


def _layer(tensors: Mapping[str, Tensor], where: str) -> AffineLayer:
    """One layer, plain or with weight norm in either naming."""
    known = {"bias", *PLAIN, *(name for pair in NORMED for name in pair)}
    odd = sorted(tensors.keys() - known)
    if odd:
        raise InputError(f"{where} has {one_line(odd[0], 40)}, which no decoder of shapespace has")
    lengths = {direction: length for direction, length in NORMED if length in tensors}
    direction = next((name for name in [*lengths, *PLAIN] if name in tensors), None)
    if direction is None or "bias" not in tensors:
        raise InputError(f"{where} has no weight and bias, only {', '.join(sorted(tensors))}")
    weight, bias = tensors[direction], tensors["bias"]
    length = tensors[lengths[direction]].reshape(-1) if direction in lengths else None
    rows = weight.shape[:1]
    if weight.dim() != 2 or bias.shape != rows or (length is not None and length.shape != rows):
        size = "x".join(map(str, weight.shape))
        raise InputError(f"{where} has a weight of {size}; its bias or lengths are of other size")
    return AffineLayer(weight, bias, length)


def _decoder(
    layers: Sequence[AffineLayer], system: System, options: ImportOptions, path: Path
) -> tuple[SkipMLP | ReluMLP, dict[str, Any]]:
    """The decoder with these weights, and its class and arguments as a recipe has them."""
    inputs = layers[0].weight.shape[1]
    sizes = [layer.weight.shape for layer in layers]
    width = Counter(columns for _, columns in sizes[1:]).most_common(1)[0][0]
    gaps = [
        index
        for index in range(1, len(layers))
        if sizes[index - 1][0] + inputs == sizes[index][1] == width
    ]
    skip = gaps[0] if gaps else 0
    outputs = [width] * (len(layers) - 1) + [1]
    if skip:
        outputs[skip - 1] = width - inputs
    expected = list(zip(outputs, [inputs] + [width] * (len(layers) - 1), strict=True))
    if inputs < DIMENSION or [tuple(size) for size in sizes] != expected:
        shown = ", ".join("x".join(map(str, size)) for size in sizes)
        raise InputError(
            f"{path}: matrices {shown} are no perceptron of one width with one skip connection"
        )
    divide = system.divide_skip if options.divide_skip is None else options.divide_skip
    output = system.output if options.output is None else options.output
    shape = {
        "latent_size": inputs - DIMENSION,
        "dimension": DIMENSION,
        "width": width,
        "depth": len(layers) - 1,
        "skip": skip,
    }
    if system.softplus:
        if output != "linear":
            raise InputError(f"output={output}: a softplus network ends in linear")
        return _softplus(layers, shape, divide=divide)
    return _relu(layers, {**shape, "divide_skip": divide, "output": output})


@torch.no_grad()
def _softplus(
    layers: Sequence[AffineLayer], shape: dict[str, Any], *, divide: bool
) -> tuple[SkipMLP, dict[str, Any]]:
    """A ``SkipMLP``, which has no weight norm and divides at the skip by sqrt 2."""
    arguments = {**shape, "beta": 100.0}
    decoder = SkipMLP(**arguments)
    for index, (ours, theirs) in enumerate(zip(decoder.linears(), layers, strict=True)):
        undo = math.sqrt(2) if index and index == shape["skip"] and not divide else 1.0
        ours.weight.copy_(theirs.plain() * undo)
        ours.bias.copy_(theirs.bias)
    return decoder, {"class_path": "shapespace.decoders.SkipMLP", "init_args": arguments}


@torch.no_grad()
def _relu(layers: Sequence[AffineLayer], shape: dict[str, Any]) -> tuple[ReluMLP, dict[str, Any]]:
    """A ``ReluMLP``, whose columns are [hidden, latent, x] as those of the authors."""
    normed = any(layer.length is not None for layer in layers[:-1])
    arguments = {**shape, "weight_norm": normed, "start": "uniform"}
    decoder = ReluMLP(**arguments)
    state = {}
    for index, layer in enumerate(layers):
        hidden = normed and index + 1 < len(layers)
        state[f"layers.{index}.weight"] = layer.weight if hidden else layer.plain()
        state[f"layers.{index}.bias"] = layer.bias
        if hidden:
            length = layer.weight.norm(dim=1) if layer.length is None else layer.length
            state[f"layers.{index}.length"] = length
    decoder.load_state_dict(state)
    return decoder, {"class_path": "shapespace.decoders.ReluMLP", "init_args": arguments}


def _table(content: Any, latent_size: int) -> Float[Tensor, "S L"] | None:
    """The table of codes in the content of a file; None if there is none of this length."""
    if latent_size == 0:
        return torch.zeros(1, 0)
    if isinstance(content, Mapping):
        flat = {str(key).rpartition(".")[2]: value for key, value in content.items()}
        for name in (*TABLES, "weight", "model_state_dict"):
            found = _table(flat[name], latent_size) if name in flat else None
            if found is None and f"{name}.weight" in content:
                found = _table(content[f"{name}.weight"], latent_size)
            if found is not None:
                return found
        return None
    if isinstance(content, list | tuple) and all(isinstance(row, Tensor) for row in content):
        content = torch.stack([row.reshape(-1) for row in content]) if content else None
    if not isinstance(content, Tensor) or content.shape[-1:] != (latent_size,):
        return None
    table = content.detach().float().reshape(-1, latent_size)
    return table if len(table) else None


def _names(path: str | None, count: int) -> list[str]:
    """Names of the scans, in the order of the codes."""
    if path is None:
        return [f"shape_{row:04}" for row in range(count)]
    listed = _split(Path(path)) if path.endswith(".json") else read_lines(path)
    if len(listed) != count:
        raise InputError(f"{path}: has {len(listed)} names for {count} codes; one for each, please")
    return listed


def _split(path: Path) -> list[str]:
    """Names of DeepSDF's splits, {data set: {class: [instance, ...]}}, in their order.

    An instance that several classes have is called class_instance in each.
    """
    try:
        rows = [
            (str(kind), str(instance))
            for classes in json.loads(path.read_text("utf-8")).values()
            for kind, instances in classes.items()
            for instance in instances
        ]
    except (OSError, ValueError, AttributeError, TypeError) as error:
        raise InputError(f"{path}: is no JSON of splits ({one_line(error, 60)})") from error
    often = Counter(instance for _, instance in rows)
    return [name if often[name] == 1 else f"{kind}_{name}" for kind, name in rows]
