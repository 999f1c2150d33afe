"""Read scans for a trained space, in its unit, and check that they can be scans of its shapes.

Letters: n points of a scan, D dimension.
"""

from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float

from shapespace.config.options import ReadOptions
from shapespace.data.prepare.points import PointOptions, prepare_scan
from shapespace.data.sources import AnySource, Source, StoredScan
from shapespace.data.store.store import ScanStore
from shapespace.data.units import PER_METRE
from shapespace.errors import InputError, at_least
from shapespace.fitting.residuals import median_distance
from shapespace.scan import Frame, PreparedScan
from shapespace.space import TrainedSpace

MIN_SAMPLES = 20_000
"""Fewest points that are sampled from a mesh, even if a fit uses fewer of them."""
MOST_RATIO = 2.0
"""Ratio of size between a scan and the shapes beyond which a unit cannot be the right one."""


def prepare_for(
    space: TrainedSpace,
    source: AnySource,
    unit: str,
    seed: int,
    num_points: int | None = None,
    reading: ReadOptions = ReadOptions(),
) -> PreparedScan:
    """Read a scan in the unit of the space.

    Args:
        space: the space that will reconstruct it.
        source: file, frame or stored scan.
        unit: length unit of a file; "auto" takes the unit in which the size of the scan is nearest
            to that of the shapes. A store has its own unit.
        seed: seed of the sampling of a mesh.
        num_points: points that are sampled from a mesh; None takes as many as a store gets.
        reading: how a file is read.

    Raises:
        InputError: the scan cannot be read, has another dimension, or reaches out of the box in
            which the space was trained.
    """
    if isinstance(source, StoredScan):
        check_store(space, source.store)
        scan, remedy = source.prepared(), "prepare it with its unit, as in --unit mm"
    else:
        scan = _from_file(space, source, unit, seed=seed, num_points=num_points, reading=reading)
        remedy = "give the scan's unit, as in --unit mm"
    reach = float(np.quantile(np.abs(scan.points).max(1), 0.95))
    if reach > space.extent:
        raise InputError(
            f"{source}: reaches to ±{reach:.4g}, the space was trained within ±{space.extent:g}: "
            f"{remedy}, or move it to the frame of the training scans"
        )
    return scan


def check_store(space: TrainedSpace, store: ScanStore) -> None:
    """Raise InputError if the scans of a store have another unit or dimension than the space."""
    _check_dimension(space, store.path, store.dimension)
    if store.unit != space.unit:
        how = "with" if space.unit == "radius" else "without"
        raise InputError(
            f"{store.path}: its unit is {store.unit}, that of the space {space.unit}; "
            f"prepare the scans {how} --normalise"
        )


def _from_file(
    space: TrainedSpace,
    source: Source,
    unit: str,
    seed: int,
    num_points: int | None,
    reading: ReadOptions,
) -> PreparedScan:
    """Read and prepare a scan from its file."""
    raw, digest = source.load(reading)
    _check_dimension(space, source, raw.vertices.shape[1])
    unit = likely_unit(space, raw.vertices) if unit == "auto" else unit
    scale = common_scale(space) if space.unit == "radius" else PER_METRE[unit]
    options = PointOptions(
        num_points=None if raw.faces is None else num_points,
        seed=seed,
        scale=scale,
        sigma=False,
    )
    return prepare_scan(raw, source.name, options, source=str(source), source_hash=digest)


def common_scale(space: TrainedSpace) -> float | None:
    """The scale that all training scans share, if ``prepare --normalise common`` found one.

    None if each has its own, or there is only one scan.
    """
    frames = space.codes.frames
    scales = {frame.scale for frame in frames}
    return scales.pop() if len(scales) == 1 and len(frames) > 1 else None


def _check_dimension(space: TrainedSpace, what: object, dimension: int) -> None:
    """Raise InputError, which names ``what``, if the dimension is not that of the space."""
    if dimension != space.decoder.dimension:
        raise InputError(f"{what}: has dimension {dimension}, the space {space.decoder.dimension}")


def likely_unit(space: TrainedSpace, vertices: Float[np.ndarray, "n D"]) -> str:
    """The unit in which the size of a scan is nearest to that of the shapes; m if none is near."""
    if space.unit == "radius" or space.size is None or not len(vertices):
        return "m"
    size = float(median_distance(torch.from_numpy(np.asarray(vertices, np.float64))[None]))
    # The logarithm treats a scan that is twice as large like one that is half as large.
    off = {unit: abs(np.log(size / each / space.size)) for unit, each in PER_METRE.items()}
    unit = min(off, key=lambda name: off[name])
    return unit if off[unit] < np.log(MOST_RATIO) else "m"


def unit_of(space: TrainedSpace, frame: Frame) -> str:
    """The name of the unit of a source whose scan was prepared for a space."""
    if space.unit == "radius":
        return "radius"
    names = {each: unit for unit, each in PER_METRE.items()}
    return names.get(frame.scale, f"1/{frame.scale:g} m")


def space_of_meshes(checkpoint: str | Path, seed: int = 0) -> TrainedSpace:
    """Load a space whose shapes have meshes.

    Raises:
        InputError: it is no checkpoint, its shapes are 2-D, or the seed is negative.
    """
    at_least(0, seed=seed)
    space = TrainedSpace.load(checkpoint)
    space.check_has_meshes()
    return space
