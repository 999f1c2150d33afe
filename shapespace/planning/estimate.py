"""What a training will take, from a few measured steps: memory, time, bytes between ranks.

:mod:`shapespace.planning.rehearsal` measures. Of bytes, 1 kB is 1000.
"""

import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass

from shapespace.planning.job import Job, Measured
from shapespace.scan import scans_at_once
from shapespace.training.distributed import bytes_of_rows, bytes_sent

FITTING = 0.8
"""Share of the free memory that activations may take."""
RISING = 1.1
"""Points a second by which a batch of twice the scans is worth its memory."""


@dataclass(frozen=True)
class MemoryEstimate:
    """Bytes of a rank at their largest, on its device."""

    peak: int
    program: int
    decoder: int
    codes: int
    activations: int


@dataclass(frozen=True)
class Plan:
    """The prediction; ``hours`` is None for a run without an end.

    points_per_second and seconds_per_step are of a rank, num_points all points of its step; the
    bytes are sent by each rank in each step, of the decoder's gradient and of rows of codes.
    """

    job: Job
    device: str
    memory: MemoryEstimate
    num_points: int
    points_per_second: float
    seconds_per_step: float
    decoder_bytes: int
    code_bytes: int
    steps_per_epoch: int
    epochs_per_hour: float
    hours: float | None
    checkpoint_bytes: int
    assumed: tuple[str, ...]
    suggested: tuple[str, ...]

    def __str__(self) -> str:
        """A table with units, what was assumed and what is suggested."""
        title = (
            f"{_some(self.job.num_scans, 'scan')}, codes of {self.job.latent_size}, a decoder of "
            f"{_count(self.job.num_numbers)} numbers, measured on {self.device}"
        )
        rows = [f"  {name:21}{value:>14}  {note}".rstrip() for name, value, note in self._rows()]
        said = [f"  - {text}" for text in self.assumed]
        hints = [f"  - {text}" for text in self.suggested]
        return "\n".join([title, *rows, "assumed:", *said, "suggested:", *hints])

    def as_json(self) -> str:
        """All of it; seconds, hours and bytes."""
        return json.dumps(asdict(self), indent=1)

    def _rows(self) -> list[tuple[str, str, str]]:
        job, memory, size = self.job, self.memory, _bytes
        whole = "no end" if self.hours is None else _time(self.hours)
        end = "" if job.total_steps is None else _some(job.total_steps, "step")
        return [
            ("memory of a rank", size(memory.peak), "at most, of which"),
            ("", size(memory.decoder), "decoder, gradient and moments"),
            ("", size(memory.codes), "codes and moments"),
            ("", size(memory.activations), "activations"),
            ("", size(memory.program), "Python and its libraries"),
            (
                "points of a step",
                _count(self.num_points),
                f"a rank: {_some(job.scans_of_a_step, 'scan')}",
            ),
            ("points per second", _count(self.points_per_second), "a rank"),
            ("seconds per step", f"{self.seconds_per_step:.3g}", ""),
            ("sent per step", size(self.decoder_bytes), "a rank: gradient of the decoder"),
            ("", size(self.code_bytes), "a rank: rows of codes"),
            ("steps per epoch", _count(self.steps_per_epoch), _some(job.ranks, "rank")),
            ("epochs per hour", f"{self.epochs_per_hour:.3g}", ""),
            ("whole run", whole, end),
            ("checkpoint", size(self.checkpoint_bytes), "on disk; the newest two are kept"),
        ]


def estimate_run(job: Job, measured: Measured, assumed: Sequence[str] = ()) -> Plan:
    """The prediction for ``job`` from what was measured.

    assumed: what else is to be said about how it was measured.
    """
    last = measured.trials[-1]
    each = last.points * job.num_points // last.surface
    points = each * job.scans_of_a_step
    seconds = last.seconds * points / last.points if measured.seconds is None else measured.seconds
    row_bytes = bytes_of_rows(job.scans_of_a_step, job.latent_size)
    decoder_bytes, code_bytes = bytes_sent(job.ranks, job.num_numbers, row_bytes)
    epoch = job.steps_per_epoch * seconds + measured.seconds_of_an_end
    steps = job.total_steps
    return Plan(
        job=job,
        device=measured.device,
        memory=_memory(job, measured, each),
        num_points=points,
        points_per_second=points / seconds,
        seconds_per_step=seconds,
        decoder_bytes=decoder_bytes,
        code_bytes=code_bytes,
        steps_per_epoch=job.steps_per_epoch,
        epochs_per_hour=3600 / epoch,
        hours=None if steps is None else steps / job.steps_per_epoch * epoch / 3600,
        checkpoint_bytes=measured.checkpoint,
        assumed=(*assumed, *_assumed(job, measured, points)),
        suggested=tuple(_suggested(job, measured, each, seconds, decoder_bytes + code_bytes)),
    )


def _memory(job: Job, measured: Measured, each: int) -> MemoryEstimate:
    """Linear in the points of one backward pass from the trial that comes nearest."""
    whole = [trial for trial in measured.trials if trial.scans <= job.scans_of_a_step]
    last, most = whole[-1], measured.most_points
    asked = each * scans_at_once(job.scans_of_a_step, each, most)
    activations = math.ceil(last.activations * asked / measured.at_once(last))
    parts = measured.program, measured.decoder, measured.codes, activations
    return MemoryEstimate(sum(parts), *parts)


def _assumed(job: Job, measured: Measured, points: int) -> list[str]:
    last = measured.trials[-1]
    said = []
    if job.ranks > 1:
        said.append("each rank is as fast as this process alone")
        said.append("the network between ranks is not measured: its time comes on top")
    if job.sharers > 1:
        said.append(f"{job.sharers} ranks share the cores of a CPU, of which this process had all")
    if measured.seconds is None:
        said.append(
            f"a step of {_count(points)} points takes too long to be measured: time and memory "
            f"are those of {_count(last.points)} points, scaled"
        )
    else:
        said.append(f"seconds are the median of {_some(measured.num_steps, 'step')}")
    if job.total_steps is None:
        said.append("the run has no end: trainer.max_epochs=-1")
    said.append("checkpoints, while written, take their size once more in the memory of rank 0")
    said.append("pictures, checkpoints, the start and processes that read are not counted")
    return said


def _suggested(job: Job, measured: Measured, each: int, seconds: float, sent: int) -> Iterator[str]:
    yield _of_memory(job, measured, each)
    yield _of_batch(job, measured)
    if job.batch_size * job.ranks > job.visits:
        yield (
            f"a step of all ranks asks for {job.batch_size * job.ranks} scans and an epoch has "
            f"{job.visits} visits: lower data.batch_size, raise data.repeats, or take fewer ranks"
        )
    if sent:
        yield (
            f"the exchange takes less than a tenth of a step if each rank sends "
            f"{_bytes(10 * sent / seconds)} a second"
        )


def _of_memory(job: Job, measured: Measured, each: int) -> str:
    """Which points of one backward pass fit; those that the decoder expects if they are more."""
    last = measured.trials[-1]
    per_point = max(last.activations / measured.at_once(last), measured.bytes_per_point)
    fitting = int(FITTING * measured.free / job.sharers / per_point)
    whole = each * job.scans_of_a_step
    taken = each * scans_at_once(job.scans_of_a_step, each, measured.most_points)
    room = f"{_bytes(measured.free / job.sharers)} that are free"
    if taken > fitting:
        return (
            f"{_count(taken)} points of a backward pass do not fit {room}: lower data.num_points, "
            f"or model.points_per_chunk to {_count(fitting)}"
        )
    if taken < whole:
        return (
            f"backward passes have {_count(taken)} points; model.points_per_chunk="
            f"{min(fitting, whole)} would still fit {room}"
        )
    return (
        f"the batch fits in one backward pass; so would data.batch_size={max(1, fitting // each)}, "
        f"{_count(fitting)} points, in {room}"
    )


def _of_batch(job: Job, measured: Measured) -> str:
    """Whether points a second still rise with the scans of a step."""
    whole = [trial for trial in measured.trials if trial.surface == trial.scans * job.num_points]
    if len(whole) < 2:
        return "how points per second rise with the batch was not measured: a scan takes too long"
    less, more = whole[-2:]
    gain = (more.points / more.seconds) / (less.points / less.seconds)
    said = f"{more.scans} scans a step do {gain:.2f} times the points a second of {less.scans}"
    if gain < RISING:
        return f"{said}: a larger batch makes fewer steps, not a faster epoch"
    return f"{said}: data.batch_size={more.scans} or more makes a faster epoch of fewer steps"


def _count(number: int | float) -> str:
    """Thousands apart; of what is no whole number, three digits that matter."""
    if isinstance(number, float) and number >= 1000:
        digits = 10 ** (int(math.log10(number)) - 2)
        number = round(number / digits) * digits
    return f"{number:,.0f}".replace(",", " ")


def _some(number: int, what: str) -> str:
    return f"{_count(number)} {what}{'' if number == 1 else 's'}"


def _time(hours: float) -> str:
    units = (("h", hours), ("min", 60 * hours), ("s", 3600 * hours))
    unit, value = next((pair for pair in units if pair[1] >= 1), units[-1])
    return f"{_count(value) if value >= 1000 else f'{value:.3g}'} {unit}"


def _bytes(number: int | float) -> str:
    """With three digits and a unit."""
    units = ("bytes", "kB", "MB", "GB", "TB")
    power = min(int(math.log10(max(number, 1)) / 3), len(units) - 1)
    return f"{number / 1000**power:.3g} {units[power]}"
