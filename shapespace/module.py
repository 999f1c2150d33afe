"""ShapeSpace: decoder, codes, objective, sampler and optimisers put together for Lightning."""

import math
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
from shapespace.rates import Optimiser, Schedule, cosine, decoder_optimisers, halved
from shapespace.sampling import Sampler, seeded_generator
from shapespace.scan import Samples, Scan


class ShapeSpace(pl.LightningModule):
    """An auto-decoder (DeepSDF, Park et al. 2019) trained on raw scans.

    Adam or Muon moves the decoder; a row-wise Adam moves the codes of the scans in the batch and no
    other, so ``code_lr`` is the step of a code per visit, whatever the size of the data set. Every
    draw depends on (seed, epoch, step, rank) alone: a resumed run repeats an undisturbed one.

    Args:
        decoder: f(x; z).
        objective: terms and weights.
        sampler: draws the points that the objective sees, on the device.
        num_scans: rows of the code table; linked to the data, not given by hand.
        lr: of the decoder.
        code_lr: of a code, per visit.
        schedule: "halve" halves all rates every ``halve_every`` epochs, as published; "cosine" lets
            them fall to ``min_lr`` over the whole run, which needs a last epoch or step.
        halve_every: epochs after which the rates are halved.
        warm_up: fraction of a run with "cosine" over which the rates first rise.
        min_lr: floor of all rates.
        optimiser: of the decoder: "adam", or "muon" for its matrices and Adam for the rest, which
            needs about a third of the steps (experiments/time_to_quality).
        matrix_lr: of the matrices with "muon".
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
        schedule: Schedule = "halve",
        halve_every: int = 500,
        warm_up: float = 0.02,
        min_lr: float = 5e-6,
        optimiser: Optimiser = "adam",
        matrix_lr: float = 1e-2,
        code_init_std: float = 0.0,
        points_per_chunk: int | Literal["auto"] | None = "auto",
        seed: int = 0,
    ) -> None:
        super().__init__()
        positive(lr=lr, code_lr=code_lr, min_lr=min_lr, matrix_lr=matrix_lr)
        if not 0 <= warm_up < 1:
            raise ValueError(f"warm_up={warm_up:g}: give a fraction of the run, 0 or more, below 1")
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
        self.lr, self.code_lr, self.min_lr, self.matrix_lr = lr, code_lr, min_lr, matrix_lr
        self.schedule, self.warm_up = schedule, warm_up
        self.optimiser: Optimiser = optimiser
        self.unit = "m"
        # DDP would all-reduce the whole table, and NCCL no sparse gradient at all.
        self._ddp_params_and_buffers_to_ignore = ["codes.table.weight"]
        self.halve_every, self.points_per_chunk, self.seed = halve_every, points_per_chunk, seed
        self._num_steps = math.inf
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
        """Settle how many points one backward pass takes and where the rates end."""
        self._num_steps = self.trainer.estimated_stepping_batches
        if self.schedule == "cosine" and math.isinf(self._num_steps):
            raise InputError(
                "model.schedule=cosine ends with the run, and trainer.max_epochs=-1 has no end: "
                "give trainer.max_epochs or trainer.max_steps, or model.schedule=halve"
            )
        if self.points_per_chunk == "auto":
            sharers = getattr(self.trainer.strategy, "num_processes", 1)
            fitting = points_that_fit(self.decoder.bytes_per_point(), self.device, sharers)
            # All ranks alike: each backward pass is one exchange of gradients.
            least = self.trainer.strategy.reduce(
                torch.tensor(fitting, device=self.device), reduce_op="min"
            )
            self._most_points = int(least)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Say what the file is."""
        checkpoint["shapespace"] = {"format": FORMAT, "version": __version__, "unit": self.unit}

    def configure_optimizers(self) -> list[torch.optim.Optimizer]:
        """Those of the decoder, and row-wise Adam for the codes."""
        weights = self.decoder.parameters()
        return [
            *decoder_optimisers(weights, self.optimiser, self.lr, self.matrix_lr),
            torch.optim.SparseAdam(self.codes.parameters(), self.code_lr),
        ]

    def learning_rate(self, start: float) -> float:
        """That of the step at hand for a rate that begins as ``start``; not below ``min_lr``."""
        if self.schedule == "halve":
            factor = halved(self.current_epoch, self.halve_every)
        else:
            factor = cosine((self.trainer.global_step + 0.5) / self._num_steps, self.warm_up)
        return max(start * factor, self.min_lr)

    def _set_rates(self) -> None:
        """Of all optimisers, from epoch and step alone."""
        of_decoder = [self.lr] if self.optimiser == "adam" else [self.lr, self.matrix_lr]
        for optimiser, start in zip(self._optimisers(), [*of_decoder, self.code_lr], strict=True):
            for group in optimiser.param_groups:
                group["lr"] = self.learning_rate(start)

    def training_step(self, batch: Scan, batch_idx: int) -> None:
        """One step of both optimisers on the mean loss of the batch."""
        keys = (self.seed, self.current_epoch, batch_idx, self.global_rank)
        samples = self.sampler(batch, seeded_generator(self.device, *keys))
        self._set_rates()
        optimisers = self._optimisers()
        for optimiser in optimisers:
            optimiser.zero_grad()
        terms = self._backward(samples, batch.index)
        if self.trainer.world_size > 1:
            self._share_code_gradients(len(batch.index))
        # One wrapped: Lightning counts a step per wrapped optimiser, and a step is one batch.
        wrapped, *others = optimisers
        wrapped.step()
        for optimiser in others:
            _unwrapped(optimiser).step()
        size = len(batch.index)
        self.log_dict(terms, on_step=False, on_epoch=True, batch_size=size, sync_dist=True)

    def _backward(self, samples: Samples, index: Tensor) -> dict[str, Tensor]:
        """Accumulate the gradient of the mean loss; return the loss and the mean of each term."""
        means: dict[str, Tensor] = {}
        for rows in self._chunks(samples):
            part = self._backward_of_chunk(samples[rows], index[rows], len(index))
            for name, value in part.items():
                means[name] = means.get(name, 0.0) + value
        return means

    def _backward_of_chunk(
        self, samples: Samples, index: Tensor, num_scans: int
    ) -> dict[str, Tensor]:
        """The share of some scans; a method, so that their graph is gone before the next."""
        terms = self.objective.terms(self.decoder, samples, self.codes(index))
        loss = self.objective.total(terms)
        self.manual_backward(loss.sum() / num_scans)
        terms = {"loss": loss, **terms}
        return {name: value.detach().sum() / num_scans for name, value in terms.items()}

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

    def _optimisers(self) -> list[LightningOptimizer]:
        return self.optimizers()  # pyright: ignore[reportReturnType]


def _unwrapped(optimiser: Any) -> torch.optim.Optimizer:
    return getattr(optimiser, "optimizer", optimiser)
