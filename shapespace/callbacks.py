"""What a run leaves behind and shows: checkpoint, metrics.csv, previews, progress.

The run folder is the trainer's ``default_root_dir``. Only rank 0 writes.
"""

import csv
import math
import sys
import time
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.utilities import rank_zero_warn
from tqdm import tqdm

from shapespace.errors import InputError, at_least
from shapespace.files import replacing
from shapespace.module import ShapeSpace
from shapespace.progress import progress

CHECKPOINT = "last.ckpt"
METRICS = "metrics.csv"


def run_folder(trainer: pl.Trainer) -> Path:
    """Where this run keeps everything."""
    return Path(trainer.default_root_dir)


class KeepCheckpoint(pl.Callback):
    """Keep ``last.ckpt`` whole and new: written aside every ``every`` epochs, then renamed."""

    def __init__(self, every: int = 10) -> None:
        at_least(1, every=every)
        self.every = every
        self._saved_epoch = -1

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Save if it is time; InputError if the training has diverged, before it is saved."""
        assert isinstance(pl_module, ShapeSpace)
        loss = pl_module.means.values().get("loss", 0.0)
        if not math.isfinite(loss):
            raise InputError(
                f"the loss is {loss} in epoch {trainer.current_epoch + 1}: lower model.lr, or look "
                f"for bad scans; {run_folder(trainer) / CHECKPOINT} is from before, if there is one"
            )
        if (trainer.current_epoch + 1) % self.every == 0:
            self._save(trainer, trainer.current_epoch)

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Save what the last interval added."""
        self._save(trainer, trainer.current_epoch - 1)

    def _save(self, trainer: pl.Trainer, epoch: int) -> None:
        if epoch == self._saved_epoch or trainer.interrupted:
            return
        self._saved_epoch = epoch
        path = run_folder(trainer) / CHECKPOINT
        if not trainer.is_global_zero:
            trainer.save_checkpoint(path)  # writes nothing here, but all ranks must take part
            return
        with replacing(path) as part:
            trainer.save_checkpoint(part)


class MetricsFile(pl.Callback):
    """Append one row an epoch to ``metrics.csv``; a resumed run goes on after its checkpoint."""

    def __init__(self) -> None:
        self._start = time.perf_counter()
        self._before = 0.0

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Drop the rows that a resumed run is about to repeat."""
        if not trainer.is_global_zero:
            return
        self._start = time.perf_counter()
        path = run_folder(trainer) / METRICS
        rows = [row for row in read_metrics(path) if int(row["epoch"]) < trainer.current_epoch]
        self._before = float(rows[-1]["seconds"]) if rows else 0.0
        with replacing(path) as part, part.open("w", newline="") as file:
            if rows:
                writer = csv.DictWriter(file, list(rows[0]))
                writer.writeheader()
                writer.writerows(rows)

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """One row: epoch, step, seconds of training, loss and terms, learning rate."""
        if not trainer.is_global_zero:
            return
        assert isinstance(pl_module, ShapeSpace)
        row: dict[str, Any] = {"epoch": trainer.current_epoch, "step": trainer.global_step}
        row["seconds"] = round(self._before + time.perf_counter() - self._start, 3)
        row |= pl_module.means.values()
        row["lr"] = pl_module.learning_rate(pl_module.lr)
        with (run_folder(trainer) / METRICS).open("a", newline="") as file:
            writer = csv.DictWriter(file, list(row))
            if file.tell() == 0:
                writer.writeheader()
            writer.writerow(row)


def read_metrics(path: Path) -> list[dict[str, str]]:
    """The whole rows of a metrics file, none if it is missing."""
    if not path.exists():
        return []
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    return [row for row in rows if None not in row.values() and None not in row]


class Progress(pl.Callback):
    """How far the whole training is, with the loss and its terms."""

    def __init__(self) -> None:
        self._bar: tqdm | None = None

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Begin where the run stands."""
        total = trainer.estimated_stepping_batches
        self._bar = progress(
            desc="training",
            total=None if total == float("inf") else int(total),
            unit="step",
            initial=trainer.global_step,
            shown=trainer.is_global_zero,
        )

    def on_train_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        """One step further."""
        if self._bar is not None:
            self._bar.update()

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Show the loss and its terms."""
        if self._bar is not None:
            assert isinstance(pl_module, ShapeSpace)
            shown = {name: f"{value:.4f}" for name, value in pl_module.means.values().items()}
            self._bar.set_postfix(shown, refresh=False)

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Close the bar."""
        if self._bar is not None:
            self._bar.close()

    def on_exception(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException
    ) -> None:
        """Close the bar, so that what is said next has a line of its own."""
        self.on_train_end(trainer, pl_module)


class Preview(pl.Callback):
    """Every ``every`` epochs a picture of a few training shapes, ``previews/epoch_<n>.png``.

    height: of the shapes, in pixels; level sets of 2-D shapes have a size of their own.
    """

    def __init__(self, every: int = 50, num_shapes: int = 5, height: int = 280) -> None:
        at_least(1, every=every, num_shapes=num_shapes, height=height)
        self.every, self.num_shapes, self.height = every, num_shapes, height

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Draw if it is time; where a library for pictures is missing, warn once and go on."""
        epoch = trainer.current_epoch + 1
        if epoch % self.every or not trainer.is_global_zero:
            return
        assert isinstance(pl_module, ShapeSpace)
        path = run_folder(trainer) / "previews" / f"epoch_{epoch:05d}.png"
        try:
            self._draw(pl_module, path)
        except InputError as error:
            rank_zero_warn(f"no preview: {error}")
            self.every = sys.maxsize

    def _draw(self, module: ShapeSpace, path: Path) -> None:
        from shapespace.preview import draw_codes

        count = min(self.num_shapes, len(module.codes))
        rows = torch.linspace(0, len(module.codes) - 1, count).long().tolist()
        names = [module.codes.names[row] for row in rows]
        codes = module.codes.table.weight.detach()[rows]
        extent = module.sampler.extent
        draw_codes(module.decoder, codes, names, extent, self.height, path)
