"""The ``shapespace`` command: find the subcommand, parse, call, report.

Only the standard library is imported until a subcommand is known, so that help is instant.
"""

import importlib
import keyword
import signal
import sys
from collections.abc import Collection, Mapping, Sequence
from difflib import get_close_matches

from shapespace.errors import CheckFailed, InputError, RankLost, Stopped, one_line
from shapespace.version import __version__

COMMANDS = {
    "demo": ("cli.demo", "people from formulas, trained, reconstructed, interpolated: one page"),
    "prepare": ("cli.data", "scans on disk -> one store"),
    "train": ("cli.train", "store -> a trained space of shapes"),
    "methods": ("cli.methods", "the methods of the field, each an overlay for a recipe"),
    "plan": ("cli.train", "what a training would take: memory, time, bytes between ranks"),
    "reconstruct": ("cli.shapes", "unseen scans -> meshes, by finding their codes"),
    "interpolate": ("cli.shapes", "two or more shapes -> the shapes between them"),
    "mesh": ("cli.shapes", "training shapes of a checkpoint -> meshes"),
    "render": ("cli.shapes", "a shape of a space -> depth, normals, masks, pictures, cameras"),
    "surface": ("cli.shapes", "one scan -> one mesh, no space needed"),
    "diagnose": ("cli.quality", "how far the field of a space is from a signed distance"),
    "evaluate": ("cli.quality", "unseen scans -> how good a space is: every distance, over people"),
    "compare": ("cli.quality", "meshes or clouds against one: every distance, each by name"),
    "report": ("cli.quality", "a run -> one page: curves, scores, gallery, shapes in between"),
    "view": ("cli.shapes", "a space to touch: sliders, walks, a scan to drop on a page"),
    "export": ("cli.codes", "a space -> a folder for others, read without pickle; ONNX"),
    "import": ("cli.codes", "weights and codes of DeepSDF, IGR, SAL or SALD -> a space"),
    "info": ("cli.data", "what a store or a checkpoint holds"),
    "data": ("", "check, split or merge stores of scans"),
    "codes": ("", "add scans to a trained space, or take some out"),
    "prior": ("", "new shapes: learn the distribution of the codes, and draw from it"),
}
"""Name of a command -> the module that holds the function of that name, and a line of help."""

OWN_PARSER = ("train", "plan")
"""Commands whose function takes the words of the command line: a config file is their syntax."""

GROUPS = {
    "data": {
        "check": ("cli.data", "scans or a store -> what is wrong with them, and whether to train"),
        "split": ("cli.data", "names -> train.txt and test.txt, and how far apart they are"),
        "merge": ("cli.data", "stores, such as shards -> one store"),
    },
    "codes": {
        "add": (
            "cli.codes",
            "scans of a store -> further shapes of a space, to train on with them",
        ),
        "drop": ("cli.codes", "names -> a space without those shapes"),
    },
    "prior": {
        "fit": ("cli.codes", "a space -> the distribution of its codes, one file"),
        "sample": ("cli.codes", "a space and its prior -> new shapes, with the nearest known ones"),
    },
}
"""Commands that have commands of their own: ``shapespace data check``."""

ABOUT = {
    "data": "Data sets of scans.",
    "codes": "Shapes of a trained space.",
    "prior": "New shapes of a trained space.",
}
OLD_NAMES = {"fit": "train", "certify": "diagnose"}
"""Names of version 0.1.0, which work for one more release."""

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
  shapespace COMMAND ... --trust PACKAGE
                                files may name classes of this package, beside shapespace's own
  shapespace --version

first steps:
  shapespace demo                                     no data needed
  shapespace prepare scans/ scans.hdf5                your own scans
  shapespace data check scans.hdf5                    before you train on them
  shapespace train --config bodies-cpu --data.store scans.hdf5
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


def _listed(commands: Mapping[str, tuple[str, str]]) -> str:
    return "\n".join(f"  {name:12} {text}" for name, (_, text) in commands.items())


def _dispatch(command: str, arguments: list[str]) -> None:
    if command in OLD_NAMES:
        new = OLD_NAMES[command]
        sys.stderr.write(f"shapespace {command}: is called {new} now; the old name goes soon\n")
        command = new
    _check_known(command, COMMANDS)
    if command in GROUPS:
        _dispatch_group(command, arguments)
    else:
        _call(command, COMMANDS[command][0], arguments)


def _dispatch_group(group: str, arguments: list[str]) -> None:
    commands = GROUPS[group]
    if not arguments or arguments[0] in ("-h", "--help"):
        text = GROUP_USAGE.format(group=group, about=ABOUT[group], commands=_listed(commands))
        sys.stdout.write(text)
        return
    command, *rest = arguments
    _check_known(command, commands)
    _call(command, commands[command][0], rest, group=f"{group} ")


def _check_known(command: str, commands: Collection[str]) -> None:
    if command not in commands:
        near = get_close_matches(command, commands, 1)
        hint = f"did you mean {near[0]!r}?" if near else f"one of {', '.join(commands)}"
        raise InputError(f"there is no command {command!r}; {hint}")


def function_name(command: str) -> str:
    """The function of a command: its name, with _ behind a word of Python's such as import."""
    return f"{command}_" if keyword.iskeyword(command) else command


def _call(command: str, module: str, arguments: list[str], group: str = "") -> None:
    trust = importlib.import_module("shapespace.config.trust")
    arguments, packages = trust.split_trust(arguments)
    function = getattr(importlib.import_module(f"shapespace.{module}"), function_name(command))
    with trust.trusting(packages):
        if command in OWN_PARSER:
            function(arguments)
        else:
            call = importlib.import_module("shapespace.config.arguments").call_from_arguments
            call(function, arguments, f"shapespace {group}{command}")
