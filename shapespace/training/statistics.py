"""What came of a training step, and the means of an epoch."""

import csv
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

METRICS = "metrics.csv"


@dataclass(frozen=True)
class StepResult:
    """One step, the same on all ranks.

    terms: mean loss and terms over the scans of all ranks. num_scans: how many those are. taken:
    whether decoder and codes moved; they do not where the loss or a gradient is not finite.
    culprits: rows of the scans whose loss or gradient alone is not finite.
    """

    terms: Mapping[str, float]
    num_scans: int
    taken: bool
    offending_rows: tuple[int, ...] = ()


@dataclass
class EpochMeans:
    """Means over the scans of an epoch's steps that were taken; refused: steps that were not."""

    sums: dict[str, float] = field(default_factory=dict)
    num_scans: int = 0
    refused: int = 0

    def add(self, report: StepResult) -> None:
        """One more step."""
        if not report.taken:
            self.refused += report.num_scans > 0  # with all scans left out there was no step
            return
        for name, value in report.terms.items():
            self.sums[name] = self.sums.get(name, 0.0) + value * report.num_scans
        self.num_scans += report.num_scans

    def values(self) -> dict[str, float]:
        """The means; nothing before the first step."""
        return {name: value / max(self.num_scans, 1) for name, value in self.sums.items()}


def read_metrics(path: Path) -> list[dict[str, str]]:
    """The whole rows of a metrics file, none if it is missing."""
    if not path.exists():
        return []
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    return [row for row in rows if None not in row.values() and None not in row]
