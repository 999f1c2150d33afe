"""Sections of a report that show shapes: reconstructions with their errors, and the training shapes
that are nearest to each.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from shapespace.evaluation.tables import SHORT, TARGETS, LengthUnit, cell, titled, unit_shown
from shapespace.rendering.charts import colour_bar
from shapespace.rendering.meshes import ORANGE, Figure, render_grid, save_image
from shapespace.report import html as report
from shapespace.report.cases import Case, ranked, read_case
from shapespace.report.code_statistics import nearest_codes
from shapespace.report.run import RunRecord
from shapespace.space import TrainedSpace
from shapespace.surface.query import field_values

MOST_SHOWN, MOST_LISTED, ENDS = 6, 60, 3
"""Shapes in a picture and in a table of neighbours, and at each end of the table of ranks."""
NEAREST, POINTS = 64, 256
"""Training shapes, nearest by code, that are asked how far they are from so many points."""
MOST_COLUMNS = 6
"""Of the table of ranks."""
HEIGHT = 300


@dataclass(frozen=True)
class NearestShapes:
    """The training shapes next to a reconstruction.

    by_code: the nearest code; gap: its distance, 1 being the median distance of a training code to
    the nearest other. by_surface: the shape whose surface is nearest; off: its mean |f| at
    the reconstruction, in the unit of the case.
    """

    by_code: str
    gap: float
    by_surface: str
    off: float


def reconstructions(
    page: report.Page, record: RunRecord, folder: Path, up: str, resolution: int
) -> None:
    """Best to worst: scan, reconstruction and error; the ranks; the nearest training shapes."""
    column, part, shapes = ranked(record)
    chosen = [read_case(record, shape, part) for shape in _spread(shapes, MOST_LISTED)]
    cases = [case for case in chosen if case is not None]
    if not cases:
        return
    shown = _spread(cases, MOST_SHOWN)
    blocks = _gallery(shown, column, folder, up, record.unit)
    if column:
        blocks.append(_ranks(shapes, part, record.unit))
    ranks = f" ranked by {column} {TARGETS[part]}, the best on the left" if column else ""
    without = len(record.shapes) - len(shapes)
    rest = f" {without} without this number are left out." if without else ""
    page.section(
        "Reconstructions, from the best to the worst" if column else "Reconstructions",
        f"{len(shapes)} shapes{ranks}.{rest} From top to bottom: the raw scan, its reconstruction, "
        f"{_error_named(shown)} in the colours below.",
        *blocks,
    )
    _neighbours(page, record, cases, shown, folder, up, resolution)


def _error_named(cases: Sequence[Case]) -> str:
    """What the lowest row of the gallery shows."""
    known = [case.name for case in cases if case.truth is not None]
    surface = "its exact distance to the true surface"
    scan = "the exact distance of each point of the scan to it"
    if len(known) in (0, len(cases)):
        return surface if known else scan
    return f"{surface} (of {', '.join(known)}) or {scan} (of the others)"


def _gallery(
    cases: Sequence[Case], column: str, folder: Path, up: str, unit: LengthUnit
) -> list[str]:
    """The picture and its colour bar."""
    errors = [case.errors for case in cases if case.errors is not None]
    high = _rounded_up(float(np.percentile(np.concatenate(errors), 95))) if errors else 1.0
    rows: list[list[Figure]] = [[], [], []]
    for case in cases:
        value = case.numbers.get(column)
        size = "" if value is None else cell(column, value, unit) + unit_shown(column, unit)
        label = f"{case.name}: {size}" if size else case.name
        for row, figure in zip(rows, (*case.figures(), case.error_map(high, label)), strict=True):
            row.append(figure)
    save_image(render_grid(rows, HEIGHT, up), folder / "cases.png")
    colour_bar(0.0, high, f"error in {cases[0].unit}", folder / "bar.svg")
    alts = {"cases.png": "scan, reconstruction and error", "bar.svg": "colours of the error"}
    return [report.picture(folder / name, alt) for name, alt in alts.items()]


def _ranks(shapes: Sequence[dict], part: str, unit: LengthUnit) -> str:
    """The numbers of the best and the worst shapes."""
    every = list(range(len(shapes)))
    rows = every if len(every) <= 2 * ENDS else [*every[:ENDS], *every[-ENDS:]]
    having = [name for name in SHORT if any(name in (shape.get(part) or {}) for shape in shapes)]
    having = having[:MOST_COLUMNS]
    header = ["", "rank", *(titled(name, unit) for name in having)]
    body = [
        [
            str(shapes[row]["name"]),
            f"{row + 1} of {len(shapes)}",
            *(cell(name, (shapes[row].get(part) or {}).get(name), unit) for name in having),
        ]
        for row in rows
    ]
    return report.table(header, body)


def _neighbours(
    page: report.Page,
    record: RunRecord,
    cases: Sequence[Case],
    shown: Sequence[Case],
    folder: Path,
    up: str,
    resolution: int,
) -> None:
    """The nearest training shapes of each case: a table of all, a picture of some."""
    space, nearest = record.space, record.facts.get("nearest_training_shape") or {}
    usual = usual_gap(space.codes.table.weight.double().cpu().numpy())
    near = {case.name: neighbours(space, case, usual, nearest.get(case.name)) for case in cases}
    found = {name: each for name, each in near.items() if each is not None}
    if not found:
        return
    header = ("", "nearest by code", "distance", "nearest by surface", f"off, {cases[0].unit}")
    rows = [
        [name, near.by_code, f"{near.gap:.2f}", near.by_surface, f"{near.off:.1f}"]
        for name, near in found.items()
    ]
    pairs = [case for case in shown if case.name in found]
    top = [Figure(case.drawn(case.mesh), label=case.name) for case in pairs]
    bottom = [beside(space, case, found[case.name].by_surface, resolution) for case in pairs]
    save_image(render_grid([top, bottom], HEIGHT, up), folder / "near.png")
    by_card = "by the points of the scan, as shapespace evaluate found it"
    by_code = f"to it, of the {min(NEAREST, len(space.names))} nearest by code"
    page.section(
        "Is it only remembering?",
        "Each reconstruction (blue) and the training shape (orange) whose surface is nearest, "
        f"{by_card if nearest else by_code}; in the pose of the reconstruction. The distance of "
        "codes is in median distances of a training code to its nearest other; off is the mean "
        "|f| of the training shape at points of the reconstruction.",
        report.picture(folder / "near.png", "reconstructions and their nearest training shapes"),
        report.table(header, rows, "names"),
    )


def beside(space: TrainedSpace, case: Case, name: str, resolution: int) -> Figure:
    """A training shape in the pose of a case."""
    assert case.place is not None
    frame, pose = case.place
    mesh = space.mesh(space.code(name), frame, resolution, pose=pose)
    return Figure(case.drawn(mesh), ORANGE, name)


def neighbours(
    space: TrainedSpace, case: Case, usual: float, by_surface: str | None = None
) -> NearestShapes | None:
    """The training shapes next to a case; None if it has no code, no place or no surface.

    usual: as by :func:`usual_gap`. by_surface: the shape nearest by its surface; of those nearest
    by code, by default.
    """
    weight = space.codes.table.weight
    if case.code is None or case.place is None or not len(case.mesh.vertices):
        return None
    if case.code.shape != weight.shape[1:]:
        return None
    table = weight.double().cpu().numpy()
    rows, gaps = nearest_codes(case.code[None].astype(np.float64), table, NEAREST)
    known = by_surface in space.names
    asked = [space.names.index(by_surface)] if known else rows[0].tolist()
    points = case.in_space(case.place, POINTS).to(weight)
    off = [float(field_values(space.decoder, weight[row], points).abs().mean()) for row in asked]
    best = int(np.argmin(off))
    whole = 100.0 if space.unit == "radius" else 1000.0
    return NearestShapes(
        space.names[rows[0, 0]],
        float(gaps[0, 0]) / usual,
        space.names[asked[best]],
        whole * off[best] / float(case.place[1].scale),
    )


def usual_gap(table: np.ndarray) -> float:
    """Median distance of a code to the nearest other; 1 where there is none."""
    if len(table) < 2:
        return 1.0
    gaps = [
        np.linalg.norm(np.delete(table, row, 0) - code, axis=1)
        for row, code in list(enumerate(table))[:: max(1, len(table) // 200)]
    ]
    return float(np.median([each.min() for each in gaps])) or 1.0


def _spread(items: Sequence, count: int) -> list:
    """At most ``count`` of the items, evenly, with both ends."""
    rows = np.linspace(0, len(items) - 1, min(count, len(items))).round().astype(int)
    return [items[row] for row in rows]


def _rounded_up(value: float) -> float:
    """The next of 1, 2, 5, 10, 20 ..., for the end of a scale."""
    if not 0 < value < float("inf"):
        return 1.0
    power = 10.0 ** np.floor(np.log10(value))
    return float(next(step * power for step in (1, 2, 5, 10) if step * power >= value * 0.999999))
