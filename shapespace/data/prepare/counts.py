"""What ``prepare`` tells the user about the scans: counts, steps, warnings.

Letters: n points, D dimension.
"""

from dataclasses import dataclass, field

import numpy as np

from shapespace.data.extent import RIM, extent_of
from shapespace.scan import NormalsKind, PreparedScan
from shapespace.utils.timing import Timings

BOX = 1.8
"""Half side of the published sampling box, in stored units (Gropp et al. 2020).

A scan that reaches further is warned of, and so is a scan smaller than a hundredth of the box.
Stray points do not count for what a scan reaches.
"""


@dataclass(frozen=True)
class Stray:
    """The stray points of one scan.

    Args:
        times: distance of the farthest, in radii of the shape.
        share: their share of the points.
        name: the scan's name.
    """

    times: float
    share: float
    name: str


@dataclass
class PrepareCounts:
    """Counts over the scans of one ``prepare``.

    Args:
        names: names of the scans in the store.
        skipped: name and reason of every scan that cannot be used.
        num_points: stored points of all scans together.
        num_reused: scans that an earlier run had finished.
        timings: seconds by step, summed over all workers.
        too_large: largest coordinate and name of every new scan beyond the sampling box.
        too_small: the same of every new scan smaller than a hundredth of the box.
        stray: every new scan with stray points.
        kinds: number of scans by the kind of their normals.
        accounts: name of every scan, and the line that says how it was read.
        metres: the lengths were taken to be metres, which nobody has said otherwise.
        normalised: the scans were scaled to a radius.
        clean: ``--clean`` was given.
    """

    names: list[str] = field(default_factory=list)
    skipped: list[tuple[str, str]] = field(default_factory=list)
    num_points: int = 0
    num_reused: int = 0
    timings: Timings = field(default_factory=Timings)
    too_large: list[tuple[float, str]] = field(default_factory=list)
    too_small: list[tuple[float, str]] = field(default_factory=list)
    stray: list[Stray] = field(default_factory=list)
    kinds: dict[str, int] = field(default_factory=dict)
    accounts: list[tuple[str, str]] = field(default_factory=list)
    metres: bool = True
    normalised: bool = False
    clean: bool = False

    def add(self, scan: PreparedScan) -> None:
        """Count a scan that is written to the store."""
        self.add_stored(scan.name, len(scan.points), scan.normals_kind, scan.account)
        times = extent_of(scan.points).times(scan.points)
        own = times <= RIM
        reach = float(np.abs(scan.points).max(axis=1)[own].max(initial=0.0))
        if not own.all():
            stray = Stray(float(times.max()), float((~own).mean()), scan.name)
            self.stray.append(stray)
        if reach > BOX:
            self.too_large.append((reach, scan.name))
        elif reach < BOX / 100:
            self.too_small.append((reach, scan.name))

    def add_stored(self, name: str, num_points: int, kind: NormalsKind, account: str) -> None:
        """Count a scan that is in the store already and stays there.

        Args:
            name: the scan's name.
            num_points: number of its stored points.
            kind: where its normals come from.
            account: how it was read.
        """
        self.names.append(name)
        self.accounts.append((name, account))
        self.num_points += num_points
        self.kinds[kind] = self.kinds.get(kind, 0) + 1

    def add_timings(self, timings: Timings) -> None:
        """Add the seconds that one scan took."""
        for step, seconds in timings.items():
            self.timings[step] = self.timings.get(step, 0.0) + seconds

    def warnings(self) -> list[str]:
        """Name what the user should look at before training, one line each."""
        lines = []
        for kind in ("none", "estimated-unoriented"):
            count = self.kinds.get(kind, 0)
            if count:
                lines.append(f"scans with normals {kind}: {count}; they train without normals")
        if self.stray:
            lines.append(self._stray())
        box = f"the sampling box of ±{BOX}"
        if self.too_large:
            reach, name = max(self.too_large)
            lines.append(
                f"scans beyond {box}: {len(self.too_large)}, {name!r} reaches {reach:.4g}; "
                f"{self._remedy(large=True)}"
            )
        if self.too_small:
            reach, name = min(self.too_small)
            lines.append(
                f"scans much smaller than {box}: {len(self.too_small)}, {name!r} reaches "
                f"{reach:.4g}; {self._remedy(large=False)}"
            )
        return lines

    def _remedy(self, large: bool) -> str:
        """Say what can be done about the size of a scan, and was not done yet."""
        if self.normalised:
            return "bring it to the unit of the others"
        size = "--normalise, or --normalise common, which keeps sizes"
        if large and self.metres:
            return f"if lengths are millimetres give --unit mm, else {size}"
        return f"check --unit, or give {size}"

    def _stray(self) -> str:
        """Name the scan with the farthest stray points."""
        worst = max(self.stray, key=lambda stray: stray.times)
        remedy = "remove what is not the shape" + ("" if self.clean else ", or give --clean")
        return (
            f"scans with stray points: {len(self.stray)}, of {worst.name!r} {worst.share:.2%} of "
            f"the points lie beyond {RIM:g} radii, up to {worst.times:.3g} radii away; {remedy}"
        )

    def why_empty(self) -> str:
        """Say on one line why no scan could be used."""
        reasons = "; ".join(reason for _, reason in sorted(self.skipped)[:3])
        return reasons or "no scan was selected; check scans and every"
