"""Small figures of a report: bars, a histogram, a map of points, the colours of a picture.

Drawn as :mod:`shapespace.rendering.plots` does. Letters: K values or points.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from shapespace.rendering.plots import panels

COLOURS = (
    *("#4a7fc1", "#e08a4f", "#4f9e6b", "#b9556b", "#8a6fb8"),
    *("#8f7a5f", "#d389b8", "#7d8894", "#b5b041", "#4fb0b8"),
)
"""Of groups, the first of a single one."""
MARKERS = "os^Dv"
"""Each ten groups have one of their own."""
MOST_NAMED = 40
"""Groups that a legend has room for."""


def plot_bars(
    heights: Float[np.ndarray, " K"], path: str | Path, label: str, marks: Mapping[str, float]
) -> None:
    """Bars numbered from 1 on a logarithmic axis, and named vertical lines.

    Bars of height 0 are left out. label: of the heights. marks: name and place of each line.
    """
    shown = np.where(heights > 0, heights, np.nan)
    with panels(path, (5.0, 3.4)) as axes:
        axes.bar(np.arange(1, len(heights) + 1), shown, 0.8, color=COLOURS[0])
        if (heights > 0).any():
            axes.set_yscale("log")
        for number, (name, place) in enumerate(marks.items(), 1):
            axes.axvline(place, color=_colour(number), linestyle="--", label=name)
        axes.set(xlabel="principal axis", ylabel=label)
        _finish(axes)
        if marks:
            axes.legend(frameon=False, fontsize=8)


def plot_histogram(values: Float[np.ndarray, " K"], path: str | Path, label: str) -> None:
    """How often values occur, on an axis that begins at 0. label: of the values."""
    high = float(values.max(initial=0.0)) or 1.0
    edges = np.linspace(0, high, min(40, 8 + len(values) // 4) + 1)
    with panels(path, (5.0, 3.4)) as axes:
        axes.hist(values, edges, color=COLOURS[0], edgecolor="white", linewidth=0.5)
        axes.set(xlabel=label, ylabel="shapes")
        axes.yaxis.get_major_locator().set_params(integer=True)
        _finish(axes)


def plot_map(
    places: Float[np.ndarray, "K 2"],
    groups: Sequence[str],
    path: str | Path,
    names: tuple[str, str],
    labels: Mapping[int, str],
) -> None:
    """Points of the plane, coloured by group, some with a label.

    groups: one name a point. names: of the axes. labels: text at the point of each number.
    """
    middle = (places[:, 0].min() + places[:, 0].max()) / 2
    known = list(dict.fromkeys(groups))
    with panels(path, (8.4, 5.2)) as axes:
        from matplotlib.patheffects import withStroke

        for number, group in enumerate(known):
            part = places[[each == group for each in groups]]
            marker = MARKERS[number // len(COLOURS) % len(MARKERS)]
            axes.scatter(*part.T, s=28, color=_colour(number), marker=marker, lw=0, zorder=3)
        for point, label in labels.items():
            left = places[point, 0] <= middle
            style = {"ha": "left" if left else "right", "fontsize": 7, "color": "0.2", "zorder": 2}
            style["parse_math"] = False
            shift = (5 if left else -5, 4)
            text = axes.annotate(label, places[point], shift, textcoords="offset points", **style)
            text.set_path_effects([withStroke(linewidth=2.5, foreground="white")])
        axes.set(xlabel=names[0], ylabel=names[1])
        axes.margins(0.08)
        axes.set_aspect("equal", "datalim")
        _finish(axes)
        if 1 < len(known) <= MOST_NAMED:
            _legend(axes, known)


def colour_bar(
    low: float, high: float, label: str, path: str | Path, name: str = "viridis"
) -> None:
    """The colours of ``colour_map`` from ``low`` to ``high``, and a scale."""
    with panels(path, (4.6, 0.72)) as axes:
        axes.imshow(np.linspace(0, 1, 256)[None], name, aspect="auto", extent=(low, high, 0, 1))
        axes.set_yticks([])
        axes.set_xlabel(label)


def _legend(axes: Any, names: Sequence[str]) -> None:
    """Names of the scattered groups beside the axes, each as it is written."""
    outside = {"loc": "upper left", "bbox_to_anchor": (1.0, 1.0), "ncols": 1 + len(names) // 21}
    numbers = [str(number) for number in range(len(names))]
    legend = axes.legend(axes.collections, numbers, frameon=False, fontsize=8, **outside)
    for text, name in zip(legend.get_texts(), names, strict=True):
        # A legend leaves out labels that begin with "_" and reads "$" as mathematics.
        text.set_parse_math(False)
        text.set_text(name)


def _colour(number: int) -> str:
    return COLOURS[number % len(COLOURS)]


def _finish(axes: Any) -> None:
    axes.grid(alpha=0.3)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
