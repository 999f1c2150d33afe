"""Errors of correspondences whose truth is known, such as between registrations of one template.

Vertices of registrations share their index: vertex i is the same place of the body on all of them.
The error of a correspondence is the distance from where it puts vertex i to where vertex i is. A
distance to the nearest surface point is no such error: it is 0 for a hand that is found on the hip.

Letters: V vertices, K vertices that were found, of which there must be V.
"""

from typing import NamedTuple

import numpy as np
import trimesh
from jaxtyping import Float

from shapespace.errors import InputError
from shapespace.geometry.proximity import nearest_on_mesh

WITHIN = (0.01, 0.05)
"""Distances of the shares, in metres: 10 and 50 mm."""


class CorrespondenceError(NamedTuple):
    """Distances between found and true places of vertices, unsquared, one-way, by shared index.

    Args:
        mean: mean over the vertices, in the unit of the points.
        median: half of the vertices are nearer.
        most: 95 % of the vertices are nearer.
        near: share of the vertices within the first distance, 10 mm for metres.
        fair: share of the vertices within the second distance, 50 mm for metres.
        count: vertices that were measured.
    """

    mean: float
    median: float
    most: float
    near: float
    fair: float
    count: int


def correspondence_error(
    found: Float[np.ndarray, "K 3"],
    true: Float[np.ndarray, "V 3"],
    within: tuple[float, float] = WITHIN,
) -> CorrespondenceError:
    """Measure where vertices were found against where they are.

    Args:
        found: the place that a correspondence gives to each vertex; infinite where it gives none.
        true: its true place, in the same frame and unit.
        within: distances of the two shares, in that unit.

    Raises:
        InputError: the numbers of vertices differ, there is none, or a true place is not finite.
    """
    if found.shape != true.shape or not len(true):
        raise InputError(
            f"{len(found)} vertices were found, {len(true)} are true: give both for each vertex"
        )
    if not np.isfinite(true).all():
        raise InputError("a true place is not finite: leave out vertices that are not known")
    error = np.linalg.norm(found - true, axis=1)
    # A vertex that was not found counts as far: leaving it out would reward silence.
    error = np.where(np.isfinite(error), error, np.inf)
    near, fair = (float((error < distance).mean()) for distance in within)
    return CorrespondenceError(
        mean=float(error.mean()),
        median=float(np.median(error)),
        most=float(np.quantile(error, 0.95, method="higher")),
        near=near,
        fair=fair,
        count=len(error),
    )


def nearest_point_error(
    start: Float[np.ndarray, "V 3"],
    end: trimesh.Trimesh,
    within: tuple[float, float] = WITHIN,
) -> CorrespondenceError:
    """The error of nearest points, which a correspondence must beat.

    Each vertex of the first shape is sent to the nearest point of the second one as it stands.

    Args:
        start: vertices of the first shape.
        end: the second shape; vertex i is the true place of vertex i.
        within: distances of the two shares, in the unit of the shapes.

    Raises:
        InputError: the numbers of vertices differ, or libigl is not installed.
    """
    true = np.asarray(end.vertices, np.float64)
    return correspondence_error(nearest_on_mesh(start, end)[1], true, within)
