"""Sections of a report that show a space itself: a film through it, and the statistics of its
codes.

Letters: S shapes, L code length.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from shapespace.data.names import parse_names
from shapespace.reconstruction.interpolate import Waypoint, interpolate
from shapespace.rendering.charts import plot_bars, plot_histogram, plot_map
from shapespace.rendering.previews import draw_codes
from shapespace.report import html as report
from shapespace.report.code_statistics import CodeStatistics, code_statistics, spread_out
from shapespace.report.player import AnimationFrame, player
from shapespace.scan import Frame
from shapespace.space import TrainedSpace
from shapespace.surface.mesh import extract_mesh
from shapespace.utils.progress import progress

STOPS, MOST_LABELS = 4, 5
"""Training shapes that a film passes, and labelled points of a map."""


def animation(
    page: report.Page, space: TrainedSpace, folder: Path, up: str, steps: int, resolution: int
) -> None:
    """A walk between training shapes that lie far apart in the space, to be played and turned."""
    table = space.codes.table.weight.double().cpu().numpy()
    rows = spread_out(table, STOPS)
    if space.decoder.dimension != 3:
        _level_sets(page, space, rows, folder)
        return
    frames = animation_frames(space, rows, steps, resolution)
    names = ", ".join(space.names[row] for row in rows)
    walk = f"Straight lines between the codes of {names}. " if len(rows) > 1 else f"{names}. "
    page.section(
        "A walk through the space",
        f"{walk}Drag to turn, double-click to turn back; click, then scroll to zoom.",
        player(frames, up, loop=len(rows) > 1),
    )


def animation_frames(
    space: TrainedSpace, rows: Sequence[int], steps: int, resolution: int
) -> list[AnimationFrame]:
    """Meshes from one training shape to the next, and back to the first; one of a single shape.

    steps: places from a shape to the next, one of the two included.
    """
    origin = Frame(np.zeros(3))
    codes = space.codes.table.weight
    ring = [*rows, rows[0]] if len(rows) > 1 else list(rows)
    stops = [Waypoint(codes[row], origin) for row in ring]
    places = interpolate(stops, steps + 1)[:-1] if len(rows) > 1 else stops
    tints = np.interp(np.arange(len(places)) / steps, range(len(ring)), _tints(len(rows)))
    frames = []
    for number, place in enumerate(progress(places, "film", unit="mesh")):
        leg, step = divmod(number, steps)
        mesh = extract_mesh(
            space.decoder, place.code, resolution, space.extent, newton_steps=1, normals=True
        )
        ends = [space.names[row] for row in ring[leg : leg + 2]]
        label = f"{ends[0]} → {ends[1]}, {100 * step / steps:.0f} %" if step else ends[0]
        frames.append(AnimationFrame(mesh, label, float(tints[number])))
    return frames


def codes(page: report.Page, space: TrainedSpace, folder: Path) -> None:
    """How many directions the codes fill, how long they are, and a map of them."""
    table = space.codes.table.weight.double().cpu().numpy()
    if not table.shape[1]:
        page.section("Codes", "Codes of length 0: the space has one shape.")
        return
    found = code_statistics(table)
    groups = _groups(space.names)
    pictures = [report.picture(path, alt) for path, alt in _plots(found, groups, folder)]
    blocks = [report.side_by_side(*pictures)]
    if found.places.any():
        path = folder / "map.svg"
        shares = [f"{100 * share:.0f} % of the variance" for share in found.shares[:2]]
        names = (f"axis 1, {shares[0]}", f"axis 2, {[*shares, 'none'][1]}")
        rows = spread_out(found.places, MOST_LABELS)
        plot_map(found.places, groups, path, names, {row: space.names[row] for row in rows})
        blocks.append(report.picture(path, "the codes along their two principal axes"))
    length = table.shape[1]
    page.section(
        "Codes",
        f"{len(table)} codes of {length} numbers. Effective rank {found.effective_rank:.1f} (exp "
        "of the entropy of the covariance's spectrum), participation ratio "
        f"{found.participation_ratio:.1f}; {found.axes_for(0.9)} axes hold 90 % of the variance, "
        f"{found.axes_for(0.99)} hold 99 %. Lengths {found.norms.min():.3g} to "
        f"{found.norms.max():.3g}, median {np.median(found.norms):.3g}.",
        *blocks,
    )


def _plots(found: CodeStatistics, groups: Sequence[str], folder: Path) -> list[tuple[Path, str]]:
    spectrum, norms = folder / "spectrum.svg", folder / "norms.svg"
    marks = {
        "effective rank": found.effective_rank,
        "participation ratio": found.participation_ratio,
    }
    plot_bars(found.shares, spectrum, "share of the variance", marks)
    plot_histogram(found.norms, norms, "length of a code")
    return [(spectrum, "spectrum of the codes' covariance"), (norms, "lengths of the codes")]


def _level_sets(page: report.Page, space: TrainedSpace, rows: Sequence[int], folder: Path) -> None:
    """Pictures of some shapes of a space of 2-D shapes, which has no meshes."""
    blocks = []
    for row in rows:
        path = folder / f"levels_{row}.png"
        shown = space.codes.table.weight[torch.tensor([row])], [space.names[row]]
        draw_codes(space.decoder, *shown, space.extent, 280, path)
        blocks.append(report.picture(path, space.names[row]) + report.note(space.names[row]))
    page.section(
        "Shapes",
        "Level sets of training shapes, the shape itself in bold.",
        report.side_by_side(*blocks),
    )


def _groups(names: Sequence[str]) -> list[str]:
    """Whose scan each is: the subject of its name, or the name's part before the first "_"."""
    places = parse_names(names)
    return [places[name].subject if name in places else name.partition("_")[0] for name in names]


def _tints(num: int) -> list[float]:
    """Colours of the stops of a ring, the first of which comes again."""
    return [*np.linspace(0, 1, num), 0.0] if num > 1 else [0.0]
