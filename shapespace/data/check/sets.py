"""Findings about scans in comparison with the others: units, rotations, duplicates, dimensions.

Letters: S scans.
"""

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components
from scipy.spatial import KDTree

from shapespace.data.check.finding import Finding
from shapespace.data.check.handedness import find_mirrored
from shapespace.data.check.measurements import ScanFacts
from shapespace.data.check.reading import FLAT
from shapespace.data.check.rotations import axis_before, find_rotated, rotation_in_words
from shapespace.data.units import PER_METRE

TIMES = 5.0
"""A scan more than this times larger or smaller than the median is out of scale."""
SMALL = 20.0
"""A scan that reaches less than the sampling box divided by this is out of scale."""
FILLING = 10.0
"""A unit is suggested if the scan, in that unit, reaches the sampling box divided by this."""
SAME = 1e-6
"""Two scans are the same if none of their moments differ by more, in radii.

Float32 coordinates that are moved and reordered keep their moments to this precision.
"""
KEEPING_SIZES = (
    "if the unit is right, prepare with --normalise common, which keeps the sizes of all, or train "
    "with a smaller box: model.sampler.init_args.extent"
)
"""Remedy for scans that are small, as all are."""
UNIT_NAMES = {"m": "metres", "cm": "centimetres", "mm": "millimetres", "in": "inches"}


@dataclass(frozen=True)
class Setting:
    """The unit and the sampling box that sizes are compared with.

    Args:
        unit: unit that files were taken to be in, or unit of the store.
        extent: half side of the sampling box, in stored units.
    """

    unit: str
    extent: float


def findings_of_set(facts: Sequence[ScanFacts], setting: Setting) -> list[Finding]:
    """Compare every scan with the others and list what is wrong."""
    common = common_dimension(facts)
    read = [scan for scan in facts if not scan.error]
    alike = [scan for scan in read if scan.dimension == common]
    other = [scan for scan in read if scan.dimension != common]
    return [
        *(_other_dimension(scan, common) for scan in other),
        *_scales(alike, setting),
        *_rotated(alike),
        *_mirrored(alike),
        *_duplicates(alike),
    ]


def _other_dimension(scan: ScanFacts, common: int) -> Finding:
    return Finding(
        kind="dimension",
        level="error",
        names=(scan.name,),
        measured=f"{scan.dimension}-D, most are {common}-D",
        remedy="prepare them into a store of their own",
    )


def common_dimension(facts: Sequence[ScanFacts]) -> int:
    """Return the dimension of most scans, 3 if there are none."""
    count = Counter(scan.dimension for scan in facts if not scan.error)
    return count.most_common(1)[0][0] if count else 3


def longest_axes(facts: Sequence[ScanFacts]) -> list[tuple[str, int]]:
    """Count the scans by the axis along which they are longest, most frequent first."""
    return Counter("xyz"[int(np.argmax(scan.size))] for scan in facts if scan.size).most_common()


def _scales(facts: Sequence[ScanFacts], setting: Setting) -> Iterator[Finding]:
    """Find the scans that do not fit the sampling box, or not the size of the others."""
    # Scans that were scaled to radius 1 are all of one size.
    if setting.unit == "radius" or not facts:
        return
    middle = float(np.median([scan.length for scan in facts]))
    for scan in facts:
        small = scan.reach < setting.extent / SMALL
        times = scan.length / middle if middle else 1.0
        odd = not 1 / TIMES <= times <= TIMES
        if scan.reach > setting.extent or small or odd:
            yield _scale(scan, setting, times if odd else None)


def _scale(scan: ScanFacts, setting: Setting, times: float | None) -> Finding:
    """Say how far a scan is out of scale, and which unit would fit.

    ``times`` is its size by the median size, or None if that ratio is ordinary.
    """
    measured = (
        f"size {scan.length:.4g}, reaches {scan.reach:.4g} from its centre; "
        f"the sampling box is ±{setting.extent}"
    )
    if times is not None:
        measured += f"; {times:.3g} times the median size"
    unit = _fitting_unit(scan, setting.extent)
    if unit is not None:
        measured += f": are these {UNIT_NAMES[unit]}?"
    # A unit that was given is believed: all scans may be small.
    believed = scan.reading.per_unit != 1 and times is None and scan.reach <= setting.extent
    if believed:
        remedy = KEEPING_SIZES if unit is None else f"if so, give --unit {unit}; {KEEPING_SIZES}"
    elif setting.extent / SMALL <= scan.reach <= setting.extent:
        remedy = "bring it to the unit of the others, or prepare with --normalise"
    elif unit is None:
        remedy = "prepare with the --unit of the source, or with --normalise"
    elif times is None:
        remedy = f"prepare with --unit {unit}, or with --normalise"
    else:
        remedy = f"bring it to the unit of the others (alone, --unit {unit}), or use --normalise"
    return Finding(
        kind="scale",
        level="warning" if believed else "error",
        names=(scan.name,),
        measured=measured,
        remedy=remedy,
    )


def _fitting_unit(scan: ScanFacts, extent: float) -> str | None:
    """Name the first unit in which the scan would fill a good part of the sampling box.

    The unit that it was prepared with is not named again.
    """
    for unit in ("mm", "cm", "m", "in"):
        converted = scan.reach * scan.reading.per_unit / PER_METRE[unit]
        if scan.reading.per_unit != PER_METRE[unit] and extent / FILLING <= converted <= extent:
            return unit
    return None


def _rotated(facts: Sequence[ScanFacts]) -> Iterator[Finding]:
    """Find the scans that are rotated by right angles. Flat scans are left out."""
    solid = [scan for scan in facts if scan.occupancy is not None and scan.thickness >= FLAT]
    grids = [scan.occupancy for scan in solid if scan.occupancy is not None]
    longest = longest_axes(solid)
    for found in find_rotated(grids):
        axis = "xyz".index(longest[0][0])
        own = axis_before(found.rotation, axis)
        common = "xyz"[axis]
        what = f"{own} is here what {common} is in most"
        if own == common:
            what = f"turned about {common}, along which most are longest"
        # About the longest axis it may be a pose, unless the scan then fits as most others do.
        sure = found.typical or own != common
        remedy = "turn it at the source, or remove it"
        remedy += "" if sure else "; a pose such as lying on one side may be kept"
        yield Finding(
            kind="turned",
            level="error" if sure else "warning",
            names=(solid[found.scan].name,),
            measured=f"{what}: fits the others by {found.rotated_fit:.2f}, not {found.fit:.2f}, "
            f"when turned {rotation_in_words(found.rotation)}",
            remedy=remedy,
        )


def _mirrored(facts: Sequence[ScanFacts]) -> Iterator[Finding]:
    """Find the scans that are mirror images of the others. Flat scans are left out."""
    solid = [scan for scan in facts if scan.principal is not None and scan.thickness >= FLAT]
    found = find_mirrored([scan.principal for scan in solid if scan.principal is not None])
    if not found:
        return
    fit = np.median([mirrored.fit for mirrored in found])
    other = np.median([mirrored.mirrored_fit for mirrored in found])
    yield Finding(
        kind="mirrored",
        level="warning",
        names=tuple(solid[mirrored.scan].name for mirrored in found),
        measured=f"mirror images of the other {len(solid) - len(found)}: they fit by {other:.3f} "
        f"when mirrored, by {fit:.3f} as they are",
        remedy="prepare left and right apart, or mirror one side at the source; one space of both "
        "has to learn two shapes",
    )


def _duplicates(facts: Sequence[ScanFacts]) -> Iterator[Finding]:
    """Group the scans with one hash, or with the same vertices moved or reordered."""
    pairs = np.array(_same_hash(facts) + _same_moments(facts), np.int64).reshape(-1, 2)
    ones = np.ones(len(pairs), bool)
    links = coo_matrix((ones, (pairs[:, 0], pairs[:, 1])), shape=(len(facts), len(facts)))
    group = connected_components(links, directed=False)[1]
    rows_of: defaultdict[int, list[int]] = defaultdict(list)
    for row in np.unique(pairs):
        rows_of[int(group[row])].append(int(row))
    for rows in rows_of.values():
        one_hash = len({facts[row].source_hash for row in rows}) == 1
        yield Finding(
            kind="duplicate",
            level="warning",
            names=tuple(facts[row].name for row in rows),
            measured="the same bytes" if one_hash else "the same points, moved or in another order",
            remedy="remove all but one; across a split they leak",
        )


def _same_hash(facts: Sequence[ScanFacts]) -> list[tuple[int, int]]:
    """Pair each scan with the first one of the same source hash."""
    first: dict[str, int] = {}
    pairs = []
    for row, scan in enumerate(facts):
        if scan.source_hash:
            earlier = first.setdefault(scan.source_hash, row)
            if earlier != row:
                pairs.append((earlier, row))
    return pairs


def _same_moments(facts: Sequence[ScanFacts]) -> list[tuple[int, int]]:
    """Pair the scans whose counts of points and faces and whose moments agree."""
    rows = [i for i, scan in enumerate(facts) if scan.moments and scan.moments[0] > 0]
    if len(rows) < 2:
        return []
    scans = [facts[i] for i in rows]
    keys = np.array([[scan.num_points, scan.num_faces, *scan.moments] for scan in scans])
    # The radius is compared in relative terms, as the other moments are.
    keys[:, 2] = np.log(keys[:, 2])
    return [(rows[a], rows[b]) for a, b in sorted(KDTree(keys).query_pairs(SAME, p=np.inf))]
