"""Prediction of what a training takes: closed forms on top of a table of measured steps.

Memory, seconds and bytes are those of one rank. 1 kB is 1000 bytes.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from shapespace.errors import InputError, at_least
from shapespace.scan import scans_at_once
from shapespace.training.batches import num_steps
from shapespace.training.distributed import bytes_of_rows, bytes_sent

FITTING = 0.8
"""Share of the free memory that activations may take."""
NEARLY_FASTEST = 0.9
"""Share of the highest points per second that is as good; a larger batch costs memory."""


@dataclass(frozen=True)
class Job:
    """The training that is asked for; InputError if it has no step.

    Args:
        ranks: processes that train.
        num_scans: scans in use.
        latent_size: length of a code.
        num_numbers: parameters of the decoder that learn.
        batch_size: scans of a step and rank.
        num_points: surface points of a scan and step.
        repeats: visits of each scan in an epoch.
        drop_last: whether a smaller last step of an epoch is left out.
        max_epochs: end of the run; None if there is none.
        max_steps: another end of the run; None if there is none.
        limit: most steps of an epoch; a float is a share of its steps.
        validate_every: epochs between two validations.
        held_out: scans of a validation, by all ranks; 0 validates nothing.
        validation_share: most seconds of validation for each second of training.
    """

    ranks: int
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
    validate_every: int = 10
    held_out: int = 0
    validation_share: float = 0.1

    def __post_init__(self) -> None:
        at_least(1, batch_size=self.batch_size, num_points=self.num_points, repeats=self.repeats)
        if not self.steps_per_epoch:
            raise InputError(
                f"{self.ranks} x batch_size={self.batch_size} make no step: data.drop_last "
                f"or trainer.limit_train_batches={self.limit} leave none of {self.visits} visits; "
                "lower data.batch_size, raise data.repeats or take fewer ranks"
            )

    @property
    def visits(self) -> int:
        """Visits of scans in an epoch, by all ranks."""
        return self.num_scans * self.repeats

    @property
    def scans_of_a_step(self) -> int:
        """Scans of a step and rank; an epoch may have fewer visits than a step of all ranks."""
        return min(self.batch_size, -(-self.visits // self.ranks))

    @property
    def steps_per_epoch(self) -> int:
        """Steps of an epoch."""
        steps = num_steps(self.visits, self.batch_size * self.ranks, self.drop_last)
        return min(steps, self.limit if isinstance(self.limit, int) else int(self.limit * steps))

    @property
    def total_steps(self) -> int | None:
        """Steps of the run; None if the run has no end."""
        by_epochs = None if self.max_epochs is None else self.max_epochs * self.steps_per_epoch
        return min((end for end in (self.max_steps, by_epochs) if end is not None), default=None)


@dataclass(frozen=True)
class MeasuredStep:
    """A row of the table of measured steps.

    Args:
        scans: scans of the step.
        surface: surface points of the step.
        points: all points at which the step evaluates the decoder.
        seconds: duration of the step.
        bytes_per_point: memory that a point of a backward pass takes and gives back.
    """

    scans: int
    surface: int
    points: int
    seconds: float
    bytes_per_point: float


@dataclass(frozen=True)
class Measured:
    """The table of measured steps, and what does not depend on their size; memory in bytes.

    Args:
        device: name of the device.
        steps: the table, in growing order.
        memory: "program" (interpreter, libraries), "decoder" and "codes" (parameters, gradients and
            moments).
        checkpoint: size of a checkpoint.
        free: memory that was free before the first step.
        most_points: bound on the points of one backward pass; None without a bound.
        validation: seconds that the fit of one held-out scan takes; 0 if none is fitted.
    """

    device: str
    steps: tuple[MeasuredStep, ...]
    memory: dict[str, int]
    checkpoint: int
    free: int
    most_points: int | None
    validation: float = 0.0


def estimate_run(job: Job, measured: Measured, assumed: Sequence[str] = ()) -> dict[str, Any]:
    """Predict what a training takes. Time and memory grow linearly with the points of a step.

    Args:
        job: the training.
        measured: steps of this training.
        assumed: remarks on the measurement.

    Returns:
        All numbers under names that say the unit, as ``shapespace plan --json`` writes them;
        "hours" is None for a run without an end.
    """
    scans = job.scans_of_a_step
    last = [step for step in measured.steps if step.scans <= scans][-1]
    each = last.points * job.num_points // last.surface
    points = each * scans
    seconds = last.seconds * points / last.points
    training = None if job.total_steps is None else job.total_steps * seconds
    validation = _validation(job, training or 0.0, measured.validation)
    at_once = each * scans_at_once(scans, each, measured.most_points)
    memory = {**measured.memory, "activations": math.ceil(last.bytes_per_point * at_once)}
    row_bytes = bytes_of_rows(scans, job.latent_size)
    decoder_bytes, code_bytes = bytes_sent(job.ranks, job.num_numbers, row_bytes)
    if points != last.points:
        scaled = f"seconds and activations are those of a step of {last.points:,} points, scaled"
        assumed = (*assumed, f"a step of {points:,} points takes too long to be measured: {scaled}")
    return {
        "job": asdict(job),
        "device": measured.device,
        "memory": {"peak": sum(memory.values()), **memory},
        "num_points": points,
        "points_per_second": points / seconds,
        "seconds_per_step": seconds,
        "decoder_bytes": decoder_bytes,
        "code_bytes": code_bytes,
        "steps_per_epoch": job.steps_per_epoch,
        "epochs_per_hour": 3600 / (job.steps_per_epoch * seconds),
        "total_steps": job.total_steps,
        "hours": None if training is None else (training + validation) / 3600,
        "validation_hours": None if training is None else validation / 3600,
        "checkpoint_bytes": measured.checkpoint,
        "assumed": [
            *assumed,
            "ranks are as fast as this process alone; the network's time comes on top",
            "a checkpoint takes its size once more in the memory of rank 0 while it is written",
            "loading, pictures, checkpoints and ends of epochs are not counted",
            *_said_of_validation(job),
        ],
        "suggested": [*_suggested(job, measured, each=each, bytes_per_point=last.bytes_per_point)],
    }


def _validation(job: Job, training: float, each: float) -> float:
    """Predict the seconds of all validations of a run.

    Args:
        job: the training.
        training: seconds of all steps.
        each: seconds of a held-out scan.
    """
    # Ranks share the scans. The first validation is not bounded by the share.
    once = each * -(-job.held_out // job.ranks)
    count = (job.total_steps or 0) // (job.validate_every * job.steps_per_epoch)
    return min(count * once, once + job.validation_share * training)


def _said_of_validation(job: Job) -> Iterator[str]:
    """Say what is assumed of a validation, if there is one."""
    if job.held_out:
        yield (
            f"{job.held_out} held-out scan(s) are fitted every {job.validate_every} epochs, in at "
            f"most {job.validation_share:g} seconds for each second of training"
        )


def _suggested(job: Job, measured: Measured, each: int, bytes_per_point: float) -> Iterator[str]:
    """Say which batch fits into memory and which one is fast; ``each`` is the points of a scan."""
    fitting = int(FITTING * measured.free / bytes_per_point)
    room = f"{_bytes(measured.free)} that are free"
    if fitting < each:
        most = job.num_points * fitting // each
        yield f"the points of a scan do not fit {room}: lower data.num_points to {most}"
    else:
        yield (
            f"a backward pass of {fitting:,} points fits {room}: data.batch_size={fitting // each}"
            f" at most, and more scans with model.points_per_chunk={fitting}"
        )
    whole = [step for step in measured.steps if step.surface == step.scans * job.num_points]
    if len(whole) > 1:
        speeds = {step.scans: step.points / step.seconds for step in whole}
        enough = NEARLY_FASTEST * max(speeds.values())
        best = min(scans for scans, speed in speeds.items() if speed >= enough)
        tried = ", ".join(str(scans) for scans in speeds)
        yield f"data.batch_size={best} is the smallest of {tried} that is about as fast as any"


def table(plan: dict[str, Any]) -> str:
    """Format a prediction of :func:`estimate_run` for people, with units."""
    job = plan["job"]
    memory = plan["memory"]
    hours = plan["hours"]
    rows = [
        ("memory of a rank", _bytes(memory["peak"]), "at most, of which"),
        ("", _bytes(memory["decoder"]), "decoder, gradient and moments"),
        ("", _bytes(memory["codes"]), "codes and moments"),
        ("", _bytes(memory["activations"]), "activations"),
        ("", _bytes(memory["program"]), "Python and its libraries"),
        ("points of a step", f"{plan['num_points']:,}", "a rank"),
        ("points per second", f"{plan['points_per_second']:,.0f}", "a rank"),
        ("seconds per step", f"{plan['seconds_per_step']:.3g}", ""),
        ("sent per step", _bytes(plan["decoder_bytes"]), "a rank: gradient of the decoder"),
        ("", _bytes(plan["code_bytes"]), "a rank: rows of codes"),
        ("steps per epoch", f"{plan['steps_per_epoch']:,}", f"{job['ranks']} rank(s)"),
        ("epochs per hour", f"{plan['epochs_per_hour']:.3g}", ""),
        ("whole run", "no end" if hours is None else f"{hours:.3g} h", _of_which(plan)),
        ("checkpoint", _bytes(plan["checkpoint_bytes"]), "on disk; the newest two are kept"),
    ]
    title = (
        f"{job['num_scans']:,} scan(s), codes of {job['latent_size']}, a decoder of "
        f"{job['num_numbers']:,} numbers, measured on {plan['device']}"
    )
    lines = [f"  {name:21}{value:>14}  {note}".rstrip() for name, value, note in rows]
    for part in ("assumed", "suggested"):
        lines += [f"{part}:", *(f"  - {text}" for text in plan[part])]
    return "\n".join([title, *lines])


def _of_which(plan: dict[str, Any]) -> str:
    """The part of a run that validates, as a note; "" if there is none."""
    hours = plan["validation_hours"]
    return f"of which validation {hours:.3g} h" if hours else ""


def _bytes(number: int | float) -> str:
    """Three digits and a unit."""
    units = ("bytes", "kB", "MB", "GB", "TB")
    power = min(int(math.log10(max(number, 1)) / 3), len(units) - 1)
    return f"{number / 1000**power:.3g} {units[power]}"
