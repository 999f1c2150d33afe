"""What is wrong with scans beside the others: units, turns, duplicates, dimensions.

Letters: S scans.
"""

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components
from scipy.spatial import KDTree

from shapespace.data.check.measurements import ScanFacts
from shapespace.data.check.rotations import axis_here, find_turns, turn_in_words
from shapespace.data.check.rules import FLAT, Finding
from shapespace.data.units import PER_METRE

TIMES = 5.0
"""A scan is out of scale if it is so many times larger or smaller than the median."""
SMALL = 20.0
"""A scan is too small if the sampling box is so many times larger."""
SAME = 1e-6
"""Two scans are the same if their moments differ by less, in radii."""
UNIT_NAMES = {"m": "metres", "cm": "centimetres", "mm": "millimetres", "in": "inches"}


@dataclass(frozen=True)
class Setting:
    """What the scans are measured against.

    unit: that files were taken to be in, or that of a store. extent: half side of the sampling box.
    """

    unit: str
    extent: float


def findings_of_set(facts: Sequence[ScanFacts], setting: Setting) -> list[Finding]:
    """What is wrong with scans beside the others, by kind and then by name."""
    common = common_dimension(facts)
    read = [f for f in facts if not f.error]
    alike = [f for f in read if f.dimension == common]
    other = [f for f in read if f.dimension != common]
    return [
        *(_other_dimension(scan, common) for scan in other),
        *_scales(alike, setting),
        *_turns(alike),
        *_duplicates(alike),
    ]


def _other_dimension(scan: ScanFacts, common: int) -> Finding:
    rule = f"{scan.dimension}-D, most are {common}-D"
    remedy = "prepare them into a store of their own"
    return Finding("dimension", "error", (scan.name,), rule, remedy)


def common_dimension(facts: Sequence[ScanFacts]) -> int:
    """The dimension of most scans, 3 if there are none."""
    count = Counter(f.dimension for f in facts if not f.error)
    return count.most_common(1)[0][0] if count else 3


def longest_axes(facts: Sequence[ScanFacts]) -> list[tuple[str, int]]:
    """Along which axis scans are longest, and how many; most frequent first."""
    return Counter("xyz"[int(np.argmax(f.size))] for f in facts if f.size).most_common()


def _scales(facts: Sequence[ScanFacts], setting: Setting) -> Iterator[Finding]:
    if setting.unit == "radius" or not facts:
        return
    middle = float(np.median([f.length for f in facts]))
    for scan in facts:
        small = scan.reach < setting.extent / SMALL
        times = scan.length / middle if middle else 1.0
        odd = not 1 / TIMES <= times <= TIMES
        if scan.reach > setting.extent or small or odd:
            yield _scale(scan, setting, times if odd else None)


def _scale(scan: ScanFacts, setting: Setting, times: float | None) -> Finding:
    """Say how far a scan is out of scale, and which unit would fit."""
    rule = (
        f"size {scan.length:.4g}, reaches {scan.reach:.4g} from its centre; "
        f"the sampling box is ±{setting.extent}"
    )
    if times is not None:
        rule += f"; {times:.3g} times the median size"
    unit = _fitting(scan.reach, setting)
    fits = setting.extent / SMALL <= scan.reach <= setting.extent
    if fits:
        remedy = "bring it to the unit of the others, or prepare with --normalise"
    elif unit is None:
        remedy = "prepare with the --unit of the source, or with --normalise"
    elif times is None:
        rule += f": are these {UNIT_NAMES[unit]}?"
        remedy = f"prepare with --unit {unit}, or with --normalise"
    else:
        rule += f": are these {UNIT_NAMES[unit]}?"
        remedy = f"bring it to the unit of the others (alone, --unit {unit}), or use --normalise"
    return Finding("scale", "error", (scan.name,), rule, remedy)


def _fitting(reach: float, setting: Setting) -> str | None:
    """The unit in which the scan would fill a good part of the sampling box."""
    given = setting.unit
    for unit in ("mm", "cm", "m", "in"):
        there = reach * PER_METRE[given] / PER_METRE[unit]
        if unit != given and setting.extent / 10 <= there <= setting.extent:
            return unit
    return None


def _turns(facts: Sequence[ScanFacts]) -> Iterator[Finding]:
    solid = [f for f in facts if f.occupancy is not None and f.thickness >= FLAT]
    grids = [f.occupancy for f in solid if f.occupancy is not None]
    longest = longest_axes(solid)
    for turn in find_turns(grids):
        axis = "xyz".index(longest[0][0])
        here, there = axis_here(turn.rotation, axis), "xyz"[axis]
        what = f"{here} is here what {there} is in most"
        if here == there:
            what = f"turned about {there}, along which most are longest"
        rule = (
            f"{what}: fits the others by {turn.turned_fit:.2f}, not {turn.fit:.2f}, "
            f"when turned {turn_in_words(turn.rotation)}"
        )
        sure = turn.typical or here != there
        remedy = "turn it at the source, or remove it"
        remedy += "" if sure else "; a pose such as lying on one side may be kept"
        level = "error" if sure else "warning"
        yield Finding("turned", level, (solid[turn.scan].name,), rule, remedy)


def _duplicates(facts: Sequence[ScanFacts]) -> Iterator[Finding]:
    """Groups of scans with one hash, or with the same vertices but for their order and place."""
    pairs = np.array(_same_hash(facts) + _same_moments(facts), np.int64).reshape(-1, 2)
    ones = np.ones(len(pairs), bool)
    links = coo_matrix((ones, (pairs[:, 0], pairs[:, 1])), shape=(len(facts), len(facts)))
    group = connected_components(links, directed=False)[1]
    rows_of: defaultdict[int, list[int]] = defaultdict(list)
    for row in np.unique(pairs):
        rows_of[int(group[row])].append(int(row))
    remedy = "remove all but one; across a split they leak"
    for rows in rows_of.values():
        one = len({facts[row].source_hash for row in rows}) == 1
        what = "the same bytes" if one else "the same points, moved or in another order"
        names = tuple(facts[row].name for row in rows)
        yield Finding("duplicate", "warning", names, what, remedy)


def _same_hash(facts: Sequence[ScanFacts]) -> list[tuple[int, int]]:
    first: dict[str, int] = {}
    found = [(first.setdefault(f.source_hash, i), i) for i, f in enumerate(facts) if f.source_hash]
    return [(a, b) for a, b in found if a != b]


def _same_moments(facts: Sequence[ScanFacts]) -> list[tuple[int, int]]:
    rows = [i for i, scan in enumerate(facts) if scan.moments and scan.moments[0] > 0]
    if len(rows) < 2:
        return []
    keys = np.array([[f.num_points, f.num_faces, *f.moments] for f in (facts[i] for i in rows)])
    keys[:, 2] = np.log(keys[:, 2])
    return [(rows[a], rows[b]) for a, b in sorted(KDTree(keys).query_pairs(SAME, p=np.inf))]
