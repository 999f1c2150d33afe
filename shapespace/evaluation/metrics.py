"""Distances between surfaces, of which the columns of the scores are made.

Unsquared and in the unit of the arguments. Letters: K, J points, D dimension.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import trimesh
from jaxtyping import Float, Int
from scipy.spatial import KDTree

from shapespace.errors import at_least
from shapespace.geometry.proximity import inside

NUM_SAMPLES = 100_000


@dataclass(frozen=True)
class SampledSurface:
    """A surface as points, to be measured against another.

    points: of a mesh drawn evenly by area, or those of a cloud. normals: unit, a zero row is
    unknown; None if there are none. mesh: whose points these are; None for a cloud.
    """

    points: Float[np.ndarray, "K D"]
    normals: Float[np.ndarray, "K D"] | None = None
    mesh: trimesh.Trimesh | None = None

    @classmethod
    def of_mesh(
        cls, mesh: trimesh.Trimesh, num_samples: int = NUM_SAMPLES, seed: int = 0
    ) -> "SampledSurface":
        """``num_samples`` points drawn evenly by area; none of an empty mesh."""
        at_least(1, num_samples=num_samples)
        if len(mesh.faces) == 0:
            return cls(np.zeros((0, 3)), np.zeros((0, 3)), mesh)
        points, face = trimesh.sample.sample_surface(mesh, num_samples, seed=seed)[:2]
        order = np.argsort(face, kind="stable")  # neighbours after each other are found faster
        points, face = points[order], face[order]
        return cls(np.asarray(points), np.asarray(mesh.face_normals)[face], mesh)

    @cached_property
    def tree(self) -> KDTree:
        """Of the points; built once for all queries."""
        return KDTree(self.points)

    @property
    def diagonal(self) -> float:
        """Of the box of the points; 0 if there are none."""
        return float(np.linalg.norm(np.ptp(self.points, axis=0))) if len(self.points) else 0.0


def nearest_samples(
    points: Float[np.ndarray, "K D"], target: SampledSurface
) -> tuple[Float[np.ndarray, " K"], Int[np.ndarray, " K"]]:
    """Distance to and number of the nearest point of ``target``; infinite and 0 if it has none."""
    if not len(points) or not len(target.points):
        return np.full(len(points), np.inf), np.zeros(len(points), np.int64)
    distance, row = target.tree.query(points, workers=-1)
    return distance, np.asarray(row, np.int64)


def nearest_distances(
    points: Float[np.ndarray, "K D"], target: Float[np.ndarray, "J D"]
) -> Float[np.ndarray, " K"]:
    """Distance of each point to the nearest point of ``target``."""
    return nearest_samples(points, SampledSurface(target))[0]


def chamfer(points: Float[np.ndarray, "K D"], target: Float[np.ndarray, "J D"]) -> float:
    """Two-sided Chamfer distance, unsquared and halved (the convention of IGR, DGP, DiGS)."""
    there, back = nearest_distances(points, target), nearest_distances(target, points)
    return 0.5 * float(there.mean() + back.mean())


def volume_iou(
    a: trimesh.Trimesh, b: trimesh.Trimesh, num_points: int = NUM_SAMPLES, seed: int = 0
) -> float:
    """Shared volume over joint volume of two closed meshes, 0 if either is empty.

    Counted at ``num_points`` random points in the box of both: its standard error is at most
    0.5 / sqrt(points in either of the two).
    """
    if not len(a.faces) or not len(b.faces):
        return 0.0
    corners = np.concatenate([a.bounds, b.bounds])
    points = np.random.default_rng(seed).uniform(corners.min(0), corners.max(0), (num_points, 3))
    in_a, in_b = inside(points, a), inside(points, b)
    return float((in_a & in_b).sum() / max(1, (in_a | in_b).sum()))
