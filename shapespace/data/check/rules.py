"""Rules: from the measurements of one scan to what is wrong with it, and the remedy.

The limits were chosen on registered and raw scans of people and animals and on planted faults.
Clean scans stay well below each limit, planted faults lie well above. The numbers beside the limits
are those of such scans. A scan at or below a limit has no finding, unless the limit says otherwise.
"""

from collections.abc import Callable

from shapespace.data.check.finding import Finding, finding_about
from shapespace.data.check.measurements import Component, ScanFacts
from shapespace.data.check.reading import fatal, findings_of_reading
from shapespace.data.spacing import LARGE

OFF_CENTRE = 0.02
"""Distance of the mean from the centre, in longest sides, above which a scan is not centred.

``prepare`` centres every scan: the store was changed afterwards, or made in another way.
"""
OPPOSED = 0.05
"""Share of opposite normals above which the normals are inconsistent.

Clean scans have 0.008 at most, a scan with half of all normals flipped has 0.5.
"""
BOUNDARY = 0.002
"""Share of opposite normals above which a region may be flipped; ``REGION`` has to be exceeded too.

The border of a flipped region has 0.003 at least, raw scans 0.0001, meshes that cut themselves
0.008: alone it would report the last.
"""
REGION = 0.2
"""Share of inward outermost points above which a region may be flipped; so has ``BOUNDARY``.

Clean scans have 0.16 at most, a flipped half 0.27 at least, a flipped fifth 0.1 to 0.6.
"""
INWARD = 0.65
"""Share of inward outermost points above which all normals are flipped, if ``outward`` is negative.

Scans whose normals all point inward have 0.84 at least. A body that is seen from one side has only
0.68, with no neighbours opposed.
"""
WHOLE = 0.8
"""Share of inward outermost points above which a scan is flipped as a whole, not in a region."""
OPEN = 0.2
"""Length of the mean normal above which views from one side are missing.

Raw scans have 0.04, scans of three cameras 0.07, of one camera 0.7.
"""
RAW = 0.05
"""Share of boundary edges above which a mesh is a raw scan, whose borders are not worth a note.

Raw scans have 0.09 to 0.2.
"""
SPARSE = 0.1
"""Median sigma, in longest sides of the shape, above which a scan is sparse.

People at 250 000 points have 0.006.
"""
UNEVEN = 100.0
"""Area that a point stands for, 95th by 5th percentile, above which a scan is uneven.

Vertices of registered people have 27.
"""
UNKNOWN = 0.05
"""Share of zero normals above which a scan is reported. Training uses the others."""
STRAY = 0.001
"""Share of isolated points from which on they are clutter. Clean scans have up to 0.0007."""
STRAY_GAP = 10.0
"""Gap of an isolated point in median spacings from which on it is clutter. Clean: up to 5."""


def findings_of(facts: ScanFacts, extent: float) -> list[Finding]:
    """List what is wrong with one scan on its own, except for its scale.

    ``extent`` is half the side of the sampling box, in stored units.
    """
    found = fatal(facts)
    if found is not None:
        return [found]
    rules: tuple[Callable[[ScanFacts], Finding | None], ...] = (
        _centre,
        _density,
        _unevenness,
        _holes,
        _normals,
        _unknown_normals,
        _odd_normals,
        _large_components,
        _open_borders,
    )
    own = [*(rule(facts) for rule in rules), _clutter(facts, extent)]
    return findings_of_reading(facts) + [finding for finding in own if finding is not None]


def _centre(facts: ScanFacts) -> Finding | None:
    if facts.offset <= OFF_CENTRE * facts.length:
        return None
    measured = f"the mean lies {facts.offset:.3g} from the centre; 0 is the rule"
    remedy = "run: shapespace prepare again"
    return finding_about(facts.name, "centre", "warning", measured=measured, remedy=remedy)


def _density(facts: ScanFacts) -> Finding | None:
    if facts.sigma is None or facts.sigma <= SPARSE * facts.length:
        return None
    measured = (
        f"{facts.num_points} points, the 50th neighbour at {facts.sigma / facts.length:.2g} of the "
        f"size; below {SPARSE} is the rule"
    )
    remedy = "scan or sample it more densely"
    return finding_about(facts.name, "sparse", "warning", measured=measured, remedy=remedy)


def _unevenness(facts: ScanFacts) -> Finding | None:
    if facts.uneven is None or facts.uneven <= UNEVEN:
        return None
    measured = f"a point stands for an area that varies {facts.uneven:.0f} times"
    remedy = "sample it evenly; prepare does for meshes"
    return finding_about(facts.name, "uneven", "note", measured=measured, remedy=remedy)


def _holes(facts: ScanFacts) -> Finding | None:
    # Normals that are wrong themselves say nothing about holes.
    if facts.openness is None or facts.openness <= OPEN or any(_flipped(facts)):
        return None
    measured = (
        f"the mean normal has length {facts.openness:.2f} (0 if closed, 0.5 of a half ball); "
        f"seen from {_signed_axis(facts.away)}, open to the other side"
    )
    remedy = "add views from the other side, or expect made-up surface there"
    return finding_about(facts.name, "holes", "warning", measured=measured, remedy=remedy)


def _flipped(facts: ScanFacts) -> tuple[str, str]:
    """Say how the normals are wrong: the kind and the measured line, both "" if they are right."""
    if facts.opposed is None or facts.inward is None or facts.outward is None:
        return "", ""
    outermost = f"the outermost points look inward in {facts.inward:.0%} of all directions"
    if facts.opposed > OPPOSED:
        what = f"{facts.opposed:.0%} of neighbours on one sheet look to opposite sides"
        return "inconsistent normals", what
    # Flipped as a whole, a mesh that cuts itself has opposite neighbours, too.
    whole = facts.inward > WHOLE and facts.outward < 0
    if not whole and facts.inward > REGION and facts.opposed > BOUNDARY:
        what = f"{outermost}, and {facts.opposed:.2%} of neighbours to opposite sides"
        return "inconsistent normals", f"{what}: a region is flipped"
    if facts.inward > INWARD and facts.outward < 0:
        return "flipped", outermost
    return "", ""


def _normals(facts: ScanFacts) -> Finding | None:
    if facts.normals_kind == "none":
        remedy = "prepare estimates normals for clouds; without any, the normal term is not used"
        return finding_about(facts.name, "no normals", "note", measured="no normals", remedy=remedy)
    if facts.normals_kind == "estimated-unoriented":
        measured = "estimated, their side is unknown"
        remedy = "not used in training; give the camera positions, or a mesh"
        return finding_about(facts.name, "unoriented", "note", measured=measured, remedy=remedy)
    kind, measured = _flipped(facts)
    if not kind:
        return None
    remedy = {
        "flipped": "turn all normals, of a mesh the winding of its faces: outward is the rule",
        "inconsistent normals": "orient the normals anew, of a mesh the winding of its faces, or "
        "prepare without them",
    }[kind]
    return finding_about(facts.name, kind, "error", measured=measured, remedy=remedy)


def _unknown_normals(facts: ScanFacts) -> Finding | None:
    if facts.unknown_normals <= UNKNOWN:
        return None
    measured = f"{facts.unknown_normals:.0%} of the normals are zero, so unknown; 5 % is the rule"
    remedy = "give them at the source; the normal term is used where they are known"
    return finding_about(facts.name, "unknown normals", "warning", measured=measured, remedy=remedy)


def _odd_normals(facts: ScanFacts) -> Finding | None:
    if not facts.odd_normals:
        return None
    measured = f"{facts.odd_normals:.0%} of the normals have not length 1"
    remedy = "run: shapespace prepare again"
    return finding_about(facts.name, "normals", "warning", measured=measured, remedy=remedy)


def _open_borders(facts: ScanFacts) -> Finding | None:
    if not facts.border_loops or facts.border is None or facts.border > RAW:
        return None
    measured = f"{facts.border_loops} open borders, {facts.border:.2%} of the edges have one face"
    remedy = "nothing if the shape is open there; else close the holes: the mesh is not watertight"
    return finding_about(facts.name, "open borders", "note", measured=measured, remedy=remedy)


def _large_components(facts: ScanFacts) -> Finding | None:
    large = [component for component in facts.pieces if component.share >= LARGE]
    if not large:
        return None
    shares = ", ".join(
        f"{component.share:.0%} at {component.gap:.1f} spacings" for component in large
    )
    measured = f"{len(large)} large parts apart from the largest: {shares}"
    remedy = "none if the shape has parts; else they were cut off by a shadow, or do not belong"
    return finding_about(facts.name, "parts", "note", measured=measured, remedy=remedy)


def _clutter(facts: ScanFacts, extent: float) -> Finding | None:
    """Report what is not the shape: small components, isolated points, points beyond the box."""
    small = [component for component in facts.pieces if component.share < LARGE]
    stray = facts.isolated >= STRAY or facts.isolated_gap >= STRAY_GAP
    # A shape that itself leaves the box is out of scale, see sets.py.
    outside = facts.reach_all > extent >= facts.reach
    if not (small or stray or outside):
        return None
    measured = []
    if small:
        measured.append(_small_components(small))
    if stray:
        measured.append(
            f"isolated points {facts.isolated:.2%}, up to {facts.isolated_gap:.3g} spacings away"
        )
    if outside:
        measured.append(f"stray points reach {facts.reach_all:.4g}, beyond the box of ±{extent}")
    remedy = (
        "prepare with --clean, or remove what is not the shape at the source; a hand that a shadow "
        "cut off may be kept: leave --clean out"
    )
    if facts.reading.cleaned:
        remedy = "--clean took it for the shape: remove it at the source, unless it is"
    return finding_about(
        facts.name, "clutter", "warning", measured="; ".join(measured), remedy=remedy
    )


def _small_components(small: list[Component]) -> str:
    gaps = [component.gap for component in small]
    share = sum(component.share for component in small)
    return (
        f"pieces apart {len(small)}, {share:.2%} of the points, "
        f"gaps {min(gaps):.1f} to {max(gaps):.1f} spacings"
    )


def _signed_axis(direction: tuple[float, ...]) -> str:
    """Name the axis nearest to ``direction``, as in "+z"."""
    axis = max(range(len(direction)), key=lambda i: abs(direction[i]))
    return ("-" if direction[axis] < 0 else "+") + "xyz"[axis]
