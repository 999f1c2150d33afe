"""A training that is asked for, and what a short rehearsal of it measured.

Letters: W ranks, S scans, L code length.
"""

from dataclasses import dataclass

from shapespace.errors import InputError
from shapespace.scan import scans_at_once
from shapespace.training.batches import num_steps


@dataclass(frozen=True)
class Job:
    """The training that is asked for; InputError if it has no step.

    ranks: W. sharers: ranks that share the memory of a node's CPU, 1 for GPUs. num_numbers: of the
    decoder, that learn. batch_size: scans of a step and rank. num_points: surface points of a scan
    and step. max_epochs: None without an end; max_steps: None without that bound. limit: of the
    steps of an epoch, a number or, as a float, a share of them.
    """

    ranks: int
    sharers: int
    num_scans: int
    latent_size: int
    num_numbers: int
    batch_size: int
    num_points: int
    repeats: int
    drop_last: bool
    max_epochs: int | None
    max_steps: int | None
    limit: int | float = 1.0

    def __post_init__(self) -> None:
        """InputError for a training without a step."""
        if not self.steps_per_epoch:
            raise InputError(
                f"{self.ranks} x batch_size={self.batch_size} make no step: data.drop_last "
                f"or trainer.limit_train_batches={self.limit} leave none of {self.visits} visits; "
                "lower data.batch_size, raise data.repeats or take fewer ranks"
            )

    @property
    def visits(self) -> int:
        """Of an epoch, by all ranks."""
        return self.num_scans * self.repeats

    @property
    def scans_of_a_step(self) -> int:
        """Of a rank; fewer than ``batch_size`` where an epoch has fewer visits than a step."""
        return min(self.batch_size, -(-self.visits // self.ranks))

    @property
    def steps_per_epoch(self) -> int:
        """Of each rank."""
        steps = num_steps(self.visits, self.batch_size * self.ranks, self.drop_last)
        limit = self.limit if isinstance(self.limit, int) else int(self.limit * steps)
        return min(steps, limit)

    @property
    def total_steps(self) -> int | None:
        """Of the whole run; None without an end."""
        ends = [self.max_steps]
        ends += [None if self.max_epochs is None else self.max_epochs * self.steps_per_epoch]
        return min((end for end in ends if end is not None), default=None)


@dataclass(frozen=True)
class Trial:
    """One size of step that was measured.

    surface: points of the scans; points: all at which the decoder was asked, those of the space
    too. seconds: of a step. activations: bytes that came and went with it.
    """

    scans: int
    surface: int
    points: int
    seconds: float
    activations: int


@dataclass(frozen=True)
class Measured:
    """What :func:`~shapespace.planning.rehearsal.dry_run` found on one device.

    trials: of growing size. seconds, seconds_of_an_end: of a step of the whole batch in its
    training loop, and of the end of an epoch; None where a batch takes too long. num_steps: that
    these are medians of. Bytes: program (interpreter and libraries), decoder and codes (with
    gradients and moments), checkpoint, free before the first step. most_points: of one backward
    pass, None for any number. bytes_per_point: as the decoder itself expects.
    """

    device: str
    trials: tuple[Trial, ...]
    seconds: float | None
    seconds_of_an_end: float
    num_steps: int
    program: int
    decoder: int
    codes: int
    checkpoint: int
    free: int
    most_points: int | None
    bytes_per_point: int

    def at_once(self, trial: Trial) -> int:
        """Points of one backward pass of ``trial``."""
        each = trial.points // trial.scans
        return each * scans_at_once(trial.scans, each, self.most_points)
