"""Which classes a config or a checkpoint of somebody else may name, and how large a config may be.

A class that a file names is imported and called. So a file may name the parts of shapespace, those
of torch and some of pytorch_lightning. It may also name packages that the user trusts: by
``--trust PACKAGE``, or by the environment variable SHAPESPACE_TRUST.
"""

import os
import re
import sys
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from importlib import import_module
from itertools import pairwise
from pathlib import Path
from typing import Any

import yaml
from jsonargparse import get_loader, set_loader, set_parsing_settings
from jsonargparse._common import parsing_settings

from shapespace.errors import InputError, one_line

TRUST_VARIABLE = "SHAPESPACE_TRUST"
"""Environment variable with further packages, separated by commas, whose classes may be built."""
TRUST_HELP = (
    "--trust PACKAGE: let config files and checkpoints name classes of this package of yours; may "
    f"be given several times. The environment variable {TRUST_VARIABLE}=ONE,TWO does the same. A "
    "class that you name on the command line is trusted. Put the folder of the package on "
    "PYTHONPATH."
)
PARTS = (
    "shapespace.decoders",
    "shapespace.objectives",
    "shapespace.sampling",
    "shapespace.encoders",
    "torch.nn",
    "torch.optim",
)
"""Modules whose classes a checkpoint may name."""
LIGHTNING = {
    "callbacks": "DeviceStatsMonitor EarlyStopping GradientAccumulationScheduler "
    "LearningRateMonitor ModelCheckpoint ModelSummary RichModelSummary RichProgressBar "
    "StochasticWeightAveraging Timer TQDMProgressBar",
    "loggers": "CSVLogger TensorBoardLogger WandbLogger",
    "profilers": "AdvancedProfiler PassThroughProfiler PyTorchProfiler SimpleProfiler",
    "strategies": "DDPStrategy SingleDeviceStrategy",
    "accelerators": "CPUAccelerator CUDAAccelerator MPSAccelerator",
    "plugins": "AsyncCheckpointIO DoublePrecision HalfPrecision MixedPrecision Precision "
    "TorchCheckpointIO",
    "plugins.environments": "KubeflowEnvironment LightningEnvironment LSFEnvironment "
    "MPIEnvironment SLURMEnvironment TorchElasticEnvironment",
}
"""Classes of pytorch_lightning that a config may name: none calls what its arguments name."""
MAX_BYTES = 1 << 20
MAX_DEPTH = 40
MAX_NODES = 10_000
"""Limits of a config: bytes of the file, nesting, and values with aliases written out."""
_CLASS_PATH = re.compile(r"[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)+")


class TooLargeError(yaml.YAMLError):
    """A YAML text exceeds the limits of a config."""


def trusted_packages() -> tuple[str, ...]:
    """The packages that the environment variable SHAPESPACE_TRUST names."""
    names = os.environ.get(TRUST_VARIABLE, "").split(",")
    return tuple(name.strip() for name in names if name.strip())


def split_trust(arguments: Sequence[str]) -> tuple[list[str], list[str]]:
    """Take ``--trust PACKAGE`` out of a command line.

    Returns:
        The other words, and the packages.

    Raises:
        InputError: no package follows, or its name is none.
    """
    rest: list[str] = []
    packages: list[str] = []
    words = iter(arguments)
    for word in words:
        option, sign, value = word.partition("=")
        if option != "--trust":
            rest.append(word)
            continue
        name = value if sign else next(words, "")
        if not re.fullmatch(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*", name) or name == "jsonargparse":
            raise InputError(f"--trust {one_line(name, 80)!r}: give the name of a Python package")
        packages.append(name)
    return rest, packages


@contextmanager
def trusting(packages: Iterable[str]) -> Iterator[None]:
    """Add packages to SHAPESPACE_TRUST during the block; processes that it starts inherit them."""
    before = os.environ.get(TRUST_VARIABLE)
    os.environ[TRUST_VARIABLE] = ",".join(dict.fromkeys((*trusted_packages(), *packages)))
    try:
        yield
    finally:
        if before is None:
            del os.environ[TRUST_VARIABLE]
        else:
            os.environ[TRUST_VARIABLE] = before


def packages_of(arguments: Sequence[str]) -> set[str]:
    """The packages of the classes that a command line of a training names itself."""
    found: set[str] = set()
    option = ""
    for word in arguments:
        option, sign, value = word.partition("=") if word.startswith("-") else (option, "=", word)
        is_part = option.startswith(("--model.", "--trainer.")) and not option.endswith("_dir")
        if sign and is_part and not Path(value).is_file():
            found |= {path.partition(".")[0] for path in _CLASS_PATH.findall(value)}
    # A function of Python itself, such as os.system, is no part, and Python's modules are not one
    # package that a user could trust.
    return found - sys.stdlib_module_names


def is_under(path: str, entries: Iterable[str]) -> bool:
    """Whether an import path is one of ``entries``, or lies in one of them."""
    return any(path == entry or path.startswith(f"{entry}.") for entry in entries)


def check_class_path(path: object, where: str) -> None:
    """Raise InputError if a checkpoint may not name this class; ``where`` is the checkpoint."""
    if not isinstance(path, str) or not _CLASS_PATH.fullmatch(path):
        raise InputError(
            f"{where}: names the class {one_line(path, 80)!r}, which is no import path such as "
            "shapespace.decoders.SkipMLP"
        )
    if not is_under(path, (*PARTS, *trusted_packages())):
        raise InputError(f"{where}: names the class {one_line(path, 80)!r}, {untrusted(path)}")


def untrusted(path: str) -> str:
    """Say that a class is no known part, and what trusts its package."""
    package = one_line(path.partition(".")[0], 60)
    return (
        f"which is not part of shapespace; if you trust it, say --trust {package} or set "
        f"{TRUST_VARIABLE}={package}"
    )


def not_found(path: str, reason: object) -> str:
    """Say that a trusted class cannot be imported, and where Python looks for it."""
    package = one_line(path.partition(".")[0], 60)
    return (
        f"{one_line(path, 80)!r} cannot be imported ({one_line(reason, 120)}): put the folder of "
        f"{package} on PYTHONPATH; files that name it need --trust {package} or "
        f"{TRUST_VARIABLE}={package} too"
    )


@contextmanager
def known_imports_only() -> Iterator[None]:
    """Let jsonargparse import known classes and those of trusted packages only.

    The texts that it reads as YAML keep the limits of a config.
    """
    # The settings can be extended by a public function, but not taken back by one.
    before, load = dict(parsing_settings), get_loader("yaml")
    allowed = ["shapespace", "torch.nn", "torch.optim", *_lightning_parts(), *trusted_packages()]
    set_parsing_settings(import_path_denylist=["*"], import_path_allowlist=allowed)

    def limited(text: str) -> Any:
        check_limits(text)
        return load(text)

    set_loader("yaml", limited, (yaml.YAMLError,))
    try:
        yield
    finally:
        set_loader("yaml", load, (yaml.YAMLError,))
        parsing_settings.update(before)


def _lightning_parts() -> Iterator[str]:
    """Import paths of LIGHTNING's classes, as users write them and as Python knows them."""
    for module, names in LIGHTNING.items():
        place = f"pytorch_lightning.{module}"
        for name in names.split():
            kind = getattr(import_module(place), name)
            yield from (f"{place}.{name}", f"{kind.__module__}.{name}")


def check_limits(text: str) -> None:
    """Raise TooLargeError if a YAML text is too long or too deep, or multiplies itself."""
    if len(text) > MAX_BYTES:
        raise TooLargeError(f"is larger than {MAX_BYTES} bytes, which no config needs")
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    sizes: dict[str, int] = {}
    # Anchor of each open list or mapping, and the number of values before it.
    opened: list[tuple[str | None, int]] = []
    total = 0
    for event in yaml.parse(text, loader):
        if isinstance(event, yaml.AliasEvent):
            if event.anchor in [anchor for anchor, _ in opened]:
                raise TooLargeError("holds a value that contains itself")
            total += sizes.get(event.anchor, 1)
        elif isinstance(event, yaml.CollectionStartEvent):
            opened.append((event.anchor, total))
            total += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            anchor, before = opened.pop()
            if anchor is not None:
                sizes[anchor] = total - before
        elif isinstance(event, yaml.ScalarEvent):
            total += 1
        if len(opened) > MAX_DEPTH:
            raise TooLargeError(f"nests deeper than {MAX_DEPTH} levels, which no config needs")
        if total > MAX_NODES:
            raise TooLargeError(f"holds more than {MAX_NODES} values, which no config needs")


def read_config(path: Path) -> Any:
    """The content of a YAML file, within the limits of a config.

    Raises:
        InputError: for a file that is too large, or cannot be read.
        yaml.YAMLError: for a text that is not YAML.
    """
    try:
        if path.stat().st_size > MAX_BYTES:
            raise InputError(f"{path}: is larger than {MAX_BYTES} bytes, which no config needs")
        content = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from error
    if b"\0" in content:
        raise InputError(f"{path}: is no text, as a checkpoint; give a YAML file of options")
    text = content.decode("utf-8", "replace")
    try:
        check_limits(text)
    except TooLargeError as error:
        raise InputError(f"{path}: {error}") from error
    return yaml.safe_load(text)


def check_configs(args: Sequence[str], texts: Collection[str] | None = None) -> None:
    """Check the config files on a command line, before anything in them is interpreted.

    Args:
        args: words of the command line.
        texts: keys whose values may name a file; None if all may.

    Raises:
        InputError: a file is larger than any config, or another of its values names a file, which
            a parser would open and read as a part of the config.
    """
    for path in config_files(args):
        # A text that is not YAML is explained when it is parsed.
        with suppress(yaml.YAMLError):
            content = read_config(path)
            if texts is not None and isinstance(content, dict):
                _check_sections(content, path)
                _check_no_file_named(content, texts, path)


def _check_sections(content: dict[str, Any], path: Path) -> None:
    """Raise InputError for what a parser of trainings has no line for."""
    if "config" in content:
        raise InputError(f"{path}: unknown key 'config'; say --config once a file")
    for key, value in content.items():
        if isinstance(value, list):
            raise InputError(f"{path}: {one_line(key, 60)} is a list; give options by name")


def _check_no_file_named(content: object, texts: Collection[str], path: Path) -> None:
    """Raise InputError for a value that names a file; arguments of a part are its own."""
    waiting = [("", content)]
    while waiting:
        key, value = waiting.pop()
        if isinstance(value, dict):
            inner = [(f"{key}.{name}".lstrip("."), item) for name, item in value.items()]
            waiting += [(name, item) for name, item in inner if not name.endswith(".init_args")]
        elif isinstance(value, list):
            waiting += [(key, item) for item in value]
        elif isinstance(value, str) and key not in texts and _is_there(value, path.parent):
            raise InputError(
                f"{path}: {one_line(key, 80)}={one_line(value, 80)}: write the options themselves, "
                "not the name of a file"
            )


def _is_there(name: str, folder: Path) -> bool:
    """Whether a text is the path of anything but a folder, from here or from ``folder``."""
    paths = [Path(name), folder / name]
    try:
        paths.append(Path(name).expanduser())
        return any(os.path.lexists(path) and not path.is_dir() for path in paths)
    except (OSError, ValueError, RuntimeError):
        return False


def config_files(args: Sequence[str]) -> list[Path]:
    """The files after ``--config`` or ``-c`` that exist."""
    names = [
        value if option in ("--config", "-c") else option.partition("=")[2]
        for option, value in pairwise([*args, ""])
        if option.partition("=")[0] in ("--config", "-c")
    ]
    return [Path(name) for name in names if Path(name).is_file()]
