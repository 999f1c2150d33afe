"""The report of a check: findings and statistics of the set, as text and as JSON."""

import json
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from itertools import groupby
from typing import Any

import numpy as np

from shapespace.data.check.finding import Finding
from shapespace.data.check.measurements import ScanFacts
from shapespace.data.check.sets import common_dimension, longest_axes
from shapespace.errors import one_line

SHOWN = 10
"""Number of scans that are named for each kind of finding and remedy."""
LEVELS = ("error", "warning", "note")
"""Levels of findings, the gravest first."""
Column = Callable[[ScanFacts], float | None]
COLUMNS: dict[str, Column] = {
    "longest side": lambda f: f.length or None,
    "reach from centre": lambda f: f.reach or None,
    "points": lambda f: f.num_points,
    "sigma / size": lambda f: f.sigma / f.length if f.sigma and f.length else None,
    "openness": lambda f: f.openness,
    "border edges": lambda f: f.border,
    "pieces apart": lambda f: len(f.pieces),
}
"""Rows of the table of percentiles: title and value of one scan, None where it has none."""


@dataclass(frozen=True)
class CheckReport:
    """The outcome of a check; ``str`` gives the lines for the user.

    Args:
        path: the path as given.
        is_store: whether it is a store, else files.
        unit: unit of stored lengths; of files, the unit that they were taken to be in.
        extent: half side of the sampling box, in stored units.
        facts: measurements of the scans, sorted by name.
        findings: findings, errors first, then by kind and name.
    """

    path: str
    is_store: bool
    unit: str
    extent: float
    facts: tuple[ScanFacts, ...]
    findings: tuple[Finding, ...]

    @property
    def ok(self) -> bool:
        """True if training may start: there is no error."""
        return not any(finding.level == "error" for finding in self.findings)

    @property
    def strict_ok(self) -> bool:
        """True if there is neither an error nor a warning."""
        return all(finding.level == "note" for finding in self.findings)

    def __str__(self) -> str:
        read = [facts for facts in self.facts if not facts.error]
        lines = [self._header(), *(_summary(read) if read else [])]
        for _, group in groupby(self.findings, key=lambda f: (f.level, f.kind)):
            lines += ["", *_group(list(group))]
        return "\n".join([*lines, "", self._verdict()])

    def as_json(self) -> str:
        """Write facts and findings as JSON, with the keys of ``ScanFacts`` and ``Reading``."""
        hidden = ("occupancy", "principal", "moments")
        facts = []
        for scan in self.facts:
            fields = {key: value for key, value in asdict(scan).items() if key not in hidden}
            reading = fields.pop("reading")
            facts.append(fields | reading)
        content = {
            "path": self.path,
            "is_store": self.is_store,
            "unit": self.unit,
            "extent": self.extent,
            "ok": self.ok,
            "strict_ok": self.strict_ok,
            "findings": [asdict(finding) for finding in self.findings],
            "scans": facts,
        }
        return json.dumps(_rounded(content), indent=1, allow_nan=False)

    def _header(self) -> str:
        what = "store" if self.is_store else "files"
        dimension = common_dimension(self.facts)
        return (
            f"{one_line(self.path)}: {what}, scans {len(self.facts)}, dimension {dimension}, "
            f"unit {self.unit}, sampling box ±{self.extent:g}"
        )

    def _verdict(self) -> str:
        count = Counter(finding.level for finding in self.findings)
        found = ", ".join(_counted(count[level], level) for level in LEVELS if count[level])
        if not self.ok:
            return f"{found}: training should not start"
        return f"ready to train ({found or 'nothing found'})"


def _rounded(value: Any) -> Any:
    """Round the numbers of plain data to six digits. Further digits depend on the threads."""
    if isinstance(value, float):
        return float(f"{value:.6g}")
    if isinstance(value, dict):
        return {key: _rounded(item) for key, item in value.items()}
    return [_rounded(item) for item in value] if isinstance(value, list | tuple) else value


def _summary(facts: list[ScanFacts]) -> list[str]:
    """Describe the set: percentiles, kinds of normals, longest axes."""
    lines = [f"{'percentiles':18s}{'5':>10s}{'50':>10s}{'95':>10s}"]
    for title, column in COLUMNS.items():
        values = [value for value in (column(scan) for scan in facts) if value is not None]
        if values:
            low, middle, high = np.percentile(values, [5, 50, 95])
            lines.append(f"{title:18s}{low:10.4g}{middle:10.4g}{high:10.4g}")
    lines.append(f"normals: {_counts(Counter(f.normals_kind for f in facts).most_common())}")
    lines.append(f"longest along: {_counts(longest_axes(facts))}")
    return lines


def _group(findings: list[Finding]) -> list[str]:
    """Describe the findings of one kind: each remedy, and the first scans that need it."""
    level = findings[0].level
    kind = findings[0].kind
    scans = len({name for finding in findings for name in finding.names})
    lines = [f"{level.upper()} {kind}: {_counted(scans, 'scan')}"]
    by_remedy: defaultdict[str, list[Finding]] = defaultdict(list)
    for finding in findings:
        by_remedy[finding.remedy].append(finding)
    for remedy, group in by_remedy.items():
        lines.append(f"  to do: {remedy}")
        lines += [f"    {_names(f.names)}: {one_line(f.measured)}" for f in group[:SHOWN]]
        if len(group) > SHOWN:
            lines.append(f"    and {len(group) - SHOWN} more")
    return lines


def by_severity(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """Sort findings: errors first, then warnings, then notes; by kind, then by name."""
    return tuple(sorted(findings, key=lambda f: (LEVELS.index(f.level), f.kind, f.names)))


def _names(names: tuple[str, ...]) -> str:
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(one_line(name, 80) for name in names[:SHOWN]) + more


def _counts(pairs: Iterable[tuple[str, int]]) -> str:
    return ", ".join(f"{what} {count}" for what, count in pairs)


def _counted(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"
