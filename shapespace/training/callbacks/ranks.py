"""No training waits for ever for a rank that is gone."""

import os
import sys
import time
from functools import partial

import pytorch_lightning as pl
import torch.distributed

from shapespace.errors import RankLost, Stopped, positive
from shapespace.training.callbacks.heartbeat import Heartbeats
from shapespace.training.lightning_private import dismiss_process_observer


class Ranks(pl.Callback):
    """Say which rank is gone, and end the others.

    Args:
        timeout: seconds without a sign of life after which a rank counts as gone.
    """

    def __init__(self, timeout: float = 120.0) -> None:
        positive(timeout=timeout)
        self.timeout = timeout
        self._beats: Heartbeats | None = None

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Let all ranks find the store of rank 0."""
        if trainer.world_size == 1 or not torch.distributed.is_initialized():
            return
        environment = trainer.strategy.cluster_environment  # pyright: ignore[reportAttributeAccessIssue]
        place = trainer.global_rank, trainer.world_size, environment.main_address
        dismiss_process_observer()
        options = {"timeout": self.timeout, "on_lost": partial(_end, trainer)}
        if trainer.is_global_zero:
            self._beats = Heartbeats(*place, 0, **options)
        port = trainer.strategy.broadcast(self._beats.port if self._beats else 0)
        self._beats = self._beats or Heartbeats(*place, port, **options)
        self._beats.start()

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Rank 0 keeps its store until nobody needs it."""
        if self._beats is not None:
            self._beats.stop()
            trainer.strategy.barrier("end of training")

    def on_exception(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException
    ) -> None:
        """Tell the others; RankLost if it was another rank that failed."""
        if self._beats is None:
            return
        if isinstance(exception, Stopped | SystemExit):
            self._beats.stop()
            return
        lost = _dead_child(trainer) or self._beats.lost() if _is_of_exchange(exception) else None
        self._beats.fail(lost or f"{type(exception).__name__}: {exception}")
        if lost is not None:
            raise RankLost(lost) from exception


def _end(trainer: pl.Trainer, message: str) -> None:
    """End this process, and those it started, at once: its main thread may wait for ever."""
    sys.stderr.write(f"shapespace train: {message}; run the same command to go on\n")
    sys.stderr.flush()
    for process in getattr(trainer.strategy.launcher, "procs", ()):
        process.kill()
    os._exit(1)


def _is_of_exchange(exception: BaseException) -> bool:
    """Whether it comes from the exchange with others, whose fault it may be."""
    said = str(exception).lower()
    return isinstance(exception, RuntimeError) and ("gloo" in said or "nccl" in said)


def _dead_child(trainer: pl.Trainer) -> str | None:
    """A line that names a rank which this process started and which has failed."""
    time.sleep(0.5)  # connections close a little before their process has ended
    launcher = trainer.strategy.launcher
    for row, process in enumerate(getattr(launcher, "procs", ())):
        if process.poll():
            return (
                f"of {trainer.world_size} ranks, rank {row + 1} (process {process.pid}) is gone, "
                f"with exit code {process.returncode}"
            )
    return None
