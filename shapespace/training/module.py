"""The training step: decoder, codes, objective, sampler and optimisers in a LightningModule.

Read ``ShapeSpace.training_step`` first. Letters: V visits of this rank in a step.
"""

import math
from collections.abc import Collection, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict
from typing import Any, Literal

import pytorch_lightning as pl
import torch
from pytorch_lightning.core.optimizer import LightningOptimizer
from pytorch_lightning.strategies import ParallelStrategy
from torch import Tensor, nn

from shapespace.bending.penalty import penalty_of
from shapespace.checkpoint import FORMAT, PLACE
from shapespace.checkpoint_scans import with_scans
from shapespace.data.names import subjects_of
from shapespace.decoders.base import Decoder
from shapespace.decoders.derivatives import bytes_of_step
from shapespace.encoders.base import Encoder
from shapespace.encoders.codes import CodeOptions, codes_of
from shapespace.encoders.factors import IDENTITY, POSTURE, TABLE
from shapespace.errors import InputError
from shapespace.objectives.base import Objective
from shapespace.sampling import Sampler, samples_of_visits
from shapespace.scan import Samples
from shapespace.training.batches import Batch
from shapespace.training.distributed import gathered, gradient_norm, losses_of_all, share_rows
from shapespace.training.lightning_private import attached_trainer
from shapespace.training.optimisers import (
    CodeOptimiser,
    Optimiser,
    RateSchedule,
    check_steps,
    code_optimiser,
    decoder_optimisers,
)
from shapespace.training.resume import set_batch_counts
from shapespace.training.statistics import (
    NOT_FINITE,
    STANDS_OUT,
    EpochMeans,
    FirstLosses,
    StepResult,
)
from shapespace.utils.memory import points_that_fit
from shapespace.utils.schedules import RunProgress, check_schedules, cosine, halved
from shapespace.version import __version__


class ShapeSpace(pl.LightningModule):
    """An auto-decoder (DeepSDF, Park et al. 2019) trained on raw scans.

    Adam or Muon moves the decoder. An Adam for each row of the table moves the codes of the scans
    in the batch. Every random draw depends on the seed and the number of the visit alone. So a
    resumed run repeats an undisturbed run, and several ranks repeat one process on the union of
    their batches. A step moves nothing if the loss or a gradient is not finite, or if the loss of a
    scan stands out by orders.

    Args:
        decoder: signed distance f(x; z).
        objective: terms of the loss and their weights.
        sampler: draws the points that the objective sees, on the device.
        num_scans: number of rows of the code table; linked to the data, not given by hand.
        lr: learning rate of the decoder.
        code_lr: learning rate of a code, per visit.
        schedule: "halve" halves all learning rates every ``halve_every`` epochs, as published.
            "cosine" lets the rates fall to ``min_lr`` over the whole run, which needs a last epoch
            or step.
        halve_every: number of epochs after which the rates are halved.
        warm_up: fraction of a run with "cosine" over which the rates first rise.
        min_lr: lower bound of all rates.
        optimiser: optimiser of the decoder: "adam", or "muon" for its matrices and Adam for the
            rest, which needs about a third of the steps (experiments/time_to_quality).
        matrix_lr: learning rate of the matrices with "muon".
        code_optimiser: "rows" moves the codes of a batch only. "dense" is the published Adam over
            the whole table, which also moves codes between their visits: with T steps an epoch, a
            visit moves a code by up to sqrt((1 - 0.999^T) / 0.001) times ``code_lr`` (9.6 at
            T = 97), and each step takes time for the whole table.
        code_init_std: standard deviation of the normal distribution from which the first codes are
            drawn; 0 is the published choice.
        code_max_norm: norm to which longer codes are shortened after each step (1 in DeepSDF);
            None shortens none.
        points_per_chunk: number of points in one backward pass, in whole scans and at least one;
            bounds the memory and changes nothing but rounding. "auto" fits a quarter of the memory
            that is free at the start; None takes the batch at once.
        seed: seed of codes and samples; the weights follow seed_everything.
        encoder: gives the code of a scan from its surface points, in place of a table that is
            learnt; None for the table.
        identity_size: numbers of a code that all scans of a subject share, its identity; the others
            are the posture of each scan. Names <subject>_<sequence>_<frame> say the subject. 0 is
            the published choice: a code of one part for each scan.
        bending: weight of the mean root of the bending energy at random places between training
            codes (:mod:`shapespace.bending.penalty`); shapes between two scans are then to move
            rather than to vanish and grow. A number, or a schedule over the run such as
            ``linear 0 0.01 from 0.2 to 0.5``. 0, the default, changes nothing.
        bending_every: one visit of so many is looked at, by so many times the weight; less often
            is cheaper.
        gradient_clip: norm to which longer gradients of all weights together are shortened, the
            codes left out; None shortens none.
    """

    # DDP would all-reduce the whole table, and NCCL no sparse gradient at all.
    _ddp_params_and_buffers_to_ignore = (TABLE, IDENTITY, POSTURE, "codes.subject_rows")
    _batch_idx = 0
    _excluded: frozenset[int] = frozenset()
    unit = "m"
    """Unit of the store, once there is a data module."""

    def __init__(
        self,
        decoder: Decoder,
        objective: Objective,
        sampler: Sampler,
        num_scans: int = 1,
        lr: float = 5e-3,
        code_lr: float = 1e-3,
        schedule: RateSchedule = "halve",
        halve_every: int = 500,
        warm_up: float = 0.02,
        min_lr: float = 5e-6,
        optimiser: Optimiser = "adam",
        matrix_lr: float = 1e-2,
        code_optimiser: CodeOptimiser = "rows",
        code_init_std: float = 0.0,
        code_max_norm: float | None = None,
        points_per_chunk: int | Literal["auto"] | None = "auto",
        seed: int = 0,
        encoder: Encoder | None = None,
        identity_size: int = 0,
        bending: float | str = 0.0,
        bending_every: int = 32,
        gradient_clip: float | None = None,
    ) -> None:
        super().__init__()
        rates = {"lr": lr, "code_lr": code_lr, "min_lr": min_lr, "matrix_lr": matrix_lr}
        check_steps(rates, warm_up, halve_every, gradient_clip)
        self.automatic_optimization = False
        self.save_hyperparameters(logger=False)
        self.decoder = decoder
        self.objective = objective
        self.sampler = sampler
        of_codes = CodeOptions(code_init_std, code_max_norm, seed, identity_size)
        self.codes = codes_of(decoder, encoder, num_scans, of_codes, subjects_of)
        self.lr = lr
        self.code_lr = code_lr
        self.min_lr = min_lr
        self.matrix_lr = matrix_lr
        self.schedule = schedule
        self.warm_up = warm_up
        self.optimiser: Optimiser = optimiser
        self.code_optimiser: CodeOptimiser = code_optimiser
        self.halve_every = halve_every
        self.seed = seed
        self.means = EpochMeans()
        self.first_losses = FirstLosses()
        self.last_step = StepResult({}, 0, taken=False)
        self.penalty = penalty_of(bending, bending_every, seed=seed, decoder=decoder)
        self.most_points = points_per_chunk if isinstance(points_per_chunk, int) else None

    def setup(self, stage: str) -> None:
        """Take names, frames and unit of the scans from the data module."""
        data = getattr(self.trainer, "datamodule", None)
        if data is None or stage != "fit":
            return
        data.serve(self.decoder, self.objective, self.sampler)
        self.codes.assign(data.names, data.frames)
        self.unit = data.store.unit

    def on_train_start(self) -> None:
        """Choose the number of points of one backward pass; check that schedules end."""
        endless = math.isinf(self.trainer.estimated_stepping_batches)
        if self.schedule == "cosine" and endless:
            raise InputError(
                "model.schedule=cosine ends with the run, and trainer.max_epochs=-1 has no end: "
                "give trainer.max_epochs or trainer.max_steps, or model.schedule=halve"
            )
        more = {} if self.penalty is None else {"bending": self.penalty.weight}
        weights = {**self.objective.weights, **more}
        check_schedules(weights, endless=endless, max_epochs=self.trainer.max_epochs or -1)
        if self.hparams["points_per_chunk"] == "auto":
            sharers = getattr(self.trainer.strategy, "num_processes", 1)
            needed = bytes_of_step(self.decoder, self.objective.needs)
            self.most_points = points_that_fit(needed, self.device, sharers)

    def on_train_epoch_start(self) -> None:
        """Begin the means of an epoch; Lightning does not call this for a resumed epoch."""
        self.means = EpochMeans()

    def on_train_epoch_end(self) -> None:
        """Log the means of the epoch."""
        self.log_dict(self.means.values(), sync_dist=True)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Add format, version, unit, the means of the epoch so far and the first losses."""
        kind = {"format": FORMAT, "version": __version__, "unit": self.unit}
        if self.objective.kind != "distance":
            kind["field"] = self.objective.kind
        checkpoint["shapespace"] = kind | {
            "means": asdict(self.means),
            "first_losses": asdict(self.first_losses),
        }

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Fit a checkpoint to the scans and ranks of this run, in the middle of an epoch too."""
        data = getattr(attached_trainer(self), "datamodule", None)
        if data is not None:
            # The checkpoint may hold the scans in another order; Lightning loads it after this.
            checkpoint.update(with_scans(checkpoint, data.names))
            if PLACE in checkpoint:
                data.load_state_dict(checkpoint[PLACE])
                set_batch_counts(checkpoint, data.steps)
        self.means = EpochMeans(**checkpoint["shapespace"].get("means", {}))
        self.first_losses = FirstLosses(**checkpoint["shapespace"].get("first_losses", {}))

    def configure_optimizers(self) -> list[torch.optim.Optimizer]:
        """Return the optimisers of decoder and objective and, last, the optimiser of the codes."""
        weights = self._weights()
        return [
            *decoder_optimisers(weights, self.optimiser, lr=self.lr, matrix_lr=self.matrix_lr),
            code_optimiser(self.codes.learnt, self.code_optimiser, self.code_lr),
        ]

    def _weights(self) -> list[nn.Parameter]:
        """Return all that is learnt but the codes: of decoder, objective and encoder."""
        of_codes = {id(weight) for weight in (self.codes.table.weight, *self.codes.learnt)}
        return [weight for weight in self.parameters() if id(weight) not in of_codes]

    def learning_rate(self, start: float) -> float:
        """Return the rate in the current step of a learning rate that begins as ``start``."""
        if self.schedule == "halve":
            factor = halved(self.current_epoch, self.halve_every)
        else:
            factor = cosine(self._progress().share, self.warm_up)
        return max(start * factor, self.min_lr)

    def _progress(self) -> RunProgress:
        """Return the part of the run that is done in the middle of the current step.

        A run ends by its epochs or by its steps, whichever is first. The share of a run without an
        end is 0 or less.
        """
        trainer = self.trainer
        epoch = self.current_epoch + (self._batch_idx + 0.5) / trainer.num_training_batches
        by_epochs = epoch / (trainer.max_epochs or -1)
        by_steps = (trainer.global_step + 0.5) / trainer.max_steps
        return RunProgress(share=max(by_epochs, by_steps), epoch=epoch)

    def _set_rates(self) -> None:
        """Set the learning rates of all optimisers, from epoch and step alone."""
        of_decoder = [self.lr] if self.optimiser == "adam" else [self.lr, self.matrix_lr]
        for optimiser, start in zip(self._optimisers(), [*of_decoder, self.code_lr], strict=True):
            for group in optimiser.param_groups:
                group["lr"] = self.learning_rate(start)

    def training_step(self, batch: Batch, batch_idx: int) -> None:
        """Move decoder and codes once, by the mean loss over the scans of all ranks.

        The result is kept in ``last_step`` and added to ``means``.

        Args:
            batch: scans of this rank.
            batch_idx: number of the step in the epoch.
        """
        self._batch_idx = batch_idx
        self._set_rates()
        self.objective.progress = self._progress()
        batch = batch.without(self._excluded)
        self.last_step = self._reported(batch, *self._gradients(batch))
        self.means.add(self.last_step)
        if self.last_step.taken:
            self._move()

    def exclude(self, rows: Collection[int]) -> None:
        """Leave the scans of these rows, and no others, out of all later steps."""
        self._excluded = frozenset(rows)

    def _gradients(self, batch: Batch) -> tuple[dict[str, Tensor], Tensor]:
        """Set the gradients of all ranks.

        Return this rank's share of the mean loss and terms, and the loss of each of its scans.
        """
        for optimiser in self._optimisers():
            optimiser.zero_grad()
        shares, losses = self._backward(batch)
        # An encoder's gradients are shared as the decoder's are.
        share_rows(self.codes.learnt, len(batch.step.visits), self.trainer.world_size)
        return shares, losses

    def _backward(self, batch: Batch) -> tuple[dict[str, Tensor], Tensor]:
        """Accumulate the gradient of the mean loss chunk by chunk.

        Return shares of loss and terms by name, and the loss of each scan.

        Ranks may have different numbers of chunks, so they exchange gradients in the last one only.
        """
        numbers = [number for _, number in batch.step.visits]
        self.codes.begin()
        samples = samples_of_visits(self.sampler, batch.scan, seed=self.seed, visits=numbers)
        weights = samples.surface.new_tensor(batch.step.weights)
        shares: dict[str, Tensor] = {}
        if self.penalty is not None:
            with self._alone():
                shares = self.penalty.of_step(
                    self.decoder,
                    self.codes.table.weight,
                    visits=batch.step.visits,
                    weights=batch.step.weights,
                    points=batch.scan.points,
                    extent=self.sampler.extent,
                    progress=self._progress(),
                    backward=lambda part: self.manual_backward(part * self.trainer.world_size),
                )
        losses: list[Tensor] = []
        chunks = samples.chunks(self.most_points)
        for rows in chunks:
            with nullcontext() if rows is chunks[-1] else self._alone():
                losses += self._backward_of(
                    samples[rows],
                    batch.scan.index[rows],
                    visits=numbers[rows],
                    weights=weights[rows],
                    shares=shares,
                )
        return shares, torch.stack(losses)

    def _backward_of(
        self,
        samples: Samples,
        index: Tensor,
        *,
        visits: Sequence[int],
        weights: Tensor,
        shares: dict[str, Tensor],
    ) -> list[Tensor]:
        """Add gradient and terms of some scans; return their losses.

        The autograd graph is freed when this returns.
        """
        codes, more = self.codes.of_batch(index, samples.surface, visits)
        terms = self.objective.terms(self.decoder, samples, codes)
        loss = sum(more.values(), start=self.objective.total(terms))
        # DDP takes the mean over ranks of what are shares of a sum.
        self.manual_backward((weights * loss).sum() * self.trainer.world_size)
        for name, value in {"loss": loss, **terms, **more}.items():
            shares[name] = shares.get(name, 0.0) + (weights * value.detach()).sum()
        return list(loss.detach().expand(len(weights)))

    def _alone(self) -> AbstractContextManager[None]:
        """Return a context in which DDP does not exchange gradients between ranks."""
        strategy = self.trainer.strategy
        is_parallel = isinstance(strategy, ParallelStrategy)
        return strategy.block_backward_sync() if is_parallel else nullcontext()

    def _reported(self, batch: Batch, shares: dict[str, Tensor], losses: Tensor) -> StepResult:
        """Return the result of the step: means over all ranks, and the offending scans.

        Args:
            batch: scans of this rank.
            shares: this rank's share of the mean loss and terms.
            losses: of the scans of this rank.
        """
        weights = batch.step.weights
        # One exchange for all numbers, and one copy to the host.
        facts = torch.tensor([sum(weights), sum(weight > 0 for weight in weights)])
        part = torch.cat([torch.stack([*shares.values()]), facts.to(self.device)])
        total = self.trainer.strategy.reduce(part, reduce_op="sum")
        size = gradient_norm(self.parameters()).to(total)
        *sums, weight, num_scans, size = torch.cat([total, size[None]]).tolist()
        sound = math.isfinite(sums[0]) and math.isfinite(size)
        loss = sums[0] / (weight or 1.0)
        offending_rows = (
            self._standing_out(batch, losses, mean=loss, num_scans=int(num_scans))
            if sound
            else self._offending_rows(batch)
        )
        # Weights sum to less than 1 if scans were excluded.
        terms = {name: part / (weight or 1.0) for name, part in zip(shares, sums, strict=True)}
        return StepResult(
            terms=terms,
            num_scans=int(num_scans),
            taken=sound and num_scans > 0 and not offending_rows,
            offending_rows=offending_rows,
            reason=STANDS_OUT if sound else NOT_FINITE,
        )

    def _standing_out(
        self, batch: Batch, losses: Tensor, mean: float, num_scans: int
    ) -> tuple[int, ...]:
        """Find the rows of the scans, of all ranks, whose loss stands out by orders."""
        if len(self.codes) == 1 or not self.first_losses.are_needed(mean, num_scans):
            return ()
        weights = torch.tensor(batch.step.weights, device=losses.device)
        return self.first_losses.standing_out(losses_of_all(batch.scan.index, losses, weights))

    def _offending_rows(self, batch: Batch) -> tuple[int, ...]:
        """Find the rows of the scans, of all ranks, whose own loss or gradient is not finite."""
        # All ranks have V visits, so all take part in the same gathering; -1 is a sound scan.
        found = torch.full((len(batch.step.visits),), -1, device=self.device)
        for row in range(len(found)):
            for optimiser in self._optimisers():
                optimiser.zero_grad()
            with self._alone():
                loss = self._backward(batch.only(row))[0]["loss"]
            if not torch.isfinite(loss + gradient_norm(self.parameters())):
                found[row] = batch.scan.index[row]
        return tuple(sorted(set(gathered(found).flatten().tolist()) - {-1}))

    def _move(self) -> None:
        """Let all optimisers take their step; shorten codes that have become too long."""
        first = self.codes.learnt[0].grad
        rows = None if first is None else first.indices()[0]
        if first is not None and self.code_optimiser == "dense":
            for weight in self.codes.learnt:
                weight.grad = None if weight.grad is None else weight.grad.to_dense()
            rows = torch.arange(len(self.codes), device=first.device)
        if (norm := self.hparams["gradient_clip"]) is not None:
            nn.utils.clip_grad_norm_(self._weights(), norm)
        # Lightning counts a step for each wrapped optimiser, and one batch is to count as one step.
        wrapped, *others = self._optimisers()
        wrapped.step()
        for optimiser in others:
            getattr(optimiser, "optimizer", optimiser).step()
        self.codes.settle(rows, gathered)

    def _optimisers(self) -> list[LightningOptimizer]:
        return self.optimizers()  # pyright: ignore[reportReturnType]
