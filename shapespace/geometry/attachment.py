"""Points that are attached to a mesh and follow it to other shapes with the same faces.

Letters: N points, V vertices, F faces, T shapes.
"""

from typing import NamedTuple

import numpy as np
import trimesh
from jaxtyping import Float, Int

from shapespace.geometry.proximity import nearest_triangles


class Attachment(NamedTuple):
    """Points by their places relative to triangles.

    Args:
        triangle: nearest triangle of each point.
        weights: barycentric weights of the nearest place on it, which sum to 1.
        height: from there along the normal of the triangle, positive outside.
    """

    triangle: Int[np.ndarray, " N"]
    weights: Float[np.ndarray, "N 3"]
    height: Float[np.ndarray, " N"]

    def on(
        self, vertices: Float[np.ndarray, "T V 3"], faces: Int[np.ndarray, "F 3"]
    ) -> Float[np.ndarray, "T N 3"]:
        """The points on other shapes of the mesh.

        Args:
            vertices: of each shape.
            faces: of all shapes, those of the mesh that the points were attached to.
        """
        corners = vertices[:, faces[self.triangle]]
        a, b, c = np.moveaxis(corners, 2, 0)
        across = np.cross(b - a, c - a)
        across /= np.maximum(np.linalg.norm(across, axis=2, keepdims=True), 1e-300)
        return np.einsum("nc,tnci->tni", self.weights, corners) + self.height[:, None] * across


def attach(points: Float[np.ndarray, "N 3"], mesh: trimesh.Trimesh) -> Attachment:
    """Attach points to the nearest triangles of a mesh.

    Args:
        points: in the frame of the mesh.
        mesh: a mesh with at least one face.

    Raises:
        InputError: libigl is not installed.
    """
    _, nearest, triangle = nearest_triangles(points, mesh)
    # A triangle without area has no weights: its first corner stands for it.
    with np.errstate(divide="ignore", invalid="ignore"):
        weights = trimesh.triangles.points_to_barycentric(mesh.triangles[triangle], nearest)
    weights = np.where(np.isfinite(weights).all(1)[:, None], weights, [1.0, 0.0, 0.0])
    height = np.einsum("ni,ni->n", points - nearest, mesh.face_normals[triangle])
    return Attachment(triangle, weights, height)
