"""The certificate as one page: the verdict, tables, and pictures of a median and the worst shape.

Frame: the space's. Letters: R x C nodes of a slice, L code length.
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

NODES = 161
"""Along a side of a slice."""
LEVELS = 20
"""Level lines of f across the box."""
OFF_SHOWN = 0.5
"""|grad f| - 1 that is drawn in the strongest colour."""
MOST_SHOWN = 3.0
"""The largest |grad f| of the histogram."""
BINS = 40
"""Of the signed distance, each of as many places."""
CAPTION = (
    "Above, the slice of the box through the middle of the shape, across its thinnest side: f with "
    "level lines, which are even for a distance, and the zero set in bold; |grad f| - 1; f less "
    "the signed distance. Below: how often each |grad f| is met; f against the signed distance, "
    "a distance lying on the line; |grad f| by signed distance, the median and the range of 90 %."
)


@dataclass(frozen=True)
class Slice:
    """A field on a plane of nodes. places: row by row from the bottom; axes: names of the two."""

    places: FieldSamples
    axes: tuple[str, str]
    extent: float

    def grid(self, values: Float[np.ndarray, " N"]) -> Float[np.ndarray, "R C"]:
        """Numbers of the places as an image, rows upwards."""
        return values.reshape(NODES, NODES)


def slice_of(field: Field, latent: Float[Tensor, " L"], found: SampledField) -> Slice:
    """The plane through the middle of the shape, across its thinnest side; all of a 2-D box."""
    line = np.linspace(-found.extent, found.extent, NODES)
    across, up = (part.ravel() for part in np.meshgrid(line, line))
    if found.space.points.shape[1] != 3:
        points, names = np.stack([across, up], 1), ("x", "y")
    else:
        box = np.zeros((2, 3)) if found.surface is None else found.surface.largest.bounds
        thin = int(np.ptp(box, axis=0).argmin()) if found.surface else 2
        kept = [axis for axis in range(3) if axis != thin]
        # the median of the surface: an arm stretched out moves the middle of the box off the body
        middle = np.median(found.on.points, axis=0) if found.surface else np.zeros(3)
        points = np.tile(middle, (len(across), 1))
        points[:, kept[0]], points[:, kept[1]] = across, up
        names = ("xyz"[kept[0]], "xyz"[kept[1]])
    return Slice(field_samples(field, latent, points, found.surface), names, found.extent)


def write_page(certified: DiagnosedSpace, path: Path) -> Path:
    """Write the page; the file. InputError where matplotlib is missing."""
    space, settings = certified.space, certified.settings
    page = report.Page(
        "How far a field is from a distance",
        f"{len(certified.shapes)} shapes of {space.path}, {settings.num_points} places in the box "
        f"±{space.extent:g} and as many near each surface, {settings.num_rays} rays, seed "
        f"{settings.seed}. A share of 0 of n places says: below 3 / n, with a confidence of 95 %.",
    )
    page.section("Verdict", "", report.bullets(verdict(certified)))
    table = report.table(["", *HEAD.values()], certified.rows())
    page.section("Shapes", f"{LEGEND}. Lengths in the unit of the space ({space.unit}).", table)
    order = certified.ordered()
    drawn = {order[-1]: "The worst shape", order[(len(order) - 1) // 2]: "A median shape"}
    with TemporaryDirectory() as folder:
        for name, title in reversed(drawn.items()):
            image = _drawn(certified, name, Path(folder) / "panels.png")
            page.section(f"{title}: {name}", CAPTION, report.picture(image, f"field of {name}"))
    page.section(
        "All numbers", "Median and worst of the shapes.", report.bullets(_numbers(certified))
    )
    return page.write(path)


def _numbers(certified: DiagnosedSpace) -> list[str]:
    return [
        f"{column}: {significant(ends['median'])}, worst {significant(ends['worst'])}. "
        f"{MEANING[column]}"
        for column, ends in certified.summary.items()
    ]


def _drawn(certified: DiagnosedSpace, name: str, path: Path) -> Path:
    space, settings = certified.space, certified.settings
    field, code = space.decoder, space.code(name)
    found = sample_field(
        field,
        code,
        space.extent,
        settings.num_points,
        settings.seed,
        settings.resolution,
        space.decoder.dimension,
    )
    return draw_slices(found, slice_of(field, code, found), path)


def draw_slices(found: SampledField, plane: Slice, path: Path) -> Path:
    """Six panels about one shape, see :data:`CAPTION`; three where there is no surface."""
    surface = found.surface
    rows = 1 if surface is None else 2
    with panels(path, (13.5, 4.4 * rows), rows, 3) as axes:
        axes = np.atleast_2d(axes)
        _levels(axes[0, 0], plane)
        _map(axes[0, 1], plane, plane.places.length - 1, OFF_SHOWN, "|grad f| - 1")
        _lengths(axes[0, 2] if surface is None else axes[1, 0], found)
        if surface is not None:
            percent = 100 * (plane.places.value - plane.places.signed_distance) / surface.size
            reach = float(np.nanquantile(np.abs(percent), 0.99))
            _map(axes[0, 2], plane, percent, max(reach, 0.1), "f - distance, % of size")
            _against(axes[1, 1], found)
            _by_distance(axes[1, 2], found)
    return path


def _levels(axes: Any, plane: Slice) -> None:
    line = np.linspace(-plane.extent, plane.extent, NODES)
    values = plane.grid(plane.places.value)
    step = 2 * plane.extent / LEVELS
    low, high = np.nanmin(values, initial=0.0), np.nanmax(values, initial=0.0)
    first, last = np.floor(low / step), np.ceil(high / step)
    levels = step * np.arange(first, max(last, first + 1) + 1)
    reach = max(-low, high, 1e-12)
    filled = axes.contourf(line, line, values, levels, cmap="RdBu", vmin=-reach, vmax=reach)
    axes.contour(line, line, values, levels, colors="black", linewidths=0.4)
    axes.figure.colorbar(filled, ax=axes, shrink=0.85)
    _finish(axes, plane, f"f, a level every {step:.2g}")


def _map(
    axes: Any, plane: Slice, values: Float[np.ndarray, " N"], reach: float, title: str
) -> None:
    line = np.linspace(-plane.extent, plane.extent, NODES)
    image = axes.pcolormesh(
        line, line, plane.grid(values), cmap="PuOr", vmin=-reach, vmax=reach, shading="nearest"
    )
    axes.figure.colorbar(image, ax=axes, shrink=0.85, extend="both")
    _finish(axes, plane, title)


def _finish(axes: Any, plane: Slice, title: str) -> None:
    line = np.linspace(-plane.extent, plane.extent, NODES)
    values = plane.grid(plane.places.value)
    if np.nanmin(values, initial=0.0) < 0 < np.nanmax(values, initial=0.0):
        axes.contour(line, line, values, [0.0], colors="black", linewidths=2.0)
    axes.set(title=title, xlabel=plane.axes[0], ylabel=plane.axes[1], aspect="equal")


def _lengths(axes: Any, found: SampledField) -> None:
    parts = ((found.space, "in the box"), (found.near, "near the surface"))
    bins = np.linspace(0, MOST_SHOWN, 91)
    for places, label in parts:
        length = places.length[places.sound].clip(0, MOST_SHOWN)
        if len(length):
            weights = np.full(len(length), 100 / len(length))
            axes.hist(length, bins, weights=weights, histtype="step", label=label, lw=1.5)
    axes.axvline(1.0, color="black", linewidth=0.8)
    axes.set(title="how often |grad f| is met", ylabel="% of places")
    axes.set_xlabel(f"|grad f|, {MOST_SHOWN:g} or more at the end")
    axes.set_yscale("log")
    axes.legend(frameon=False, fontsize=8)


def _against(axes: Any, found: SampledField) -> None:
    space = found.space.take(found.space.sound)
    distance, value = space.signed_distance, space.value
    axes.hist2d(distance, value, 120, cmin=1, norm="log", cmap="viridis_r")
    low, high = float(distance.min()), float(distance.max())
    axes.plot([low, high], [low, high], color="black", linewidth=1.0)
    axes.set(title="f against the distance", xlabel="signed distance", ylabel="f")


def _by_distance(axes: Any, found: SampledField) -> None:
    parts = [places.take(places.sound) for places in (found.space, found.near)]
    distance = np.concatenate([places.signed_distance for places in parts])
    length = np.concatenate([places.length for places in parts])
    edges = np.unique(np.quantile(distance, np.linspace(0, 1, BINS + 1)))
    bin_of = np.searchsorted(edges[1:-1], distance)
    groups = [length[bin_of == each] for each in range(len(edges) - 1)]
    low, middle, high = np.array([np.quantile(each, (0.05, 0.5, 0.95)) for each in groups]).T
    place = [np.median(distance[bin_of == each]) for each in range(len(groups))]
    axes.fill_between(place, low, high, alpha=0.25, linewidth=0)
    axes.plot(place, middle)
    axes.axhline(1.0, color="black", linewidth=0.8)
    axes.axvline(0.0, color="black", linewidth=0.8, linestyle=":")
    axes.set(title="|grad f| by distance", xlabel="signed distance", ylabel="|grad f|")
