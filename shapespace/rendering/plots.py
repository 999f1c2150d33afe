"""Plots as files: curves over the steps of a training run, level sets of a slice of a field.

Drawn by matplotlib's Agg, which needs no screen; PNG or any suffix that matplotlib knows, written
whole or not at all. Sign of a slice: positive outside.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from shapespace.errors import InputError
from shapespace.utils.files import replacing


def plot_curves(
    rows: Sequence[Mapping[str, Any]],
    path: str | Path,
    step: str = "step",
    log_step: bool = False,
) -> None:
    """One curve for every column of ``rows`` that holds numbers, over the column ``step``.

    rows: as a csv.DictReader gives them; empty and non-numeric cells leave gaps. The axis is
    logarithmic where every value is positive, that of the steps where ``log_step``. Raises
    InputError where no number is found.
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
        for name, curve in curves.items():
            marker = "o" if len(curve) == 1 else None
            axes.plot(*zip(*curve, strict=True), label=name, linewidth=1.4, marker=marker)
        if all(value > 0 for curve in curves.values() for _, value in curve):
            axes.set_yscale("log")
        if log_step:
            axes.set_xscale("log")
        axes.set_xlabel(step)
        axes.grid(alpha=0.3)
        axes.legend(frameon=False, fontsize=8)


def plot_slice(
    values: Float[np.ndarray, "R C"],
    extent: tuple[float, float, float, float],
    path: str | Path,
) -> None:
    """Level sets of a planar slice of a field, the zero set in bold.

    values: rows upwards, columns to the right. extent: left, right, bottom, top, in the field's
    unit. Raises InputError where a value is not finite.
    """
    if not np.all(np.isfinite(values)):
        raise InputError(f"{path}: the slice of the field holds NaN or infinite values")
    reach = max(float(np.abs(values).max()), 1e-12)
    x, y = slice_axes(values, extent)
    with panels(path, (5.0, 5.0)) as axes:
        axes.contourf(x, y, values, np.linspace(-reach, reach, 25), cmap="RdBu")
        axes.contour(x, y, values, 24, colors="black", linewidths=0.3)
        if values.min() < 0 < values.max():
            axes.contour(x, y, values, [0.0], colors="black", linewidths=2.2)
        axes.set_aspect("equal")


def slice_axes(
    values: Float[np.ndarray, "R C"], extent: tuple[float, float, float, float]
) -> tuple[Float[np.ndarray, " C"], Float[np.ndarray, " R"]]:
    """Coordinates of the columns and rows of a slice, see :func:`plot_slice`."""
    left, right, bottom, top = extent
    return np.linspace(left, right, values.shape[1]), np.linspace(bottom, top, values.shape[0])


@contextmanager
def panels(
    path: str | Path, inches: tuple[float, float], rows: int = 1, columns: int = 1
) -> Iterator[Any]:
    """Axes of matplotlib, an array of them for several, written to ``path`` if the block ends well.

    InputError where matplotlib is missing.
    """
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError:
        raise InputError(
            "matplotlib, which draws plots, is missing: pip install 'shapespace[report]'"
        ) from None
    figure = Figure(inches, layout="constrained", dpi=120)
    canvas = FigureCanvasAgg(figure)
    yield figure.subplots(rows, columns)
    with replacing(path) as part:
        canvas.figure.savefig(part)


def _number(cell: object) -> float:
    """The finite number of a cell, or NaN."""
    try:
        value = float(str(cell))
    except ValueError:
        return math.nan
    return value if math.isfinite(value) else math.nan
