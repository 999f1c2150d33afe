"""Plots as files: curves over the steps of a training, level sets of a slice of a field.

matplotlib draws them without a screen. The suffix of a path names the format: PNG, SVG or another
one that matplotlib knows. An interruption leaves the old file or none. A slice of a field is
positive outside.

Letters: R rows and C columns of a slice.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from shapespace.errors import InputError, one_line
from shapespace.utils.files import replacing

MOST_LABEL = 200
"""Characters of a label, at most."""


def plot_curves(
    rows: Sequence[Mapping[str, Any]],
    path: str | Path,
    step: str = "step",
    log_step: bool = False,
) -> None:
    """Draw one curve for every column of a table that holds numbers.

    The vertical axis is logarithmic where every value is positive.

    Args:
        rows: the table, as ``csv.DictReader`` gives it; empty and non-numeric cells leave gaps.
        path: the file to write.
        step: the column of the horizontal axis.
        log_step: make the horizontal axis logarithmic.

    Raises:
        InputError: where no column beside ``step`` holds a number, or matplotlib is not installed.
    """
    curves: dict[str, list[tuple[float, float]]] = {}
    for row in rows:
        at = _number(row.get(step))
        for name, value in row.items():
            if name != step and not math.isnan(at) and not math.isnan(_number(value)):
                curves.setdefault(name, []).append((at, _number(value)))
    if not curves:
        raise InputError(f"{path}: nothing to plot, no column beside {step!r} holds numbers")
    with panels(path, (7.0, 4.2)) as axes:
        for curve in curves.values():
            steps = [at for at, _ in curve]
            values = [value for _, value in curve]
            # A single point has no line.
            marker = "o" if len(curve) == 1 else None
            axes.plot(steps, values, linewidth=1.4, marker=marker)
        if all(value > 0 for curve in curves.values() for _, value in curve):
            axes.set_yscale("log")
        if log_step:
            axes.set_xscale("log")
        axes.set_xlabel(step)
        axes.grid(alpha=0.3)
        add_legend(axes, axes.lines, list(curves))


def plot_slice(
    values: Float[np.ndarray, "R C"],
    extent: tuple[float, float, float, float],
    path: str | Path,
) -> None:
    """Draw the level sets of a planar slice of a field, the zero set in bold.

    Args:
        values: the field at the nodes of the slice; rows go upward, columns to the right.
        extent: left, right, bottom and top coordinate of the slice, in the field's unit.
        path: the file to write.

    Raises:
        InputError: where a value is not finite, or matplotlib is not installed.
    """
    if not np.all(np.isfinite(values)):
        raise InputError(f"{path}: the slice of the field holds NaN or infinite values")
    # The colours are symmetric about 0; the floor serves a field that is 0 everywhere.
    largest = max(float(np.abs(values).max()), 1e-12)
    left, right, bottom, top = extent
    x = np.linspace(left, right, values.shape[1])
    y = np.linspace(bottom, top, values.shape[0])
    with panels(path, (5.0, 5.0)) as axes:
        levels = np.linspace(-largest, largest, 25)
        axes.contourf(x, y, values, levels=levels, cmap="RdBu")
        axes.contour(x, y, values, levels=24, colors="black", linewidths=0.3)
        # Without a sign change matplotlib would warn that the level is not found.
        if values.min() < 0 < values.max():
            axes.contour(x, y, values, levels=[0.0], colors="black", linewidths=2.2)
        axes.set_aspect("equal")


def add_legend(axes: Any, handles: Sequence[Any], names: Sequence[str], **place: Any) -> None:
    """Add a legend whose texts are names as they stand, whatever characters they have.

    Args:
        axes: axes of matplotlib.
        handles: what is drawn, one a name.
        names: names of scans, or columns of a file.
        **place: further options of the legend.
    """
    numbers = [str(number) for number in range(len(names))]
    legend = axes.legend(handles, numbers, frameon=False, fontsize=8, **place)
    for text, name in zip(legend.get_texts(), names, strict=True):
        # A legend leaves out labels that begin with "_" and reads "$" as mathematics: the names
        # stand in after the legend is made.
        text.set_parse_math(False)
        text.set_text(one_line(name, MOST_LABEL))


@contextmanager
def panels(
    path: str | Path, inches: tuple[float, float], rows: int = 1, columns: int = 1
) -> Iterator[Any]:
    """Give axes of matplotlib to draw in, and write the file where the block ends well.

    Args:
        path: the file to write.
        inches: width and height of the figure.
        rows: rows of axes.
        columns: columns of axes.

    Yields:
        The axes; an array of axes where there are several.

    Raises:
        InputError: where matplotlib is not installed.
    """
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError:
        raise InputError(
            "matplotlib, which draws plots, is missing: pip install 'shapespace[report]'"
        ) from None
    # Agg needs no screen. pyplot, which would keep every figure in memory, is not used.
    figure = Figure(inches, layout="constrained", dpi=120)
    canvas = FigureCanvasAgg(figure)
    yield figure.subplots(rows, columns)
    with replacing(path) as part:
        canvas.figure.savefig(part)


def _number(cell: object) -> float:
    """The finite number of a cell, NaN for any other cell."""
    try:
        value = float(str(cell))
    except ValueError:
        return math.nan
    return value if math.isfinite(value) else math.nan
