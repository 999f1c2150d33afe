"""The commands ``train`` and ``plan``, whose options are those of a config file.

Help that fits a screen needs neither torch nor Lightning. ``tests/cli/test_train.py`` compares it
with the parser that reads the options.
"""

import os
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from shapespace.cli.output import say, say_line
from shapespace.config.recipes import RECIPES
from shapespace.errors import InputError
from shapespace.utils.launch import rank_and_world

OPTIONS = {
    "scans": {
        "--data.store FILE": "store of scans, written by shapespace prepare",
        "--data.scans FILE": "names of the scans to train on, one a line; all by default",
        "--data.batch_size N": "scans in a step of each rank",
        "--data.num_points N": "points of a scan in a step",
    },
    "run": {
        "--trainer.default_root_dir FOLDER": "run folder: checkpoints, metrics, previews, config",
        "--trainer.max_epochs N": "epochs in all, those before a resume too",
        "--trainer.max_time DD:HH:MM:SS": "end earlier, after this time",
        "--trainer.devices N": "GPUs or processes of this node",
        "--checkpoint.minutes N": "minutes from one checkpoint to the next, at most",
        "--preview.every N": "epochs from one picture of shapes to the next",
        "--wandb MODE": "log to Weights & Biases: off, auto, online or offline",
        "--seed_everything N": "seed of all that is drawn",
    },
    "method": {
        "--model.decoder CLASS": "network f(x; code); its options are --model.decoder.OPTION",
        "--model.objective CLASS": "loss and its weights",
        "--model.sampler CLASS": "points of a step; --model.sampler.sigma and so on",
        "--model.lr X": "learning rate of the network",
        "--model.code_lr X": "learning rate of the codes",
        "--model.schedule KIND": "how the rates fall: halve or cosine",
    },
}
"""Options that the help shows, by their group, and what they are."""
WIDTH = 38
HELP = """usage: shapespace train --config RECIPE --data.store STORE [options]

Train a space of shapes. The same command, run again, goes on where it stopped.

  shapespace train --config bodies-cpu --data.store scans.hdf5
  shapespace train --config dfaust --config hardware/gpu --data.store scans.hdf5

  {config}
{groups}

recipes: {recipes}

  --help-all             all options, with types and defaults
  --trust PACKAGE        files may name classes of this package, beside shapespace's own
  shapespace methods     methods of the field, each an overlay for a recipe
  shapespace plan        what a training would take; it has the same options
"""


def train(arguments: Sequence[str]) -> None:
    """Train a space, or say how; at the end, name the checkpoint and what to do with it.

    Raises:
        InputError: an option, a file or a value cannot be used.
    """
    if {"-h", "--help"} & set(arguments):
        say(help_text().rstrip("\n"))
        return
    everything = "--help-all" in arguments
    if not everything and not _has_recipe(arguments):
        say("\n".join(["recipes:", *_recipes()]))
        raise InputError(
            "give a recipe and a store, as in --config bodies-cpu --data.store scans.hdf5"
        )
    from shapespace.config.trust import packages_of, trusting
    from shapespace.training.cli import train as run

    if everything:
        with suppress(SystemExit):
            run(["--help"])
        return
    checkpoint = run(arguments)
    if rank_and_world(os.environ)[0] == 0:
        # A class that was typed on the command line is trusted, as in the training.
        with trusting(packages_of(arguments)):
            lines = ending(checkpoint)
        for line in lines:
            say_line(line)


def plan(arguments: Sequence[str]) -> None:
    """Say what a training with these options would take."""
    from shapespace.planning.cli import plan as run

    run(arguments)


def help_text() -> str:
    """The help of ``train`` on one screen."""
    groups = []
    for group, options in OPTIONS.items():
        groups += ["", f"{group}:", *(_line(name, text) for name, text in options.items())]
    return HELP.format(
        config=f"{'--config RECIPE':{WIDTH}}a recipe by name, or a YAML file; later ones win",
        groups="\n".join(groups),
        recipes=", ".join(RECIPES),
    )


def ending(checkpoint: Path) -> list[str]:
    """What to say at the end of a training: its checkpoint, and the commands that take it."""
    from shapespace.checkpoint import SCANS, read_checkpoint
    from shapespace.training.statistics import METRICS, read_metrics

    content = read_checkpoint(checkpoint)
    rows = read_metrics(checkpoint.parent / METRICS)
    loss = f", loss {float(rows[-1]['loss']):.4g}" if rows and rows[-1].get("loss") else ""
    names: list[str] = content["state_dict"][SCANS]["names"]
    lines = [
        f"trained: {len(names)} scans, {content['global_step']} steps{loss}",
        f"checkpoint: {checkpoint}",
        "next:",
        f"  shapespace report {checkpoint.parent}",
    ]
    decoder: dict[str, Any] = content["hyper_parameters"]["decoder"].get("init_args", {})
    if decoder.get("dimension", 3) != 3:
        return lines
    return [
        *lines,
        f"  shapespace mesh {checkpoint} {names[0]} --out meshes/",
        f"  shapespace reconstruct {checkpoint} NEW_SCANS --out reconstructed/",
        f"  shapespace evaluate {checkpoint} UNSEEN_SCANS --out {checkpoint.parent / 'evaluation'}",
    ]


def _line(name: str, text: str) -> str:
    return f"  {name:{WIDTH}}{text}"


def _has_recipe(arguments: Sequence[str]) -> bool:
    """True if some word gives a config or a decoder: what is missing besides is said by name."""
    return any(word.startswith(("--config", "-c", "--model", "--print")) for word in arguments)


def _recipes() -> list[str]:
    """Name and first line of each recipe."""
    lines = []
    for name, path in RECIPES.items():
        first = path.read_text("utf-8").split("\n", 1)[0]
        lines.append(f"  {name:16}{first.removeprefix('#').strip().removeprefix('what: ')}")
    return lines
