"""Rays against triangles, by Embree: what is hit first, and what is hidden.

Frame and unit: those of the triangles. Embree works in float32: keep coordinates near 1.
"""

import numpy as np
from jaxtyping import Bool, Float, Int

from shapespace.errors import InputError


class RayScene:
    """Triangles to cast rays at; any number of them, none included."""

    def __init__(self, vertices: Float[np.ndarray, "V 3"], faces: Int[np.ndarray, "T 3"]) -> None:
        """Build the search tree. Raises InputError where embreex is not installed."""
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
                self._scene, _ready(vertices), np.ascontiguousarray(faces, np.int32)
            )

    def first(
        self, origins: Float[np.ndarray, "K 3"], directions: Float[np.ndarray, "K 3"]
    ) -> Int[np.ndarray, " K"]:
        """Index of the first triangle along each ray, -1 for none."""
        if self._scene is None or not len(origins):
            return np.full(len(origins), -1)
        return self._scene.run(_ready(origins), _ready(directions)).astype(np.int64)

    def occluded(
        self, origins: Float[np.ndarray, "K 3"], directions: Float[np.ndarray, "K 3"]
    ) -> Bool[np.ndarray, " K"]:
        """Whether each ray hits anything."""
        if self._scene is None or not len(origins):
            return np.zeros(len(origins), bool)
        return self._scene.run(_ready(origins), _ready(directions), query="OCCLUDED") != -1


def _ready(vectors: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(vectors, np.float32)
