"""Exact distances from points to triangle meshes, and whether a mesh encloses points.

Unsquared and in the unit of the arguments. Letters: K points.
"""

from types import ModuleType

import numpy as np
import trimesh
from jaxtyping import Bool, Float

from shapespace.errors import InputError


def point_to_mesh(
    points: Float[np.ndarray, "K 3"], mesh: trimesh.Trimesh
) -> Float[np.ndarray, " K"]:
    """Exact distance of each point to the nearest triangle, infinite if there is none.

    No sampling of the mesh stands between, so that there is no floor below it.
    """
    if not len(mesh.faces) or not len(points):
        return np.full(len(points), np.inf)
    return nearest_on_mesh(points, mesh)[0]


def nearest_on_mesh(
    points: Float[np.ndarray, "K 3"], mesh: trimesh.Trimesh
) -> tuple[Float[np.ndarray, " K"], Float[np.ndarray, "K 3"]]:
    """Distance of each point to the nearest triangle, and the nearest place on it."""
    points = np.asarray(points, np.float64)
    squared, _, nearest = _igl().point_mesh_squared_distance(points, *_arrays(mesh))
    return np.sqrt(squared), nearest


def inside(points: Float[np.ndarray, "K 3"], mesh: trimesh.Trimesh) -> Bool[np.ndarray, " K"]:
    """Which points a closed mesh encloses: a winding number beyond 1/2 (Barill et al. 2018)."""
    if not len(mesh.faces):
        return np.zeros(len(points), bool)
    found = _igl().fast_winding_number(*_arrays(mesh), np.asarray(points, np.float64))
    return np.abs(found) > 0.5


def _arrays(mesh: trimesh.Trimesh) -> tuple[np.ndarray, np.ndarray]:
    vertices = np.ascontiguousarray(mesh.vertices, np.float64)
    return vertices, np.ascontiguousarray(mesh.faces, np.int64)


def _igl() -> ModuleType:
    try:
        import igl
    except ImportError as error:
        raise InputError("exact distances need libigl: pip install 'shapespace[report]'") from error
    return igl
