"""The result of a training step, the judgement of it, the means of an epoch, and the metrics file.

The module makes a :class:`StepResult` of each step. The divergence monitor judges it and writes a
:class:`Verdict`. The checkpoint callback, which is given the same verdict, reads it.
"""

import csv
import io
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

from shapespace.errors import InputError, one_line
from shapespace.utils.files import read_inside

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
            finite.
        offending_rows: rows of the scans whose own loss or gradient is not finite.
    """

    terms: Mapping[str, float]
    num_scans: int
    taken: bool
    offending_rows: tuple[int, ...] = ()


@dataclass
class Verdict:
    """The judgement of the last step, written by the divergence monitor.

    Args:
        diverging: whether the weights are not worth a checkpoint: the last loss was a spike, or no
            step was taken since the spike.
    """

    diverging: bool = False


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
