"""Scores as text for people: millimetres where lengths are metres."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from shapespace.evaluation.bootstrap import Summary
from shapespace.evaluation.definitions import LETTERS, Kind, definition, sentences
from shapespace.evaluation.scores import Scores, columns, summary
from shapespace.utils.text import aligned

LengthUnit = Literal["m", "none"]
"""Metres, or a unit that nobody named."""
IN_MM: dict[Kind, tuple[float, str]] = {
    "length": (1e3, " mm"),
    "squared length": (1e6, " mm2"),
    "area": (1.0, " m2"),
    "volume": (1e3, " l"),
}
TARGETS = {"registration": "to the true surface", "scan": "to the raw scan"}


@dataclass(frozen=True)
class Short:
    """One column of a short table: its title, and where in the scores its number lies."""

    title: str
    part: str
    column: str


DISTANCES = (
    Short("chamfer", "registration", "chamfer_half_unsquared"),
    Short("point-to-mesh", "registration", "point_to_mesh"),
    Short("accuracy", "registration", "accuracy_exact"),
    Short("completeness", "registration", "completeness_exact"),
    Short("hausdorff", "registration", "hausdorff"),
    Short("F 5 mm", "registration", "fscore_5mm"),
    Short("normals", "registration", "normal_consistency"),
    Short("IoU", "registration", "volume_iou"),
)
SCAN = (
    Short("scan median", "scan", "completeness_exact_median"),
    Short("scan mean", "scan", "completeness_exact"),
)
SHORT = tuple(dict.fromkeys([*(short.column for short in (*DISTANCES, *SCAN)), "sampling_floor"]))
"""Columns of the scores that are shown at once; the others open with a click."""
MESH = (Short("watertight", "mesh", "watertight"), Short("parts", "mesh", "components"))
EFFORT = (Short("fit s", "seconds", "fit"), Short("mesh s", "seconds", "mesh"))
BASELINES = (("nearest", "nearest training shape"), ("mean", "mean shape"))
"""Prefix of the parts of a baseline, and what it is called."""


def shown(value: float, kind: Kind, unit: LengthUnit = "m") -> str:
    """A number as it is read, without its unit."""
    if math.isnan(value):
        return "-"
    if kind == "yes or no":
        return "yes" if value == 1 else "NO" if value == 0 else f"{100 * value:.0f} %"
    if kind in ("share", "seconds"):
        return f"{value:.3f}" if kind == "share" else f"{value:.2f}"
    if kind == "count":
        return f"{value:.4g}" if value % 1 or math.isinf(value) else f"{value:.0f}"
    if unit == "m":
        scaled = value * IN_MM[kind][0]
        return f"{scaled:.2f}" if kind == "length" else f"{scaled:.4g}"
    return f"{value:.4g}"


def unit_name(kind: Kind, unit: LengthUnit) -> str:
    """The unit of a shown number; nothing where there is none."""
    if kind == "seconds":
        return " s"
    return IN_MM[kind][1] if unit == "m" and kind in IN_MM else ""


def short_rows(
    all_scores: Sequence[Scores], shorts: Sequence[Short], unit: LengthUnit = "m"
) -> list[list[str]]:
    """Title row, a row a shape, and the median as the last."""
    rows = [["mm" if unit == "m" else "", *(short.title for short in shorts)]]
    rows += [
        [scores.name, *(_cell(scores, short, unit) for short in shorts)] for scores in all_scores
    ]
    found = summary(all_scores)
    return [*rows, ["median", *(_of_all(found, short, unit) for short in shorts)]]


def short_table(
    all_scores: Sequence[Scores], shorts: Sequence[Short], unit: LengthUnit = "m"
) -> str:
    """A line a shape and the median, and below it what each column is."""
    rows = short_rows(all_scores, shorts, unit)
    return "\n".join([*aligned(rows), "", *short_legend(shorts)])


def short_legend(shorts: Sequence[Short]) -> list[str]:
    """What each column of a short table is, a line each."""
    lines = [f"{s.title} = {s.part}.{s.column}: {definition(s.column).text}" for s in shorts]
    return [LETTERS, *lines]


def scores_head(all_scores: Sequence[Scores], unit: LengthUnit = "m") -> str:
    """A line a shape, their median, and the medians of baselines if there are any."""
    having = set(columns(all_scores))
    shorts = [
        short
        for short in (*DISTANCES, *SCAN, *MESH, *EFFORT)
        if (short.part, short.column) in having
    ]
    blocks = [aligned(short_rows(all_scores, shorts, unit)), _baselines(all_scores, unit)]
    return "\n\n".join("\n".join(block) for block in blocks if block)


def scores_text(all_scores: Sequence[Scores], unit: LengthUnit = "m", seed: int = 0) -> str:
    """:func:`scores_head`, every number over shapes, and what each is; seed: of intervals."""
    blocks = [scores_head(all_scores, unit).splitlines()]
    for part, items in summary(all_scores, seed).items():
        title = [f"{part}, {len(all_scores)} shapes", "5 %", "50 %", "95 %", "mean"]
        rows = [[*title, "95 % of median", "95 % of mean"]]
        rows += [_summary_row(column, item, unit) for column, item in items.items()]
        blocks.append(aligned(rows))
    meanings = sentences(column for _, column in columns(all_scores)).items()
    blocks.append([LETTERS, *(f"{column}: {text}" for column, text in meanings)])
    return "\n\n".join("\n".join(block) for block in blocks if block)


def pair_table(all_scores: Sequence[Scores], unit: LengthUnit = "m") -> str:
    """A row a number, a column a shape, what each number is at the end of its row."""
    rows = [["", "", *(scores.name for scores in all_scores)]]
    texts = [""]
    for part, column in columns(all_scores):
        known = definition(column)
        cells = [shown(scores.value(part, column), known.kind, unit) for scores in all_scores]
        rows.append([column, unit_name(known.kind, unit).strip(), *cells])
        texts.append(known.text)
    lines = aligned(rows, left=2)
    lines = [f"{line}  {text}".rstrip() for line, text in zip(lines, texts, strict=True)]
    return "\n".join([*lines, "", LETTERS])


def _cell(scores: Scores, short: Short, unit: LengthUnit) -> str:
    return shown(scores.value(short.part, short.column), definition(short.column).kind, unit)


def _of_all(found: dict[str, dict[str, Summary]], short: Short, unit: LengthUnit) -> str:
    item, kind = found.get(short.part, {}).get(short.column), definition(short.column).kind
    if item is None:
        return "-"
    if kind == "yes or no":
        return f"{round(item.mean * item.shapes)}/{item.shapes}"
    return shown(item.p50, kind, unit)


def _baselines(all_scores: Sequence[Scores], unit: LengthUnit) -> list[str]:
    """Medians of the space and of what it must beat."""
    found = summary(all_scores)
    kinds = [("", "the space")] + [(f"{prefix}_", title) for prefix, title in BASELINES]
    rows = [["median", *(short.title for short in (*DISTANCES, *SCAN))]]
    for prefix, title in kinds:
        parts = [Short(s.title, prefix + s.part, s.column) for s in (*DISTANCES, *SCAN)]
        if any(part.part in found for part in parts):
            rows.append([title, *(_of_all(found, part, unit) for part in parts)])
    return aligned(rows) if len(rows) > 2 else []


def _summary_row(column: str, item: Summary, unit: LengthUnit) -> list[str]:
    kind = definition(column).kind
    as_share: Kind = "share" if kind == "yes or no" else kind
    numbers = [shown(value, as_share, unit) for value in (item.p5, item.p50, item.p95, item.mean)]
    spans = [
        "-" if span is None else " to ".join(shown(value, as_share, unit) for value in span)
        for span in (item.median_ci, item.mean_ci)
    ]
    return [f"{column}{unit_name(kind, unit)}", *numbers, *spans]


def titled(column: str, unit: LengthUnit = "m") -> str:
    """The name of a column and the unit it is shown in."""
    name = unit_shown(column, unit).strip()
    return f"{column}, {name}" if name else column


def unit_shown(column: str, unit: LengthUnit = "m") -> str:
    """The unit in which a column is shown, after a space that does not break; "" without one."""
    kind = _kind(column)
    return "" if kind is None else unit_name(kind, unit).replace("2", "²").replace(" ", "\u00a0")


def cell(column: str, value: Any, unit: LengthUnit = "m") -> str:
    """A value of a column, or an interval, as it is read; one that answers yes or no is a share."""
    if isinstance(value, list | tuple):
        return " to ".join(cell(column, each, unit) for each in value)
    kind = _kind(column)
    if kind is None or isinstance(value, bool) or value is None or not np.isfinite(float(value)):
        return number(value)
    return shown(float(value), "share" if kind == "yes or no" else kind, unit)


def number(value: Any) -> str:
    """Three significant figures; a dash for nothing."""
    if value is None or isinstance(value, bool):
        return {None: "–", True: "yes", False: "no"}[value]
    found = float(value)
    if not np.isfinite(found):
        return "–" if np.isnan(found) else "∞"
    if isinstance(value, int) or abs(found) >= 1000:
        return f"{found:.0f}"
    return f"{found:#.3g}".removesuffix(".")


def _kind(column: str) -> Kind | None:
    """What a column counts; None for one of another version."""
    try:
        return definition(column).kind
    except KeyError:
        return None
