"""Writing the checkpoints of a run folder in a thread, and finding the newest one that is whole."""

from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from lightning_fabric.plugins.io.torch_io import TorchCheckpointIO

from shapespace.checkpoint import newest_checkpoint, write_checkpoint
from shapespace.errors import InputError


def run_folder(trainer: pl.Trainer) -> Path:
    """Return the folder in which the run keeps all its files."""
    return Path(trainer.default_root_dir)


class BackgroundWriter(TorchCheckpointIO):
    """Writes whole checkpoints in a thread, from a copy, so that the training goes on meanwhile."""

    def __init__(self) -> None:
        super().__init__()
        self._threads = ThreadPoolExecutor(1, "checkpoint")
        self._running: Future[None] | None = None

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None
    ) -> None:
        """Copy a checkpoint to the CPU and let the thread write the copy.

        Args:
            checkpoint: content, as Lightning collects it; the next step may change it.
            path: file to write.
            storage_options: None, or a dictionary whose "also" lists further names of the file.
        """
        # One at a time: two copies of a large table in memory are enough.
        self.finish()
        copy = _copied(checkpoint)
        names = (storage_options or {}).get("also", ())
        self._running = self._threads.submit(write_checkpoint, copy, Path(path), also=names)

    def finish(self) -> InputError | None:
        """Wait until the last checkpoint is written; return the error if that failed."""
        running = self._running
        self._running = None
        if running is None:
            return None
        error = running.exception()
        if error is not None and not isinstance(error, InputError):
            raise error
        return error

    def teardown(self) -> None:
        """Wait for the last checkpoint, then end the thread."""
        self.finish()
        self._threads.shutdown()


def writer_of(trainer: pl.Trainer) -> BackgroundWriter:
    """Return the writer that the trainer of a shapespace training uses."""
    writer = trainer.strategy.checkpoint_io
    assert isinstance(writer, BackgroundWriter)
    return writer


def settled_checkpoint(trainer: pl.Trainer) -> Path | None:
    """Wait until nothing is being written; return the newest checkpoint, the same on all ranks."""
    writer_of(trainer).finish()
    trainer.strategy.barrier("settled checkpoint")
    path = newest_checkpoint(run_folder(trainer))[0] if trainer.is_global_zero else None
    return trainer.strategy.broadcast(path)


def _copied(value: Any) -> Any:
    """Copy tensors to the CPU and the dictionaries that hold tensors; share all other values."""
    if isinstance(value, torch.Tensor):
        return value.detach().to("cpu", copy=True)
    if isinstance(value, dict):
        return {key: _copied(item) for key, item in value.items()}
    # Lists of plain values are shared: a list of names may have a million items.
    if isinstance(value, list) and value and isinstance(value[0], torch.Tensor | dict):
        return [_copied(item) for item in value]
    return value
