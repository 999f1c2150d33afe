"""Sections about reconstructions: the gallery with error maps, and the nearest training shapes.

Letters: S training shapes, L code length.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from shapespace.errors import InputError
from shapespace.evaluation.tables import TARGETS, LengthUnit, cell, short_names, titled, unit_shown
from shapespace.rendering.charts import colour_bar
from shapespace.rendering.meshes import ORANGE, Figure, render_grid, save_image
from shapespace.report import html as report
from shapespace.report.cases import Case, ranked, read_case
from shapespace.report.code_statistics import nearest_codes
from shapespace.report.run import RunRecord
from shapespace.space import TrainedSpace
from shapespace.surface.query import field_values

MOST_SHOWN = 6
"""Shapes in a picture, at most."""
MOST_LISTED = 60
"""Rows of the table of nearest training shapes, at most."""
NUM_ENDS = 3
"""Rows of the table of ranks at each end."""
NUM_NEAREST = 64
"""Training shapes, the nearest by code, whose fields are evaluated to find the nearest surface."""
NUM_POINTS = 256
"""Points of a reconstruction at which those fields are evaluated."""
MOST_COLUMNS = 6
"""Columns of the table of ranks, at most."""
HEIGHT = 300
"""Height of each row of a picture, in pixels."""
NUM_GAPS = 200
"""Codes of a large table, at least, that :func:`median_nearest_distance` compares."""


@dataclass(frozen=True)
class NearestShapes:
    """The training shapes that are nearest to a reconstruction.

    Args:
        by_code: The name of the shape with the nearest code.
        code_distance: The distance to that code, in units of :func:`median_nearest_distance`.
        by_surface: The name of the shape with the nearest surface.
        mean_abs_f: The mean |f| of that shape's field f at points of the reconstruction, in the
            unit of the case.
    """

    by_code: str
    code_distance: float
    by_surface: str
    mean_abs_f: float


def reconstructions(
    page: report.Page, record: RunRecord, *, folder: Path, up: str, resolution: int
) -> None:
    """Add a gallery of reconstructions, a table of their ranks, and the nearest training shapes.

    Nothing is added if there are no reconstructions.

    Args:
        page: The page to add to.
        record: The run and its evaluation.
        folder: A folder for temporary pictures.
        up: The axis that points up, "x", "y" or "z".
        resolution: Grid nodes along the longest side for the meshes of training shapes.
    """
    column, part, shapes = ranked(record)
    chosen = [_read(record, shape, part) for shape in _evenly_spaced(shapes, MOST_LISTED)]
    cases = [case for case in chosen if case is not None]
    # Scans of a 2-D space have no meshes, whatever its folder holds.
    if not cases or record.space.decoder.dimension != 3:
        return
    shown = _evenly_spaced(cases, MOST_SHOWN)
    blocks = _gallery(shown, column=column, folder=folder, up=up, unit=record.unit)
    if column:
        blocks.append(_ranks(shapes, part, record.unit))
    ranks = f", ranked by {column} {TARGETS[part]}, the best on the left" if column else ""
    without = len(record.shapes) - len(shapes)
    left_out = f" Left out because they lack this score: {without}." if without else ""
    page.section(
        "Reconstructions, from the best to the worst" if column else "Reconstructions",
        f"{len(shapes)} shapes{ranks}.{left_out} From top to bottom: the raw scan; its "
        f"reconstruction; the error map, which shows {_error_named(shown)}.",
        *blocks,
    )
    _add_nearest_shapes(
        page, record, cases=cases, shown=shown, folder=folder, up=up, resolution=resolution
    )


def _read(record: RunRecord, shape: dict[str, Any], part: str) -> Case | None:
    """A case; None if its mesh is missing or, with a remark, if one of its files is damaged."""
    try:
        return read_case(record, shape, part)
    except InputError as error:
        record.remarks.append(f"{error}.")
        return None


def _error_named(cases: Sequence[Case]) -> str:
    """A phrase that says which distance the error maps show."""
    known = [case.name for case in cases if case.truth is not None]
    surface = "the exact distance of the reconstruction to the true surface"
    scan = "the exact distance of each scan point to the reconstruction"
    if len(known) in (0, len(cases)):
        return surface if known else scan
    return f"{surface} (for {', '.join(known)}) or {scan} (for the others)"


def _gallery(
    cases: Sequence[Case], *, column: str, folder: Path, up: str, unit: LengthUnit
) -> list[str]:
    """The picture of scans, reconstructions and error maps, and its colour bar.

    The labels give the value of ``column``, which is "" if the shapes are not ranked.
    """
    errors = [case.errors for case in cases if case.errors is not None]
    # One scale for all maps. A few outliers of a scan would leave the rest of the map dark, so
    # the scale ends near the 95th percentile and not at the maximum.
    high = _rounded_up(float(np.percentile(np.concatenate(errors), 95))) if errors else 1.0
    rows: list[list[Figure]] = [[], [], []]
    for case in cases:
        value = case.numbers.get(column)
        size = "" if value is None else cell(column, value, unit) + unit_shown(column, unit)
        label = f"{case.name}: {size}" if size else case.name
        for row, figure in zip(rows, (*case.figures(), case.error_map(high, label)), strict=True):
            row.append(figure)
    save_image(render_grid(rows, HEIGHT, up), folder / "cases.png")
    colour_bar(0.0, high, label=f"error in {cases[0].unit}", path=folder / "bar.svg")
    return [
        report.picture(folder / "cases.png", "scan, reconstruction and error map"),
        report.picture(folder / "bar.svg", "colours of the error map"),
    ]


def _ranks(shapes: Sequence[dict[str, Any]], part: str, unit: LengthUnit) -> str:
    """A table of the scores of the best and the worst shapes.

    Args:
        shapes: The scores of all shapes, the best first.
        part: The part of the scores to show.
        unit: The unit of lengths in the scores.
    """
    rows = list(range(len(shapes)))
    if len(rows) > 2 * NUM_ENDS:
        rows = [*rows[:NUM_ENDS], *rows[-NUM_ENDS:]]
    names = (name for shape in shapes for name in shape.get(part) or {})
    columns = short_names(dict.fromkeys(names))[:MOST_COLUMNS]
    header = ["", "rank", *(titled(name, unit) for name in columns)]
    body = []
    for row in rows:
        numbers = shapes[row].get(part) or {}
        cells = [cell(name, numbers.get(name), unit) for name in columns]
        body.append([shapes[row]["name"], f"{row + 1} of {len(shapes)}", *cells])
    return report.table(header, body)


def _add_nearest_shapes(
    page: report.Page,
    record: RunRecord,
    *,
    cases: Sequence[Case],
    shown: Sequence[Case],
    folder: Path,
    up: str,
    resolution: int,
) -> None:
    """Add a table with the nearest training shapes of ``cases`` and a picture for ``shown``."""
    space = record.space
    known = record.facts.get("nearest_training_shape") or {}
    unit_of_codes = median_nearest_distance(space.codes.table.weight.double().cpu().numpy())
    found: dict[str, NearestShapes] = {}
    for case in cases:
        nearest = nearest_shapes(space, case, unit_of_codes, by_surface=known.get(case.name))
        if nearest is not None:
            found[case.name] = nearest
    if not found:
        return
    header = ("", "nearest by code", "code distance", "nearest by surface")
    rows = [
        [name, near.by_code, f"{near.code_distance:.2f}", near.by_surface, f"{near.mean_abs_f:.1f}"]
        for name, near in found.items()
    ]
    pairs = [case for case in shown if case.name in found]
    top = [Figure(case.drawn(case.mesh), label=case.name) for case in pairs]
    bottom = [
        training_figure(space, case, found[case.name].by_surface, resolution=resolution)
        for case in pairs
    ]
    save_image(render_grid([top, bottom], HEIGHT, up), folder / "near.png")
    by_scan = "the points of the scan, as shapespace evaluate found"
    by_code = f"the reconstruction, among the {min(NUM_NEAREST, len(space.names))} nearest by code"
    page.section(
        "Nearest training shapes",
        "Does the space only remember? Below each reconstruction (blue) is the training shape "
        f"(orange) whose surface is nearest to {by_scan if known else by_code}, in the pose of the "
        "reconstruction. A code distance of 1 is the median distance of a training code to the "
        "nearest other one. Mean |f| is that of the training shape's field at points of the "
        "reconstruction.",
        report.picture(folder / "near.png", "reconstructions and their nearest training shapes"),
        report.table((*header, f"mean |f|, {cases[0].unit}"), rows, kind="names"),
    )


def training_figure(space: TrainedSpace, case: Case, name: str, *, resolution: int) -> Figure:
    """A figure of a training shape in the pose of a reconstruction.

    Args:
        space: The space of both shapes.
        case: The reconstruction; its placement must be known.
        name: The name of the training shape.
        resolution: Grid nodes along the longest side of the mesh.
    """
    assert case.placement is not None
    frame, pose = case.placement
    mesh = space.mesh(space.code(name), frame, resolution, pose=pose)
    return Figure(case.drawn(mesh), ORANGE, name)


def nearest_shapes(
    space: TrainedSpace, case: Case, unit_of_codes: float, by_surface: str | None = None
) -> NearestShapes | None:
    """Find the training shapes that are nearest to a reconstruction by code and by surface.

    Args:
        space: The space of the reconstruction.
        case: The reconstruction.
        unit_of_codes: The result of :func:`median_nearest_distance`.
        by_surface: The name of the shape with the nearest surface, if it is known. By default the
            shape with the least mean |f| among the :data:`NUM_NEAREST` nearest by code.

    Returns:
        The nearest shapes, or None if the reconstruction has no surface, or its code or placement
        is unknown or the code has another length than those of the space.
    """
    weight = space.codes.table.weight
    if case.code is None or case.placement is None or not len(case.mesh.vertices):
        return None
    if case.code.shape != weight.shape[1:]:
        return None
    table = weight.double().cpu().numpy()
    rows, gaps = nearest_codes(case.code[None].astype(np.float64), table, NUM_NEAREST)
    known = by_surface in space.names
    candidates = [space.names.index(by_surface)] if known else rows[0].tolist()
    # f / |grad f| where f is no distance, which needs no mesh of each training shape.
    points = case.in_space(case.placement, NUM_POINTS).to(weight)
    mean_abs_f = [
        float(field_values(space.metric, weight[row], points).abs().mean()) for row in candidates
    ]
    best = int(np.argmin(mean_abs_f))
    shown_per_unit = 100.0 if space.unit == "radius" else 1000.0
    return NearestShapes(
        by_code=space.names[rows[0, 0]],
        code_distance=float(gaps[0, 0]) / unit_of_codes,
        by_surface=space.names[candidates[best]],
        # f is measured in the frame of the space, which the pose may have scaled.
        mean_abs_f=shown_per_unit * mean_abs_f[best] / float(case.placement[1].scale),
    )


def median_nearest_distance(table: Float[np.ndarray, "S L"]) -> float:
    """The median distance of a code to the nearest other code; 1 if that is 0 or S is below 2.

    In a large table only :data:`NUM_GAPS` to 2 * :data:`NUM_GAPS` evenly spaced codes are compared
    with all others.
    """
    if len(table) < 2:
        return 1.0
    stride = max(1, len(table) // NUM_GAPS)
    gaps = [
        np.linalg.norm(np.delete(table, row, 0) - table[row], axis=1)
        for row in range(0, len(table), stride)
    ]
    return float(np.median([each.min() for each in gaps])) or 1.0


def _evenly_spaced(items: Sequence, count: int) -> list:
    """At most ``count`` of the items, evenly spaced, the first and the last included."""
    rows = np.linspace(0, len(items) - 1, min(count, len(items))).round().astype(int)
    return [items[row] for row in rows]


def _rounded_up(value: float) -> float:
    """The least of 1, 2, 5, 10, 20, ... that is not below ``value``; 1 if that is not finite."""
    if not 0 < value < float("inf"):
        return 1.0
    power = 10.0 ** np.floor(np.log10(value))
    # The margin keeps a value that is a rounding error above a step on that step.
    return float(next(step * power for step in (1, 2, 5, 10) if step * power >= value * 0.999999))
