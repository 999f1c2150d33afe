"""The callback that reconstructs held-out scans every few epochs, within a share of the time.

Lightning's own validation runs under inference mode, where grad f cannot be taken.
"""

import math
import time
from typing import Any

import pytorch_lightning as pl
import torch

from shapespace.encoders.codes import EncodedCodes
from shapespace.errors import at_least, positive
from shapespace.training.datamodule import ScanData
from shapespace.training.module import ShapeSpace
from shapespace.training.statistics import Validated
from shapespace.training.validation.held_out import (
    Errors,
    HeldOut,
    errors_of,
    frozen_decoder,
    read_held_out,
    spaced,
)


class Validation(pl.Callback):
    """Reconstructs scans of ``data.validation`` that are not trained on; does nothing without it.

    The code of each scan is fitted with a small budget. ``val_seen`` in ``metrics.csv`` is the mean
    distance of the scans' points to the surface, in the unit of the store. ``val_unseen`` is that
    of the places of the true surfaces (``data.truth``) that the scans have not seen. ``best.ckpt``
    is then the checkpoint of the lowest mean of the two. No number of the training depends on the
    validation. Each rank takes its share of the scans.

    Args:
        every: number of epochs between two validations.
        share: most seconds of validation for each second of training. A validation that would take
            more is left out; the first one is done in any case.
        num_scans: number of scans, evenly spaced in the list.
        num_points: most points of a scan.
    """

    def __init__(
        self, every: int = 10, share: float = 0.1, num_scans: int = 3, num_points: int = 2000
    ) -> None:
        at_least(1, every=every, num_scans=num_scans, num_points=num_points)
        positive(share=share)
        self.every = every
        self.share = share
        self.num_scans = num_scans
        self.num_points = num_points
        self.validated = Validated()
        self._held_out: list[HeldOut] = []
        self._spent = 0.0
        self._last = 0.0
        self._elapsed = 0.0
        self._start = time.monotonic()

    def state_dict(self) -> dict[str, Any]:
        """Return the error of ``best.ckpt`` and the seconds so far; empty without held-out scans.

        The seconds are those of validation, of the last one, and of the whole run.
        """
        if not self._held_out:
            return {}
        return {
            "lowest": self.validated.lowest,
            "spent": self._spent,
            "last": self._last,
            "elapsed": self._seconds(),
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take the error of ``best.ckpt`` and the seconds of a checkpoint."""
        self.validated.lowest = state_dict["lowest"]
        self._spent = state_dict["spent"]
        self._last = state_dict["last"]
        self._elapsed = state_dict["elapsed"]

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Read this rank's share of the held-out scans; name the columns of the metrics."""
        self._start = time.monotonic()
        data = trainer.datamodule  # pyright: ignore[reportAttributeAccessIssue]
        if not isinstance(data, ScanData) or data.held_out is None:
            return
        names = spaced(data.held_out, self.num_scans)
        every = [read_held_out(data.store, name, data.truth, self.num_points) for name in names]
        # All ranks know all scans, so that they agree on the columns.
        self._held_out = every
        self.validated.columns = ("val_seen",) if data.truth is None else ("val_seen", "val_unseen")

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Validate if it is time and within the share, on all ranks alike."""
        self.validated.forget()
        epoch = trainer.current_epoch + 1
        if not self._held_out or epoch % self.every:
            return
        # Clocks differ between ranks: rank 0 decides for all.
        training = self._seconds() - self._spent
        if not trainer.strategy.broadcast(self._spent + self._last <= self.share * training):
            return
        assert isinstance(pl_module, ShapeSpace)
        start = time.monotonic()
        self.validated.take(self._errors(trainer, pl_module))
        self._last = time.monotonic() - start
        self._spent += self._last
        pl_module.log_dict(self.validated.values)

    def _errors(self, trainer: pl.Trainer, module: ShapeSpace) -> dict[str, float]:
        """Return the mean errors over the scans of all ranks, by column."""
        found = torch.zeros(len(self._held_out), 2, dtype=torch.float64, device=module.device)
        mine = range(trainer.global_rank, len(self._held_out), trainer.world_size)
        decoder = frozen_decoder(module.decoder) if mine else module.decoder
        for row in mine:
            found[row] = torch.tensor(
                validate(module, self._held_out[row], decoder), dtype=torch.float64
            )
        # Each rank leaves 0 in the rows of the others.
        found = trainer.strategy.reduce(found, reduce_op="sum")
        means = [_mean(column.tolist()) for column in found.unbind(1)]
        return dict(zip(self.validated.columns, means, strict=False))

    def _seconds(self) -> float:
        """Return the seconds of the run so far, those before a resume too."""
        return self._elapsed + time.monotonic() - self._start


def validate(module: ShapeSpace, held_out: HeldOut, decoder: torch.nn.Module) -> Errors:
    """Measure one held-out scan under the codes of a module; module and random numbers stay.

    Args:
        module: of the training.
        held_out: the scan.
        decoder: frozen copy of the module's decoder.
    """
    codes = module.codes
    training = codes.training
    if isinstance(codes, EncodedCodes):
        codes.eval()
    try:
        return errors_of(
            decoder,  # pyright: ignore[reportArgumentType]
            codes,
            held_out,
            kind=module.objective.kind,
            extent=module.sampler.extent,
        )
    finally:
        codes.train(training)


def _mean(values: list[float]) -> float:
    """Return the mean of the values that are numbers; NaN if there is none."""
    known = [value for value in values if not math.isnan(value)]
    return sum(known) / len(known) if known else math.nan
