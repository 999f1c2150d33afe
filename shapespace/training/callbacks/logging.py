"""Callbacks that write metrics.csv and previews to the run folder, and show progress.

Only rank 0 writes and draws.
"""

import csv
import os
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.utilities import rank_zero_warn
from tqdm import tqdm

from shapespace.errors import InputError, at_least, one_line
from shapespace.surface.mesh import extract_mesh
from shapespace.training.callbacks.background_writer import run_folder
from shapespace.training.datamodule import ScanData
from shapespace.training.module import ShapeSpace
from shapespace.training.statistics import METRICS, PREVIEWS, Validated, read_metrics
from shapespace.utils.files import folder_inside, replacing
from shapespace.utils.progress import progress


class MetricsFile(pl.Callback):
    """Appends one row an epoch to ``metrics.csv``; a resumed run continues after its checkpoint.

    A row that cannot be written is a warning. It is written with the next one that can be.

    Args:
        validated: errors of the held-out scans, which get columns; None if there are none.
    """

    def __init__(self, validated: Validated | None = None) -> None:
        self._validated = Validated() if validated is None else validated
        self._start = time.perf_counter()
        self._before = 0.0
        self._waiting: list[dict[str, Any]] = []

    def state_dict(self) -> dict[str, Any]:
        """Return the seconds of training so far."""
        return {"seconds": self._seconds()}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Continue the count of seconds of a checkpoint."""
        self._before = state_dict["seconds"]

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Drop the rows of epochs that a resumed run is about to repeat."""
        self._start = time.perf_counter()
        if not trainer.is_global_zero:
            return
        path = run_folder(trainer) / METRICS
        now = trainer.current_epoch, trainer.global_step
        try:
            rows = read_metrics(path)
            kept = [row for row in rows if (int(row["epoch"]), int(row["step"])) <= now]
            self._before = self._before or (float(kept[-1]["seconds"]) if kept else 0.0)
        except (OSError, ValueError, KeyError, csv.Error) as error:
            raise InputError(
                f"{path}: is not the table of an earlier training ({one_line(error, 100)}); move "
                "it away"
            ) from error
        with _warned():
            self._write(path, kept)

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Write a row: epoch, step, seconds, loss, terms, rate, refused steps, held-out errors."""
        if not trainer.is_global_zero:
            return
        assert isinstance(pl_module, ShapeSpace)
        row: dict[str, Any] = {"epoch": trainer.current_epoch, "step": trainer.global_step}
        row |= {"seconds": round(self._seconds(), 3), **pl_module.means.values()}
        row |= {"lr": pl_module.learning_rate(pl_module.lr), "refused": pl_module.means.refused}
        row |= self._validated.row()
        self._waiting.append(row)
        with _warned():
            self._add(run_folder(trainer) / METRICS)
            self._waiting = []

    def _add(self, path: Path) -> None:
        """Write the rows that wait; the checkpoint that counts them is written after them."""
        before = read_metrics(path)
        # A checkpoint may be older than the file, so epochs can come again.
        first = self._waiting[0]
        kept = [old for old in before if int(old["epoch"]) < first["epoch"]]
        alike = before and kept == before and list(before[0]) == list(first)
        if not alike or len(self._waiting) > 1:
            self._write(path, [*kept, *self._waiting])
            return
        with path.open("a", newline="") as file:
            csv.DictWriter(file, list(first)).writerow(first)
            file.flush()
            # Else a power cut could leave the checkpoint and take the row.
            os.fsync(file.fileno())

    def _seconds(self) -> float:
        """Return the seconds of training, those before a resume too."""
        return self._before + time.perf_counter() - self._start

    def _write(self, path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
        """Write all ``rows`` anew, with a column for each key that any row has."""
        columns = list(dict.fromkeys(name for row in rows for name in row))
        with replacing(path) as part, part.open("w", newline="") as file:
            if rows:
                writer = csv.DictWriter(file, columns)
                writer.writeheader()
                writer.writerows(rows)


@contextmanager
def _warned() -> Iterator[None]:
    """Turn the failure to write a table into a warning: it must not end a training."""
    try:
        yield
    except (OSError, ValueError, KeyError, csv.Error) as error:
        said = one_line(error, 200)
        rank_zero_warn(f"{METRICS} is not written, the training goes on: {said}")


class Progress(pl.Callback):
    """Shows the progress of the whole training, with the loss and its terms."""

    def __init__(self) -> None:
        self._bar: tqdm | None = None

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Show the bar, from the step at which a run is resumed; say if a batch is all scans."""
        data = trainer.datamodule  # pyright: ignore[reportAttributeAccessIssue]
        if trainer.is_global_zero and isinstance(data, ScanData):
            batch, visits = data.batch_size * trainer.world_size, data.num_scans * data.repeats
            if batch > visits:
                sys.stderr.write(
                    f"a batch of {batch} is larger than the {visits} scans of an epoch: each step "
                    "has all of them\n"
                )
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
        """Advance the bar by one step, and show its loss and terms."""
        if self._bar is not None:
            assert isinstance(pl_module, ShapeSpace)
            terms = pl_module.last_step.terms
            self._bar.set_postfix({name: f"{terms[name]:.4f}" for name in terms}, refresh=False)
            self._bar.update()

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Close the bar."""
        if self._bar is not None:
            self._bar.close()

    def on_exception(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException
    ) -> None:
        """Close the bar, so that the next message has a line of its own."""
        self.on_train_end(trainer, pl_module)


class Preview(pl.Callback):
    """Draws a few training shapes now and then, as ``previews/epoch_<n>.png``.

    Loggers that take pictures get it too; those that take meshes get coarse ones of these shapes.

    Args:
        every: number of epochs between two pictures.
        num_shapes: number of shapes in a picture.
        height: height of a shape in pixels; level sets of 2-D shapes have a fixed size.
    """

    def __init__(self, every: int = 50, num_shapes: int = 5, height: int = 280) -> None:
        at_least(1, every=every, num_shapes=num_shapes, height=height)
        self.every = every
        self.num_shapes = num_shapes
        self.height = height

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Draw if it is time; if a drawing library is missing, warn once and draw no more."""
        epoch = trainer.current_epoch + 1
        if epoch % self.every or not trainer.is_global_zero:
            return
        assert isinstance(pl_module, ShapeSpace)
        try:
            folder = folder_inside(run_folder(trainer), PREVIEWS)
            self._draw(pl_module, folder / f"epoch_{epoch:05d}.png", trainer)
        except InputError as error:
            rank_zero_warn(f"no preview: {error}")
            self.every = sys.maxsize

    def _draw(self, module: ShapeSpace, path: Path, trainer: pl.Trainer) -> None:
        from shapespace.rendering.previews import draw_codes
        from shapespace.training.callbacks.preview_loggers import (
            LOGGED_NODES,
            log_meshes,
            log_picture,
            takes_meshes,
        )

        count = min(self.num_shapes, len(module.codes))
        rows = torch.linspace(0, len(module.codes) - 1, count).long().tolist()
        names = [module.codes.names[row] for row in rows]
        codes = module.codes.table.weight.detach()[rows]
        draw_codes(
            module.decoder,
            codes,
            names=names,
            extent=module.sampler.extent,
            height=self.height,
            path=path,
        )
        said = log_picture(trainer.loggers, path, trainer.global_step)
        if module.decoder.dimension == 3 and takes_meshes(trainer.loggers):
            extent = module.sampler.extent
            meshes = [extract_mesh(module.decoder, code, LOGGED_NODES, extent) for code in codes]
            said += log_meshes(
                trainer.loggers,
                meshes,
                names=names,
                folder=run_folder(trainer),
                step=trainer.global_step,
            )
        for line in said:
            rank_zero_warn(f"not logged: {line}")
