"""Scans and spaces as a reconstruction takes them: in the unit and dimension of the space."""

from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float

from shapespace.data.prepare.points import PointOptions, prepare_scan
from shapespace.data.sources import AnySource, Source, StoredScan
from shapespace.data.store.store import ScanStore
from shapespace.data.units import PER_METRE
from shapespace.errors import InputError, at_least
from shapespace.fitting.residuals import median_distance
from shapespace.scan import Frame, PreparedScan
from shapespace.space import TrainedSpace

ANOTHER_SIZE = 2.0
"""A scan that is so many times as large as the shapes is not one of them."""


def prepare_for(
    space: TrainedSpace, source: AnySource, unit: str, seed: int, num_points: int | None = None
) -> PreparedScan:
    """A scan in the unit of the space; InputError if it is not of the size of its shapes.

    unit: of a file; "auto" takes the one in which the scan is nearest in size to the shapes. A
    store has its own. num_points: that are sampled of a mesh; None takes as many as a store gets.
    """
    if isinstance(source, StoredScan):
        check_store(space, source.store)
        scan, remedy = source.prepared(), "prepare it with its unit, as in --unit mm"
    else:
        scan = _from_file(space, source, unit, seed, num_points)
        remedy = "give the scan's unit, as in --unit mm"
    reach = float(np.quantile(np.abs(scan.points).max(1), 0.95))
    if reach > space.extent:
        raise InputError(
            f"{source}: reaches to ±{reach:.4g}, the space was trained within ±{space.extent:g}: "
            f"{remedy}, or move it to the frame of the training scans"
        )
    return scan


def check_store(space: TrainedSpace, store: ScanStore) -> None:
    """InputError if the scans of a store have another unit or dimension than the space."""
    _check_dimension(space, store.path, store.dimension)
    if store.unit != space.unit:
        how = "with" if space.unit == "radius" else "without"
        raise InputError(
            f"{store.path}: its unit is {store.unit}, that of the space {space.unit}; "
            f"prepare the scans {how} --normalise"
        )


def _from_file(
    space: TrainedSpace, source: Source, unit: str, seed: int, num_points: int | None
) -> PreparedScan:
    raw, digest = source.load()
    _check_dimension(space, source, raw.vertices.shape[1])
    unit = likely_unit(space, raw.vertices) if unit == "auto" else unit
    scale = None if space.unit == "radius" else PER_METRE[unit]
    options = PointOptions(None if raw.faces is None else num_points, seed, scale)
    return prepare_scan(raw, source.name, options, source=str(source), source_hash=digest)


def _check_dimension(space: TrainedSpace, what: object, dimension: int) -> None:
    if dimension != space.decoder.dimension:
        raise InputError(f"{what}: has dimension {dimension}, the space {space.decoder.dimension}")


def likely_unit(space: TrainedSpace, vertices: Float[np.ndarray, "n D"]) -> str:
    """The unit in which a scan is nearest in size to the shapes of a space; m if none is near."""
    if space.unit == "radius" or space.size is None or not len(vertices):
        return "m"
    size = float(median_distance(torch.from_numpy(np.asarray(vertices, np.float64))[None]))
    off = {unit: abs(np.log(size / each / space.size)) for unit, each in PER_METRE.items()}
    unit = min(off, key=lambda name: off[name])
    return unit if off[unit] < np.log(ANOTHER_SIZE) else "m"


def unit_of(space: TrainedSpace, frame: Frame) -> str:
    """The unit of a source whose scan was prepared for a space."""
    names = {each: unit for unit, each in PER_METRE.items()}
    other = f"1/{frame.scale:g} m"
    return "radius" if space.unit == "radius" else names.get(frame.scale, other)


def space_of_meshes(checkpoint: str | Path, seed: int = 0) -> TrainedSpace:
    """The space of a checkpoint; InputError if its shapes have no meshes, or for a bad seed."""
    at_least(0, seed=seed)
    space = TrainedSpace.load(checkpoint)
    space.check_has_meshes()
    return space
