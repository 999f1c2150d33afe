"""Centre and radius of a shape that a few points far away cannot set.

The mean of the points and the largest distance from it are those of the shape only if every point
belongs to it. One stray point at a hundred radii makes the radius a hundred times too large.

Letters: n points, F faces, D dimension.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

from shapespace.errors import InputError

BULK = 0.9
"""Share of the points, nearest to the centre, that belong to the shape in any case."""
GAP = 2.0
"""Beyond the bulk, the first distance that is this times the one before ends the shape.

Registered and raw scans of people, animals and objects have 1.11 at most.
"""
QUANTILE = 0.99
"""The radius holds this share of the points that are left."""
RIM = 1.5
"""A point is stray beyond this times the radius. The scans above reach 1.16."""
FAR = 1e4
"""No scan is prepared with a point beyond this times the radius.

Float32 would round the shape to a thousandth of its size, and the mean would lie far outside it.
"""
NUM_MEASURED = 10_000
"""Number of points that give centre and radius."""


@dataclass(frozen=True)
class Extent:
    """Extent of the bulk of a shape.

    Args:
        centre: median of each coordinate.
        radius: distance from the centre that holds 99 % of the points, those beyond a wide gap left
            out.
    """

    centre: Float[np.ndarray, " D"]
    radius: float

    def times(self, points: Float[np.ndarray, "n D"]) -> Float[np.ndarray, " n"]:
        """Distances of points from the centre, in radii; 0 where the radius is 0."""
        if not self.radius > 0:
            return np.zeros(len(points))
        return np.linalg.norm(points - self.centre, axis=1) / self.radius

    def holds(self, points: Float[np.ndarray, "n D"]) -> Bool[np.ndarray, " n"]:
        """Say of each point whether it belongs to the bulk, and so is not stray."""
        return self.times(points) <= RIM


def extent_of(points: Float[np.ndarray, "n D"]) -> Extent:
    """Measure the extent of points in random order; those after the first 10 000 do not matter."""
    some = np.asarray(points[:NUM_MEASURED], np.float64)
    centre = np.median(some, axis=0)
    distance = np.sort(np.linalg.norm(some - centre, axis=1))
    first = min(int(np.ceil(BULK * len(distance))), len(distance) - 1)
    outer = distance[max(first - 1, 0) :]
    gap = np.flatnonzero(outer[1:] > GAP * np.maximum(outer[:-1], np.finfo(float).tiny))
    if len(gap) and outer[gap[0]] > 0:
        distance = distance[: max(first - 1, 0) + gap[0] + 1]
    return Extent(centre, float(np.quantile(distance, QUANTILE)))


def check_not_far(
    label: str, vertices: Float[np.ndarray, "n D"], faces: Int[np.ndarray, "F 3"] | None
) -> None:
    """Raise InputError if a point lies out of all proportion to the others.

    Args:
        label: begins the message.
        vertices: points of a cloud, or vertices of a mesh.
        faces: faces of the mesh, else None. A vertex of no face may lie anywhere.
    """
    if faces is not None:
        used = np.zeros(len(vertices), bool)
        used[faces] = True
        vertices = vertices[used]
    step = max(len(vertices) // NUM_MEASURED, 1)
    times = extent_of(vertices[::step]).times(vertices)
    worst = int(times.argmax())
    if times[worst] > FAR:
        where = ", ".join(f"{x:.6g}" for x in vertices[worst])
        count = int((times > FAR).sum())
        raise InputError(
            f"{label}: {count} of {len(vertices)} points lie far beyond the shape, one at "
            f"({where}), {times[worst]:.3g} times its radius; remove them, or prepare with --clean"
        )
