"""Scores: named numbers of each shape, their summary over shapes, and the CSV and JSON files.

A column has the same name and the same definition everywhere; see `evaluation.definitions`.
"""

import csv
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from shapespace.errors import one_line
from shapespace.evaluation.bootstrap import Summary, summary_of
from shapespace.evaluation.definitions import LETTERS, sentences
from shapespace.scan import is_scan_name
from shapespace.utils.files import replacing
from shapespace.utils.plain import is_list_of, is_mapping_of, is_text, is_value

Value = float | int | bool
Part = Mapping[str, Value]
"""Column -> value, for one part of the scores of a shape."""
SHAPES = "shapes"
"""Folder of the reconstructions within the folder of an evaluation."""
SCORES = "scores.json"
"""File of all numbers within that folder."""
MOST_PARTS, MOST_COLUMNS = 64, 1024
"""Most parts of the scores, and most columns of a part, in a file that is read."""
FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""A spreadsheet takes a cell that begins with one of these for a formula, and carries it out."""


@dataclass(frozen=True)
class Scores:
    """The numbers of one shape.

    Args:
        name: name of the shape.
        group: unit that the bootstrap draws as one, such as the person.
        parts: part -> column -> value. Parts are registration, scan, mesh, fit and seconds, and
            those of the baselines. A column that the shape does not have is missing.
    """

    name: str
    group: str
    parts: Mapping[str, Part]

    def value(self, part: str, column: str) -> float:
        """One number; NaN if the shape has none."""
        return float(self.parts.get(part, {}).get(column, math.nan))


def group_of(name: str, end: str = "_") -> str:
    """The name up to the first ``end``: the person of a D-FAUST frame.

    A name without ``end`` is a group of its own. With an empty ``end``, every name is.
    """
    return name.partition(end)[0] if end else name


def columns(all_scores: Sequence[Scores]) -> Iterator[tuple[str, str]]:
    """(part, column) of every number that some shape has, in the order of first occurrence."""
    # Dicts of None are ordered sets.
    found: dict[str, dict[str, None]] = {}
    for scores in all_scores:
        for part, values in scores.parts.items():
            found.setdefault(part, {}).update(dict.fromkeys(values))
    return ((part, column) for part, names in found.items() for column in names)


def summary(all_scores: Sequence[Scores], seed: int = 0) -> dict[str, dict[str, Summary]]:
    """Part -> column -> summary over the shapes that have the column; a yes counts as 1."""
    found: dict[str, dict[str, Summary]] = {}
    for part, column in columns(all_scores):
        having = [scores for scores in all_scores if not math.isnan(scores.value(part, column))]
        if having:
            values = np.array([scores.value(part, column) for scores in having])
            groups = [scores.group for scores in having]
            found.setdefault(part, {})[column] = summary_of(values, groups, seed)
    return found


def write_csv(all_scores: Sequence[Scores], path: Path) -> None:
    """Write a CSV with a row for each shape and a column ``part.column`` for each number.

    A cell is empty where the shape does not have the number. A name that a spreadsheet would take
    for a formula gets a quote in front; numbers keep their sign.
    """
    names = list(columns(all_scores))
    with replacing(path) as temporary, temporary.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["name", "group", *(f"{part}.{column}" for part, column in names)])
        for scores in all_scores:
            values = [scores.parts.get(part, {}).get(column, "") for part, column in names]
            writer.writerow([_no_formula(scores.name), _no_formula(scores.group), *values])


def _no_formula(name: str) -> str:
    return f"'{name}" if name.startswith(FORMULA) else name


def write_json(
    all_scores: Sequence[Scores], facts: Mapping[str, Any], path: Path, seed: int = 0
) -> None:
    """Write a JSON file of letters, definitions, facts, the scores of all shapes and their summary.

    JSON has no infinity and no NaN. An infinite number is written as the string "inf", NaN as null.

    Args:
        all_scores: scores of the shapes.
        facts: facts of the run, as plain data.
        path: file to write.
        seed: seed of the bootstrap of the summary.
    """
    content = {
        "letters": LETTERS,
        "conventions": sentences(column for _, column in columns(all_scores)),
        "facts": dict(facts),
        "shapes": [
            {"name": scores.name, "group": scores.group, **scores.parts} for scores in all_scores
        ],
        "summary": {
            part: {column: item.as_dict() for column, item in items.items()}
            for part, items in summary(all_scores, seed).items()
        },
    }
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(plain(content), indent=1, allow_nan=False) + "\n")


def check_scores(content: Mapping[str, Any]) -> None:
    """Raise ValueError unless a file of scores, which anybody may have made, has the usual form.

    Parts and columns may be any; what stands in their places has to be numbers.
    """
    shapes = content.get("shapes", [])
    if not is_list_of(shapes, lambda shape: isinstance(shape, dict) and "name" in shape):
        raise ValueError("holds a shape without a name")
    for shape in shapes:
        if not is_scan_name(shape["name"]):
            raise ValueError(f"{one_line(shape['name'], 100)!r} cannot be the name of a shape")
    if not all(_is_shape(shape) for shape in shapes):
        raise ValueError("a score of a shape is no number")
    if not is_mapping_of(content.get("summary", {}), _is_summary, MOST_PARTS):
        raise ValueError("summary holds more than numbers by part and column")
    if not is_mapping_of(content.get("conventions", {}), is_text, MOST_COLUMNS):
        raise ValueError("conventions are no texts")
    facts = content.get("facts", {})
    if not isinstance(facts, dict) or len(facts) > MOST_COLUMNS:
        raise ValueError("facts are no object")
    if not all(
        isinstance(facts.get(key, {}), dict) for key in ("protocol", "nearest_training_shape")
    ):
        raise ValueError("facts hold no protocol or no nearest training shapes")


def scores_in(shape: Mapping[str, Any]) -> Scores:
    """The scores of one shape in a JSON file; ValueError if they are damaged."""
    check_scores({"shapes": [shape]})
    group = shape.get("group")
    if not isinstance(group, str):
        raise ValueError("a shape has no group")
    parts = {
        part: {column: _number(value) for column, value in (values or {}).items()}
        for part, values in shape.items()
        if part not in ("name", "group")
    }
    return Scores(shape["name"], group, parts)


def _number(value: Any) -> Value:
    """A value as :func:`plain` made it, as the number that it was."""
    return math.nan if value is None else float(value) if is_text(value) else value


def _is_shape(shape: Mapping[str, Any]) -> bool:
    """True if all parts of the scores of a shape are mappings of numbers, or None."""
    parts = (value for key, value in shape.items() if key not in ("name", "group"))
    return all(part is None or is_mapping_of(part, is_value, MOST_COLUMNS) for part in parts)


def _is_summary(part: object) -> bool:
    """True for a mapping of columns to statistics: numbers, and pairs of numbers (intervals)."""

    def statistic(value: object) -> bool:
        return is_value(value) or is_list_of(value, is_value, 2)

    def column(value: object) -> bool:
        return is_mapping_of(value, statistic, MOST_COLUMNS)

    return is_mapping_of(part, column, MOST_COLUMNS)


def plain(value: Any) -> Any:
    """The value as plain data that JSON can hold."""
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None if math.isnan(value) else ("inf" if value > 0 else "-inf")
    return value
