"""ShapeSpace: decoder, codes, objective, sampler and optimisers put together for Lightning."""

from typing import Any, Literal

import pytorch_lightning as pl
import torch
from pytorch_lightning.core.optimizer import LightningOptimizer
from torch import Tensor

from shapespace import __version__
from shapespace.capacity import points_that_fit
from shapespace.checkpoint import FORMAT
from shapespace.codes import LatentCodes
from shapespace.decoders import Decoder
from shapespace.errors import InputError, at_least, positive
from shapespace.objectives import Objective
from shapespace.sampling import Sampler, seeded_generator
from shapespace.scan import Samples, Scan


class ShapeSpace(pl.LightningModule):
    """An auto-decoder (DeepSDF, Park et al. 2019) trained on raw scans.

    Adam moves the decoder; a row-wise Adam moves the codes of the scans in the batch and no other,
    so ``code_lr`` is the step of a code per visit, whatever the size of the data set. Every random
    draw depends on (seed, epoch, step, rank) alone: a resumed run repeats an undisturbed one.

    Args:
        decoder: f(x; z).
        objective: terms and weights.
        sampler: draws the points that the objective sees, on the device.
        num_scans: rows of the code table; linked to the data, not given by hand.
        lr: of the decoder.
        code_lr: of a code, per visit.
        halve_every: epochs after which both rates are halved.
        min_lr: floor of both rates.
        code_init_std: codes begin as N(0, code_init_std^2); 0 is the published choice.
        points_per_chunk: points in one backward pass, in whole scans and at least one; bounds the
            memory and changes nothing but rounding. "auto" fits a quarter of the memory that is
            free at the start, None takes the batch at once.
        seed: of codes and samples; the weights follow seed_everything.
    """

    def __init__(
        self,
        decoder: Decoder,
        objective: Objective,
        sampler: Sampler,
        num_scans: int = 1,
        lr: float = 5e-3,
        code_lr: float = 1e-3,
        halve_every: int = 500,
        min_lr: float = 5e-6,
        code_init_std: float = 0.0,
        points_per_chunk: int | Literal["auto"] | None = "auto",
        seed: int = 0,
    ) -> None:
        super().__init__()
        positive(lr=lr, code_lr=code_lr, min_lr=min_lr)
        at_least(1, halve_every=halve_every)
        at_least(0, seed=seed)
        self.automatic_optimization = False
        self.save_hyperparameters(logger=False)
        if code_init_std == 0 and getattr(decoder, "zero_latent_columns", False):
            raise ValueError(
                "code_init_std=0 with zero_latent_columns=true: neither would ever get a gradient; "
                "set one of the two"
            )
        self.decoder, self.objective, self.sampler = decoder, objective, sampler
        self.codes = LatentCodes(num_scans, decoder.latent_size, code_init_std, seed)
        self.lr, self.code_lr, self.min_lr = lr, code_lr, min_lr
        self.unit = "m"
        # DDP would all-reduce the whole table, and NCCL no sparse gradient at all.
        self._ddp_params_and_buffers_to_ignore = ["codes.table.weight"]
        self.halve_every, self.points_per_chunk, self.seed = halve_every, points_per_chunk, seed
        self._most_points = points_per_chunk if isinstance(points_per_chunk, int) else None

    def setup(self, stage: str) -> None:
        """Take the names and frames of the scans from the data module."""
        data = getattr(self.trainer, "datamodule", None)
        if data is None or stage != "fit":
            return
        if data.dimension != self.decoder.dimension:
            raise InputError(
                f"{data.store.path}: scans have dimension {data.dimension} but the decoder "
                f"{self.decoder.dimension}: set model.decoder.init_args.dimension"
            )
        self.codes.assign(data.names, data.frames)
        self.unit = data.store.unit

    def on_train_start(self) -> None:
        """Settle how many points one backward pass takes."""
        if self.points_per_chunk == "auto":
            sharers = getattr(self.trainer.strategy, "num_processes", 1)
            bytes_per_point = self.decoder.bytes_per_point()
            self._most_points = points_that_fit(bytes_per_point, self.device, sharers)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Say what the file is."""
        checkpoint["shapespace"] = {"format": FORMAT, "version": __version__, "unit": self.unit}

    def configure_optimizers(self) -> tuple[torch.optim.Optimizer, torch.optim.Optimizer]:
        """Adam for the decoder, row-wise Adam for the codes."""
        return (
            torch.optim.Adam(self.decoder.parameters(), self.lr, fused=True),
            torch.optim.SparseAdam(self.codes.parameters(), self.code_lr),
        )

    def learning_rate(self, start: float) -> float:
        """``start`` halved every ``halve_every`` epochs, not below ``min_lr``."""
        return max(start * 0.5 ** (self.current_epoch // self.halve_every), self.min_lr)

    def on_train_epoch_start(self) -> None:
        """Set both learning rates from the epoch alone."""
        for optimiser, start in zip(self._optimisers(), (self.lr, self.code_lr), strict=True):
            for group in optimiser.param_groups:
                group["lr"] = self.learning_rate(start)

    def training_step(self, batch: Scan, batch_idx: int) -> None:
        """One step of both optimisers on the mean loss of the batch."""
        keys = (self.seed, self.current_epoch, batch_idx, self.global_rank)
        samples = self.sampler(batch, seeded_generator(self.device, *keys))
        decoder_optimiser, code_optimiser = self._optimisers()
        decoder_optimiser.zero_grad()
        code_optimiser.zero_grad()
        terms = self._backward(samples, batch.index)
        if self.trainer.world_size > 1:
            self._share_code_gradients(len(batch.index))
        decoder_optimiser.step()
        # Unwrapped: Lightning counts a step per wrapped optimiser, and a step is one batch.
        _unwrapped(code_optimiser).step()
        size = len(batch.index)
        self.log_dict(terms, on_step=False, on_epoch=True, batch_size=size, sync_dist=True)

    def _backward(self, samples: Samples, index: Tensor) -> dict[str, Tensor]:
        """Accumulate the gradient of the mean loss; return the loss and the mean of each term."""
        num_scans = len(index)
        means: dict[str, Tensor] = {}
        for rows in self._chunks(samples):
            latent = self.codes(index[rows])
            terms = self.objective.terms(self.decoder, samples[rows], latent)
            loss = self.objective.total(terms)
            self.manual_backward(loss.sum() / num_scans)
            for name, value in {"loss": loss, **terms}.items():
                means[name] = means.get(name, 0.0) + value.detach().sum() / num_scans
        return means

    def _share_code_gradients(self, num_scans: int) -> None:
        """Give every rank the mean over ranks of the gradients of all rows in use.

        Only the rows of the batches travel, padded to ``num_scans`` a rank.
        """
        weight = self.codes.table.weight
        assert weight.grad is not None
        own = weight.grad.coalesce()
        rows = own.indices().new_zeros(num_scans)
        values = own.values().new_zeros(num_scans, weight.shape[1])
        count = own.indices().shape[1]
        rows[:count], values[:count] = own.indices()[0], own.values()
        rows, values = (torch.as_tensor(self.all_gather(part)) for part in (rows, values))
        mean = values.flatten(0, 1) / self.trainer.world_size
        weight.grad = torch.sparse_coo_tensor(rows.reshape(1, -1), mean, weight.shape)

    def _chunks(self, samples: Samples) -> list[slice]:
        """Whole scans, as many at a time as ``points_per_chunk`` allows, at least one."""
        num_scans, num_points = samples.surface.shape[0], samples.num_points
        fitting = num_scans * num_points if self._most_points is None else self._most_points
        size = max(fitting // num_points, 1)
        return [slice(start, start + size) for start in range(0, num_scans, size)]

    def _optimisers(self) -> tuple[LightningOptimizer, LightningOptimizer]:
        decoder_optimiser, code_optimiser = self.optimizers()  # pyright: ignore[reportGeneralTypeIssues]
        return decoder_optimiser, code_optimiser


def _unwrapped(optimiser: Any) -> torch.optim.Optimizer:
    return getattr(optimiser, "optimizer", optimiser)
