"""Factors of learning rates over a run, and weights of loss terms that change over a run."""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal, NamedTuple

from shapespace.errors import InputError, one_line


def cosine(done: float, warm_up: float) -> float:
    """Factor of a learning rate that falls to 0 as half a cosine over a run.

    Args:
        done: fraction of the run that is done; values above 1 count as 1.
        warm_up: fraction of the run over which the factor also rises linearly from 0.
    """
    rise = min(1.0, done / warm_up) if warm_up else 1.0
    return rise * (0.5 + 0.5 * math.cos(math.pi * min(done, 1.0)))


def halved(epoch: int, every: int) -> float:
    """Factor of a learning rate that is halved every ``every`` epochs, from 1 in epoch 0.

    The schedule of IGR (Gropp et al. 2020, supplement).
    """
    return 0.5 ** (epoch // every)


class RunProgress(NamedTuple):
    """The part of a training that is done; the default is the end, as a fit sees it.

    Args:
        share: of the run, 0 to 1.
        epoch: epochs that are done, with the fraction of the current one.
    """

    share: float = 1.0
    epoch: float = math.inf


@dataclass(frozen=True)
class Schedule:
    """A number that changes over a run: knots in time, and the way from one to the next.

    Before the first knot the number is that of the first, after the last that of the last.

    Args:
        kind: "linear" and "cosine" (half a cosine) go from value to value; "steps" jumps at each
            knot.
        times: of the knots, rising.
        values: at the knots.
        unit: of the times: "share" of the run, or "epochs".
    """

    kind: Literal["linear", "cosine", "steps"]
    times: tuple[float, ...]
    values: tuple[float, ...]
    unit: Literal["share", "epochs"]

    def __call__(self, progress: RunProgress) -> float:
        """The number at a moment of the run."""
        now = progress.share if self.unit == "share" else progress.epoch
        if now < self.times[0]:
            return self.values[0]
        for (start, end), (low, high) in zip(
            pairwise(self.times), pairwise(self.values), strict=True
        ):
            if now < end:
                done = 0.0 if self.kind == "steps" else (now - start) / (end - start)
                part = 0.5 - 0.5 * math.cos(math.pi * done) if self.kind == "cosine" else done
                return low + part * (high - low)
        return self.values[-1]


FORMS = (
    "a number, 'linear A B from X to Y', 'cosine A B from X to Y' or 'steps A, B at X, C at Y'; "
    "X and Y are shares of the run, 0 to 1, or epochs if 'epochs' stands at the end"
)
"""What :func:`weight_of` reads, for help and messages."""
_NUMBER = r"([-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)"
_RAMP = re.compile(rf"(linear|cosine) {_NUMBER} {_NUMBER} from {_NUMBER} to {_NUMBER}( epochs)?")
_STEPS = re.compile(rf"steps {_NUMBER}((?:, {_NUMBER} at {_NUMBER})+)( epochs)?")


def weight_of(value: float | str, name: str) -> "float | Schedule":
    """A constant weight as it is; a text as the :class:`Schedule` that it describes.

    Examples: ``linear 100 0 from 0.2 to 0.4`` is 100 for a fifth of the run, falls, and is 0 after
    two fifths. ``linear 0 1e-4 from 0 to 100 epochs`` rises over a hundred epochs.
    ``steps 1, 0.1 at 0.5`` is 0.1 in the second half.

    Args:
        value: of the weight, as a config holds it.
        name: of the weight, for messages.

    Raises:
        InputError: the text describes no schedule, or the schedule ends after the run.
    """
    if not isinstance(value, str):
        if not math.isfinite(value):
            raise InputError(f"{name}={value}: give a finite number")
        return value
    text = " ".join(value.split())
    given = f"{name}={one_line(value, 80)!r}"
    if re.fullmatch(_NUMBER, text):
        return float(text)
    if ramp := _RAMP.fullmatch(text):
        kind, low, high, start, end, epochs = ramp.groups()
        times, values = [float(start), float(end)], [float(low), float(high)]
    elif steps := _STEPS.fullmatch(text):
        kind, epochs = "steps", steps[steps.re.groups]
        knots = re.findall(rf"{_NUMBER} at {_NUMBER}", steps[2])
        times, values = [0.0], [float(steps[1])]
        times += [float(time) for _, time in knots]
        values += [float(each) for each, _ in knots]
    else:
        raise InputError(f"{given}: is no weight; give {FORMS}")
    if times[0] < 0 or any(later <= earlier for earlier, later in pairwise(times)):
        raise InputError(
            f"{given}: its times must be 0 or more, and each later than the one before"
        )
    if not epochs and times[-1] > 1:
        raise InputError(
            f"{given}: ends after the run, whose whole is 1; write 'epochs' behind epochs"
        )
    kinds: dict[str, Literal["linear", "cosine", "steps"]] = {
        "linear": "linear",
        "cosine": "cosine",
        "steps": "steps",
    }
    return Schedule(kinds[kind], tuple(times), tuple(values), unit="epochs" if epochs else "share")


def check_schedules(
    weights: Mapping[str, float | Schedule], *, endless: bool, max_epochs: int
) -> None:
    """Raise InputError for a weight whose schedule does not end with the run or before.

    Args:
        weights: of the objective, by name.
        endless: the run has no end, so that a share of it is never reached.
        max_epochs: of the run; -1 for any number.
    """
    for name, weight in weights.items():
        if not isinstance(weight, Schedule):
            continue
        if weight.unit == "share" and endless:
            raise InputError(
                f"{name}: its schedule is in shares of the run, and trainer.max_epochs=-1 has no "
                "end: give trainer.max_epochs or trainer.max_steps, or a schedule in epochs"
            )
        if weight.unit == "epochs" and 0 <= max_epochs < weight.times[-1]:
            raise InputError(
                f"{name}: its schedule ends after {weight.times[-1]:g} epochs, after the run of "
                f"trainer.max_epochs={max_epochs}: give more epochs, or a shorter schedule"
            )
