"""What a surface from points has to be compared with: screened Poisson reconstruction.

Letters: K points, J normals (as many).
"""

from typing import Any

import numpy as np
import trimesh
from jaxtyping import Float

from shapespace.errors import InputError, at_least

DEEPEST = 14
"""A deeper octree takes more memory than a computer has."""


def screened_poisson(
    points: Float[np.ndarray, "K 3"],
    normals: Float[np.ndarray, "J 3"],
    depth: int = 8,
    trim: float = 0.0,
) -> trimesh.Trimesh:
    """The surface of oriented points (Kazhdan and Hoppe 2013), by Open3D with its own weights.

    One thread, so that the time of the process is that of the method and the mesh is repeatable.

    Args:
        points: in any frame and unit, which are those of the mesh.
        normals: outward, of length 1; a zero row says nothing.
        depth: of the octree: up to 2^depth cells along the side of a cube 1.1 times the points'.
        trim: fraction of the vertices that is left out, those with the fewest points around them:
            0 for a closed surface, a few hundredths for one with a boundary.

    Returns:
        A mesh, outward, in one part or many; closed if nothing is trimmed, unless a hole in the
        points makes it bulge out of the cube.

    Raises:
        InputError: Open3D is missing, arrays do not fit, or an argument is out of its range.
    """
    at_least(1, depth=depth)
    if depth > DEEPEST:
        raise InputError(f"depth={depth}: give at most {DEEPEST}")
    if not 0 <= trim < 1:
        raise InputError(f"trim={trim}: give a fraction, 0 or more, below 1")
    if len(points) == 0 or points.shape != normals.shape:
        raise InputError(
            f"{len(points)} points and {len(normals)} normals: give a normal to each, and one at "
            "least"
        )
    open3d = _open3d()
    cloud = open3d.geometry.PointCloud(_vectors(open3d, points))
    cloud.normals = _vectors(open3d, normals)
    found, density = open3d.geometry.TriangleMesh.create_from_point_cloud_poisson(
        cloud, depth=depth, n_threads=1
    )
    if trim:
        found.remove_vertices_by_mask(np.asarray(density) < np.quantile(density, trim))
    return trimesh.Trimesh(np.asarray(found.vertices), np.asarray(found.triangles), process=False)


def _vectors(open3d: Any, rows: Float[np.ndarray, "K 3"]) -> Any:
    return open3d.utility.Vector3dVector(np.array(rows, np.float64))  # it takes no read-only one


def _open3d() -> Any:
    try:
        import open3d  # pyright: ignore[reportMissingImports]
    except (ImportError, OSError) as error:
        raise InputError(
            f"Open3D, which does screened Poisson, cannot be loaded ({error}): "
            "pip install 'shapespace[baseline]'; it also needs the system's libusb-1.0 and libgomp"
        ) from error
    return open3d
