"""The scans that the options about cameras name, and whether they can be shapes of a space.

Letters: K points.
"""

from collections.abc import Sequence

import numpy as np
import torch

from shapespace.cameras.files import read_cameras
from shapespace.config.options import ReadOptions, ViewOptions
from shapespace.data.formats.readers import read_positions
from shapespace.data.sources import AnySource
from shapespace.data.units import PER_METRE
from shapespace.errors import InputError, one_line
from shapespace.fitting.residuals import median_distance
from shapespace.fitting.search import Search, Stage
from shapespace.reconstruction.inputs import prepare_for
from shapespace.reconstruction.views.fuse import Views, views_of, with_sensors
from shapespace.scan import PreparedScan, Scan
from shapespace.space import TrainedSpace

QUICK = Search(starts=4, stages=(Stage(points=300, width=16.0, iterations=10, kept=1),))
"""A fit that is good enough to tell whether a shape stands or hangs."""
MUCH_BETTER = 0.4
"""A shape hangs upside down if its points then lie nearer to the fit by this factor."""
MUCH_LARGER, MUCH_SMALLER = 4.0, 1 / 20
"""Ratios of size between points and shapes beyond which a unit is wrong. A view of a hand is small,
a view of a room large."""


def seen_sources(
    sources: Sequence[AnySource], options: ViewOptions, unit: str = "auto"
) -> list[AnySource]:
    """The scans of files with what is known of their sensors, and the scan of depth maps.

    Args:
        sources: scans of files, folders and stores; may be empty.
        options: depth maps, masks, cameras, sensors.
        unit: of the cameras and files; auto stands for m.

    Raises:
        InputError: options are missing or do not fit together.
    """
    depth, masks = options.depth or (), options.masks or ()
    found = list(sources)
    if options.sensor is not None:
        if not found:
            raise InputError("sensor: there is no scan whose sensor it is; give scan files")
        found = with_sensors(found, _positions(options.sensor))
    if options.cameras is None:
        if depth or masks:
            raise InputError("depth and masks need the cameras that took them: give --cameras FILE")
        if not found:
            raise InputError("nothing to reconstruct; give scan files, or --cameras FILE")
        return found
    cameras = read_cameras(options.cameras, options.axes)
    views = views_of(
        cameras,
        options.cameras,
        depth,
        masks,
        depth_unit=options.depth_unit,
        unit="m" if unit == "auto" else unit,
        axes=options.axes,
    )
    return [*found, views]


def split_silhouettes(sources: Sequence[AnySource]) -> tuple[list[AnySource], Views | None]:
    """The scans that have points, and the one that has masks alone, if there is one."""
    alone = [
        source
        for source in sources
        if isinstance(source, Views) and all(view.depth is None for view in source.files)
    ]
    return [source for source in sources if source not in alone], alone[0] if alone else None


def _positions(words: Sequence[str]) -> np.ndarray:
    """Positions [C,3] of ``--sensor``: three numbers, or the name of a file."""
    if len(words) == 1:
        found = read_positions(words[0])
        if found.shape[1] != 3:
            raise InputError(f"{one_line(words[0])}: each line needs x y z of a sensor")
        return found
    try:
        numbers = np.array([float(word) for word in words])
    except ValueError:
        numbers = np.zeros(0)
    if len(numbers) != 3 or not np.isfinite(numbers).all():
        raise InputError(
            f"sensor={' '.join(words)}: give three numbers X Y Z, or a file with x y z in each line"
        )
    return numbers[None]


def prepare_seen(
    space: TrainedSpace,
    source: AnySource,
    unit: str,
    seed: int,
    num_points: int | None = None,
    reading: ReadOptions = ReadOptions(),
) -> PreparedScan:
    """Read a scan in the unit of the space, as
    :func:`~shapespace.reconstruction.inputs.prepare_for` does, and look at depth maps more closely.

    Args:
        space: the space that will reconstruct it.
        source: file, frame, stored scan, or depth maps.
        unit: length unit of a file; "auto" stands for m where the source are depth maps.
        seed: seed of the sampling of a mesh.
        num_points: points that are sampled from a mesh; None takes as many as a store gets.
        reading: how a file is read.

    Raises:
        InputError: the scan cannot be used, as there; or depth maps have another unit or axes.
    """
    seen = isinstance(source, Views)
    if seen:
        check_size(space, source)
    used = "m" if seen and unit == "auto" else unit
    scan = prepare_for(space, source, unit=used, seed=seed, num_points=num_points, reading=reading)
    if seen:
        check_upright(space, source, scan)
    return scan


def check_size(space: TrainedSpace, views: Views) -> None:
    """InputError if the points of depth maps are far larger or smaller than the shapes of a space.

    Args:
        space: the space.
        views: read with their cameras in metres, or in the unit that the user named.
    """
    if space.unit == "radius" or space.size is None:
        return
    points = views.load()[0].vertices
    ratio = float(median_distance(torch.from_numpy(points)[None])) / space.size
    ratio /= views.per_metre
    if MUCH_SMALLER < ratio < MUCH_LARGER:
        return
    png = next(v.depth for v in views.files if v.depth is not None).suffix.lower() == ".png"
    read_as = _unit_named(views.factor[0 if png else 1] / views.per_metre)
    times = f"{ratio:.3g} times" if ratio >= 1 else f"1/{1 / ratio:.3g}"
    raise InputError(
        f"{views}: the points are {times} as large as the shapes of the space; the depth maps were "
        f"read in {read_as}: give --depth-unit mm, cm, m or in, --unit for the cameras, or leave "
        "out the background with --masks"
    )


def _unit_named(factor: float) -> str:
    """The unit of depth maps whose numbers were multiplied by a factor to give metres."""
    near = [unit for unit, each in PER_METRE.items() if abs(factor * each - 1) < 1e-6]
    return near[0] if near else f"{factor:g} m"


def check_upright(space: TrainedSpace, views: Views, scan: PreparedScan) -> None:
    """InputError if shapes of the space fit the points only when the cameras have the other axes.

    A single view is as good a view with the wrong axes, of a shape that stands on its head. Nothing
    is said where the user named the axes.

    Args:
        space: the space.
        views: the depth maps.
        scan: the points.
    """
    if views.given_axes is not None or views.path.is_dir() or views.path.suffix == ".txt":
        return
    codes = space.codes.table.weight.detach()
    axis = next(view.camera for view in views.files if view.depth is not None).rotation[:, 0]
    half = 2 * np.outer(axis, axis) - np.eye(3)
    normals = scan.trusted_normals
    both = [scan.points, scan.points @ half.T]
    facing = None if normals is None else [normals, normals @ half.T]
    batch = Scan(
        index=torch.arange(2),
        points=torch.from_numpy(np.stack(both)).to(codes),
        normals=None if facing is None else torch.from_numpy(np.stack(facing)).to(codes),
        sigma=None,
    )
    off = QUICK(space.metric, batch, codes).scatter
    if float(off[1]) < MUCH_BETTER * float(off[0]):
        raise InputError(
            f"{one_line(views.path)}: shapes of the space fit only upside down, as if they lay "
            "behind the camera: give --axes opencv, or --axes opengl if that is right"
        )
