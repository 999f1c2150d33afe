"""Rules about how a scan was read: from its measurements to what is wrong with the source itself.

The limits were chosen like those of ``rules.py``.
"""

from shapespace.data.check.finding import Finding, Level, finding_about
from shapespace.data.check.measurements import ScanFacts
from shapespace.data.prepare.points import NEIGHBOUR
from shapespace.data.rounding import ROUNDED
from shapespace.errors import one_line

FLAT = 1e-3
"""Thickness below which a scan lies in a plane or on a line. A plate of 1 by 100 has 0.01."""
FAR = 1000.0
"""Distance of the source's origin, in longest sides of the shape, above which it is too far.

Beyond it float32 coordinates of the source are coarser than 0.1 mm in 1.7 m.
"""
REPEATED = 10
"""Times from which on a point of a cloud is repeated, if ``REPEATED_SHARE`` is reached too."""
REPEATED_SHARE = 0.001
"""Share of the points from which on a point of a cloud is repeated."""


def fatal(facts: ScanFacts) -> Finding | None:
    """Return what makes all other measurements of a scan meaningless; None if nothing does."""
    return _unreadable(facts) or _too_few(facts) or _rounded(facts) or _flat(facts)


def findings_of_reading(facts: ScanFacts) -> list[Finding]:
    """List what else is odd about the numbers that were read."""
    found = (_two_dimensions(facts), _left_out(facts), _repeated(facts), _origin(facts))
    return [finding for finding in found if finding is not None]


def _unreadable(facts: ScanFacts) -> Finding | None:
    if not facts.error:
        return None
    remedy = {
        "damaged": "run: shapespace prepare again",
        "no scan": "nothing; prepare skips the file",
        "far": "remove it at the source, or prepare with --clean; prepare skips the scan",
    }.get(facts.error_kind, "repair, replace or remove the scan; prepare skips it")
    level: Level = "note" if facts.error_kind == "no scan" else "error"
    return finding_about(
        facts.name, facts.error_kind, level, measured=one_line(facts.error), remedy=remedy
    )


def _too_few(facts: ScanFacts) -> Finding | None:
    # A mesh is sampled, so that any number of vertices will do.
    if facts.num_points > NEIGHBOUR or facts.border is not None:
        return None
    measured = f"{facts.num_points} points; a cloud needs at least {NEIGHBOUR + 1}"
    remedy = "scan it more densely, or remove it"
    return finding_about(facts.name, "sparse", "error", measured=measured, remedy=remedy)


def _rounded(facts: ScanFacts) -> Finding | None:
    rounded = facts.reading.rounded
    if not rounded.startswith(ROUNDED):
        return None
    remedy = "export it again in double precision, or moved near to the origin"
    return finding_about(facts.name, "rounding", "error", measured=rounded, remedy=remedy)


def _flat(facts: ScanFacts) -> Finding | None:
    if facts.thickness >= FLAT:
        return None
    where = "a plane or on a line" if facts.dimension == 3 else "a line"
    measured = f"all points lie in {where}: thickness {facts.thickness:.1g} of the width"
    remedy = "remove the scan, or prepare it as 2-D"
    return finding_about(facts.name, "flat", "error", measured=measured, remedy=remedy)


def _two_dimensions(facts: ScanFacts) -> Finding | None:
    if facts.dimension != 2 or not facts.reading.from_file:
        return None
    measured = "read as a curve in the plane: two numbers a point"
    remedy = "nothing if it is one; else give the third coordinate, or name the --columns"
    return finding_about(facts.name, "2-D", "note", measured=measured, remedy=remedy)


def _left_out(facts: ScanFacts) -> Finding | None:
    left_out = facts.reading.left_out
    if not left_out:
        return None
    remedy = "nothing if these stand for no measurement; else repair them at the source"
    return finding_about(facts.name, "left out", "note", measured=left_out, remedy=remedy)


def _repeated(facts: ScanFacts) -> Finding | None:
    point = facts.reading.repeated
    if point is None or point.count < max(REPEATED, REPEATED_SHARE * facts.num_points):
        return None
    where = ", ".join(f"{x:.6g}" for x in point.where)
    share = point.count / facts.num_points
    measured = f"one point is there {point.count} times, {share:.1%} of all: ({where})"
    remedy = "remove it at the source if it stands for no measurement, as 0 0 0 of a depth camera"
    return finding_about(facts.name, "repeated", "warning", measured=measured, remedy=remedy)


def _origin(facts: ScanFacts) -> Finding | None:
    # A file of double numbers loses nothing; what float32 has rounded coarsely is an error.
    if facts.origin <= FAR * facts.length or not facts.reading.rounded:
        return None
    times = facts.origin / facts.length
    measured = f"the origin is {times:.3g} sizes away, {FAR:g} is the rule; {facts.reading.rounded}"
    remedy = "export it in double precision, or moved near to its origin"
    return finding_about(facts.name, "origin", "warning", measured=measured, remedy=remedy)
