"""The callback that ends a training when one of its ranks is gone, and names the rank.

torch ends the other ranks too, with DDPStrategy(timeout=...), but names no rank. Its timeout also
bounds the start-up, so that a short one prevents a training from beginning.
"""

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
    """Ends all ranks when one is dead, frozen or failed, with a message that names it.

    Args:
        timeout: seconds without a heartbeat after which a rank counts as gone.
    """

    def __init__(self, timeout: float = 120.0) -> None:
        positive(timeout=timeout)
        self.timeout = timeout
        self._beats: Heartbeats | None = None

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Start the heartbeats of all ranks, by way of a store that rank 0 keeps."""
        if trainer.world_size == 1 or not torch.distributed.is_initialized():
            return
        environment = trainer.strategy.cluster_environment  # pyright: ignore[reportAttributeAccessIssue]
        dismiss_process_observer()
        build = partial(
            Heartbeats,
            rank=trainer.global_rank,
            num_ranks=trainer.world_size,
            host=environment.main_address,
            timeout=self.timeout,
            on_lost=partial(_end, trainer),
        )
        # Rank 0 takes any free port, which only a store that is already open can tell the others.
        if trainer.is_global_zero:
            self._beats = build(port=0)
        port = trainer.strategy.broadcast(self._beats.port if self._beats else 0)
        self._beats = self._beats or build(port=port)
        self._beats.start()

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Stop the heartbeats; rank 0 keeps its store until all ranks have stopped."""
        if self._beats is not None:
            self._beats.stop()
            trainer.strategy.barrier("end of training")

    def on_exception(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException
    ) -> None:
        """Tell the others why this rank ends; raise RankLost if another rank is the cause."""
        if self._beats is None:
            return
        if isinstance(exception, Stopped | SystemExit):
            self._beats.stop()
            return
        lost = None
        if _is_of_exchange(exception):
            lost = _dead_child(trainer) or self._beats.lost()
        self._beats.fail(lost or f"{type(exception).__name__}: {exception}")
        if lost is not None:
            raise RankLost(lost) from exception


def _end(trainer: pl.Trainer, message: str) -> None:
    """End this process and its children at once; the main thread may be waiting for ever."""
    sys.stderr.write(f"shapespace train: {message}; run the same command to go on\n")
    sys.stderr.flush()
    for process in getattr(trainer.strategy.launcher, "procs", ()):
        process.kill()
    # sys.exit would end this thread only.
    os._exit(1)


def _is_of_exchange(exception: BaseException) -> bool:
    """Return whether an error comes from the exchange with other ranks, which may be its cause."""
    said = str(exception).lower()
    return isinstance(exception, RuntimeError) and ("gloo" in said or "nccl" in said)


def _dead_child(trainer: pl.Trainer) -> str | None:
    """Return a line that names a failed rank that this process started, or None."""
    # The connections of a process close a little before its exit code is known.
    time.sleep(0.5)
    launcher = trainer.strategy.launcher
    for row, process in enumerate(getattr(launcher, "procs", ())):
        if process.poll():
            return (
                f"of {trainer.world_size} ranks, rank {row + 1} (process {process.pid}) is gone, "
                f"with exit code {process.returncode}"
            )
    return None
