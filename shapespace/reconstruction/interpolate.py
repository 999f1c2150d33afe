"""Shapes between shapes: straight lines in the space of codes.

Letters: L code length.
"""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
from jaxtyping import Float
from torch import Tensor

from shapespace.data.formats.readers import READERS
from shapespace.data.sources import find_sources
from shapespace.errors import InputError, at_least
from shapespace.reconstruction.export import write_mesh
from shapespace.reconstruction.inputs import prepare_for, space_of_meshes
from shapespace.rendering.previews import draw_row
from shapespace.scan import Frame
from shapespace.space import TrainedSpace
from shapespace.utils.files import output_folder
from shapespace.utils.progress import progress


@dataclass(frozen=True)
class Waypoint:
    """One place in the space: a code and the frame its shape is exported to."""

    code: Float[Tensor, " L"]
    frame: Frame


def interpolate(stops: Sequence[Waypoint], steps: int) -> list[Waypoint]:
    """``steps`` places from each stop to the next, both ends included, passed once each.

    Codes and frames are interpolated linearly: k stops give (k - 1) * (steps - 1) + 1 places, the
    first and the last of which are the first and last stop themselves.
    """
    if len(stops) < 2 or steps < 2:
        raise ValueError(f"{len(stops)} stops and steps={steps}: at least 2 of each are needed")
    path = [stops[0]]
    for start, end in pairwise(stops):
        path += [_between(start, end, t) for t in np.linspace(0, 1, steps)[1:]]
    return path


def _between(start: Waypoint, end: Waypoint, t: float) -> Waypoint:
    if t == 1:
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
) -> list[Path]:
    """Meshes along the straight lines from shape to shape, and ``strip.png``; the files written."""
    if len(shapes) < 2 or steps < 2:
        raise InputError(f"{len(shapes)} shapes and steps={steps}: give at least two of each")
    at_least(2, resolution=resolution)
    space = space_of_meshes(checkpoint, seed)
    folder = output_folder(out)
    stops = [_stop(space, shape, unit, seed) for shape in shapes]
    places = interpolate(stops, steps)
    meshes, paths = [], []
    for number, place in enumerate(progress(places, "meshing")):
        mesh = space.mesh(place.code, place.frame, resolution)
        meshes.append(mesh)
        paths.append(write_mesh(mesh, folder / f"{number:03d}.ply"))
    try:
        paths.append(draw_row(meshes, folder / "strip.png"))
    except InputError as error:
        warnings.warn(f"no strip.png: {error}", stacklevel=2)
    return paths


def _stop(space: TrainedSpace, shape: str, unit: str, seed: int) -> Waypoint:
    is_file = Path(shape).exists() or Path(shape).suffix.lower() in READERS or "/" in shape
    if shape in space.names or not is_file:
        return Waypoint(space.code(shape), space.frame(shape))
    sources = find_sources(Path(shape))
    if len(sources) > 1:
        raise InputError(f"{shape}: holds {len(sources)} scans; give one scan file")
    scan = prepare_for(space, sources[0], unit, seed)
    fitted = space.fit([scan])
    shift = fitted.poses.shift[0].double().cpu().numpy()
    return Waypoint(fitted.codes[0], Frame(scan.frame.to_source(-shift[None])[0], scan.frame.scale))
