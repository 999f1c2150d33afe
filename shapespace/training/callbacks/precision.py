"""The fallback from a lower precision to float32."""

from typing import Any

import pytorch_lightning as pl
import torch
from jaxtyping import Float
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
"""Most points, about, at which the residuals are compared."""


class PrecisionFallback(pl.Callback):
    """Returns to float32 if the precision of the training falsifies the eikonal residual.

    Args:
        tolerance: largest relative difference of the residual from that in float32, on one scan.
        every: number of epochs between two comparisons.
    """

    @property
    def state_key(self) -> str:
        """Key of the state in checkpoints; the same as in version 0.1.0."""
        return "PrecisionGuard"

    def __init__(self, tolerance: float = 0.05, every: int = 10) -> None:
        positive(tolerance=tolerance)
        at_least(1, every=every)
        self.tolerance = tolerance
        self.every = every
        self.fell_back = False

    def state_dict(self) -> dict[str, Any]:
        """Return whether the training has returned to float32."""
        return {"fell_back": self.fell_back}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take the decision of a checkpoint."""
        self.fell_back = state_dict["fell_back"]

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Train in float32 if that was decided before a resume."""
        assert isinstance(pl_module, ShapeSpace)
        if self.fell_back:
            pl_module.decoder.precision = "float32"

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Batch, batch_idx: int
    ) -> None:
        """Compare the residuals of the first scan of an epoch; all ranks decide alike.

        Args:
            trainer: trainer of the run.
            pl_module: module of the run.
            batch: scans of this rank.
            batch_idx: number of the step in the epoch.
        """
        assert isinstance(pl_module, ShapeSpace)
        decoder = pl_module.decoder
        if decoder.precision == "float32" or batch_idx or trainer.current_epoch % self.every:
            return
        error = _error_on(pl_module, batch.scan[:1])
        if not trainer.strategy.reduce_boolean_decision(error <= self.tolerance, all=True):
            rank_zero_warn(
                f"epoch {trainer.current_epoch + 1}: the eikonal residual in {decoder.precision} "
                f"is {100 * error:.0f} % off, more than guard.tolerance={self.tolerance:g} allows: "
                "going on in float32"
            )
            decoder.precision = "float32"
            self.fell_back = True


def residual_error(
    decoder: Decoder, points: Float[Tensor, "B N D"], latent: Float[Tensor, "B L"]
) -> float:
    """Return the relative error of mean (|grad f| - 1)^2 in the decoder's precision.

    Args:
        decoder: decoder whose precision is compared with float32.
        points: points of a batch of B scans.
        latent: codes of the scans.
    """
    precision = decoder.precision
    found = []
    for choice in (precision, "float32"):
        decoder.precision = choice
        _, gradient = decoder.value_and_gradient(points, latent, value_until=0)
        found.append(eikonal(gradient).mean().item())
    decoder.precision = precision
    low, exact = found
    return abs(low - exact) / exact if exact else float(low != exact)


def _error_on(module: ShapeSpace, scan: Scan) -> float:
    """Return the relative error at some space points of one scan."""
    samples = module.sampler(scan, seeded_generator(module.device, module.seed))
    with torch.no_grad():
        latent = module.codes(scan.index)
    every = max(1, samples.space.shape[1] // NUM_POINTS)
    return residual_error(module.decoder, samples.space[:, ::every], latent.requires_grad_())
