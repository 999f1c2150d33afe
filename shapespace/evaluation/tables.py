"""Scores as tables of text for people: lengths in millimetres where the space is in metres.

A *part* is a group of columns of the scores of one shape: "registration" (distances to the true
surface), "scan" (distances to the raw scan), "mesh", "fit" and "seconds".
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from shapespace.baselines.poisson import DEPTHS
from shapespace.evaluation.bootstrap import Summary
from shapespace.evaluation.definitions import LABELLED, LETTERS, Kind, definition, sentences
from shapespace.evaluation.scores import Scores, columns, summary
from shapespace.utils.text import aligned, significant

LengthUnit = Literal["m", "none"]
"""The unit of all lengths: metres, or none where the unit is unknown."""
IN_MM: dict[Kind, tuple[float, str]] = {
    "length": (1e3, " mm"),
    "squared length": (1e6, " mm2"),
    "area": (1.0, " m2"),
    "volume": (1e3, " l"),
}
"""Kind of a number in metres -> the factor to the unit in which it is printed, and that unit."""
TARGETS = {"registration": "to the true surface", "scan": "to the raw scan"}
"""Part -> the surface to which its distances are measured."""


@dataclass(frozen=True)
class TableColumn:
    """One column of a short table.

    Args:
        title: heading of the column.
        part: part of the scores that holds the number.
        column: name of the number in that part.
    """

    title: str
    part: str
    column: str


DISTANCES = (
    TableColumn("chamfer", "registration", "chamfer_half_unsquared"),
    TableColumn("point-to-mesh", "registration", "point_to_mesh"),
    TableColumn("accuracy", "registration", "accuracy_exact"),
    TableColumn("completeness", "registration", "completeness_exact"),
    TableColumn("hausdorff", "registration", "hausdorff"),
    TableColumn("F 5 mm", "registration", "fscore_5mm"),
    TableColumn("normals", "registration", "normal_consistency"),
    TableColumn("IoU", "registration", "volume_iou"),
)
SCAN = (
    TableColumn("scan median", "scan", "completeness_exact_median"),
    TableColumn("scan mean", "scan", "completeness_exact"),
)
REGIONS = (
    TableColumn("seen", "registration", "point_to_mesh_seen"),
    TableColumn("not seen", "registration", "point_to_mesh_unseen"),
    TableColumn("seen share", "registration", "seen_share"),
)
MESH = (
    TableColumn("watertight", "mesh", "watertight"),
    TableColumn("components", "mesh", "components"),
)
EFFORT = (TableColumn("fit s", "seconds", "fit"), TableColumn("mesh s", "seconds", "mesh"))
POISSON = "poisson"
"""Begin of the prefix of screened Poisson, which ends with its depth."""
BASELINES = (
    ("nearest", "nearest training shape"),
    ("mean", "mean shape"),
    *((f"{POISSON}{depth}", f"screened Poisson, depth {depth}") for depth in DEPTHS),
)
"""For each baseline, the prefix of its parts (nearest_registration, nearest_scan) and its title."""


def formatted(value: float, kind: Kind, unit: LengthUnit = "m") -> str:
    """Format a number of the scores, without its unit.

    Args:
        value: in metres, square metres or cubic metres if it has a unit; NaN gives "-".
        kind: kind of the number, which decides digits and printed unit.
        unit: unit of all lengths; with "m" the value is converted by :data:`IN_MM`.
    """
    if math.isnan(value):
        return "-"
    if kind == "yes or no":
        return "yes" if value == 1 else "NO" if value == 0 else f"{100 * value:.0f} %"
    if kind == "share":
        return f"{value:.3f}"
    if kind == "seconds":
        return f"{value:.2f}"
    if kind == "count":
        return significant(value, 4) if value % 1 or math.isinf(value) else f"{value:.0f}"
    if unit == "none":
        return significant(value, 4)
    scaled = value * IN_MM[kind][0]
    return f"{scaled:.2f}" if kind == "length" else significant(scaled, 4)


def unit_name(kind: Kind, unit: LengthUnit) -> str:
    """Unit in which numbers of a kind are printed, after a space; "" for a number without one."""
    if kind == "seconds":
        return " s"
    return IN_MM[kind][1] if unit == "m" and kind in IN_MM else ""


def short_rows(
    all_scores: Sequence[Scores], table_columns: Sequence[TableColumn], unit: LengthUnit = "m"
) -> list[list[str]]:
    """Rows of a short table: the titles, one row for each shape, and the median of all shapes.

    Args:
        all_scores: scores of the shapes, in the order of the rows.
        table_columns: columns after the name of the shape.
        unit: unit of all lengths.
    """
    titles = ["mm" if unit == "m" else "", *(each.title for each in table_columns)]
    rows = [
        [scores.name, *(_cell(scores, each, unit) for each in table_columns)]
        for scores in all_scores
    ]
    found = summary(all_scores)
    medians = ["median", *(_median_cell(found, each, unit) for each in table_columns)]
    return [titles, *rows, medians]


def short_table(
    all_scores: Sequence[Scores], table_columns: Sequence[TableColumn], unit: LengthUnit = "m"
) -> str:
    """The rows of :func:`short_rows` as aligned text, with the definition of each column below.

    Args:
        all_scores: scores of the shapes, in the order of the rows.
        table_columns: columns after the name of the shape.
        unit: unit of all lengths.
    """
    rows = short_rows(all_scores, table_columns, unit)
    return "\n".join([*aligned(rows), "", *short_legend(table_columns)])


def short_legend(table_columns: Sequence[TableColumn]) -> list[str]:
    """The letters of the formulas, then a line with the definition of each column."""
    lines = [
        f"{each.title} = {each.part}.{each.column}: {definition(each.column).text}"
        for each in table_columns
    ]
    return [LETTERS, *lines]


def scores_head(all_scores: Sequence[Scores], unit: LengthUnit = "m") -> str:
    """A short table of all shapes, and the medians of the baselines where there are any."""
    # A dict of None is an ordered set.
    present = dict.fromkeys(columns(all_scores))
    parts = [column for part, column in present if part == "registration"]
    shown = (*DISTANCES, *REGIONS, *labelled(parts), *SCAN, *MESH, *EFFORT)
    table_columns = [each for each in shown if (each.part, each.column) in present]
    blocks = [aligned(short_rows(all_scores, table_columns, unit)), _baselines(all_scores, unit)]
    return "\n\n".join("\n".join(block) for block in blocks if block)


def labelled(names: Iterable[str]) -> tuple[TableColumn, ...]:
    """The columns of labelled parts among the names of columns, in their order."""
    known = {each.column for each in REGIONS}
    return tuple(
        TableColumn(name.removeprefix(LABELLED), "registration", name)
        for name in dict.fromkeys(names)
        if name.startswith(LABELLED) and name not in known
    )


def short_names(names: Iterable[str]) -> list[str]:
    """Which columns a report shows at once, in their order; the others open with a click."""
    names = list(names)
    shown = (*DISTANCES, *REGIONS, *labelled(names), *SCAN)
    wanted = dict.fromkeys([*(each.column for each in shown), "sampling_floor"])
    return [name for name in wanted if name in names]


def scores_text(all_scores: Sequence[Scores], unit: LengthUnit = "m", seed: int = 0) -> str:
    """All scores as text: :func:`scores_head`, the summary of every column, every definition.

    Args:
        all_scores: scores of the shapes.
        unit: unit of all lengths.
        seed: seed of the bootstrap of the intervals.
    """
    blocks = [scores_head(all_scores, unit).splitlines()]
    for part, items in summary(all_scores, seed).items():
        title = [f"{part}, {len(all_scores)} shapes", "5 %", "50 %", "95 %", "mean"]
        rows = [[*title, "95 % of median", "95 % of mean"]]
        rows += [_summary_row(column, item, unit) for column, item in items.items()]
        blocks.append(aligned(rows))
    meanings = sentences(column for _, column in columns(all_scores)).items()
    blocks.append([LETTERS, *(f"{column}: {text}" for column, text in meanings)])
    return "\n\n".join("\n".join(block) for block in blocks if block)


FIRST = ("point_to_mesh", "chamfer_half_unsquared", "hausdorff")
"""Distances that a comparison begins with."""


def pair_table(all_scores: Sequence[Scores], unit: LengthUnit = "m") -> str:
    """A table with a row for each number and a column for each shape, for a few shapes.

    Each row ends with the definition of its number. The numbers that say most stand first.
    """
    rows = [["", "", *(scores.name for scores in all_scores)]]
    texts = [""]
    found = list(columns(all_scores))
    first = _first([column for _, column in found])
    found.sort(key=lambda each: first.index(each[1]) if each[1] in first else len(first))
    for part, column in found:
        known = definition(column)
        cells = [formatted(scores.value(part, column), known.kind, unit) for scores in all_scores]
        rows.append([column, unit_name(known.kind, unit).strip(), *cells])
        texts.append(known.text)
    lines = aligned(rows, left=2)
    lines = [f"{line}  {text}".rstrip() for line, text in zip(lines, texts, strict=True)]
    head = 1 + len(first)
    return "\n".join([*lines[:head], "", *lines[head:], "", LETTERS])


def _first(names: Sequence[str]) -> list[str]:
    """The columns that a comparison begins with: of the F-scores, that of the middle threshold."""
    fscores = [name for name in names if name.startswith("fscore_")]
    wanted = [*FIRST, *fscores[len(fscores) // 2 :][:1], "normal_consistency"]
    return [name for name in wanted if name in names]


def _cell(scores: Scores, shown: TableColumn, unit: LengthUnit) -> str:
    return formatted(scores.value(shown.part, shown.column), definition(shown.column).kind, unit)


def _median_cell(found: dict[str, dict[str, Summary]], shown: TableColumn, unit: LengthUnit) -> str:
    """The median over shapes; for yes or no, how many of the shapes say yes."""
    item = found.get(shown.part, {}).get(shown.column)
    kind = definition(shown.column).kind
    if item is None:
        return "-"
    if kind == "yes or no":
        return f"{round(item.mean * item.shapes)}/{item.shapes}"
    return formatted(item.p50, kind, unit)


def _baselines(all_scores: Sequence[Scores], unit: LengthUnit) -> list[str]:
    """Lines with the medians of the space and of each baseline; none without a baseline."""
    found = summary(all_scores)
    names = found.get("registration", {})
    shown = [
        each
        for each in (*DISTANCES, *REGIONS, *labelled(names), *SCAN)
        if each.column in found.get(each.part, {})
    ]
    best = best_poisson(
        {
            part: {column: item.p50 for column, item in items.items()}
            for part, items in found.items()
        }
    )
    prefixes = [("", "the space"), *((f"{prefix}_", title) for prefix, title in BASELINES)]
    rows = [["median", *(each.title for each in shown)]]
    for prefix, title in prefixes:
        table_columns = [TableColumn(each.title, prefix + each.part, each.column) for each in shown]
        if any(each.part in found for each in table_columns):
            mark = " (best)" if prefix == f"{best}_" else ""
            rows.append(
                [title + mark, *(_median_cell(found, each, unit) for each in table_columns)]
            )
    return aligned(rows) if len(rows) > 2 else []


POISSON_COLUMNS = {
    "point_to_mesh": "as a whole",
    "point_to_mesh_seen": "where seen",
    "point_to_mesh_unseen": "where not seen",
}
"""Column in which the space is compared with screened Poisson -> its words."""
RANKING = (("registration", "point_to_mesh"), ("scan", "completeness_exact"))
"""Part and column that tell which screened Poisson is best; the first that exists does."""


def best_poisson(medians: Mapping[str, Mapping[str, float]]) -> str:
    """The prefix of the best screened Poisson by its median; "" without one.

    Args:
        medians: part -> column -> median over the shapes.
    """
    for part, column in RANKING:
        known = {
            prefix: medians[f"{prefix}_{part}"][column]
            for prefix in (f"{POISSON}{depth}" for depth in DEPTHS)
            if column in medians.get(f"{prefix}_{part}", {})
        }
        if known:
            return min(known, key=known.__getitem__)
    return ""


def poisson_text(all_scores: Sequence[Scores]) -> list[str]:
    """In how many shapes the space is nearer to the truth than the better depth of each shape."""
    won = []
    for column, words in POISSON_COLUMNS.items():
        pairs = [
            (
                scores.value("registration", column),
                min(scores.value(f"{POISSON}{depth}_registration", column) for depth in DEPTHS),
            )
            for scores in all_scores
        ]
        known = [(mine, theirs) for mine, theirs in pairs if not math.isnan(mine + theirs)]
        if known:
            nearer = sum(mine < theirs for mine, theirs in known)
            won.append(f"{words} on {nearer} of {len(known)} scans")
    if not won:
        return []
    return [f"the space is nearer than screened Poisson at its better depth: {', '.join(won)}"]


def _summary_row(column: str, item: Summary, unit: LengthUnit) -> list[str]:
    kind = definition(column).kind
    # The mean of yes and no over shapes is a share.
    printed_kind: Kind = "share" if kind == "yes or no" else kind
    numbers = [
        formatted(value, printed_kind, unit) for value in (item.p5, item.p50, item.p95, item.mean)
    ]
    intervals = [
        "-" if ends is None else " to ".join(formatted(end, printed_kind, unit) for end in ends)
        for ends in (item.median_ci, item.mean_ci)
    ]
    return [f"{column}{unit_name(kind, unit)}", *numbers, *intervals]


def titled(column: str, unit: LengthUnit = "m") -> str:
    """Name of a column with the unit in which the column is printed."""
    name = unit_shown(column, unit).strip()
    return f"{column}, {name}" if name else column


def unit_shown(column: str, unit: LengthUnit = "m") -> str:
    """Unit in which a column is printed on a page, after a no-break space; "" without a unit."""
    kind = _kind(column)
    return "" if kind is None else unit_name(kind, unit).replace("2", "²").replace(" ", "\u00a0")


def cell(column: str, value: Any, unit: LengthUnit = "m") -> str:
    """Format a value of scores.json for a page.

    Args:
        column: name of the number; one that this version does not know is formatted by
            :func:`number`.
        value: a number, a pair of numbers (an interval), "inf", a bool, or None. For a column of
            kind "yes or no", a number is the share of shapes that say yes.
        unit: unit of all lengths.
    """
    if isinstance(value, list | tuple):
        return " to ".join(cell(column, each, unit) for each in value)
    kind = _kind(column)
    if kind is None or isinstance(value, bool) or value is None or not np.isfinite(float(value)):
        return number(value)
    return formatted(float(value), "share" if kind == "yes or no" else kind, unit)


def number(value: Any) -> str:
    """Format a number of unknown kind for a page: three significant figures, "–" for no value.

    A page keeps trailing zeros, writes thousands in full and infinity as a sign; tables of text
    use :func:`shapespace.utils.text.significant`.
    """
    if value is None or isinstance(value, bool):
        return {None: "–", True: "yes", False: "no"}[value]
    found = float(value)
    if not np.isfinite(found):
        return "–" if np.isnan(found) else "∞"
    if isinstance(value, int) or abs(found) >= 1000:
        return f"{found:.0f}"
    return f"{found:#.3g}".removesuffix(".")


def _kind(column: str) -> Kind | None:
    """Kind of a column; None for a column that this version does not know."""
    try:
        return definition(column).kind
    except KeyError:
        return None
