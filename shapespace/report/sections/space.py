"""Sections about the space itself: an animation of its shapes, and the statistics of its codes.

Letters: S training shapes, L code length.
"""

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
import trimesh
from jaxtyping import Float
from torch import Tensor

from shapespace.data.names import group_names
from shapespace.geometry.spread import farthest_point_sample
from shapespace.reconstruction.walks.path import Leg, Waypoint, passing_leg, points_of
from shapespace.rendering.charts import plot_bars, plot_histogram, plot_map
from shapespace.rendering.previews import draw_codes
from shapespace.report import html as report
from shapespace.report.code_statistics import (
    CodeStatistics,
    code_statistics,
    principal_axes,
)
from shapespace.report.player import AnimationFrame, AxisFrames, player
from shapespace.scan import Frame
from shapespace.space import TrainedSpace
from shapespace.surface.mesh import extract_mesh
from shapespace.utils.progress import progress

NUM_AXES = 3
"""Principal axes that have a slider, at most."""
AXIS_REACH, AXIS_FRAMES = 2.0, 7
"""Standard deviations to each side of the mean code, and shapes from one end to the other."""
NUM_WAYPOINTS = 4
"""Training shapes that the animation passes, at most."""
MOST_LABELS = 5
"""Labelled points of the map of codes, at most."""
SLICE_HEIGHT = 280
"""Height of the picture of a 2-D shape, in pixels."""


def animation(
    page: report.Page, space: TrainedSpace, *, folder: Path, up: str, steps: int, resolution: int
) -> None:
    """Add an animation between training shapes whose codes lie far apart, over those in between.

    A space of 2-D shapes has no meshes; pictures of level sets take the place of the animation.

    Args:
        page: The page to add to.
        space: The space of the run.
        folder: A folder for temporary pictures.
        up: The axis that points up, "x", "y" or "z".
        steps: Frames from one training shape to the next.
        resolution: Grid nodes along the longest side of a mesh.
    """
    table = space.codes.table.weight.double().cpu().numpy()
    rows = farthest_point_sample(table, NUM_WAYPOINTS)
    if space.decoder.dimension != 3:
        _level_sets(page, space, rows, folder=folder)
        return
    legs = legs_of(space, rows)
    frames = animation_frames(space, rows, legs, steps=steps, resolution=resolution)
    axes = axis_frames(space, resolution=resolution)
    names = ", ".join(space.names[row] for row in rows)
    several = len(rows) > 1
    passed = len({name for leg in legs for name in leg.through})
    shown = (
        f"A walk through the codes of {names} and back{_passed_said(passed)}" if several else names
    )
    page.section(
        "Animation between training shapes" if several else "The shape",
        f"{shown}. Drag to turn, double-click to turn back; click, then scroll to zoom."
        f"{_axes_said(axes)}",
        player(frames, up, loop=several, axes=axes),
    )


def _passed_said(passed: int) -> str:
    if not passed:
        return " on straight lines. Shapes in between are the decoder's own, and may lose limbs"
    return (
        f", over {passed} other training shapes on the way: straight lines between codes that lie "
        "far apart lose limbs more often. Between two of them the decoder interpolates"
    )


def legs_of(space: TrainedSpace, rows: Sequence[int]) -> list[Leg]:
    """The ways from each of some training shapes to the next, and from the last to the first.

    Args:
        space: the space.
        rows: of the training shapes; a single one has no way.
    """
    codes = space.codes.table.weight.detach()
    ring = [*rows, rows[0]] if len(rows) > 1 else []
    return [passing_leg(space, codes[start], codes[end]) for start, end in pairwise(ring)]


def _axes_said(axes: Sequence[AxisFrames]) -> str:
    if not axes:
        return ""
    return (
        f" The sliders below move along the principal axes of the codes, {AXIS_REACH:g} standard "
        "deviations to each side of the mean shape. No scan has these codes: toward the ends the "
        "decoder guesses, and limbs may shrink or merge."
    )


def axis_frames(space: TrainedSpace, *, resolution: int) -> list[AxisFrames]:
    """Mesh the shapes along the longest principal axes of the codes; none where codes are equal.

    Args:
        space: A space of 3-D shapes.
        resolution: Grid nodes along the longest side of a mesh.
    """
    codes = space.codes.table.weight
    found = principal_axes(codes.double().cpu().numpy())
    count = min(NUM_AXES, len(found.variances))
    steps = np.linspace(-AXIS_REACH, AXIS_REACH, AXIS_FRAMES)
    work = progress([(row, step) for row in range(count) for step in steps], "axes", unit="mesh")
    meshes: dict[tuple[int, float], trimesh.Trimesh] = {}
    for row, step in work:
        # The mean shape is the middle of all sliders.
        key = (row, step) if step else (0, 0.0)
        if key not in meshes:
            off = step * np.sqrt(found.variances[row]) * found.directions[row]
            code = torch.from_numpy(found.mean + off).to(codes)
            meshes[key] = _shape(space, code, resolution)
    share = found.variances / (found.variances.sum() or 1.0)
    return [
        AxisFrames(
            f"axis {row + 1}, {share[row]:.0%} of the variance",
            [
                AnimationFrame(
                    meshes[(row, step) if step else (0, 0.0)],
                    f"axis {row + 1}: {step:+.1f} standard deviations" if step else "mean shape",
                )
                for step in steps
            ],
        )
        for row in range(count)
    ]


def animation_frames(
    space: TrainedSpace,
    rows: Sequence[int],
    legs: Sequence[Leg],
    *,
    steps: int,
    resolution: int,
) -> list[AnimationFrame]:
    """Mesh the shapes from one training shape to the next and from the last back to the first.

    Args:
        space: A space of 3-D shapes.
        rows: Rows of the training shapes, at least one; a single one gives one frame.
        legs: The ways between them, of :func:`legs_of`.
        steps: Frames from one training shape to the next, of which the first frame is the training
            shape itself.
        resolution: Grid nodes along the longest side of a mesh.

    Returns:
        Frames whose colour changes from blue at the first training shape to orange at the last.
    """
    # The animation shows the frame of the space, in which the training shapes are aligned.
    origin = Frame(np.zeros(3))
    codes = space.codes.table.weight
    several = len(rows) > 1
    ring = [*rows, rows[0]] if several else list(rows)
    waypoints = [Waypoint(codes[row], origin) for row in ring]
    # The last one of the path equals the first, and a loop would show that shape twice.
    path = points_of(waypoints, legs, steps + 1)[:-1] if several else waypoints
    tints = np.interp(np.arange(len(path)) / steps, range(len(ring)), _tints(len(rows)))
    frames = []
    for number, waypoint in enumerate(progress(path, "animation", unit="mesh")):
        leg, step = divmod(number, steps)
        mesh = _shape(space, waypoint.code, resolution)
        ends = [space.names[row] for row in ring[leg : leg + 2]]
        label = f"{ends[0]} → {ends[1]}, {100 * step / steps:.0f} %" if step else ends[0]
        frames.append(AnimationFrame(mesh, label, tint=float(tints[number])))
    return frames


def _shape(space: TrainedSpace, code: Float[Tensor, " L"], resolution: int) -> trimesh.Trimesh:
    """The shape of a code in the frame of the space, as the player shows it."""
    return extract_mesh(space.decoder, code, resolution, space.extent, newton_steps=1, normals=True)


def codes(page: report.Page, space: TrainedSpace, folder: Path) -> None:
    """Add the statistics of the codes: spectrum, rank, norms and a map along two principal axes.

    Args:
        page: The page to add to.
        space: The space of the run.
        folder: A folder for temporary pictures.
    """
    table = space.codes.table.weight.double().cpu().numpy()
    if not table.shape[1]:
        page.section("Codes", "Codes of length 0: the space has one shape.")
        return
    found = code_statistics(table)
    blocks = [report.side_by_side(*_plots(found, folder))]
    if found.coordinates.any():
        blocks.append(_map(found, space.names, folder / "map.svg"))
    length = table.shape[1]
    page.section(
        "Codes",
        f"{len(table)} codes of {length} numbers. Effective rank {found.effective_rank:.1f} (exp "
        "of the entropy of the covariance's spectrum), participation ratio "
        f"{found.participation_ratio:.1f}; {found.axes_for(0.9)} axes hold 90 % of the variance, "
        f"{found.axes_for(0.99)} hold 99 %. Norms {found.norms.min():.3g} to "
        f"{found.norms.max():.3g}, median {np.median(found.norms):.3g}.",
        *blocks,
    )


def _plots(found: CodeStatistics, folder: Path) -> list[str]:
    """Pictures of the spectrum and of the norms."""
    spectrum = folder / "spectrum.svg"
    marks = {
        "effective rank": found.effective_rank,
        "participation ratio": found.participation_ratio,
    }
    plot_bars(found.shares, spectrum, label="share of the variance", marks=marks)
    norms = folder / "norms.svg"
    plot_histogram(found.norms, norms, "norm of a code")
    return [
        report.picture(spectrum, "spectrum of the codes' covariance"),
        report.picture(norms, "norms of the codes"),
    ]


def _map(found: CodeStatistics, names: Sequence[str], path: Path) -> str:
    """A map of the codes, coloured by group, with the names of a few codes far from each other.

    Args:
        found: The statistics of the codes.
        names: The name of each code.
        path: The picture to write.
    """
    shares = [f"{100 * share:.0f} % of the variance" for share in found.shares[:2]]
    # Codes of length 1 have no second axis.
    second = shares[1] if len(shares) > 1 else "none"
    labelled = farthest_point_sample(found.coordinates, MOST_LABELS)
    plot_map(
        found.coordinates,
        group_names(names),
        path,
        names=(f"axis 1, {shares[0]}", f"axis 2, {second}"),
        labels={row: names[row] for row in labelled},
    )
    return report.picture(path, "the codes along their two principal axes")


def _level_sets(
    page: report.Page, space: TrainedSpace, rows: Sequence[int], *, folder: Path
) -> None:
    """Add pictures of the level sets of some training shapes of a space of 2-D shapes."""
    blocks = []
    for row in rows:
        name = space.names[row]
        path = draw_codes(
            space.decoder,
            space.codes.table.weight[[row]],
            [name],
            extent=space.extent,
            height=SLICE_HEIGHT,
            path=folder / f"levels_{row}.png",
        )
        blocks.append(report.picture(path, name) + report.note(name))
    page.section(
        "Shapes",
        "Level sets of training shapes; the zero set, which is the shape, is bold.",
        report.side_by_side(*blocks),
    )


def _tints(num: int) -> list[float]:
    """The tint of each training shape, from 0 to 1, and again that of the first (0)."""
    return [*np.linspace(0, 1, num), 0.0] if num > 1 else [0.0]
