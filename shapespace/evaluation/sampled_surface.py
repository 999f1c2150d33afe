"""A surface as points with normals, and the nearest of them to other points.

The metrics are made of these distances, which are unsquared and in the unit of the arguments.
Letters: K and J points, D dimension.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import trimesh
from jaxtyping import Float, Int
from scipy.spatial import KDTree

from shapespace.config.options import NUM_SAMPLES
from shapespace.errors import at_least


@dataclass(frozen=True)
class SampledSurface:
    """A surface as points, to be measured against another surface.

    Args:
        points: points drawn from a mesh uniformly by area, or the points of a cloud.
        normals: unit normals of the points; a zero row is an unknown normal. None without normals.
        mesh: mesh of which the points are samples; None for a cloud.
        triangles: row of the triangle of the mesh that each point was drawn from; None for a cloud.
    """

    points: Float[np.ndarray, "K D"]
    normals: Float[np.ndarray, "K D"] | None = None
    mesh: trimesh.Trimesh | None = None
    triangles: Int[np.ndarray, " K"] | None = None

    @classmethod
    def of_mesh(
        cls, mesh: trimesh.Trimesh, num_samples: int = NUM_SAMPLES, seed: int = 0
    ) -> "SampledSurface":
        """Draw points from a mesh uniformly by area, with the normals of their triangles.

        Args:
            mesh: the mesh; an empty mesh gives no points.
            num_samples: number of points.
            seed: seed of the draws.
        """
        at_least(1, num_samples=num_samples)
        if len(mesh.faces) == 0:
            return cls(np.zeros((0, 3)), np.zeros((0, 3)), mesh, np.zeros(0, np.int64))
        points, face = trimesh.sample.sample_surface(mesh, num_samples, seed=seed)[:2]
        # Neighbours in space are neighbours in the array, which makes tree queries faster.
        order = np.argsort(face, kind="stable")
        normals = np.asarray(mesh.face_normals)[face[order]]
        return cls(np.asarray(points[order]), normals, mesh, np.asarray(face[order], np.int64))

    @cached_property
    def tree(self) -> KDTree:
        """Search tree of the points, built once for all queries."""
        return KDTree(self.points)

    @property
    def diagonal(self) -> float:
        """Diagonal of the bounding box of the points; 0 without points."""
        return float(np.linalg.norm(np.ptp(self.points, axis=0))) if len(self.points) else 0.0


def nearest_samples(
    points: Float[np.ndarray, "K D"], target: SampledSurface
) -> tuple[Float[np.ndarray, " K"], Int[np.ndarray, " K"]]:
    """Distance to the nearest sample of the target, and its row; inf and 0 for an empty target."""
    if not len(points) or not len(target.points):
        return np.full(len(points), np.inf), np.zeros(len(points), np.int64)
    distance, row = target.tree.query(points, workers=-1)
    return distance, np.asarray(row, np.int64)


def nearest_distances(
    points: Float[np.ndarray, "K D"], target: Float[np.ndarray, "J D"]
) -> Float[np.ndarray, " K"]:
    """Distance of each point to the nearest target point; infinite if the target is empty."""
    return nearest_samples(points, SampledSurface(target))[0]
