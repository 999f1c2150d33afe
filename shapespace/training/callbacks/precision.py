"""A watch over trainings in lower precision."""

from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.utilities import rank_zero_warn
from torch import Tensor

from shapespace.decoders.base import Decoder
from shapespace.errors import at_least, positive
from shapespace.objectives.terms import eikonal
from shapespace.sampling import seeded_generator
from shapespace.scan import Scan
from shapespace.training.batches import Batch
from shapespace.training.module import ShapeSpace

NUM_POINTS = 1024


class PrecisionFallback(pl.Callback):
    """Go back to float32 when the precision of the training no longer shows the eikonal residual.

    Args:
        tolerance: largest relative difference from the residual in float32, on one scan.
        every: epochs between two looks.
    """

    @property
    def state_key(self) -> str:
        """The name under which checkpoints hold the state; that of version 0.1.0 stays."""
        return "PrecisionGuard"

    def __init__(self, tolerance: float = 0.05, every: int = 10) -> None:
        positive(tolerance=tolerance)
        at_least(1, every=every)
        self.tolerance, self.every, self.fell_back = tolerance, every, False

    def state_dict(self) -> dict[str, Any]:
        """Whether the training went back to float32."""
        return {"fell_back": self.fell_back}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """A resumed run stays with what was decided."""
        self.fell_back = state_dict["fell_back"]

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Go on in float32 if that was decided before."""
        assert isinstance(pl_module, ShapeSpace)
        if self.fell_back:
            pl_module.decoder.precision = "float32"

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Batch, batch_idx: int
    ) -> None:
        """Look at the first scan of an epoch's first batch; all ranks decide alike."""
        assert isinstance(pl_module, ShapeSpace)
        decoder = pl_module.decoder
        if decoder.precision == "float32" or batch_idx or trainer.current_epoch % self.every:
            return
        error = residual_error(decoder, *_looked_at(pl_module, batch.scan[:1]))
        if not trainer.strategy.reduce_boolean_decision(error <= self.tolerance, all=True):
            rank_zero_warn(
                f"epoch {trainer.current_epoch + 1}: the eikonal residual in {decoder.precision} "
                f"is {100 * error:.0f} % off, more than guard.tolerance={self.tolerance:g} allows: "
                "going on in float32"
            )
            decoder.precision, self.fell_back = "float32", True


def residual_error(decoder: Decoder, points: Tensor, latent: Tensor) -> float:
    """Relative difference of mean (|grad f| - 1)^2 at ``points`` [B,N,D] from that in float32."""
    precision, found = decoder.precision, []
    for choice in (precision, "float32"):
        decoder.precision = choice
        _, gradient = decoder.value_and_gradient(points, latent, value_until=0)
        found.append(eikonal(gradient).mean().item())
    decoder.precision = precision
    low, exact = found
    return abs(low - exact) / exact if exact else float(low != exact)


def _looked_at(module: ShapeSpace, scan: Scan) -> tuple[Tensor, Tensor]:
    samples = module.sampler(scan, seeded_generator(module.device, module.seed))
    with torch.no_grad():
        latent = module.codes(scan.index)
    every = max(1, samples.space.shape[1] // NUM_POINTS)
    return samples.space[:, ::every], latent.requires_grad_()
