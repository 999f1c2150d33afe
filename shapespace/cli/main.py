"""The ``shapespace`` command: find the subcommand, parse, call, report.

Only the standard library is imported until a subcommand is known, so that help is instant.
"""

import importlib
import signal
import sys
from collections.abc import Mapping, Sequence
from difflib import get_close_matches

from shapespace.errors import CheckFailed, InputError, RankLost, Stopped, one_line
from shapespace.version import __version__

COMMANDS = {
    "demo": "people from formulas, trained, reconstructed, interpolated: one page in minutes",
    "prepare": "scans on disk -> one store",
    "fit": "store -> a trained space of shapes",
    "plan": "what a fit would take: memory, time, bytes between ranks",
    "reconstruct": "unseen scans -> meshes, by finding their codes",
    "interpolate": "two or more shapes -> the shapes between them",
    "mesh": "training shapes of a checkpoint -> meshes",
    "surface": "one scan -> one mesh, no space needed",
    "certify": "how far the field of a space is from a signed distance",
    "evaluate": "unseen scans -> how good a space is: every distance, over people",
    "compare": "meshes or clouds against one: every distance, each by name",
    "report": "a run -> one page: curves, metrics, certificate, gallery, walk through the space",
    "info": "what a store or a checkpoint holds",
    "data": "check, split or merge stores of scans",
    "codes": "add scans to a trained space, or take some out",
}
DATA = {
    "check": "scans or a store -> what is wrong with them, and whether to train",
    "split": "names -> train.txt and test.txt, and how far apart they are",
    "merge": "stores, such as shards -> one store",
}
"""Commands that are called ``shapespace data ...``."""
CODES = {
    "add": "scans of a store -> further shapes of a space, to train on with them",
    "drop": "names -> a space without those shapes",
}
"""Commands that are called ``shapespace codes ...``."""
GROUPS = {"data": ("Data sets of scans.", DATA), "codes": ("Shapes of a trained space.", CODES)}
"""Commands that have commands of their own."""
SHAPES = ("reconstruct", "interpolate", "mesh", "surface")
"""Commands that make meshes."""
QUALITY = ("certify", "evaluate", "compare", "report")
"""Commands that measure."""
GROUP_USAGE = """usage: shapespace {group} COMMAND ...

{about}

commands:
{commands}

  shapespace {group} COMMAND --help     its options, with examples
"""
USAGE = """usage: shapespace COMMAND ...

Spaces of shapes from raw 3D scans.

commands:
{commands}

  shapespace COMMAND --help     its options, with examples
  shapespace --version

first steps:
  shapespace demo                                     no data needed
  shapespace prepare scans/ scans.hdf5                your own scans
  shapespace data check scans.hdf5                    before you train on them
  shapespace fit --config configs/bodies-cpu.yaml --data.store scans.hdf5
  shapespace reconstruct runs/bodies-cpu/last.ckpt new_scan.ply --out out/
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line.

    0 is success, 1 a failed check or a lost rank, 2 a mistake of the user, 128 + n the signal n.
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    if not arguments or arguments[0] in ("-h", "--help"):
        sys.stdout.write(usage())
        return 0
    if arguments[0] == "--version":
        sys.stdout.write(f"shapespace {__version__}\n")
        return 0
    command, *rest = arguments
    try:
        _dispatch(command, rest)
    except InputError as error:
        sys.stderr.write(f"shapespace {one_line(command)}: error: {one_line(error)}\n")
        return 2
    except CheckFailed:
        return 1
    except RankLost as error:
        sys.stderr.write(f"shapespace {command}: {error}; run the same command to go on\n")
        return 1
    except (KeyboardInterrupt, Stopped) as error:
        said = "stopped" if isinstance(error, KeyboardInterrupt) else str(error)
        sys.stderr.write(f"shapespace {command}: {said}; run the same command to go on\n")
        return 128 + (error.number if isinstance(error, Stopped) else signal.SIGINT)
    return 0


def usage() -> str:
    """The text of ``shapespace --help``."""
    return USAGE.format(commands=_listed(COMMANDS))


def _listed(commands: Mapping[str, str]) -> str:
    return "\n".join(f"  {name:12} {text}" for name, text in commands.items())


def _dispatch(command: str, arguments: list[str]) -> None:
    _check_known(command, COMMANDS)
    if command == "fit":
        importlib.import_module("shapespace.training.cli").fit(arguments)
    elif command == "plan":
        importlib.import_module("shapespace.planning.cli").plan_command(arguments)
    elif command in GROUPS:
        _dispatch_group(command, arguments)
    else:
        _call(f"shapespace.{_module_of(command)}", command, arguments)


def _module_of(command: str) -> str:
    if command in QUALITY:
        return "cli.quality"
    if command in SHAPES:
        return "cli.shapes"
    return "cli.demo" if command == "demo" else "cli.data"


def _dispatch_group(group: str, arguments: list[str]) -> None:
    about, commands = GROUPS[group]
    if not arguments or arguments[0] in ("-h", "--help"):
        text = GROUP_USAGE.format(group=group, about=about, commands=_listed(commands))
        sys.stdout.write(text)
        return
    command, *rest = arguments
    _check_known(command, commands)
    _call(f"shapespace.cli.{group}", command, rest, f"{group} ")


def _check_known(command: str, commands: Mapping[str, str]) -> None:
    if command not in commands:
        near = get_close_matches(command, commands, 1)
        hint = f"did you mean {near[0]!r}?" if near else f"one of {', '.join(commands)}"
        raise InputError(f"there is no command {command!r}; {hint}")


def _call(module: str, command: str, arguments: list[str], group: str = "") -> None:
    function = getattr(importlib.import_module(module), command)
    call = importlib.import_module("shapespace.config.arguments").call_from_arguments
    call(function, arguments, f"shapespace {group}{command}")
