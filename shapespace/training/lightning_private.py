"""Every use of Lightning's private API, one function each, with the reason.

setup.cfg pins the minor version of pytorch-lightning. ``tests/training/test_lightning_private.py``
fails when that version moves or when one of these attributes is gone.
"""

import threading

import pytorch_lightning as pl
from lightning_fabric.strategies.launchers.subprocess_script import _ChildProcessObserver
from pytorch_lightning.cli import LightningArgumentParser, LightningCLI

TESTED = "2.6"
"""Minor version of pytorch-lightning with which this file was tested."""


def leave_signals_alone(trainer: pl.Trainer) -> None:
    """Keep Lightning from installing signal handlers.

    Its handlers talk to other ranks in the middle of a step, and there is no option to turn them
    off. :class:`~shapespace.training.callbacks.signals.Signals` catches the signals instead.
    """
    trainer._signal_connector.register_signal_handlers = lambda: None


def dismiss_process_observer() -> None:
    """Let the thread that watches Lightning's child processes watch none.

    It kills this process within five seconds of the death of a child, before the reason can be
    said, and there is no option to turn it off.
    """
    for thread in threading.enumerate():
        if isinstance(thread, _ChildProcessObserver):
            thread._child_processes = []


def attached_trainer(module: pl.LightningModule) -> pl.Trainer | None:
    """Return the trainer of a module, or None if it has none.

    ``module.trainer`` raises if there is none, as in ``load_from_checkpoint``.
    """
    return module._trainer


def parser_of(cli: LightningCLI, subcommand: str) -> LightningArgumentParser:
    """Return the parser of a subcommand, with all its options.

    The public ``cli.parser`` knows the subcommands, not their options.
    """
    return cli._parser(subcommand)
