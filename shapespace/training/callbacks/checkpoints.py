"""When checkpoints of a run are written, and how a signal ends a training without loss."""

import signal
import sys
import time
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.utilities import rank_zero_warn

from shapespace.checkpoint import BEST, CHECKPOINT, is_finite
from shapespace.errors import InputError, Stopped, at_least, positive
from shapespace.training.callbacks.background_writer import run_folder, writer_of
from shapespace.training.callbacks.signals import Signals, requeue, slurm_job
from shapespace.training.module import ShapeSpace
from shapespace.training.statistics import Validated, Verdict
from shapespace.utils.files import remove_leftovers


class CheckpointCallback(pl.Callback):
    """Writes ``last.ckpt`` regularly, and ends the training after a signal.

    The checkpoint before stays as ``previous.ckpt``. A full disk is a warning, and the training
    goes on. Weights or moments that are not finite are never written. After SIGTERM, SIGUSR1 or
    Ctrl-C all ranks complete the step, one checkpoint is written and the training ends. In a SLURM
    job that received SIGUSR1 (``sbatch --signal=SIGUSR1@120``) rank 0 then requeues the job.

    Args:
        every: number of epochs between two checkpoints.
        minutes: most minutes between two checkpoints, in the middle of an epoch too.
        best: keep the written checkpoint with the lowest loss of an epoch as ``best.ckpt``. With
            ``data.validation`` the one of the lowest error of held-out scans is kept in any case.
        keep: number of epochs between two checkpoints that are kept for good, as
            ``epoch_<n>.ckpt``; 0 keeps none.
    """

    @property
    def state_key(self) -> str:
        """Key of the state in checkpoints; the same as in version 0.1.0."""
        return "KeepCheckpoint"

    def __init__(
        self, every: int = 10, minutes: float = 20.0, best: bool = False, keep: int = 0
    ) -> None:
        at_least(1, every=every)
        at_least(0, keep=keep)
        positive(minutes=minutes)
        self.every = every
        self.minutes = minutes
        self.best = best
        self.keep = keep
        self.lowest = float("inf")
        self.signals = Signals()
        self.verdict = Verdict()
        self.validated = Validated()
        self._unsaved_steps = 0
        self._saved_at = 0.0

    def connect(self, signals: Signals, verdict: Verdict, validated: Validated) -> None:
        """Take what other parts of the run tell.

        Without them the callback knows of no signal, takes every step for sound, and no epoch for
        validated.

        Args:
            signals: that end the training.
            verdict: of the divergence monitor.
            validated: errors of the held-out scans.
        """
        self.signals = signals
        self.verdict = verdict
        self.validated = validated

    def state_dict(self) -> dict[str, Any]:
        """Return the loss of ``best.ckpt``."""
        return {"lowest": self.lowest}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take the loss of ``best.ckpt`` from a checkpoint."""
        self.lowest = state_dict["lowest"]

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Catch signals, check that all ranks resume alike, and remove partly written files."""
        self.signals.listen()
        self._unsaved_steps = 0
        self._saved_at = time.monotonic()
        _check_same_step(trainer)
        if trainer.is_global_zero:
            remove_leftovers(run_folder(trainer))

    def on_train_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        """Stop or save if it is time, unless the epoch ends with this step."""
        self._unsaved_steps += 1
        # The end of an epoch stops or saves when its row of metrics is written.
        if not trainer.is_last_batch:
            # With max_steps a training ends in the middle of an epoch and can be resumed there.
            is_end = trainer.global_step == trainer.max_steps
            self._at_boundary(trainer, pl_module, also=[] if is_end else None)

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Stop or save if it is time."""
        assert isinstance(pl_module, ShapeSpace)
        epoch = trainer.current_epoch + 1
        also = None
        is_due = (
            epoch % self.every == 0
            or (self.keep and epoch % self.keep == 0)
            or self.validated.error < self.validated.lowest
        )
        if is_due and not self.verdict.diverging:
            also = self._further_names(epoch, pl_module.means.values().get("loss", float("inf")))
        self._at_boundary(trainer, pl_module, also)

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Save the last steps; raise InputError if the checkpoint cannot be written."""
        if self._unsaved_steps and not trainer.interrupted:
            spoilt = self._save(trainer)
            if spoilt:
                writer_of(trainer).finish()
                raise InputError(
                    f"{spoilt} holds numbers that are not finite at the end of the training: "
                    f"{run_folder(trainer) / CHECKPOINT} is as it was before; run the same command "
                    "again to go on from it, with a lower model.lr"
                )
        error = writer_of(trainer).finish()
        if error is not None:
            raise InputError(f"{error}: make room and run the same command again to go on")

    def _at_boundary(
        self, trainer: pl.Trainer, module: pl.LightningModule, also: list[str] | None
    ) -> None:
        """Stop or save between two steps, if time, signals or the epoch ask for it.

        Args:
            trainer: trainer of the run.
            module: module of the run.
            also: further names of a checkpoint that is due here; None if none is due.
        """
        assert isinstance(module, ShapeSpace)
        overdue = time.monotonic() - self._saved_at > 60 * self.minutes
        caught = self.signals.caught
        # Signals and clocks differ between ranks; the largest values make all ranks decide alike.
        # SIGUSR1 has an entry of its own because SIGTERM, a larger number, must not hide it.
        facts = torch.tensor([caught, caught == signal.SIGUSR1, overdue], dtype=torch.float32)
        facts = trainer.strategy.reduce(facts.to(module.device), reduce_op="max").tolist()
        number = int(signal.SIGUSR1 if facts[1] else facts[0])
        overdue = bool(facts[2])
        if number:
            self._stop(trainer, number)
        if (also is not None or overdue) and not self.verdict.diverging:
            self._save(trainer, also or [])

    def _further_names(self, epoch: int, loss: float) -> list[str]:
        """Return the names under which the checkpoint of an epoch stays, beside ``last.ckpt``."""
        names = []
        if self.keep and epoch % self.keep == 0:
            names.append(f"epoch_{epoch:05d}.ckpt")
        if self.validated.columns:
            if self.validated.error < self.validated.lowest:
                self.validated.lowest = self.validated.error
                names.append(BEST)
        elif self.best and loss < self.lowest:
            self.lowest = loss
            names.append(BEST)
        return names

    def _save(self, trainer: pl.Trainer, also: list[str] | None = None) -> str:
        """Save a checkpoint, which rank 0 writes; warn if the one before could not be written.

        Weights and moments that are not finite are not saved. Return the name of one, or "".
        """
        error = writer_of(trainer).finish()
        if error is not None:
            rank_zero_warn(f"{error}; the training goes on, older checkpoints stay")
        spoilt = _not_finite(trainer)
        if spoilt:
            rank_zero_warn(f"no checkpoint is written: {spoilt} holds numbers that are not finite")
            return spoilt
        self._unsaved_steps = 0
        self._saved_at = time.monotonic()
        path = run_folder(trainer) / CHECKPOINT
        trainer.save_checkpoint(path, storage_options={"also": also or []})
        return ""

    def _stop(self, trainer: pl.Trainer, number: int) -> None:
        """Save unless the training diverges, requeue after SIGUSR1, and end the training."""
        stopped = Stopped(number)
        spoilt = ""
        if self._unsaved_steps and not self.verdict.diverging:
            spoilt = self._save(trainer)
        error = writer_of(trainer).finish()
        trainer.strategy.barrier("stopping")
        if trainer.is_global_zero:
            path = run_folder(trainer) / CHECKPOINT
            said = f"saved {path}" if error is None else f"not saved, {error}"
            if self.verdict.diverging or spoilt:
                why = f"{spoilt} is not finite" if spoilt else "the loss was far too high"
                said = f"not saved, since {why}; {path} is from before"
            sys.stderr.write(f"\nstopping at step {trainer.global_step} ({stopped.name}): {said}\n")
            if stopped.name == "SIGUSR1":
                _requeue()
        # An exit code other than 0 would make a launcher kill rank 0 before it has said so.
        raise stopped if trainer.is_global_zero else SystemExit(0)


def _not_finite(trainer: pl.Trainer) -> str:
    """Return the name of a weight, or of the weight of a moment, that is not finite, or ""."""
    names: dict[torch.Tensor, str] = {
        weight: name for name, weight in trainer.lightning_module.named_parameters()
    }
    found = ""
    for weight, name in names.items():
        if not is_finite(weight):
            found = found or name
    for optimiser in trainer.optimizers:
        for weight, state in optimiser.state.items():
            if not all(is_finite(value) for value in state.values() if torch.is_tensor(value)):
                found = found or f"the optimiser's state of {names[weight]}"
    # All ranks have the same weights; they must decide alike all the same.
    alike = trainer.strategy.reduce_boolean_decision(not found, all=True)
    return "" if alike else found or "a weight of another rank"


def _check_same_step(trainer: pl.Trainer) -> None:
    """Raise InputError if ranks have resumed from checkpoints of different steps."""
    first = trainer.strategy.broadcast(trainer.global_step)
    if first != trainer.global_step:
        raise InputError(
            f"{run_folder(trainer)}: rank {trainer.global_rank} goes on from step "
            f"{trainer.global_step} but rank 0 from {first}: the run folder must be on a disk that "
            "all ranks share"
        )


def _requeue() -> None:
    """Ask SLURM to start this job again, if this process is part of a job."""
    job = slurm_job()
    if job is None:
        return
    sys.stderr.write(f"requeueing job {job}\n")
    sys.stderr.flush()  # SLURM ends this process before scontrol returns
    try:
        requeue(job)
    except RuntimeError as error:
        sys.stderr.write(f"not requeued: {error}\n")
