"""``shapespace plan``: the options of ``shapespace train``, and out comes what that would take."""

import os
import sys
from argparse import (
    ArgumentError,
    ArgumentParser,
    ArgumentTypeError,
    Namespace,
    RawDescriptionHelpFormatter,
)
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import ExitStack
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from lightning_fabric.plugins.environments.lightning import LightningEnvironment
from lightning_fabric.utilities.exceptions import MisconfigurationException

from shapespace.errors import InputError, at_least, one_line
from shapespace.planning.estimate import Plan, estimate_run
from shapespace.planning.fake_data import FakeScans, FakeStore
from shapespace.planning.job import Job, Measured
from shapespace.planning.rehearsal import CheckpointSize, dry_run
from shapespace.training.callbacks.divergence import DivergenceMonitor
from shapespace.training.callbacks.precision import PrecisionFallback
from shapespace.training.callbacks.signals import Signals
from shapespace.training.cli import TrainingCLI, one_line_misconfigurations, quiet
from shapespace.training.datamodule import ScanData
from shapespace.utils.files import output_folder, replacing
from shapespace.utils.launch import rank_and_world

HELP = """Predict what a training takes, from half a minute of its steps on this machine.

Takes the options of shapespace train; shapespace train --help lists them. Says memory, time, bytes
between ranks and the size of a checkpoint, what was assumed, and which batch suits. Nothing is
written to the run folder. One process plans for all ranks.

  shapespace plan --config bodies-cpu --data.store scans.hdf5
  shapespace plan --config dfaust --scans 40000 --ranks 16    before there is a store
"""
OURS = (DivergenceMonitor, PrecisionFallback)
"""Callbacks that take part in every step and write nothing."""
UNWRITTEN: dict[str, Any] = {
    **{"data.cache": None, "data.verify": False, "wandb": "off", "trainer.logger": False},
    **{"trainer.devices": 1, "trainer.num_nodes": 1, "trainer.strategy": "auto"},
    **{"trainer.min_epochs": None, "trainer.min_steps": None, "trainer.profiler": None},
    "trainer.enable_checkpointing": False,
}
"""What is put in the place of options, so that one process trains and leaves nothing behind."""


class PlanCLI(TrainingCLI):
    """The parts of a training, for one process, with nothing that writes.

    num_imagined: scans in place of those of the store.
    """

    def __init__(self, args: Sequence[str], num_imagined: int | None) -> None:
        self.num_imagined, self.num_ranks, self.num_sharers = num_imagined, 1, 1
        super().__init__(args, (), Signals(), ExitStack(), None)

    def before_instantiate_classes(self) -> None:
        """Count the ranks, then put one process in their place."""
        config = self.config["fit"]
        if self.num_imagined is not None:
            build = partial(_imagined, num_scans=self.num_imagined)
            self.parser.add_instantiator(build, ScanData, prepend=True)
        elif not Path(config.data.store).exists():
            raise InputError(
                f"{config.data.store}: there is no such file; give a store as --data.store, or "
                "--scans N to plan for N scans without one"
            )
        devices = num_devices(config.trainer.devices, config.trainer.accelerator)
        self.num_ranks = devices * config.trainer.num_nodes
        self.num_sharers = devices
        for name, value in UNWRITTEN.items():
            config[name] = value

    def instantiate_classes(self) -> None:
        """Imagined scans have the dimension of the decoder."""
        super().instantiate_classes()
        if isinstance(self.datamodule.store, FakeStore):
            self.datamodule.store.dimension = self.model.decoder.dimension

    def instantiate_trainer(self, **kwargs: Any) -> pl.Trainer:
        """Without the cluster's environment, which counts other ranks."""
        plugins = [CheckpointSize(), LightningEnvironment()]
        config = {**self.config_init["fit"].trainer, "callbacks": [], "plugins": plugins}
        keys = self._parser("fit").callback_keys
        found = [self._get(self.config_init, key) for key in keys]
        callbacks: list[pl.Callback] = [
            callback for callback in found if isinstance(callback, OURS)
        ]
        try:
            return self._instantiate_trainer(config, callbacks)
        except MisconfigurationException as error:
            raise InputError(
                f"trainer.accelerator={config['accelerator']}: {one_line(error, 150)}; plan on a "
                "machine like those of the run, or with --trainer.accelerator cpu"
            ) from error

    def _run_subcommand(self, subcommand: str) -> None:
        """The rehearsal comes later."""


def plan(args: Sequence[str]) -> Plan | None:
    """Plan as ``shapespace plan *args``, print it and return it; None if only help was asked for.

    InputError for what ``shapespace train`` would refuse, too.
    """
    if {"-h", "--help"} & set(args):
        sys.stdout.write(_parser().format_help())
        return None
    try:
        own, rest = _parser().parse_known_args(args)
    except ArgumentError as error:
        raise InputError(f"{error.argument_name}: {one_line(error.message)}") from error
    _check(own)
    # A process of its own has the memory of a training, and no more.
    with ProcessPoolExecutor(1, get_context("spawn")) as pool:
        try:
            found = pool.submit(measure, rest, own.ranks, own.scans).result()
        except BrokenProcessPool as error:
            raise InputError(
                "the process that measured was killed, most likely for want of memory: lower "
                "data.batch_size, data.num_points or model.points_per_chunk"
            ) from error
    predicted = estimate_run(*found)
    sys.stdout.write(f"{predicted}\n")
    if own.json is not None:
        with replacing(own.json) as part:
            part.write_text(predicted.as_json() + "\n")
    return predicted


def measure(
    args: Sequence[str], ranks: int | None, num_imagined: int | None
) -> tuple[Job, Measured, list[str]]:
    """Rehearse ``shapespace train *args`` in this process: the job, what was measured and how."""
    with quiet(), one_line_misconfigurations():
        cli = PlanCLI(args, num_imagined)
        job = _job(cli, ranks)
        sys.stderr.write("measuring steps of growing size, half a minute at most\n")
        measured = dry_run(cli.model, cli.datamodule, cli.trainer, job.scans_of_a_step)
    asked = (
        "--ranks" if ranks else "trainer.devices x trainer.num_nodes; --ranks N plans for others"
    )
    source = (
        f"points of {num_imagined} imagined scans, with normals: loading them is not timed"
        if num_imagined is not None
        else f"scans as in {cli.datamodule.store.path}; loading them from this disk is timed"
    )
    return job, measured, [f"ranks: {job.ranks}, from {asked}", source]


def num_devices(devices: object, accelerator: object) -> int:
    """Processes of a node that ``trainer.devices`` stands for; "auto" and -1 are what is here."""
    if isinstance(devices, list):
        return len(devices)
    text = str(devices)
    if text in ("auto", "-1"):
        return max(1, torch.cuda.device_count()) if accelerator != "cpu" else 1
    if "," in text:
        return len([part for part in text.split(",") if part.strip()])
    if not text.isdecimal() or int(text) < 1:
        raise InputError(f"trainer.devices={one_line(text)}: give a number of at least 1, or auto")
    return int(text)


def _job(cli: PlanCLI, ranks: int | None) -> Job:
    data, model, trainer = cli.datamodule, cli.model, cli.trainer
    on_cpu = trainer.strategy.root_device.type == "cpu"
    learning = [p for p in model.decoder.parameters() if p.requires_grad]
    return Job(
        ranks=cli.num_ranks if ranks is None else ranks,
        sharers=cli.num_sharers if on_cpu else 1,
        num_scans=data.num_scans,
        latent_size=model.decoder.latent_size,
        num_numbers=sum(p.numel() for p in learning),
        batch_size=data.batch_size,
        num_points=data.num_points,
        repeats=data.repeats,
        drop_last=data.drop_last,
        max_epochs=None if trainer.max_epochs in (None, -1) else trainer.max_epochs,
        max_steps=None if trainer.max_steps == -1 else trainer.max_steps,
        limit=trainer.limit_train_batches,
    )


def _imagined(
    kind: type, *args: Any, num_scans: int, applied_instantiation_links: Any = None, **options: Any
) -> ScanData:
    return FakeScans(num_scans, **options)


def _parser() -> ArgumentParser:
    """Of the options that ``fit`` has not."""
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
    parser.add_argument("--ranks", type=_whole, metavar="N", help=ranks)
    parser.add_argument("--scans", type=_whole, metavar="N", help=scans)
    parser.add_argument("--json", metavar="FILE", help="write all numbers, in bytes and seconds.")
    return parser


def _whole(text: str) -> int:
    try:
        return int(text)
    except ValueError as error:
        raise ArgumentTypeError(f"{one_line(text)!r} must be a whole number, as in 8") from error


def _check(own: Namespace) -> None:
    given = {"ranks": own.ranks, "scans": own.scans}
    at_least(1, **{name: value for name, value in given.items() if value is not None})
    rank, world = rank_and_world(os.environ)
    if world > 1:
        raise InputError(f"rank {rank} of {world}: one process plans for all; say --ranks {world}")
    if own.json is not None:
        output_folder(Path(own.json).parent)
