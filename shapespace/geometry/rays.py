"""Rays against triangles, by Embree: first hits and occlusion.

Frame and unit: those of the triangles. Embree works in single precision: coordinates should be of
the order of 1. Letters: V vertices, T triangles, K rays.
"""

import numpy as np
from jaxtyping import Bool, Float, Int

from shapespace.errors import InputError


class RayScene:
    """Triangles in a search tree, against which rays are cast; there may be no triangle.

    Args:
        vertices: positions.
        faces: rows of ``vertices``.

    Raises:
        InputError: where embreex is not installed.
    """

    def __init__(self, vertices: Float[np.ndarray, "V 3"], faces: Int[np.ndarray, "T 3"]) -> None:
        try:
            from embreex.mesh_construction import TriangleMesh
            from embreex.rtcore_scene import EmbreeScene
        except ImportError:
            raise InputError(
                "embreex, which casts rays, is missing: pip install 'shapespace[report]'"
            ) from None
        self._scene = EmbreeScene() if len(faces) else None
        if self._scene is not None:
            self._mesh = TriangleMesh(
                self._scene, _single(vertices), np.ascontiguousarray(faces, np.int32)
            )

    def first(
        self, origins: Float[np.ndarray, "K 3"], directions: Float[np.ndarray, "K 3"]
    ) -> Int[np.ndarray, " K"]:
        """Index of the first triangle on each ray, -1 where the ray meets none."""
        if self._scene is None or not len(origins):
            return np.full(len(origins), -1)
        return self._scene.run(_single(origins), _single(directions)).astype(np.int64)

    def occluded(
        self, origins: Float[np.ndarray, "K 3"], directions: Float[np.ndarray, "K 3"]
    ) -> Bool[np.ndarray, " K"]:
        """Whether each ray meets any triangle; cheaper than :meth:`first`."""
        if self._scene is None or not len(origins):
            return np.zeros(len(origins), bool)
        return self._scene.run(_single(origins), _single(directions), query="OCCLUDED") != -1


def _single(vectors: np.ndarray) -> np.ndarray:
    """Vectors in the type and the memory layout that Embree asks for."""
    return np.ascontiguousarray(vectors, np.float32)
