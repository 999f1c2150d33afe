"""A training of a few steps that leaves nothing behind: how long they take, and how much memory.

First steps of growing size, by hand, until one would take too long; then, if the whole batch did
not, the training loop with its data loader.
"""

import io
import time
from collections.abc import Iterable, Iterator
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Any

import pytorch_lightning as pl
import torch
from lightning_fabric.plugins.io.torch_io import TorchCheckpointIO
from torch import Tensor

from shapespace.planning.job import Measured, Trial
from shapespace.sampling import samples_of_visits
from shapespace.training.batches import Batch, Step
from shapespace.training.datamodule import ScanData, Windows
from shapespace.training.module import ShapeSpace
from shapespace.utils.memory import forget_largest, free_memory, largest_memory, used_memory

LONGEST_STEP = 3.0
"""Seconds that a step may take to be measured whole; twice the batch is tried up to a third."""
LOOP_SECONDS, LOOP_STEPS, FEWEST_STEPS = 5.0, 200, 3
"""Of the training loop; FEWEST_STEPS are waited for even if they take longer."""
TRIAL_SECONDS, FIRST, SMALLEST = 0.2, 16, 256
"""The FIRST points bring libraries, gradients and moments into memory; then they grow."""


class CheckpointSize(TorchCheckpointIO):
    """Writes checkpoints nowhere and counts their bytes."""

    size = 0

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None
    ) -> None:
        """Count what would be written."""
        counter = _Counter()
        torch.save(checkpoint, counter)
        self.size = counter.size


class _Counter(io.BytesIO):
    """A file that forgets all but its size."""

    size = 0

    def write(self, data: Any) -> int:
        count = memoryview(data).nbytes
        self.size += count
        return count


class DryRun(pl.Callback):
    """Measures in place of training.

    ``trials`` hold sizes of steps, ``ends`` time and epoch of each step of the loop, ``base``,
    ``free`` and ``checkpoint`` bytes: in use after the first trial, free before, of a checkpoint.

    Args:
        batch_size: scans of a whole step.
    """

    def __init__(self, batch_size: int) -> None:
        self.batch_size = batch_size
        self.trials: list[Trial] = []
        self.ends: list[tuple[float, int]] = []
        self.base = self.free = self.checkpoint = 0

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Before the first step."""
        self.free = free_memory(pl_module.device)

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Try the sizes of a step; the loop begins only if the whole batch is among them."""
        assert isinstance(pl_module, ShapeSpace)
        if self.trials:
            return
        data: ScanData = trainer.datamodule  # pyright: ignore[reportAttributeAccessIssue]
        for scans, points in sizes(self.batch_size, data.num_points):
            longest = LONGEST_STEP if scans <= self.batch_size else LONGEST_STEP / 3
            if self.trials and self._expected(scans * points) > longest:
                break
            self.trials.append(self._tried(pl_module, data, scans, points))
        pl_module.decoder.drop_memory()
        trainer.save_checkpoint("nowhere")
        counter = trainer.strategy.checkpoint_io
        assert isinstance(counter, CheckpointSize)
        self.checkpoint = counter.size
        trainer.should_stop = self.whole(data.num_points) is None

    def whole(self, num_points: int) -> Trial | None:
        """The trial of the whole batch, if it came to that."""
        surface = self.batch_size * num_points
        return next((trial for trial in self.trials if trial.surface == surface), None)

    def on_train_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        """Note the time; stop when enough steps were seen."""
        _wait(pl_module.device)
        self.ends.append((time.perf_counter(), trainer.current_epoch))
        spent = self.ends[-1][0] - self.ends[0][0]
        many = len(self.ends) > LOOP_STEPS or spent > LOOP_SECONDS
        trainer.should_stop = many and len(self.ends) > FEWEST_STEPS

    def _expected(self, surface: int) -> float:
        """Seconds of a step of so many points, from the largest that was tried."""
        return self.trials[-1].seconds * surface / self.trials[-1].surface

    def _tried(self, module: ShapeSpace, data: ScanData, scans: int, points: int) -> Trial:
        """The median of a few steps on the first scans, behind one that warms up."""
        visits = tuple((row % data.num_scans, row) for row in range(scans))
        step = Step(visits, (1 / scans,) * scans, scans, scans)
        windows = Windows(data.store, data.names, points, data.seed)
        batch = windows[step].to(module.device)
        each = samples_of_visits(module.sampler, batch.scan[:1], 0, [0]).num_points
        module.decoder.drop_memory()
        forget_largest(module.device)
        _timed(module, batch)
        seconds = [_timed(module, batch)]
        while sum(seconds) < TRIAL_SECONDS and len(seconds) < 5:
            seconds.append(_timed(module, batch))
        if not self.trials:
            self.base = used_memory(module.device)
        grown = max(0, largest_memory(module.device) - self.base)
        return Trial(scans, scans * points, scans * each, median(seconds), grown)


def dry_run(module: ShapeSpace, data: ScanData, trainer: pl.Trainer, batch_size: int) -> Measured:
    """Measure steps of up to ``batch_size`` scans of ``data``, in about half a minute at most.

    trainer: of one device, with :class:`CheckpointSize` and without callbacks that write.
    """
    rehearsal = DryRun(batch_size)
    trainer.callbacks.append(rehearsal)  # pyright: ignore[reportAttributeAccessIssue]
    data.batch_size = batch_size
    device = trainer.strategy.root_device
    start = used_memory(device)
    trainer.fit(module, datamodule=data)
    decoder = _bytes_of(module.decoder.parameters(), trainer.optimizers)
    codes = _bytes_of(module.codes.parameters(), trainer.optimizers)
    own = max(start, rehearsal.base - decoder - codes) if device.type == "cpu" else 0
    whole, (seconds, of_an_end, count) = rehearsal.whole(data.num_points), _seconds(rehearsal.ends)
    if whole is not None and seconds is None:  # trainer.max_steps ended the loop at once
        seconds, count = whole.seconds, 1
    return Measured(
        device=_name(device),
        trials=tuple(rehearsal.trials),
        seconds=seconds if whole else None,
        seconds_of_an_end=of_an_end,
        num_steps=count,
        program=own,
        decoder=decoder,
        codes=codes,
        checkpoint=rehearsal.checkpoint,
        free=rehearsal.free,
        most_points=module.most_points,
        bytes_per_point=module.decoder.bytes_per_point(),
    )


def sizes(batch_size: int, num_points: int) -> Iterator[tuple[int, int]]:
    """Scans, and points of each, growing: one scan, the whole batch, twice as many scans."""
    if num_points > FIRST:
        yield 1, FIRST
    points = SMALLEST
    while points < num_points:
        yield 1, points
        points *= 4
    scans = 1
    while scans < batch_size:
        yield scans, num_points
        scans *= 2
    yield batch_size, num_points
    yield 2 * batch_size, num_points


def _seconds(ends: list[tuple[float, int]]) -> tuple[float | None, float, int]:
    """Of a step and of the end of an epoch, and how many steps they come from.

    ends: time and epoch of each step; the first two are no measure, the loader begins with them.
    """
    pairs = list(pairwise(ends[1:]))
    within = [after - before for (before, one), (after, other) in pairs if one == other]
    across = [after - before for (before, one), (after, other) in pairs if one != other]
    if not within:
        return (median(across) if across else None), 0.0, len(across)
    step = median(within)
    return step, max(0.0, median(across) - step) if across else 0.0, len(pairs)


def _timed(module: ShapeSpace, batch: Batch) -> float:
    start = time.perf_counter()
    module.training_step(batch, 0)
    _wait(module.device)
    return time.perf_counter() - start


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def _name(device: torch.device) -> str:
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"the CPU with torch's {torch.get_num_threads()} thread(s)"


def _bytes_of(parameters: Iterable[Tensor], optimisers: list[torch.optim.Optimizer]) -> int:
    """Values, dense gradients and moments."""
    total = 0
    for parameter in parameters:
        gradient = parameter.grad
        kept = [parameter] if gradient is None or gradient.is_sparse else [parameter, gradient]
        for optimiser in optimisers:
            state = optimiser.state.get(parameter, {}).values()
            kept += [value for value in state if isinstance(value, Tensor)]
        total += sum(tensor.nbytes for tensor in kept)
    return total
