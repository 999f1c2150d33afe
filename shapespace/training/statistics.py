"""The result of a training step, the judgement of it, the means of an epoch, and the metrics file.

The module makes a :class:`StepResult` of each step. The divergence monitor judges it and writes a
:class:`Verdict`. The checkpoint callback, which is given the same verdict, reads it.
"""

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from statistics import median_low

from shapespace.errors import InputError, one_line
from shapespace.utils.files import read_inside

FIRST = 50
"""Number of first steps whose losses say what a loss of this training is."""
ORDERS = 100.0
"""A scan stands out if its loss is above this many times the losses of the first steps."""
NOT_FINITE = "its loss or gradient is not finite"
STANDS_OUT = f"a loss in it is more than {ORDERS:g} times those of the first steps"
METRICS = "metrics.csv"
"""File of a run folder with one row for each epoch."""
PREVIEWS = "previews"
"""Folder of a run folder with pictures of some shapes now and then."""
MOST_ROWS, MOST_COLUMNS = 1_000_000, 64
"""Most rows and columns of a metrics file that is read."""


@dataclass(frozen=True)
class StepResult:
    """The result of one step, the same on all ranks.

    Args:
        terms: mean loss and mean terms over the scans of all ranks.
        num_scans: number of those scans.
        taken: whether decoder and codes moved. They do not move if the loss or the gradient is not
            finite, or if the loss of a scan stands out.
        offending_rows: rows of the scans whose own loss or gradient is not finite, or stands out.
        reason: why the step was not taken.
    """

    terms: Mapping[str, float]
    num_scans: int
    taken: bool
    offending_rows: tuple[int, ...] = ()
    reason: str = NOT_FINITE


@dataclass
class Verdict:
    """The judgement of the last step, written by the divergence monitor.

    Args:
        diverging: whether the weights are not worth a checkpoint: the last loss was a spike, or no
            step was taken since the spike.
    """

    diverging: bool = False


@dataclass
class Validated:
    """The errors of the held-out scans, written by the validation.

    Args:
        columns: names of the errors in the metrics; empty if nothing is validated.
        values: errors by column after the epoch that ends; empty if it was not validated.
        lowest: the error of ``best.ckpt``.
    """

    columns: tuple[str, ...] = ()
    values: dict[str, float] = field(default_factory=dict)
    lowest: float = float("inf")

    def take(self, values: dict[str, float]) -> None:
        """Take the errors of the epoch that ends."""
        self.values = values

    def forget(self) -> None:
        """Begin an epoch without errors."""
        self.values = {}

    @property
    def error(self) -> float:
        """The mean of the errors that are numbers; infinite if there is none."""
        known = [value for value in self.values.values() if value == value]
        return sum(known) / len(known) if known else float("inf")

    def row(self) -> dict[str, float | str]:
        """The cells of the metrics, in every epoch the same columns; "" where not validated."""
        return {name: self.values.get(name, "") for name in self.columns}


@dataclass
class EpochMeans:
    """Running means of an epoch, over the scans of the steps that were taken.

    Args:
        sums: sum over scans of the loss and of each term.
        num_scans: number of scans in the sums.
        refused: number of steps that were not taken.
    """

    sums: dict[str, float] = field(default_factory=dict)
    num_scans: int = 0
    refused: int = 0

    def add(self, result: StepResult) -> None:
        """Add one step."""
        if not result.taken:
            # A step without scans, all of them excluded, is no refused step.
            self.refused += result.num_scans > 0
            return
        for name, value in result.terms.items():
            self.sums[name] = self.sums.get(name, 0.0) + value * result.num_scans
        self.num_scans += result.num_scans

    def values(self) -> dict[str, float]:
        """Mean loss and terms by name; empty before the first step."""
        return {name: value / max(self.num_scans, 1) for name, value in self.sums.items()}


@dataclass
class FirstLosses:
    """The losses of the first steps, by which a scan is found whose loss stands out by orders.

    A scan that is far away or in another unit has a huge loss, though a finite one. A single step
    with it would spoil the moments of the optimisers for thousands of steps. The first losses are
    those of a decoder that knows no shape, so that a new or difficult scan is below them later.

    Args:
        values: median over the scans of a step, for the first steps.
        odd: rows that stood out in the last step.
    """

    values: list[float] = field(default_factory=list)
    odd: list[int] = field(default_factory=list)

    def are_needed(self, mean: float, num_scans: int) -> bool:
        """Whether the losses of a step's scans have to be known, the same on all ranks."""
        # No scan is above the sum of the losses, so that most steps need no look at their scans.
        needed = num_scans > 0 and (
            len(self.values) < FIRST or mean * num_scans > ORDERS * _level(self.values)
        )
        if not needed:
            self.odd = []
        return needed

    def standing_out(self, losses: Mapping[int, float]) -> tuple[int, ...]:
        """The rows of scans that are not to move the weights, from the finite loss of each scan.

        If most scans of a step stand out, the weights are at fault, and no scan is. So they are if
        the scans of two steps in a row do.
        """
        found = list(losses.values())
        level = _level(self.values or found)
        odd = [row for row, loss in losses.items() if loss > ORDERS * level > 0]
        alone = len(losses) == 1 and set(self.odd) <= set(odd) and bool(self.values)
        self.odd = odd
        blamed = odd if 2 * len(odd) <= len(losses) or alone else []
        if not blamed and len(self.values) < FIRST and found:
            self.values.append(median_low(found))
        return tuple(sorted(blamed))


def _level(losses: Sequence[float]) -> float:
    """Median and median absolute deviation of losses, together; 0 without any."""
    if not losses:
        return 0.0
    # Of two losses the lower one counts: a loss may be too high by orders, hardly too low.
    middle = median_low(losses)
    return middle + median_low([abs(loss - middle) for loss in losses])


def read_metrics(path: Path) -> list[dict[str, str]]:
    """Read the rows of a metrics file; an incomplete last row is left out, a missing file is [].

    Raises:
        InputError: the file is a symbolic link, no regular file, or damaged.
    """
    content = read_inside(path.parent, path.name)
    try:
        return [] if content is None else metrics_of(content.decode("utf-8"))
    except ValueError as error:
        raise InputError(f"{path}: is damaged ({one_line(error)}); remove it") from error


def metrics_of(text: str) -> list[dict[str, str]]:
    """The rows of the text of a metrics file; ValueError if it is no table of usual size."""
    try:
        reader = csv.DictReader(io.StringIO(text, newline=""))
        columns = reader.fieldnames or []
        if len(columns) > MOST_COLUMNS:
            raise ValueError(f"more than {MOST_COLUMNS} columns")
        rows = list(islice(reader, MOST_ROWS + 1))
    except csv.Error as error:
        raise ValueError(str(error)) from error
    if len(rows) > MOST_ROWS:
        raise ValueError(f"more than {MOST_ROWS} rows")
    return [row for row in rows if None not in row.values() and None not in row]
