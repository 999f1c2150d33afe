"""Small figures of a report: bars, a histogram, a scatter plot, a colour bar.

matplotlib draws them, see :mod:`shapespace.rendering.plots`. Letters: K values or points.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from shapespace.errors import one_line
from shapespace.rendering.plots import MOST_LABEL, add_legend, panels

COLOURS = (
    *("#4a7fc1", "#e08a4f", "#4f9e6b", "#b9556b", "#8a6fb8"),
    *("#8f7a5f", "#d389b8", "#7d8894", "#b5b041", "#4fb0b8"),
)
"""Colours of groups; a chart without groups takes the first."""
MARKERS = "os^Dv"
"""Markers of groups: the first ten groups have the first marker, the next ten the next."""
MOST_NAMED = 40
"""More groups get no legend: it would leave no room for the points."""


def plot_bars(
    heights: Float[np.ndarray, " K"], path: str | Path, label: str, marks: Mapping[str, float]
) -> None:
    """Draw bars, numbered from 1, on a logarithmic axis.

    Args:
        heights: heights of the bars; a height of 0 leaves a gap.
        path: the file to write.
        label: label of the vertical axis.
        marks: positions of vertical lines on the horizontal axis, by name.

    Raises:
        InputError: where matplotlib is not installed.
    """
    positive = np.where(heights > 0, heights, np.nan)
    with panels(path, (5.0, 3.4)) as axes:
        axes.bar(np.arange(1, len(heights) + 1), positive, 0.8, color=COLOURS[0])
        # A logarithmic axis without a positive value would warn.
        if (heights > 0).any():
            axes.set_yscale("log")
        for number, (name, position) in enumerate(marks.items(), 1):
            axes.axvline(position, color=_colour(number), linestyle="--", label=name)
        axes.set(xlabel="principal axis", ylabel=label)
        _finish(axes)
        if marks:
            axes.legend(frameon=False, fontsize=8)


def plot_histogram(values: Float[np.ndarray, " K"], path: str | Path, label: str) -> None:
    """Draw a histogram of numbers >= 0.

    Args:
        values: the numbers, one a shape; the axis begins at 0.
        path: the file to write.
        label: label of the horizontal axis.

    Raises:
        InputError: where matplotlib is not installed.
    """
    high = float(values.max(initial=0.0)) or 1.0
    edges = np.linspace(0, high, min(40, 8 + len(values) // 4) + 1)
    with panels(path, (5.0, 3.4)) as axes:
        axes.hist(values, edges, color=COLOURS[0], edgecolor="white", linewidth=0.5)
        axes.set(xlabel=label, ylabel="shapes")
        axes.yaxis.get_major_locator().set_params(integer=True)
        _finish(axes)


def plot_map(
    points: Float[np.ndarray, "K 2"],
    groups: Sequence[str],
    path: str | Path,
    names: tuple[str, str],
    labels: Mapping[int, str],
) -> None:
    """Draw a scatter plot with one colour and marker a group.

    Args:
        points: positions in the plane, at least one.
        groups: name of the group of each point.
        path: the file to write.
        names: labels of the horizontal and the vertical axis.
        labels: texts beside points, by the number of the point.

    Raises:
        InputError: where matplotlib is not installed.
    """
    middle = (points[:, 0].min() + points[:, 0].max()) / 2
    distinct = list(dict.fromkeys(groups))
    with panels(path, (8.4, 5.2)) as axes:
        from matplotlib.patheffects import withStroke

        for number, group in enumerate(distinct):
            part = points[[each == group for each in groups]]
            marker = MARKERS[number // len(COLOURS) % len(MARKERS)]
            axes.scatter(
                part[:, 0], part[:, 1], s=28, color=_colour(number), marker=marker, lw=0, zorder=3
            )
        for row, label in labels.items():
            # A text runs toward the middle, so that it stays inside the axes.
            left = points[row, 0] <= middle
            style = {"ha": "left" if left else "right", "fontsize": 7, "color": "0.2", "zorder": 2}
            style["parse_math"] = False
            offset = (5 if left else -5, 4)
            shown = one_line(label, MOST_LABEL)
            text = axes.annotate(shown, points[row], offset, textcoords="offset points", **style)
            text.set_path_effects([withStroke(linewidth=2.5, foreground="white")])
        axes.set(xlabel=names[0], ylabel=names[1])
        axes.margins(0.08)
        axes.set_aspect("equal", "datalim")
        _finish(axes)
        if 1 < len(distinct) <= MOST_NAMED:
            _legend(axes, distinct)


def colour_bar(
    low: float, high: float, label: str, path: str | Path, name: str = "viridis"
) -> None:
    """Draw the colours of :func:`shapespace.rendering.meshes.colour_map` with a scale.

    Args:
        low: the number that has the first colour.
        high: the number that has the last colour.
        label: label of the scale, with its unit.
        path: the file to write.
        name: a colour map of matplotlib.

    Raises:
        InputError: where matplotlib is not installed.
    """
    with panels(path, (4.6, 0.72)) as axes:
        axes.imshow(np.linspace(0, 1, 256)[None], name, aspect="auto", extent=(low, high, 0, 1))
        axes.set_yticks([])
        axes.set_xlabel(label)


def _legend(axes: Any, names: Sequence[str]) -> None:
    """Add a legend of the scattered groups beside the axes."""
    outside = {"loc": "upper left", "bbox_to_anchor": (1.0, 1.0), "ncols": 1 + len(names) // 21}
    add_legend(axes, axes.collections, names, **outside)


def _colour(number: int) -> str:
    return COLOURS[number % len(COLOURS)]


def _finish(axes: Any) -> None:
    """Draw a light grid behind the data and no frame above and to the right."""
    axes.grid(alpha=0.3)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
