"""The command ``shapespace plan``: what a training with given options takes."""

import json
import os
import sys
from argparse import ArgumentError, ArgumentParser, RawDescriptionHelpFormatter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from shapespace.errors import InputError, at_least, one_line
from shapespace.utils.launch import rank_and_world

HELP = """Predict what a training takes, from half a minute of its steps on this machine.

Takes the options of shapespace train; shapespace train --help lists them. Says memory, time, bytes
between ranks and the size of a checkpoint, what was assumed, and which batch suits. Nothing is
written to the run folder. One process plans for all ranks.

  shapespace plan --config bodies-cpu --data.store scans.hdf5
  shapespace plan --config dfaust --scans 40000 --ranks 16    before there is a store
"""


def plan(args: Sequence[str]) -> dict[str, Any] | None:
    """Plan as ``shapespace plan *args`` and print the prediction.

    Returns:
        All numbers of the prediction; None if only help was asked for.

    Raises:
        InputError: An option is wrong, or ``shapespace train`` would refuse the options.
    """
    if {"-h", "--help"} & set(args):
        sys.stdout.write(_parser().format_help())
        return None
    try:
        own, rest = _parser().parse_known_args(args)
    except ArgumentError as error:
        raise InputError(f"{error.argument_name}: {one_line(error.message)}") from error
    given = {"ranks": own.ranks, "scans": own.scans}
    at_least(1, **{name: value for name, value in given.items() if value is not None})
    rank, world = rank_and_world(os.environ)
    if world > 1:
        raise InputError(f"rank {rank} of {world}: one process plans for all; say --ranks {world}")
    # Help and mistakes in the options above are said without waiting for torch and Lightning.
    from shapespace.planning.estimate import estimate_run, table
    from shapespace.planning.measure import PlanCLI, measure
    from shapespace.training.cli import one_line_misconfigurations, quiet
    from shapespace.utils.files import output_folder, replacing

    if own.json is not None:
        output_folder(Path(own.json).parent)
    with quiet(), one_line_misconfigurations():
        cli = PlanCLI(rest, own.scans)
        job = cli.job(own.ranks)
        sys.stderr.write("measuring steps of growing size, about half a minute\n")
        measured = measure(cli, job)
    asked = "trainer.devices x trainer.num_nodes; --ranks N plans for others"
    remarks = [f"ranks: {job.ranks}, from {'--ranks' if own.ranks else asked}"]
    predicted = estimate_run(job, measured, remarks)
    sys.stdout.write(f"{table(predicted)}\n")
    if own.json is not None:
        with replacing(own.json) as part:
            part.write_text(json.dumps(predicted, indent=1) + "\n")
    return predicted


def _parser() -> ArgumentParser:
    """The parser of the options that ``shapespace train`` does not have."""
    parser = ArgumentParser(
        prog="shapespace plan",
        usage="shapespace plan [--ranks N] [--scans N] [--json FILE] [options of shapespace train]",
        description=HELP,
        formatter_class=RawDescriptionHelpFormatter,
        exit_on_error=False,
        allow_abbrev=False,
    )
    ranks = "processes that train; trainer.devices x trainer.num_nodes by default."
    scans = "plan for N scans, with points made up, in place of those of data.store."
    parser.add_argument("--ranks", type=int, metavar="N", help=ranks)
    parser.add_argument("--scans", type=int, metavar="N", help=scans)
    parser.add_argument("--json", metavar="FILE", help="write all numbers, in bytes and seconds.")
    return parser
