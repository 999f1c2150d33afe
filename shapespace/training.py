"""``shapespace fit``: a config file becomes a run folder with a trained space.

LightningCLI parses; what it would print as a page of usage becomes one line.
"""

import inspect
import logging
import re
import sys
import warnings
from argparse import ArgumentError
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import pytorch_lightning as pl
import yaml
from jsonargparse import Namespace
from pytorch_lightning.cli import LightningArgumentParser, LightningCLI, SaveConfigCallback
from pytorch_lightning.utilities.exceptions import MisconfigurationException

from shapespace.arguments import explain, unknown
from shapespace.callbacks import CHECKPOINT, KeepCheckpoint, MetricsFile, Preview, Progress
from shapespace.checkpoint import read_checkpoint
from shapespace.data.datamodule import ScanData
from shapespace.decoders import Decoder
from shapespace.errors import InputError, one_line
from shapespace.files import output_folder
from shapespace.module import ShapeSpace
from shapespace.objectives import Objective
from shapespace.sampling import Sampler
from shapespace.wandb_log import wandb_logger

TRAINER = {
    "default_root_dir": "runs/default",
    "max_epochs": 1000,
    "inference_mode": False,  # grad f is needed wherever the objective is evaluated
    "use_distributed_sampler": False,  # Visits deals the scans out to the ranks itself
    "logger": False,
    "enable_checkpointing": False,  # KeepCheckpoint writes whole files only
    "enable_progress_bar": False,
    "enable_model_summary": False,
}
PARTS = {"decoder": Decoder, "objective": Objective, "sampler": Sampler}
HINTS = (
    ".*does not have many workers.*",
    ".*The number of training batches.*",
    ".*treespec, LeafSpec.*",
)


class TrainingCLI(LightningCLI):
    """LightningCLI with the one link, the run folder's callbacks and resumption."""

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """The number of scans comes from the data; the rest is what a run leaves behind."""
        parser.link_arguments("data.num_scans", "model.num_scans", apply_on="instantiate")
        parser.add_argument(
            "--wandb",
            type=Literal["off", "auto", "online", "offline"],
            default="off",
            help="Log to Weights & Biases; auto is online with a key and offline without.",
        )
        parser.add_lightning_class_args(KeepCheckpoint, "checkpoint")
        parser.add_lightning_class_args(Preview, "preview")

    @staticmethod
    def subcommands() -> dict[str, set[str]]:
        """Only training goes through here."""
        return {"fit": {"model", "train_dataloaders", "val_dataloaders", "datamodule"}}

    def parse_arguments(self, parser: LightningArgumentParser, args: Any) -> None:
        """Parse ``args`` alone, whatever the command line of the process says."""
        try:
            self.config: Namespace = parser.parse_args(args)
        except ArgumentError as error:
            raise InputError(_explain(str(error), args, self._known_keys())) from error
        if self.config.fit.ckpt_path is not None:
            read_checkpoint(self.config.fit.ckpt_path)

    def _known_keys(self) -> list[str]:
        """All keys of a config, those of the parts by the classes there are."""
        options = [
            f"model.{name}.init_args.{option}"
            for name, base in PARTS.items()
            for part in base.__subclasses__()
            for option in inspect.signature(part).parameters
        ]
        return [*self._parser("fit").get_defaults().keys(), *options]

    def before_instantiate_classes(self) -> None:
        """Refuse a run folder that cannot be written before anything is built."""
        output_folder(self.config.fit.trainer.default_root_dir)

    def instantiate_classes(self) -> None:
        """Build all parts; a value that one of them refuses is the user's mistake."""
        try:
            super().instantiate_classes()
        except (ValueError, MisconfigurationException) as error:
            raise InputError(one_line(error)) from error

    def instantiate_trainer(self, **kwargs: Any) -> pl.Trainer:
        """The trainer, with wandb beside the metrics file if it was asked for."""
        mode, folder = self.config.fit.wandb, Path(self.config.fit.trainer.default_root_dir)
        if mode != "off":
            kwargs["logger"] = wandb_logger(folder, mode)
        return super().instantiate_trainer(**kwargs)

    def before_fit(self) -> None:
        """Go on from the run folder's own checkpoint if there is one."""
        last = Path(self.trainer.default_root_dir) / CHECKPOINT
        if self.config_init.fit.ckpt_path is None and last.exists():
            epoch = read_checkpoint(last)["epoch"]
            sys.stderr.write(f"resuming from {last}, epoch {epoch + 1}\n")
            self.config_init.fit.ckpt_path = str(last)
        self.config_init.fit.weights_only = True


class SaveConfig(SaveConfigCallback):
    """The resolved config beside the checkpoint, replaced when a run is resumed."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **{**kwargs, "overwrite": True})


def fit(args: Sequence[str]) -> Path:
    """Train as ``shapespace fit *args`` and return the checkpoint.

    InputError for an option, a file or a value that cannot be used.
    """
    with _quiet():
        cli = TrainingCLI(
            ShapeSpace,
            ScanData,
            save_config_callback=SaveConfig,
            trainer_defaults={**TRAINER, "callbacks": [MetricsFile(), Progress()]},
            seed_everything_default=0,
            parser_kwargs={
                "prog": "shapespace",
                "exit_on_error": False,
                "fit": {"exit_on_error": False},
            },
            auto_configure_optimizers=False,
            args=["fit", *args],
        )
    return Path(cli.trainer.default_root_dir) / CHECKPOINT


def _explain(message: str, args: Sequence[str], known: Sequence[str]) -> str:
    """A parser's complaint, with the config file that it is about where one is to blame."""
    text = one_line(message)
    if found := re.search(r'Parser key "config": (.*): \'(.*)\'', text):
        return f"{found[2]}: cannot be a config ({found[1].lower()}); recipes lie in configs/"
    if found := re.search(r'Parser key "model.(\w+)":.* path but (\S+) either', text):
        classes = [
            f"{part.__module__}.{part.__name__}" for part in PARTS[found[1]].__subclasses__()
        ]
        text = f"model.{found[1]}: {unknown(found[2], classes, 'class')}"
        return _blamed_file("class_path", args) + text
    if found := re.search(r"Problems parsing config: (.*)", text):
        return f"{_unparsable(args)}: is not YAML ({found[1]})"
    text = explain(text, known, "key")
    key = re.match(r"(?:unknown key ')?([\w.]+)", text)
    return (_blamed_file(key[1].rpartition(".")[2], args) if key else "") + text


def _blamed_file(name: str, args: Sequence[str]) -> str:
    """The last config file that sets ``name``, with a colon; nothing if ``args`` do themselves."""
    if any(re.match(rf"--([\w.]+\.)?{name}(=|$)", arg) for arg in args):
        return ""
    sets = re.compile(rf"^\s*{name}\s*:", re.MULTILINE)
    files = [path for path in _config_files(args) if sets.search(path.read_text("utf-8"))]
    return f"{files[-1]}: " if files else ""


def _unparsable(args: Sequence[str]) -> str:
    for path in _config_files(args):
        try:
            yaml.safe_load(path.read_text("utf-8"))
        except yaml.YAMLError:
            return str(path)
    return "the command line"


def _config_files(args: Sequence[str]) -> list[Path]:
    pairs = zip(args, [*args[1:], ""], strict=True)
    names = [
        value if option in ("--config", "-c") else option.partition("=")[2]
        for option, value in pairs
        if option.partition("=")[0] in ("--config", "-c")
    ]
    return [Path(name) for name in names if Path(name).is_file()]


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep Lightning's advertisements and hints that do not apply here off the screen."""
    loggers = [logging.getLogger(name) for name in ("pytorch_lightning", "lightning_fabric")]
    levels = [logger.level for logger in loggers]
    with warnings.catch_warnings():
        for text in HINTS:
            warnings.filterwarnings("ignore", text)
        for logger in loggers:
            logger.setLevel(logging.WARNING)
        try:
            yield
        finally:
            for logger, level in zip(loggers, levels, strict=True):
                logger.setLevel(level)
