"""Interpolation between shapes along straight lines in the space of codes.

Letters: L code length.
"""

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
from jaxtyping import Float
from torch import Tensor

from shapespace.config.options import Factor, ReadOptions
from shapespace.data.formats.contents import grouped_accounts
from shapespace.data.formats.readers import READERS
from shapespace.data.sources import find_sources
from shapespace.encoders.factors import Held, with_part
from shapespace.errors import InputError, at_least
from shapespace.reconstruction.export import write_mesh
from shapespace.reconstruction.inputs import prepare_for, space_of_meshes
from shapespace.rendering.previews import draw_row
from shapespace.scan import Frame, PreparedScan
from shapespace.space import TrainedSpace
from shapespace.utils.files import output_folder
from shapespace.utils.progress import progress


@dataclass(frozen=True)
class Waypoint:
    """A point on an interpolation path.

    Args:
        code: its code.
        frame: frame to which its shape is exported.
    """

    code: Float[Tensor, " L"]
    frame: Frame


def interpolate(waypoints: Sequence[Waypoint], steps: int) -> list[Waypoint]:
    """Interpolate codes and frames linearly from each waypoint to the next.

    Between two waypoints there are ``steps`` points, both ends included. k waypoints give
    (k - 1) (steps - 1) + 1 points; no waypoint is repeated.
    """
    if len(waypoints) < 2 or steps < 2:
        raise ValueError(f"{len(waypoints)} waypoints and steps={steps}: give at least 2 of each")
    path = [waypoints[0]]
    for start, end in pairwise(waypoints):
        path += [_between(start, end, t) for t in np.linspace(0, 1, steps)[1:]]
    return path


def _between(start: Waypoint, end: Waypoint, t: float) -> Waypoint:
    """The point at the fraction ``t`` of the way from ``start`` to ``end``."""
    if t == 1:  # exactly the waypoint: rounding would move it
        return end
    centre = (1 - t) * start.frame.centre + t * end.frame.centre
    scale = (1 - t) * start.frame.scale + t * end.frame.scale
    return Waypoint((1 - t) * start.code + t * end.code, Frame(centre, scale))


def interpolate_shapes(
    checkpoint: str | Path,
    shapes: Sequence[str],
    out: str | Path,
    *,
    steps: int = 7,
    resolution: int = 192,
    unit: str = "auto",
    seed: int = 0,
    reading: ReadOptions = ReadOptions(),
    hold: Factor | None = None,
    on_remark: Callable[[str], object] = lambda _: None,
) -> list[Path]:
    """Write meshes along the straight lines from shape to shape, and ``strip.png`` of all.

    Args:
        checkpoint: file of a trained space.
        shapes: names of training scans, or scan files, whose codes are found first.
        out: folder for the results.
        steps: points from each shape to the next, both included.
        resolution: grid nodes along the longest side of a mesh.
        unit: length unit of scan files, as in :class:`~shapespace.config.options.MeshOptions`.
        seed: seed of the sampling of scan files.
        reading: how scan files are read.
        hold: the part of the code that stays that of the first shape, so that the other part alone
            walks; None walks with whole codes. For spaces trained with ``model.identity_size``.
        on_remark: called with each line about what of a file is not used, mended or left out.

    Returns:
        The files that were written.
    """
    if len(shapes) < 2 or steps < 2:
        raise InputError(f"{len(shapes)} shapes and steps={steps}: give at least two of each")
    at_least(2, resolution=resolution)
    space = space_of_meshes(checkpoint, seed)
    folder = output_folder(out)
    scans = [_scan_in(space, shape, unit=unit, seed=seed, reading=reading) for shape in shapes]
    for line in grouped_accounts((scan.source, scan.account) for scan in scans if scan is not None):
        on_remark(line)
    waypoints = [_waypoint(space, shape, scan) for shape, scan in zip(shapes, scans, strict=True)]
    if hold is not None:
        waypoints = _holding(space, waypoints, hold)
    meshes, paths = [], []
    for number, point in enumerate(progress(interpolate(waypoints, steps), "meshing", unit="mesh")):
        mesh = space.mesh(point.code, point.frame, resolution)
        meshes.append(mesh)
        paths.append(write_mesh(mesh, folder / f"{number:03d}.ply"))
    try:
        paths.append(draw_row(meshes, folder / "strip.png"))
    except InputError as error:
        warnings.warn(f"no strip.png: {error}", stacklevel=2)
    return paths


def _holding(space: TrainedSpace, waypoints: Sequence[Waypoint], hold: Factor) -> list[Waypoint]:
    """The waypoints with one part of the code of the first."""
    if not space.identity_size:
        raise InputError(
            f"hold={hold}: {space.path} has codes of one part; train with model.identity_size"
        )
    held = Held(hold, waypoints[0].code)
    return [
        Waypoint(with_part(point.code, held, space.identity_size), point.frame)
        for point in waypoints
    ]


def _scan_in(
    space: TrainedSpace, shape: str, *, unit: str, seed: int, reading: ReadOptions
) -> PreparedScan | None:
    """The scan in a file; None for the name of a training scan."""
    is_file = Path(shape).exists() or Path(shape).suffix.lower() in READERS or "/" in shape
    if shape in space.names or not is_file:
        return None
    sources = find_sources(Path(shape))
    if len(sources) > 1:
        raise InputError(f"{shape}: holds {len(sources)} scans; give one scan file")
    return prepare_for(space, sources[0], unit, seed, reading=reading)


def _waypoint(space: TrainedSpace, shape: str, scan: PreparedScan | None) -> Waypoint:
    """The code and frame of a training scan, or of the scan of a file, which is fitted."""
    if scan is None:
        return Waypoint(space.code(shape), space.frame(shape))
    fitted = space.fit([scan])
    # The pose leads from the scan to the space. Its inverse, a shift, goes into the frame.
    shift = fitted.poses.shift[0].double().cpu().numpy()
    return Waypoint(fitted.codes[0], Frame(scan.frame.to_source(-shift[None])[0], scan.frame.scale))
