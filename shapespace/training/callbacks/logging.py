"""What a run leaves behind beside checkpoints, and shows: metrics.csv, previews, progress.

The run folder is the trainer's ``default_root_dir``. Only rank 0 writes.
"""

import csv
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.utilities import rank_zero_warn
from tqdm import tqdm

from shapespace.errors import InputError, at_least
from shapespace.training.callbacks.background_writer import run_folder
from shapespace.training.module import ShapeSpace
from shapespace.training.statistics import METRICS, read_metrics
from shapespace.utils.files import replacing
from shapespace.utils.progress import progress


class MetricsFile(pl.Callback):
    """Append one row an epoch to ``metrics.csv``; a resumed run goes on after its checkpoint."""

    def __init__(self) -> None:
        self._start, self._before = time.perf_counter(), 0.0

    def state_dict(self) -> dict[str, Any]:
        """Seconds of training so far."""
        return {"seconds": self._seconds()}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """A resumed run goes on counting."""
        self._before = state_dict["seconds"]

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Drop the rows that a resumed run is about to repeat."""
        self._start = time.perf_counter()
        if trainer.is_global_zero:
            rows = read_metrics(run_folder(trainer) / METRICS)
            now = trainer.current_epoch, trainer.global_step
            kept = [row for row in rows if (int(row["epoch"]), int(row["step"])) <= now]
            self._before = self._before or (float(kept[-1]["seconds"]) if kept else 0.0)
            self._write(run_folder(trainer) / METRICS, kept)

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """One row: epoch, step, seconds of training, loss and terms, learning rate, steps that were
        not taken.
        """
        if not trainer.is_global_zero:
            return
        assert isinstance(pl_module, ShapeSpace)
        row: dict[str, Any] = {"epoch": trainer.current_epoch, "step": trainer.global_step}
        row |= {"seconds": round(self._seconds(), 3), **pl_module.means.values()}
        row |= {"lr": pl_module.learning_rate(pl_module.lr), "refused": pl_module.means.refused}
        path = run_folder(trainer) / METRICS
        before = read_metrics(path)
        kept = [old for old in before if int(old["epoch"]) < trainer.current_epoch]
        if before and kept == before and list(before[0]) == list(row):
            with path.open("a", newline="") as file:
                csv.DictWriter(file, list(row)).writerow(row)
        else:
            self._write(path, [*kept, row])

    def _seconds(self) -> float:
        return self._before + time.perf_counter() - self._start

    def _write(self, path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
        """All ``rows``, in columns that hold what any of them has."""
        columns = list(dict.fromkeys(name for row in rows for name in row))
        with replacing(path) as part, part.open("w", newline="") as file:
            if rows:
                writer = csv.DictWriter(file, columns)
                writer.writeheader()
                writer.writerows(rows)


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
        from shapespace.rendering.previews import draw_codes

        count = min(self.num_shapes, len(module.codes))
        rows = torch.linspace(0, len(module.codes) - 1, count).long().tolist()
        names = [module.codes.names[row] for row in rows]
        codes = module.codes.table.weight.detach()[rows]
        extent = module.sampler.extent
        draw_codes(module.decoder, codes, names, extent, self.height, path)
