"""From what was measured of each scan to what is wrong with it, and what to do about it.

The numbers were chosen on registered and raw scans of people and animals and on planted faults:
clean scans stay well below each, planted faults lie well above.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from shapespace.data.check.measurements import ScanFacts
from shapespace.data.prepare.points import NEIGHBOUR
from shapespace.errors import one_line

Level = Literal["error", "warning", "note"]
FLAT = 1e-3
"""Thickness below which a scan lies in a plane or on a line; a plate of 1 by 100 has 0.01."""
OPPOSED = 0.05
"""Share of opposite neighbours: 0.008 at most in clean scans, 0.5 if half of all are flipped."""
BOUNDARY, REGION = 0.002, 0.2
"""Opposite neighbours at the border of a flipped region (0.003 at least; raw scans 0.0001, meshes
that cut themselves 0.008), and share of the outermost points that look inward: clean 0.16 at most,
a flipped half 0.27 at least, a flipped fifth 0.1 to 0.6. Only both together are told."""
INWARD, WHOLE = 0.65, 0.8
"""Share of the outermost points that look inward where all normals do: 0.84 at least, but 0.68 of a
body seen from one side, where no neighbours are opposed."""
OPEN = 0.2
"""Mean normal of the area: raw scans 0.04, three cameras 0.07, one camera 0.7."""
RAW = 0.05
"""Share of border edges above which a mesh is a raw scan, open as such (they have 0.09 to 0.2)."""
SPARSE = 0.1
"""Noise scale in longest sides of the shape; people at 250 000 points have 0.006."""
UNEVEN = 100.0
"""Area a point stands for, 95th by 5th percentile; vertices of registered people have 27."""
FAR = 1000.0
"""Distance of the origin in longest sides from which on float32 is coarser than 0.1 mm in 1.7 m."""
STRAY, STRAY_GAP = 0.001, 10.0
"""Share of isolated points, and their gap in spacings, that are told; clean up to 0.0007 and 5."""


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong. level: "error" says that training should not start.

    kind: a word or two, the same for all findings of a sort. names: the scans. measured: one line
    with the numbers and the rule. remedy: what to do.
    """

    kind: str
    level: Level
    names: tuple[str, ...]
    measured: str
    remedy: str


def findings_of(facts: ScanFacts, extent: float) -> list[Finding]:
    """What is wrong with one scan by itself, its scale apart. extent: half side of the box."""
    name = (facts.name,)
    if facts.error:
        again = "repair, replace or remove the scan; prepare skips it"
        remedy = "run: shapespace prepare again" if facts.error_kind == "damaged" else again
        return [Finding(facts.error_kind, "error", name, one_line(facts.error), remedy)]
    if facts.num_points <= NEIGHBOUR and facts.border is None:
        rule = f"{facts.num_points} points; a cloud needs at least {NEIGHBOUR + 1}"
        return [Finding("sparse", "error", name, rule, "scan it more densely, or remove it")]
    if facts.thickness < FLAT:
        shape = "a plane or on a line" if facts.dimension == 3 else "a line"
        rule = f"all points lie in {shape}: thickness {facts.thickness:.1g} of the width"
        return [Finding("flat", "error", name, rule, "remove the scan, or prepare it as 2-D")]
    rules: tuple[Callable[[ScanFacts], Finding | None], ...] = (
        _centre,
        _origin,
        _density,
        _unevenness,
        _holes,
        _normals,
        _unknown_normals,
        _odd_normals,
        _pieces,
        _borders,
    )
    found = [*(rule(facts) for rule in rules), _clutter(facts, extent)]
    return [finding for finding in found if finding is not None]


def _centre(facts: ScanFacts) -> Finding | None:
    if facts.offset <= 0.02 * facts.length:
        return None
    rule = f"the mean lies {facts.offset:.3g} from the centre; 0 is the rule"
    return Finding("centre", "warning", (facts.name,), rule, "run: shapespace prepare again")


def _origin(facts: ScanFacts) -> Finding | None:
    if facts.origin <= FAR * facts.length:
        return None
    times = facts.origin / facts.length
    rule = f"the origin is {times:.3g} sizes away; from {FAR:g} on, float32 rounds visibly"
    return Finding("origin", "warning", (facts.name,), rule, "move the source near to its origin")


def _density(facts: ScanFacts) -> Finding | None:
    if facts.sigma is None or facts.sigma <= SPARSE * facts.length:
        return None
    rule = (
        f"{facts.num_points} points, the 50th neighbour at {facts.sigma / facts.length:.2g} of the "
        f"size; below {SPARSE} is the rule"
    )
    return Finding("sparse", "warning", (facts.name,), rule, "scan or sample it more densely")


def _unevenness(facts: ScanFacts) -> Finding | None:
    if facts.uneven is None or facts.uneven <= UNEVEN:
        return None
    rule = f"a point stands for an area that varies {facts.uneven:.0f} times"
    remedy = "sample it evenly; prepare does for meshes"
    return Finding("uneven", "note", (facts.name,), rule, remedy)


def _holes(facts: ScanFacts) -> Finding | None:
    if facts.openness is None or facts.openness <= OPEN or any(_flipped(facts)):
        return None
    rule = (
        f"the mean normal has length {facts.openness:.2f} (0 if closed, 0.5 of a half ball); "
        f"seen from {_side(facts.away)}, open to the other side"
    )
    remedy = "add views from the other side, or expect made-up surface there"
    return Finding("holes", "warning", (facts.name,), rule, remedy)


def _flipped(facts: ScanFacts) -> tuple[str, str]:
    """How the normals are wrong, as kind and measured line; both "" if they are not."""
    if facts.opposed is None or facts.inward is None or facts.outward is None:
        return "", ""
    outermost = f"the outermost points look inward in {facts.inward:.0%} of all directions"
    if facts.opposed > OPPOSED:
        what = f"{facts.opposed:.0%} of neighbours on one sheet look to opposite sides"
        return "inconsistent normals", what
    whole = facts.inward > WHOLE and facts.outward < 0
    if not whole and facts.inward > REGION and facts.opposed > BOUNDARY:
        what = f"{outermost}, and {facts.opposed:.2%} of neighbours to opposite sides"
        return "inconsistent normals", f"{what}: a region is flipped"
    if facts.inward > INWARD and facts.outward < 0:
        return "flipped", outermost
    return "", ""


def _normals(facts: ScanFacts) -> Finding | None:
    name = (facts.name,)
    if facts.normals_kind == "none":
        remedy = "prepare estimates normals for clouds; without any, the normal term is not used"
        return Finding("no normals", "note", name, "no normals", remedy)
    if facts.normals_kind == "estimated-unoriented":
        remedy = "not used in training; give the camera positions, or a mesh"
        return Finding("unoriented", "note", name, "estimated, their side is unknown", remedy)
    kind, measured = _flipped(facts)
    if not kind:
        return None
    remedy = {
        "flipped": "turn all normals, of a mesh the winding of its faces: outward is the rule",
        "inconsistent normals": "orient the normals anew, of a mesh the winding of its faces, or "
        "prepare without them",
    }[kind]
    return Finding(kind, "error", name, measured, remedy)


def _unknown_normals(facts: ScanFacts) -> Finding | None:
    if facts.unknown_normals <= 0.05:
        return None
    rule = f"{facts.unknown_normals:.0%} of the normals are zero, so unknown; 5 % is the rule"
    remedy = "give them at the source; the normal term is used where they are known"
    return Finding("unknown normals", "warning", (facts.name,), rule, remedy)


def _odd_normals(facts: ScanFacts) -> Finding | None:
    if not facts.odd_normals:
        return None
    rule = f"{facts.odd_normals:.0%} of the normals have not length 1"
    return Finding("normals", "warning", (facts.name,), rule, "run: shapespace prepare again")


def _borders(facts: ScanFacts) -> Finding | None:
    if not facts.border_loops or facts.border is None or facts.border > RAW:
        return None
    rule = f"{facts.border_loops} open borders, {facts.border:.2%} of the edges have one face"
    remedy = "nothing if the shape is open there; else close the holes: the mesh is not watertight"
    return Finding("open borders", "note", (facts.name,), rule, remedy)


def _pieces(facts: ScanFacts) -> Finding | None:
    large = [piece for piece in facts.pieces if piece.share >= 0.05]
    if not large:
        return None
    shares = ", ".join(f"{piece.share:.0%} at {piece.gap:.1f} spacings" for piece in large)
    rule = f"{len(large)} large parts apart from the largest: {shares}"
    remedy = "none if the shape has parts; else they were cut off by a shadow, or do not belong"
    return Finding("parts", "note", (facts.name,), rule, remedy)


def _clutter(facts: ScanFacts, extent: float) -> Finding | None:
    small = [piece for piece in facts.pieces if piece.share < 0.05]
    stray = facts.isolated >= STRAY or facts.isolated_gap >= STRAY_GAP
    outside = facts.reach_all > extent >= facts.reach
    if not (small or stray or outside):
        return None
    parts = []
    if small:
        gaps = [piece.gap for piece in small]
        share = sum(piece.share for piece in small)
        parts.append(
            f"pieces apart {len(small)}, {share:.2%} of the points, "
            f"gaps {min(gaps):.1f} to {max(gaps):.1f} spacings"
        )
    if stray:
        parts.append(
            f"isolated points {facts.isolated:.2%}, up to {facts.isolated_gap:.3g} spacings away"
        )
    if outside:
        parts.append(f"stray points reach {facts.reach_all:.4g}, beyond the box of ±{extent}")
    remedy = "remove what is not the shape; a hand cut off by a shadow may be kept"
    return Finding("clutter", "warning", (facts.name,), "; ".join(parts), remedy)


def _side(away: tuple[float, ...]) -> str:
    axis = max(range(len(away)), key=lambda i: abs(away[i]))
    return ("-" if away[axis] < 0 else "+") + "xyz"[axis]
