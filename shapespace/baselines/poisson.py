"""Screened Poisson reconstruction: the baseline that sees the scan and no other shape.

Letters: K points, J normals. K and J differ only in a call that is refused.

Reference: M. Kazhdan and H. Hoppe, Screened Poisson surface reconstruction, ACM Transactions on
Graphics 32(3), 2013.
"""

from typing import Any

import numpy as np
import trimesh
from jaxtyping import Float

from shapespace.data.prepare.normals import normals_of_cloud
from shapespace.errors import InputError, at_least
from shapespace.geometry.components import joined, largest_component

DEEPEST = 14
"""Largest depth of the octree; a deeper octree takes more memory than a computer has."""
DEPTHS = (8, 9)
"""Depths of the reconstructions that are compared with a trained space."""


def screened_poisson(
    points: Float[np.ndarray, "K 3"],
    normals: Float[np.ndarray, "J 3"],
    depth: int = 8,
    trim: float = 0.0,
) -> trimesh.Trimesh:
    """Reconstruct a surface from oriented points by screened Poisson (Kazhdan and Hoppe 2013).

    Open3D does the work, with its own default weights.

    Args:
        points: points of the surface, at least two that differ, in any frame and unit.
        normals: outward unit normal of each point; a zero row is a point of unknown orientation.
        depth: depth of the octree, 1 to 14. The cube around the points, whose side is 1.1 times
            that of their box, is divided into up to 2^depth cells along a side.
        trim: fraction of the vertices that is removed, from 0 (a closed surface) to below 1. The
            vertices with the fewest points around them go first. A few hundredths open a surface
            that has a boundary.

    Returns:
        The mesh, in the frame and unit of the points, with faces whose normals point outward. The
        mesh may have several components. Without trimming the mesh is closed, unless a hole in the
        points lets the surface leave the cube.

    Raises:
        InputError: if an argument is out of its range, the number of normals is not that of the
            points, all points are the same, or Open3D cannot be loaded.
    """
    at_least(1, depth=depth)
    if depth > DEEPEST:
        raise InputError(f"depth={depth}: give at most {DEEPEST}")
    if not 0 <= trim < 1:
        raise InputError(f"trim={trim}: give a fraction, 0 or more, below 1")
    if len(points) == 0 or points.shape != normals.shape:
        raise InputError(
            f"{len(points)} points and {len(normals)} normals: give at least one point, and one "
            "normal for each point"
        )
    # Open3D would end the process.
    if (points == points[0]).all():
        raise InputError(f"all {len(points)} points are the same point; give points of a surface")
    open3d = _open3d()
    cloud = open3d.geometry.PointCloud(_vectors(open3d, points))
    cloud.normals = _vectors(open3d, normals)
    # One thread: the mesh is then repeatable, and the time of the process is that of the method.
    mesh, density = open3d.geometry.TriangleMesh.create_from_point_cloud_poisson(
        cloud, depth=depth, n_threads=1
    )
    if trim:
        mesh.remove_vertices_by_mask(np.asarray(density) < np.quantile(density, trim))
    return trimesh.Trimesh(np.asarray(mesh.vertices), np.asarray(mesh.triangles), process=False)


def poisson_baselines(
    points: Float[np.ndarray, "K 3"],
    normals: Float[np.ndarray, "J 3"] | None = None,
    mesh: trimesh.Trimesh | None = None,
) -> tuple[dict[int, trimesh.Trimesh], str]:
    """Reconstruct a scan as anybody can without a trained space: the largest part, by depth.

    Args:
        points: all points of the scan, in any frame and unit.
        normals: its normals; a zero row is unknown, and its point is left out. None without.
        mesh: the scan as a mesh, where it has triangles. It gives the normals where none are known.

    Returns:
        Depth -> mesh, for each of :data:`DEPTHS`; and in words where normals other than the given
        ones come from.

    Raises:
        InputError: no normal can be found, all points are the same, or Open3D cannot be loaded.
    """
    points, normals, said = _oriented(points, normals, mesh)
    known = normals.any(1)
    if not known.any():
        raise InputError("no point has a normal, and none can be estimated")
    meshes = {
        depth: largest_component(screened_poisson(points[known], normals[known], depth))
        for depth in DEPTHS
    }
    return meshes, said


def without_open3d() -> str:
    """Why Open3D cannot be loaded and how to install it, in one line; "" where it can."""
    try:
        _open3d()
    except InputError as error:
        return str(error)
    return ""


def _oriented(
    points: Float[np.ndarray, "K 3"],
    normals: Float[np.ndarray, "J 3"] | None,
    mesh: trimesh.Trimesh | None,
) -> tuple[np.ndarray, np.ndarray, str]:
    """Points with normals, and where these come from; "" for the given ones."""
    if normals is not None and normals.any():
        return points, normals, ""
    if mesh is not None and len(mesh.faces):
        # A vertex of its own for each triangle, as in an STL, would have the normal of one only.
        whole = joined(mesh)
        return (
            np.asarray(whole.vertices),
            np.asarray(whole.vertex_normals),
            "normals of its triangles",
        )
    found, kind = normals_of_cloud(points)
    doubt = "" if kind == "estimated-oriented" else ", whose side is in doubt"
    return points, found, f"estimated normals{doubt}"


def _vectors(open3d: Any, rows: Float[np.ndarray, "K 3"]) -> Any:
    """Rows as an Open3D vector."""
    # Open3D refuses read-only arrays, so that the rows are always copied.
    return open3d.utility.Vector3dVector(np.array(rows, np.float64))


def _open3d() -> Any:
    """The Open3D module, imported late because it is an optional and heavy dependency."""
    try:
        import open3d  # pyright: ignore[reportMissingImports]
    except (ImportError, OSError) as error:
        raise InputError(
            f"Open3D, which does screened Poisson, cannot be loaded ({error}): "
            "pip install 'shapespace[baseline]'; it also needs the system's libusb-1.0 and libgomp"
        ) from error
    return open3d
