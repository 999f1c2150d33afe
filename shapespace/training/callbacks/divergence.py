"""The divergence monitor: scans that spoil steps are excluded, diverging trainings rolled back."""

import math
from collections import Counter, deque
from statistics import median
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.utilities import rank_zero_warn

from shapespace.checkpoint import read_checkpoint
from shapespace.checkpoint_scans import with_scans
from shapespace.errors import InputError, at_least, one_line, positive
from shapespace.training.callbacks.background_writer import settled_checkpoint
from shapespace.training.module import ShapeSpace
from shapespace.training.statistics import Verdict

HISTORY = 200
"""Number of last losses whose median is the loss to expect."""
ENOUGH = 50
"""Fewest losses from which a median is taken."""


class DivergenceMonitor(pl.Callback):
    """Excludes scans that spoil steps, and rolls a diverging training back to its checkpoint.

    A step whose loss or gradient is not finite moves nothing, and a warning names the scans whose
    own loss or gradient is not finite. So it is with a scan whose loss is a hundred times the
    losses of the first steps: it is far away, or in another unit. The attribute ``verdict`` holds
    the judgement of the last step; the checkpoint callback reads it.

    Args:
        strikes: number of spoilt steps after which a scan is left out of the rest of the training.
        excluded: largest share of the scans that may be left out; more end the training.
        spike: a loss above this many times the median of the last 200 losses is a spike.
        patience: number of steps in a row, not taken or spikes, before a rollback.
        rollbacks: number of rollbacks to the newest checkpoint, after which the training goes on
            with the scans that come next; 0 ends a diverging training at once.
    """

    @property
    def state_key(self) -> str:
        """Key of the state in checkpoints; the same as in version 0.1.0."""
        return "Health"

    def __init__(
        self,
        strikes: int = 3,
        excluded: float = 0.1,
        spike: float = 10.0,
        patience: int = 10,
        rollbacks: int = 3,
    ) -> None:
        at_least(1, strikes=strikes, patience=patience)
        at_least(0, rollbacks=rollbacks)
        positive(spike=spike, excluded=excluded)
        self.strikes = strikes
        self.spike = spike
        self.patience = patience
        self.most_excluded = excluded
        self.most_rollbacks = rollbacks
        self.counts: Counter[str] = Counter()
        self.losses: deque[float] = deque(maxlen=HISTORY)
        self.recent: Counter[str] = Counter()
        self.in_a_row = self.rollbacks = 0
        self.excluded: set[int] = set()
        self.verdict = Verdict()

    def state_dict(self) -> dict[str, Any]:
        """Return all that decisions depend on, as plain data."""
        return {
            "counts": dict(self.counts),
            "recent": dict(self.recent),
            "losses": list(self.losses),
            "in_a_row": self.in_a_row,
            "rollbacks": self.rollbacks,
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take the state of a checkpoint, so that a resumed run decides as an undisturbed one."""
        self.counts = Counter(state_dict["counts"])
        self.recent = Counter(state_dict["recent"])
        self.losses = deque(state_dict["losses"], HISTORY)
        self.in_a_row = state_dict["in_a_row"]
        self.rollbacks = state_dict["rollbacks"]

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Exclude the scans that were excluded before a resume."""
        assert isinstance(pl_module, ShapeSpace)
        self._exclude(pl_module)

    def on_train_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        """Judge the step; all ranks have the same result and decide alike."""
        assert isinstance(pl_module, ShapeSpace)
        step = pl_module.last_step
        if not step.num_scans:
            return
        loss = step.terms["loss"]
        is_spike = step.taken and self._is_spike(loss)
        self.verdict.diverging = is_spike or (self.verdict.diverging and not step.taken)
        if step.taken and not is_spike:
            self.losses.append(loss)
            self.in_a_row = 0
            self.recent = Counter()
            return
        self.in_a_row += 1
        if not step.taken:
            # If every scan of many is at fault, the weights are.
            is_one_of_many = len(step.offending_rows) < step.num_scans or step.num_scans == 1
            offending_rows = step.offending_rows if is_one_of_many else ()
            names = [pl_module.codes.names[row] for row in offending_rows]
            self._count(names, trainer, step.reason)
        if self.in_a_row >= self.patience:
            self._go_back(trainer, pl_module, loss)
        self._exclude(pl_module)

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Raise InputError if no step was taken."""
        if self.in_a_row and not trainer.global_step:
            raise InputError(
                "no step of this training was taken, nothing was finite: lower model.lr, "
                "or look for bad scans with shapespace data check STORE"
            )

    def _is_spike(self, loss: float) -> bool:
        """Return whether a loss is not finite, or far above the median of the last losses."""
        known = len(self.losses) >= ENOUGH
        return not math.isfinite(loss) or (known and loss > self.spike * median(self.losses))

    def _count(self, names: list[str], trainer: pl.Trainer, reason: str) -> None:
        """Count a spoilt step for each of the scans ``names``, and warn.

        Args:
            names: of the offending scans.
            trainer: trainer of the run.
            reason: why the step was not taken.
        """
        self.counts.update(names)
        self.recent.update(names)
        where = f"step {trainer.global_step + 1} was not taken, {reason}"
        found = [f"{one_line(name)!r} ({self.counts[name]} of {self.strikes})" for name in names]
        whose = f"because of {', '.join(found)}" if found else "by no scan alone"
        rank_zero_warn(f"{where}: {whose}")

    def _exclude(self, module: ShapeSpace) -> None:
        """Exclude the scans with too many strikes; raise InputError if they are too many."""
        names = {name for name, count in self.counts.items() if count >= self.strikes}
        # Called after every refused step: without names the long list of all scans is not read.
        every = module.codes.names if names else ()
        rows = {row for row, name in enumerate(every) if name in names}
        for row in sorted(rows - self.excluded):
            rank_zero_warn(f"scan {one_line(module.codes.names[row])!r} is left out from now on")
        self.excluded = rows
        module.exclude(rows)
        if len(rows) > self.most_excluded * len(module.codes):
            raise InputError(
                f"{len(rows)} of {len(module.codes)} scans spoil the training, for example "
                f"{one_line(min(names))!r}, more than health.excluded={self.most_excluded:g} "
                "allows: look at them with shapespace data check STORE"
            )

    def _go_back(self, trainer: pl.Trainer, module: ShapeSpace, loss: float) -> None:
        """Load decoder, codes and moments of the newest checkpoint; the order of scans goes on."""
        what = f"the training diverges: loss {loss:g} at step {trainer.global_step}"
        remedy = "lower model.lr, or look for bad scans with shapespace data check STORE"
        path = settled_checkpoint(trainer)
        if path is None or self.rollbacks >= self.most_rollbacks:
            kept = "" if path is None else f" again, after {self.rollbacks} returns to {path}"
            raise InputError(f"{what}{kept}: {remedy}")
        self.rollbacks += 1
        # The strikes since the last sound step may be the fault of the weights.
        self.counts -= self.recent
        self.in_a_row = 0
        self.recent = Counter()
        self.verdict.diverging = False
        content = with_scans(read_checkpoint(path), module.codes.names)
        module.load_state_dict(content["state_dict"])
        for optimiser, state in zip(trainer.optimizers, content["optimizer_states"], strict=True):
            optimiser.load_state_dict(state)
        rank_zero_warn(f"{what}: going back to step {content['global_step']} ({path})")
