"""Distances between surfaces, each convention named in full.

All distances are unsquared and in the unit of the arguments. Letters: K, J points, D dimension.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import trimesh
from jaxtyping import Bool, Float
from scipy.spatial import KDTree

from shapespace.errors import InputError

NUM_SAMPLES = 100_000


def surface_points(
    mesh: trimesh.Trimesh, num_samples: int = NUM_SAMPLES, seed: int = 0
) -> Float[np.ndarray, "K 3"]:
    """``num_samples`` points drawn evenly by area."""
    return np.asarray(trimesh.sample.sample_surface(mesh, num_samples, seed=seed)[0])


def nearest_distances(
    points: Float[np.ndarray, "K D"], target: Float[np.ndarray, "J D"]
) -> Float[np.ndarray, " K"]:
    """Distance of each point to the nearest point of ``target``."""
    return KDTree(target).query(points, workers=-1)[0]


@dataclass(frozen=True)
class PointDistances:
    """Distances between two sets of points: one-sided means and maxima, both ways.

    The names follow field practice: ``chamfer`` is the mean of the two one-sided means, unsquared
    and halved (IGR, DGP, DiGS), ``hausdorff`` the larger of the two maxima.
    """

    mean_to: float
    mean_from: float
    max_to: float
    max_from: float

    @property
    def chamfer(self) -> float:
        """(mean a->b + mean b->a) / 2, unsquared."""
        return 0.5 * (self.mean_to + self.mean_from)

    @property
    def hausdorff(self) -> float:
        """max(max a->b, max b->a)."""
        return max(self.max_to, self.max_from)


def point_distances(
    points: Float[np.ndarray, "K D"], target: Float[np.ndarray, "J D"]
) -> PointDistances:
    """Nearest-point distances from ``points`` to ``target`` and from ``target`` to ``points``."""
    there, back = nearest_distances(points, target), nearest_distances(target, points)
    return PointDistances(
        float(there.mean()), float(back.mean()), float(there.max()), float(back.max())
    )


def chamfer(points: Float[np.ndarray, "K D"], target: Float[np.ndarray, "J D"]) -> float:
    """Two-sided Chamfer distance, unsquared and halved (the convention of IGR, DGP, DiGS)."""
    return point_distances(points, target).chamfer


def point_to_mesh(
    points: Float[np.ndarray, "K 3"], mesh: trimesh.Trimesh
) -> Float[np.ndarray, " K"]:
    """Exact distance of each point to the nearest triangle; no sampling floor."""
    return nearest_on_mesh(points, mesh)[0]


def nearest_on_mesh(
    points: Float[np.ndarray, "K 3"], mesh: trimesh.Trimesh
) -> tuple[Float[np.ndarray, " K"], Float[np.ndarray, "K 3"]]:
    """Distance of each point to the nearest triangle, and the nearest place on it."""
    points = np.asarray(points, np.float64)
    squared, _, nearest = _igl().point_mesh_squared_distance(points, *_arrays(mesh))
    return np.sqrt(squared), nearest


def inside_mesh(points: Float[np.ndarray, "K 3"], mesh: trimesh.Trimesh) -> Bool[np.ndarray, " K"]:
    """Whether each point has a winding number above one half: faces wind outward.

    By the fast winding number (Barill et al. 2018); of a mesh with holes it is what closing them
    would give.
    """
    return _igl().fast_winding_number(*_arrays(mesh), np.asarray(points, np.float64)) > 0.5


def _igl() -> Any:
    try:
        import igl
    except ImportError as error:
        raise InputError("exact distances need libigl: pip install 'shapespace[report]'") from error
    return igl


def _arrays(mesh: trimesh.Trimesh) -> tuple[np.ndarray, np.ndarray]:
    vertices = np.ascontiguousarray(mesh.vertices, np.float64)
    return vertices, np.ascontiguousarray(mesh.faces, np.int64)
