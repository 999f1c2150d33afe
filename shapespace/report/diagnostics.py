"""The diagnostics of a space as one page: verdict, tables, and pictures of two shapes.

Frame and unit: the space's. Letters: N points, R x C nodes of a slice, L code length.
"""

from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from jaxtyping import Float
from torch import Tensor

from shapespace.decoders.base import Field
from shapespace.diagnostics.samples import FieldSamples, SampledField, field_samples, sample_field
from shapespace.diagnostics.sdf import MEANING
from shapespace.diagnostics.space import HEAD, LEGEND, DiagnosedSpace, verdict
from shapespace.rendering.plots import panels
from shapespace.report import html as report
from shapespace.utils.text import significant

NUM_NODES = 161
"""Nodes along each side of a slice."""
NUM_LEVELS = 20
"""The spacing of the level lines of f is the side of the box divided by this."""
STRONGEST = 0.5
"""The | |grad f| - 1 | that is drawn in the strongest colour."""
MOST_SHOWN = 3.0
"""The largest |grad f| of the histogram; larger values count there."""
NUM_BINS = 40
"""Bins of the signed distance, all of about as many points."""
CAPTION = (
    "Top row, on the slice of the box through the middle of the shape, perpendicular to its "
    "thinnest side: f with level lines, which are evenly spaced for a distance, and the zero set "
    "in bold; |grad f| - 1; f minus the signed distance. Bottom row: the histogram of |grad f|; f "
    "against the signed distance, where a distance lies on the line; |grad f| against the signed "
    "distance, median and central 90 %."
)


@dataclass(frozen=True)
class Slice:
    """A field on a square grid of nodes in a plane.

    Args:
        samples: The field at the nodes, row by row from the bottom.
        axes: The names of the horizontal and the vertical axis.
        extent: Half the side of the square, which is that of the box.
    """

    samples: FieldSamples
    axes: tuple[str, str]
    extent: float

    @property
    def line(self) -> Float[np.ndarray, " C"]:
        """The coordinates of the nodes along either axis."""
        return np.linspace(-self.extent, self.extent, NUM_NODES)

    def grid(self, values: Float[np.ndarray, " N"]) -> Float[np.ndarray, "R C"]:
        """One number per node as an image, whose first row is the lowest."""
        return values.reshape(NUM_NODES, NUM_NODES)


def slice_of(field: Field, latent: Float[Tensor, " L"], found: SampledField) -> Slice:
    """Evaluate a field on the plane through the middle of a shape, perpendicular to its thin side.

    The plane is the whole box of a 2-D field, and that of x and y where there is no surface.

    Args:
        field: The field.
        latent: The code of the shape.
        found: The samples of the field, which hold the surface of the shape.
    """
    line = np.linspace(-found.extent, found.extent, NUM_NODES)
    across, up = (part.ravel() for part in np.meshgrid(line, line))
    if found.space.points.shape[1] != 3:
        points = np.stack([across, up], axis=1)
        names = ("x", "y")
    else:
        box = np.zeros((2, 3)) if found.surface is None else found.surface.largest.bounds
        thin = int(np.ptp(box, axis=0).argmin()) if found.surface else 2
        horizontal, vertical = (axis for axis in range(3) if axis != thin)
        # The median of the surface and not the middle of the box: an arm stretched out moves the
        # middle of the box off the body.
        middle = np.median(found.on.points, axis=0) if found.surface else np.zeros(3)
        points = np.tile(middle, (len(across), 1))
        points[:, horizontal] = across
        points[:, vertical] = up
        names = ("xyz"[horizontal], "xyz"[vertical])
    samples = field_samples(field, latent, points, found.surface)
    return Slice(samples, axes=names, extent=found.extent)


def write_page(diagnosed: DiagnosedSpace, path: Path) -> Path:
    """Write the page and return its path; InputError where matplotlib is missing."""
    space = diagnosed.space
    settings = diagnosed.settings
    page = report.Page(
        "How far a field is from a distance",
        f"{len(diagnosed.shapes)} shapes of {space.path}: {settings.num_points} random points in "
        f"the box ±{space.extent:g} and as many near each surface, {settings.num_rays} rays, seed "
        f"{settings.seed}. Where 0 of n points have a property, its true share is below 3 / n with "
        "a confidence of 95 %.",
    )
    page.section("Verdict", "", report.bullets(verdict(diagnosed)))
    table = report.table(["", *HEAD.values()], diagnosed.rows())
    page.section("Shapes", f"{LEGEND}. Lengths in the unit of the space ({space.unit}).", table)
    order = diagnosed.ordered()
    # With one shape, median and worst are the same: the key is kept once, titled as the median.
    drawn = {order[-1]: "The worst shape", order[(len(order) - 1) // 2]: "A median shape"}
    with TemporaryDirectory() as folder:
        for name, title in reversed(drawn.items()):
            image = _drawn(diagnosed, name, Path(folder) / "panels.png")
            page.section(f"{title}: {name}", CAPTION, report.picture(image, f"field of {name}"))
    page.section(
        "All numbers", "Median and worst of the shapes.", report.bullets(_numbers(diagnosed))
    )
    return page.write(path)


def _numbers(diagnosed: DiagnosedSpace) -> list[str]:
    """A sentence for each number: its median and worst value and its definition."""
    return [
        f"{column}: {significant(ends['median'])}, worst {significant(ends['worst'])}. "
        f"{MEANING[column]}"
        for column, ends in diagnosed.summary.items()
    ]


def _drawn(diagnosed: DiagnosedSpace, name: str, path: Path) -> Path:
    """Sample the field of one training shape again and draw its panels."""
    space = diagnosed.space
    settings = diagnosed.settings
    code = space.code(name)
    found = sample_field(
        space.metric,
        code,
        space.extent,
        num_points=settings.num_points,
        seed=settings.seed,
        resolution=settings.resolution,
        dimension=space.decoder.dimension,
    )
    return draw_slices(found, slice_of(space.metric, code, found), path)


def draw_slices(found: SampledField, plane: Slice, path: Path) -> Path:
    """Draw the six panels of :data:`CAPTION`, or three where the shape has no surface.

    Args:
        found: The samples of the field in the box and near the surface.
        plane: The field on a slice of the box.
        path: The picture to write.
    """
    surface = found.surface
    num_rows = 1 if surface is None else 2
    with panels(path, (13.5, 4.4 * num_rows), rows=num_rows, columns=3) as axes:
        axes = np.atleast_2d(axes)
        _levels(axes[0, 0], plane)
        off = plane.samples.length - 1
        _map(axes[0, 1], plane, off, reach=STRONGEST, title="|grad f| - 1")
        _lengths(axes[0, 2] if surface is None else axes[1, 0], found)
        if surface is not None:
            percent = 100 * (plane.samples.value - plane.samples.signed_distance) / surface.size
            reach = max(float(np.nanquantile(np.abs(percent), 0.99)), 0.1)
            _map(axes[0, 2], plane, percent, reach=reach, title="f - distance, % of size")
            _against(axes[1, 1], found)
            _by_distance(axes[1, 2], found)
    return path


def _levels(axes: Any, plane: Slice) -> None:
    """Draw f on the slice with evenly spaced level lines; colours are symmetric about 0."""
    line = plane.line
    values = plane.grid(plane.samples.value)
    step = 2 * plane.extent / NUM_LEVELS
    low = np.nanmin(values, initial=0.0)
    high = np.nanmax(values, initial=0.0)
    # Levels are multiples of the step, so that one of them is the zero set. A constant field still
    # needs two levels for contourf.
    first = np.floor(low / step)
    last = max(np.ceil(high / step), first + 1)
    levels = step * np.arange(first, last + 1)
    reach = max(-low, high, 1e-12)
    filled = axes.contourf(line, line, values, levels=levels, cmap="RdBu", vmin=-reach, vmax=reach)
    axes.contour(line, line, values, levels=levels, colors="black", linewidths=0.4)
    axes.figure.colorbar(filled, ax=axes, shrink=0.85)
    _finish(axes, plane, f"f, a level every {step:.2g}")


def _map(
    axes: Any, plane: Slice, values: Float[np.ndarray, " N"], *, reach: float, title: str
) -> None:
    """Draw one number per node of the slice, in colours from ``-reach`` to ``reach``."""
    image = axes.pcolormesh(
        plane.line,
        plane.line,
        plane.grid(values),
        cmap="PuOr",
        vmin=-reach,
        vmax=reach,
        shading="nearest",
    )
    axes.figure.colorbar(image, ax=axes, shrink=0.85, extend="both")
    _finish(axes, plane, title)


def _finish(axes: Any, plane: Slice, title: str) -> None:
    """Add the zero set, if the slice meets it, and the names of the axes."""
    values = plane.grid(plane.samples.value)
    # matplotlib warns about a contour that does not exist.
    if np.nanmin(values, initial=0.0) < 0 < np.nanmax(values, initial=0.0):
        axes.contour(plane.line, plane.line, values, levels=[0.0], colors="black", linewidths=2.0)
    axes.set(title=title, xlabel=plane.axes[0], ylabel=plane.axes[1], aspect="equal")


def _lengths(axes: Any, found: SampledField) -> None:
    """Draw histograms of |grad f| in the box and near the surface, on a logarithmic axis."""
    bins = np.linspace(0, MOST_SHOWN, 91)
    for samples, label in ((found.space, "in the box"), (found.near, "near the surface")):
        length = samples.length[samples.sound].clip(0, MOST_SHOWN)
        if len(length):
            weights = np.full(len(length), 100 / len(length))
            axes.hist(length, bins, weights=weights, histtype="step", label=label, lw=1.5)
    axes.axvline(1.0, color="black", linewidth=0.8)
    axes.set(title="histogram of |grad f|", ylabel="% of points")
    axes.set_xlabel(f"|grad f|, {MOST_SHOWN:g} or more at the end")
    axes.set_yscale("log")
    axes.legend(frameon=False, fontsize=8)


def _against(axes: Any, found: SampledField) -> None:
    """Draw the density of (signed distance, f) at points of the box, and the line f = distance."""
    samples = found.space.take(found.space.sound)
    distance = samples.signed_distance
    axes.hist2d(distance, samples.value, bins=120, cmin=1, norm="log", cmap="viridis_r")
    low = float(distance.min())
    high = float(distance.max())
    axes.plot([low, high], [low, high], color="black", linewidth=1.0)
    axes.set(title="f against the distance", xlabel="signed distance", ylabel="f")


def _by_distance(axes: Any, found: SampledField) -> None:
    """Draw median and central 90 % of |grad f| in bins of the signed distance."""
    parts = [samples.take(samples.sound) for samples in (found.space, found.near)]
    distance = np.concatenate([samples.signed_distance for samples in parts])
    length = np.concatenate([samples.length for samples in parts])
    # Quantiles as edges: half of the points lie near the surface, and equal widths would leave
    # the bins far from it almost empty.
    edges = np.unique(np.quantile(distance, np.linspace(0, 1, NUM_BINS + 1)))
    bin_of = np.searchsorted(edges[1:-1], distance)
    groups = [length[bin_of == each] for each in range(len(edges) - 1)]
    low, middle, high = np.array([np.quantile(each, (0.05, 0.5, 0.95)) for each in groups]).T
    centres = [np.median(distance[bin_of == each]) for each in range(len(groups))]
    axes.fill_between(centres, low, high, alpha=0.25, linewidth=0)
    axes.plot(centres, middle)
    axes.axhline(1.0, color="black", linewidth=0.8)
    axes.axvline(0.0, color="black", linewidth=0.8, linestyle=":")
    axes.set(title="|grad f| by distance", xlabel="signed distance", ylabel="|grad f|")
