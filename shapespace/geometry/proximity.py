"""Exact distances from points to triangle meshes, and whether a mesh encloses points.

Distances are unsigned, not squared, and in the unit of the arguments. Letters: K points.
"""

from types import ModuleType

import numpy as np
import trimesh
from jaxtyping import Bool, Float, Int

from shapespace.errors import InputError


def point_to_mesh(
    points: Float[np.ndarray, "K 3"], mesh: trimesh.Trimesh
) -> Float[np.ndarray, " K"]:
    """Distance of each point to the nearest triangle, infinite where the mesh has no triangle.

    The distance is exact: the mesh is not sampled, and a perfect reconstruction has distance 0.
    Raises InputError where libigl is not installed.
    """
    if not len(mesh.faces) or not len(points):
        return np.full(len(points), np.inf)
    return nearest_on_mesh(points, mesh)[0]


def nearest_on_mesh(
    points: Float[np.ndarray, "K 3"], mesh: trimesh.Trimesh
) -> tuple[Float[np.ndarray, " K"], Float[np.ndarray, "K 3"]]:
    """Distance of each point to the nearest triangle, and the nearest point on that triangle.

    Raises InputError where libigl is not installed.
    """
    distance, nearest, _ = nearest_triangles(points, mesh)
    return distance, nearest


def nearest_triangles(
    points: Float[np.ndarray, "K 3"], mesh: trimesh.Trimesh
) -> tuple[Float[np.ndarray, " K"], Float[np.ndarray, "K 3"], Int[np.ndarray, " K"]]:
    """As :func:`nearest_on_mesh`, and the row of that triangle.

    Raises InputError where libigl is not installed.
    """
    points = np.asarray(points, np.float64)
    vertices, faces = _arrays(mesh)
    squared, triangle, nearest = _igl().point_mesh_squared_distance(points, vertices, faces)
    return np.sqrt(squared), nearest, np.asarray(triangle, np.int64).reshape(-1)


def inside(points: Float[np.ndarray, "K 3"], mesh: trimesh.Trimesh) -> Bool[np.ndarray, " K"]:
    """Whether a closed mesh encloses each point.

    The winding number decides (Barill et al. 2018): its size is 1 inside and 0 outside, whichever
    way the faces wind. Raises InputError where libigl is not installed.
    """
    if not len(mesh.faces):
        return np.zeros(len(points), bool)
    vertices, faces = _arrays(mesh)
    winding = _igl().fast_winding_number(vertices, faces, np.asarray(points, np.float64))
    return np.abs(winding) > 0.5


def _arrays(mesh: trimesh.Trimesh) -> tuple[np.ndarray, np.ndarray]:
    """Vertices and faces in the types and the memory layout that libigl asks for."""
    vertices = np.ascontiguousarray(mesh.vertices, np.float64)
    return vertices, np.ascontiguousarray(mesh.faces, np.int64)


def _igl() -> ModuleType:
    """The library libigl. InputError where it is not installed."""
    try:
        import igl
    except ImportError as error:
        raise InputError("exact distances need libigl: pip install 'shapespace[report]'") from error
    return igl
