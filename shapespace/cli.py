"""The ``shapespace`` command: find the subcommand, parse, call, report.

Only the standard library is imported until a subcommand is known, so that help is instant.
"""

import importlib
import sys
from collections.abc import Sequence
from difflib import get_close_matches

from shapespace import __version__
from shapespace.errors import InputError, one_line

COMMANDS = {
    "demo": "people from formulas, trained, reconstructed, interpolated: one page in minutes",
    "prepare": "scans on disk -> one store",
    "fit": "store -> a trained space of shapes",
    "reconstruct": "unseen scans -> meshes, by finding their codes",
    "interpolate": "two or more shapes -> the shapes between them",
    "mesh": "training shapes of a checkpoint -> meshes",
    "surface": "one scan -> one mesh, no space needed",
    "info": "what a store or a checkpoint holds",
}

USAGE = """usage: shapespace COMMAND ...

Spaces of shapes from raw 3D scans.

commands:
{commands}

  shapespace COMMAND --help     its options, with examples
  shapespace --version

first steps:
  shapespace demo                                     no data needed
  shapespace prepare scans/ scans.hdf5                your own scans
  shapespace fit --config configs/bodies-cpu.yaml --data.store scans.hdf5
  shapespace reconstruct runs/bodies-cpu/last.ckpt new_scan.ply --out out/
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; 0 is success, 2 the user's mistake, 130 an interruption."""
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
    except KeyboardInterrupt:
        sys.stderr.write(f"shapespace {command}: stopped; run the same command to go on\n")
        return 130
    return 0


def usage() -> str:
    """The text of ``shapespace --help``."""
    return USAGE.format(
        commands="\n".join(f"  {name:12} {text}" for name, text in COMMANDS.items())
    )


def _dispatch(command: str, arguments: list[str]) -> None:
    if command not in COMMANDS:
        near = get_close_matches(command, COMMANDS, 1)
        hint = f"did you mean {near[0]!r}?" if near else f"one of {', '.join(COMMANDS)}"
        raise InputError(f"there is no command {command!r}; {hint}")
    if command == "fit":
        importlib.import_module("shapespace.training").fit(arguments)
        return
    function = getattr(importlib.import_module("shapespace.commands"), command)
    call = importlib.import_module("shapespace.arguments").call_from_arguments
    call(function, arguments)
