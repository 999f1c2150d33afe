"""What came of a training step, and the means of an epoch."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Report:
    """One step, the same on all ranks.

    terms: mean loss and terms over the scans of all ranks. num_scans: how many those are. taken:
    whether decoder and codes moved; they do not where the loss or a gradient is not finite.
    culprits: rows of the scans whose loss or gradient alone is not finite.
    """

    terms: Mapping[str, float]
    num_scans: int
    taken: bool
    culprits: tuple[int, ...] = ()


@dataclass
class Means:
    """Means over the scans of the steps of an epoch, kept as exact sums."""

    sums: dict[str, float] = field(default_factory=dict)
    num_scans: int = 0

    def add(self, report: Report) -> None:
        """One more step."""
        for name, value in report.terms.items():
            self.sums[name] = self.sums.get(name, 0.0) + value * report.num_scans
        self.num_scans += report.num_scans

    def values(self) -> dict[str, float]:
        """The means; nothing before the first step."""
        return {name: value / self.num_scans for name, value in self.sums.items()}
