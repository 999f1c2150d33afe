"""No training waits for ever for a rank that is gone."""

import pytorch_lightning as pl
import torch.distributed

from shapespace.errors import RankLost, positive
from shapespace.heartbeat import Heartbeats


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
        if trainer.is_global_zero:
            self._beats = Heartbeats(*place, 0, self.timeout)
        port = trainer.strategy.broadcast(self._beats.port if self._beats else 0)
        self._beats = self._beats or Heartbeats(*place, port, self.timeout)
        self._beats.start()

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Rank 0 keeps its store until nobody needs it."""
        self._stop()
        if self._beats is not None:
            trainer.strategy.barrier("end of training")

    def on_exception(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException
    ) -> None:
        """Find out whether it is another rank's fault; RankLost if so."""
        if self._beats is None or not isinstance(exception, RuntimeError):
            self._stop()
            return
        lost = _dead_child(trainer) or self._beats.lost()
        self._stop()
        if lost is not None:
            raise RankLost(lost) from exception

    def _stop(self) -> None:
        if self._beats is not None:
            self._beats.stop()


def _dead_child(trainer: pl.Trainer) -> str | None:
    """A line that names a rank which this process started and which has failed."""
    launcher = trainer.strategy.launcher
    for row, process in enumerate(getattr(launcher, "procs", ())):
        if process.poll():
            return (
                f"rank {row + 1} (process {process.pid}) of {trainer.world_size} is gone, "
                f"with exit code {process.returncode}"
            )
    return None
