"""Numbers and tables as text."""

import math
from collections.abc import Iterable, Sequence


def aligned(rows: Sequence[Sequence[str]], left: int = 1) -> list[str]:
    """Format rows of cells as lines with aligned columns.

    Args:
        rows: cells, equally many a row.
        left: number of first columns that are aligned left; the others are aligned right.
    """
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return ["  ".join(_padded(row, widths, left)).rstrip() for row in rows]


def _padded(row: Sequence[str], widths: Sequence[int], left: int) -> Iterable[str]:
    for column, (cell, width) in enumerate(zip(row, widths, strict=True)):
        yield cell.ljust(width) if column < left else cell.rjust(width)


def significant(value: float | None, digits: int = 3) -> str:
    """A number in ``digits`` significant figures; "-" for None and NaN, "inf" for infinity."""
    return "-" if value is None or math.isnan(value) else f"{value:.{digits}g}"
