"""Numbers, tables and plain data as text."""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from shapespace.errors import printable

MOST_ITEMS = 24
"""Items of a list in words, at most."""
MOST_DEPTH = 6
"""Levels of lists and mappings in words, at most."""
MOST_TEXT = 2000
"""Characters of one value in words, at most."""


def aligned(rows: Sequence[Sequence[str]], left: int = 1) -> list[str]:
    """Format rows of cells as lines with aligned columns; cells are shown :func:`printable`.

    Args:
        rows: cells, equally many a row.
        left: number of first columns that are aligned left; the others are aligned right.
    """
    rows = [[printable(cell) for cell in row] for row in rows]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return ["  ".join(_padded(row, widths, left)).rstrip() for row in rows]


def _padded(row: Sequence[str], widths: Sequence[int], left: int) -> Iterable[str]:
    for column, (cell, width) in enumerate(zip(row, widths, strict=True)):
        yield cell.ljust(width) if column < left else cell.rjust(width)


def significant(value: float | None, digits: int = 3) -> str:
    """A number in ``digits`` significant figures; "-" for None and NaN, "inf" for infinity."""
    return "-" if value is None or math.isnan(value) else f"{value:.{digits}g}"


def in_words(value: Any, depth: int = MOST_DEPTH) -> str:
    """Plain data as words: "key value" for mappings, commas between items.

    Args:
        value: what a JSON or YAML file or a checkpoint holds; anybody may have made it.
        depth: levels of lists and mappings that are shown; "…" stands for deeper ones.
    """
    if isinstance(value, Mapping | list | tuple):
        if depth == 0:
            return "…"
        pairs = value.items() if isinstance(value, Mapping) else ((None, each) for each in value)
        shown = [
            ("" if key is None else f"{in_words(key, 0)} ") + in_words(each, depth - 1)
            for (key, each), _ in zip(pairs, range(MOST_ITEMS), strict=False)
        ]
        more = [f"and {len(value) - MOST_ITEMS} more"] if len(value) > MOST_ITEMS else []
        return ", ".join([*shown, *more])
    # Python refuses to write an integer of thousands of digits.
    text = "…" if isinstance(value, int) and value.bit_length() > 10_000 else str(value)
    return text if len(text) <= MOST_TEXT else text[:MOST_TEXT] + "…"
