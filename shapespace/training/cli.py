"""The command ``shapespace train``: from a config file to a run folder with a trained space.

LightningCLI parses the options. An error is one line, not Lightning's page of usage.
"""

import inspect
import logging
import os
import signal
import sys
import warnings
from argparse import ArgumentError
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any, Literal

import pytorch_lightning as pl
from lightning_fabric.plugins.environments.slurm import SLURMEnvironment
from lightning_fabric.utilities.exceptions import MisconfigurationException
from pytorch_lightning.cli import LightningArgumentParser, LightningCLI, SaveConfigCallback
from pytorch_lightning.utilities import rank_zero_warn

from shapespace.checkpoint import CHECKPOINT, newest_checkpoint, read_checkpoint
from shapespace.config.arguments import explain_config
from shapespace.config.recipes import with_recipes
from shapespace.config.trust import (
    TRUST_HELP,
    check_configs,
    known_imports_only,
    packages_of,
    split_trust,
    trusting,
)
from shapespace.decoders.base import Decoder
from shapespace.encoders.base import Encoder
from shapespace.errors import InputError, at_least, one_line
from shapespace.objectives.base import Objective
from shapespace.sampling import Sampler
from shapespace.training.callbacks.background_writer import BackgroundWriter
from shapespace.training.callbacks.checkpoints import CheckpointCallback
from shapespace.training.callbacks.divergence import DivergenceMonitor
from shapespace.training.callbacks.logging import MetricsFile, Preview, Progress
from shapespace.training.callbacks.precision import PrecisionFallback
from shapespace.training.callbacks.ranks import Ranks
from shapespace.training.callbacks.signals import Signals
from shapespace.training.compatibility import check_same_run
from shapespace.training.datamodule import ScanData
from shapespace.training.lightning_private import leave_signals_alone, parser_of
from shapespace.training.module import ShapeSpace
from shapespace.training.validation.callback import Validation
from shapespace.training.wandb_logger import wandb_logger
from shapespace.utils.files import alone, empty_again, output_folder, replacing

TRAINER = {
    "default_root_dir": "runs/default",
    "max_epochs": 1000,
    "inference_mode": False,  # grad f is needed wherever the objective is evaluated
    "use_distributed_sampler": False,  # Steps deals the scans out to the ranks itself
    "logger": False,
    "enable_checkpointing": False,  # CheckpointCallback writes whole files only
    "enable_progress_bar": False,
    "enable_model_summary": False,
}
CALLBACKS = {
    "checkpoint": CheckpointCallback,
    "preview": Preview,
    "guard": PrecisionFallback,
    "health": DivergenceMonitor,
    "ranks": Ranks,
    "validation": Validation,
}
"""Sections of a config, and the callback that each of them builds."""
PARTS = {
    "model.decoder": Decoder,
    "model.objective": Objective,
    "model.sampler": Sampler,
    "model.encoder": Encoder,
}
TEXTS = (
    *("data.store", "data.scans", "data.validation", "data.truth", "data.cache"),
    *("trainer.default_root_dir", "ckpt_path"),
)
"""Options that name a file or a folder."""
HINTS = (
    ".*does not have many workers.*",
    ".*The number of training batches.*",
    ".*treespec, LeafSpec.*",
    ".*your dataloader is not resumable.*",  # its sampler is
)


class TrainingCLI(LightningCLI):
    """LightningCLI that knows the parts of a training, its run folder and how it is resumed.

    Args:
        args: command line of ``shapespace train``.
        signals: catcher of the signals that stop a training.
        held: exit stack that takes the lock of the run folder.
        save_config_callback: writes the resolved config to the run folder; None writes none.
    """

    def __init__(
        self,
        args: Sequence[str],
        signals: Signals,
        held: ExitStack,
        save_config_callback: type[SaveConfigCallback] | None,
    ) -> None:
        self.signals = signals
        self.held = held
        words, packages = split_trust(with_recipes(args))
        with trusting([*packages, *packages_of(words)]), known_imports_only():
            super().__init__(
                ShapeSpace,
                ScanData,
                save_config_callback=save_config_callback,
                trainer_defaults=dict(TRAINER),
                seed_everything_default=0,
                parser_kwargs={
                    "prog": "shapespace",
                    "exit_on_error": False,
                    "fit": {"exit_on_error": False, "epilog": TRUST_HELP},
                },
                auto_configure_optimizers=False,
                args=["fit", *words],
            )

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """Add the options of wandb and callbacks; the number of scans comes from the data."""
        parser.link_arguments("data.num_scans", "model.num_scans", apply_on="instantiate")
        parser.add_argument(
            "--wandb",
            type=Literal["off", "auto", "online", "offline"],
            default="off",
            help="Log to Weights & Biases; auto is online with a key and offline without.",
        )
        parser.add_argument(
            "--change_objective",
            type=bool,
            default=False,
            help="Resume with another objective than the checkpoint was trained by.",
        )
        # add_lightning_class_args would put them into the trainer in an order of its own.
        for name, callback in CALLBACKS.items():
            parser.add_class_arguments(callback, name, fail_untyped=False, sub_configs=True)

    @staticmethod
    def subcommands() -> dict[str, set[str]]:
        """Training is the only subcommand; Lightning calls it fit."""
        return {"fit": {"model", "train_dataloaders", "val_dataloaders", "datamodule"}}

    def parse_arguments(self, parser: LightningArgumentParser, args: Any) -> None:
        """Parse ``args``, never the command line of the process."""
        check_configs(args, TEXTS)
        try:
            self.config = parser.parse_args(args)
        except ArgumentError as error:
            raise InputError(self._explain(str(error), args)) from error
        at_least(0, seed_everything=int(self.config["fit"].seed_everything))
        if self.config["fit"].ckpt_path is not None:
            read_checkpoint(self.config["fit"].ckpt_path)

    def _explain(self, message: str, args: Sequence[str]) -> str:
        """Return one line for what the parser said, with the options and classes that there are."""
        classes = {
            name: [part for part in _kinds_of(base) if part.__module__.startswith("shapespace.")]
            for name, base in PARTS.items()
        }
        options = [
            f"{name}.init_args.{option}"
            for name, parts in classes.items()
            for part in parts
            for option in inspect.signature(part).parameters
        ]
        known = [*parser_of(self, "fit").get_defaults().keys(), *options]
        paths = {name: [_class_path(part) for part in parts] for name, parts in classes.items()}
        return explain_config(message, args, known=known, parts=paths)

    def instantiate_classes(self) -> None:
        """Build all parts; a value that a part refuses is an InputError.

        The run folder is made first: whether it can be written is known before the parts are built.
        """
        for name, base in PARTS.items():
            part = self.config["fit"][name]
            if part is not None and str(part.class_path).endswith(f".{base.__name__}"):
                raise InputError(f"{name}: {base.__name__} is the base of all; name one of them")
        with self.run_folder():
            try:
                super().instantiate_classes()
            except ValueError as error:
                raise InputError(one_line(error)) from error

    @contextmanager
    def run_folder(self) -> Iterator[None]:
        """Make the run folder; a mistake inside the block leaves no empty one behind."""
        folder = self.config["fit"].trainer.default_root_dir
        with empty_again(folder):
            output_folder(folder)
            yield

    def instantiate_trainer(self, **kwargs: Any) -> pl.Trainer:
        """Build the trainer, with wandb if the options ask for it."""
        mode = self.config["fit"].wandb
        folder = Path(self.config["fit"].trainer.default_root_dir)
        if mode != "off":
            kwargs["logger"] = wandb_logger(folder, mode)
        given = self.config_init["fit"].trainer.plugins or []
        plugins = [BackgroundWriter(), *(given if isinstance(given, list) else [given])]
        if SLURMEnvironment.detect():
            plugins.append(SLURMEnvironment(auto_requeue=False))  # CheckpointCallback does that
        kwargs["plugins"] = plugins
        kwargs["callbacks"] = self._callbacks()
        trainer = super().instantiate_trainer(**kwargs)
        leave_signals_alone(trainer)
        return trainer

    def _callbacks(self) -> list[pl.Callback]:
        """Return all callbacks of a run, in the order in which Lightning calls them."""
        options = self.config_init["fit"]
        given = options.trainer.callbacks or []
        checkpoints: CheckpointCallback = options.checkpoint
        monitor: DivergenceMonitor = options.health
        validation: Validation = options.validation
        validated = validation.validated
        checkpoints.connect(signals=self.signals, verdict=monitor.verdict, validated=validated)
        return [
            *(given if isinstance(given, list) else [given]),
            options.preview,
            options.guard,
            monitor,
            options.ranks,
            validation,  # before the metrics, which have its errors in their row
            MetricsFile(validated),
            Progress(),
            # The last: it saves and stops when the others have done what belongs to the step.
            checkpoints,
        ]

    def before_fit(self) -> None:
        """Lock the run folder, and resume from its newest checkpoint if there is one."""
        folder = self.trainer.default_root_dir
        if self.trainer.is_global_zero:
            with suppress(OSError):  # there are disks without locks
                busy = f"{folder}: another training runs in this folder; take another, or wait"
                self.held.enter_context(alone(Path(folder) / ".lock", busy))
        options = self.config_init["fit"]
        remark = ""
        if options.ckpt_path is None:
            newest, remark = newest_checkpoint(Path(folder))
            options.ckpt_path = None if newest is None else str(newest)
        if options.ckpt_path is not None:
            step = check_same_run(
                Path(options.ckpt_path),
                self.trainer,
                model=self.model,
                data=self.datamodule,
                change_objective=options.change_objective,
            )
            if remark:
                rank_zero_warn(remark)
            if self.trainer.is_global_zero:
                sys.stderr.write(f"going on from {options.ckpt_path}, step {step}\n")
        # The file was checked above; torch is to execute nothing in it all the same.
        options.weights_only = True


class SaveConfig(SaveConfigCallback):
    """Writes the resolved config to the run folder; a resumed run replaces it."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        # Lightning would end the training if the file cannot be written.
        super().__init__(*args, **kwargs, overwrite=True, save_to_log_dir=False)

    def save_config(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Write the config, on rank 0; a file that cannot be written is a warning.

        Args:
            trainer: trainer of the run.
            pl_module: module of the run.
            stage: "fit".
        """
        try:
            with replacing(Path(trainer.default_root_dir) / self.config_filename) as part:
                self.parser.save(self.config, part, skip_unset=False, overwrite=True)
        except (OSError, ValueError, TypeError) as error:
            rank_zero_warn(
                f"{self.config_filename} is not written ({one_line(error, 200)}); "
                "the training goes on without it"
            )


def train(args: Sequence[str]) -> Path:
    """Train a space of shapes, as the command ``shapespace train`` does.

    The run folder is the option ``--trainer.default_root_dir``. A run folder that holds a
    checkpoint is resumed: the same command, run again, goes on where the training stopped.

    Example::

        checkpoint = train(["--config", "bodies-cpu", "--data.store", "scans.hdf5"])
        space = TrainedSpace.load(checkpoint)

    Args:
        args: command line of ``shapespace train``: ``--config`` with the path or name of a recipe,
            and options that override its values. ``shapespace train --help`` lists all options.

    Returns:
        Path of the newest checkpoint, ``last.ckpt`` in the run folder.

    Raises:
        InputError: an option, a file or a value cannot be used, or the training diverged for good.
        Stopped: a signal ended the training early; all steps taken are in the checkpoint.
        RankLost: another rank failed or stopped answering.
    """
    # Worker processes of data loaders inherit signal handlers, so signals are caught before.
    with (
        quiet(),
        Signals() as signals,
        ExitStack() as held,
        _interruptible(),
        one_line_misconfigurations(),
    ):
        cli = TrainingCLI(args, signals=signals, held=held, save_config_callback=SaveConfig)
    return Path(cli.trainer.default_root_dir) / CHECKPOINT


def _kinds_of(base: type) -> list[type]:
    """Return all subclasses of a class that are known, those of its subclasses too."""
    return [kind for part in base.__subclasses__() for kind in (part, *_kinds_of(part))]


def _class_path(part: type) -> str:
    """Return the import path of a class, by its package if the package exports the class."""
    package = ".".join(part.__module__.split(".")[:2])
    public = getattr(sys.modules[package], part.__name__, None) is part
    return f"{package if public else part.__module__}.{part.__name__}"


@contextmanager
def _interruptible() -> Iterator[None]:
    """Turn the exit that Lightning makes of Ctrl-C into KeyboardInterrupt; let Ctrl-C act again."""
    try:
        yield
    except SystemExit as error:
        if not isinstance(error.__context__, KeyboardInterrupt):
            raise
        signal.signal(signal.SIGINT, signal.default_int_handler)
        raise KeyboardInterrupt from error


@contextmanager
def one_line_misconfigurations() -> Iterator[None]:
    """Raise what Lightning's trainer refuses as an InputError of one line."""
    try:
        yield
    except MisconfigurationException as error:
        raise InputError(one_line(error)) from error


@contextmanager
def quiet() -> Iterator[None]:
    """Hide advertisements of Lightning, and hints that do not apply here."""
    loggers = [logging.getLogger(name) for name in ("pytorch_lightning", "lightning_fabric")]
    levels = [logger.level for logger in loggers]
    with warnings.catch_warnings():
        not_slurm = () if "SLURM_JOB_ID" in os.environ else (".*srun. command is available.*",)
        for text in (*HINTS, *not_slurm):
            warnings.filterwarnings("ignore", text)
        for logger in loggers:
            logger.setLevel(logging.WARNING)
        try:
            yield
        finally:
            for logger, level in zip(loggers, levels, strict=True):
                logger.setLevel(level)
