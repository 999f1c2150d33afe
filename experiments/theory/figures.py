"""The pictures of this experiment."""

import io

import numpy as np
from linear import LAMBDA, TAU, absolute_slope, deck_slope, norm_slope
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from networks import EXTENT
from PIL import Image
from shapes import sparse_points, true_curve

INKS = ("#1b6ca8", "#c1440e", "#3b7d3a", "#6b4c9a", "#8a6d1f")
LAWS = {
    "deck": ("mean of squares, $(|w|^2-1)^2$", lambda s: deck_slope(s * s)),
    "norm": ("mean of squares, $(|w|-1)^2$", lambda s: norm_slope(s * s)),
    "absolute": (
        "mean of $|f|$, $(|w|-1)^2$ (as trained)",
        lambda s: absolute_slope(s * np.sqrt(2 / np.pi)),
    ),
    "normals": ("the same with normals", lambda s: absolute_slope(s * np.sqrt(2 / np.pi), tau=TAU)),
    "deck, sum": ("sum of squares (N = 1000), $(|w|^2-1)^2$", lambda s: deck_slope(1000 * s * s)),
}


def sheet(rows, columns, inches):
    figure = Figure(inches, layout="constrained", dpi=110)
    FigureCanvasAgg(figure)
    return figure, figure.subplots(rows, columns, squeeze=False)


def save(figure, path):
    """With few colours: a third of the bytes."""
    drawn = io.BytesIO()
    figure.savefig(drawn, format="png")
    Image.open(drawn).convert("RGB").quantize(64, Image.Quantize.MAXCOVERAGE).save(
        path, optimize=True
    )


def slopes_of_the_plane(found, path):
    """found: {form: [(sigma, slope)]}, of gradient descent."""
    figure, ((axes,),) = sheet(1, 1, (8.6, 3.6))
    sigma = np.linspace(0, 0.6, 1201)
    for ink, (form, (label, law)) in zip(INKS, LAWS.items(), strict=True):
        axes.plot(sigma, [law(s) for s in sigma], color=ink, label=label, linewidth=1.4)
        axes.plot(*zip(*found[form], strict=True), "o", color=ink, markersize=4)
    axes.set_xlabel("noise of the points across the plane, standard deviation")
    axes.set_ylabel("slope |w| of the minimum")
    axes.set_title(f"Lines: closed form; dots: descent. Weight {LAMBDA}", fontsize=9)
    axes.legend(frameon=False, fontsize=8, loc="center left", bbox_to_anchor=(1, 0.5))
    axes.spines[["top", "right"]].set_visible(False)
    save(figure, path)


def initialisation(radii, values, slopes, path):
    """values, slopes: [seeds, radii], means over directions."""
    figure, (row,) = sheet(1, 2, (8.4, 3.3))
    exact = (radii - 1, np.ones_like(radii))
    for axes, found, true, label in zip(
        row, (values, slopes), exact, ("f", "|grad f|"), strict=True
    ):
        axes.fill_between(radii, found.min(0), found.max(0), color=INKS[0], alpha=0.25, lw=0)
        axes.plot(radii, found.mean(0), color=INKS[0], label="mean and range of the seeds")
        axes.plot(radii, true, color="black", linewidth=0.8, linestyle="--", label="|x| - 1")
        axes.set_xlabel("distance from the origin")
        axes.set_ylabel(label)
        axes.spines[["top", "right"]].set_visible(False)
    row[0].legend(frameon=False, fontsize=8)
    save(figure, path)


def level_sets(axes, values, extent):
    """Of a slice: level sets every tenth, the zero set in bold."""
    axis, levels = np.linspace(-extent, extent, len(values)), np.arange(1, 21) / 10
    for ink, chosen in ((INKS[0], -levels[::-1]), (INKS[1], levels)):
        thin = {"colors": ink, "linewidths": 0.5, "linestyles": "solid"}
        axes.contour(axis, axis, values, chosen, **thin)
    if values.min() < 0 < values.max():
        axes.contour(axis, axis, values, [0.0], colors="black", linewidths=1.8)
    axes.set_aspect("equal")
    axes.set_xticks([-1, 0, 1])
    axes.set_yticks([-1, 0, 1])
    axes.tick_params(labelsize=7)


def learning(frames, name, path):
    """frames: {row label: {step: values}} of one seed."""
    steps = list(next(iter(frames.values())))
    figure, cells = sheet(len(frames), len(steps), (2.15 * len(steps), 2.3 * len(frames)))
    for row, (label, by_step) in zip(cells, frames.items(), strict=True):
        for axes, (step, values) in zip(row, by_step.items(), strict=True):
            level_sets(axes, values, EXTENT)
            axes.plot(*true_curve(name).T, color="0.6", linewidth=0.8, linestyle=":")
            axes.plot(*sparse_points(name)[0].T, "o", color=INKS[2], markersize=3)
            axes.set_title(f"{label}, step {step}", fontsize=8)
    save(figure, path)


def over_steps(rows, names, path):
    """Length and turning of the zero set over the steps, a line for each seed."""
    quantities = {"length / true": "length / true length", "turns / true": "turning / true turning"}
    figure, cells = sheet(len(quantities), len(names), (3.2 * len(names), 4.6))
    for line, (quantity, label) in zip(cells, quantities.items(), strict=True):
        for axes, name in zip(line, names, strict=True):
            for ink, kind in zip(INKS, ("with normals", "without"), strict=False):
                chosen = [r for r in rows if (r[1], r[4]) == (f"{name}, {kind}", quantity)]
                for seed in sorted({r[2] for r in chosen}):
                    curve = [(r[3], r[5]) for r in chosen if r[2] == seed]
                    axes.plot(
                        *zip(*sorted(curve), strict=True),
                        color=ink,
                        linewidth=0.9,
                        label=None if seed else kind,
                    )
            axes.axhline(1, color="black", linewidth=0.7, linestyle=":")
            axes.set_xscale("symlog", linthresh=10, linscale=0.5)
            axes.set_xlim(0, None)
            axes.set_ylim(0, None)
            axes.set_title(name, fontsize=9)
            axes.set_xlabel("step")
            axes.set_ylabel(label)
            axes.spines[["top", "right"]].set_visible(False)
    cells[0][0].legend(frameon=False, fontsize=8)
    save(figure, path)


def plane_slices(slices, extent, path):
    """slices: {label: values [R,R]} in the plane x, z; the patch of points is drawn in grey."""
    figure, cells = sheet(2, len(slices) // 2, (1.2 * len(slices), 5.2))
    for axes, (label, values) in zip(cells.flat, slices.items(), strict=True):
        level_sets(axes, values, extent)
        axes.plot([-1, 1], [0, 0], color=INKS[2], linewidth=3.5, alpha=0.5)
        axes.set_title(label, fontsize=8)
        axes.set_xlabel("x", fontsize=8)
    for axes in cells[:, 0]:
        axes.set_ylabel("z", fontsize=8)
    save(figure, path)
