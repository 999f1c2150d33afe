"""The zero set of a field as a surface to measure from: exact distances, sides, extra sheets.

Frame and unit: the field's. Letters: K points, L code length.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import trimesh
from jaxtyping import Bool, Float
from torch import Tensor

from shapespace.decoders.base import Field
from shapespace.geometry.components import components, largest_component
from shapespace.geometry.proximity import inside, nearest_on_mesh, point_to_mesh
from shapespace.surface.mesh import extract_mesh

NEWTON_STEPS = 2
"""Of each vertex, so that it lies on the zero set and not beside it."""
BAND = 0.05
"""What is called near the surface, in the longest side of the largest component."""


@dataclass(frozen=True)
class ZeroSurface:
    """The whole zero set of a field within its box, made by :func:`zero_surface`.

    mesh: all components, in the field's frame, faces outward.
    """

    mesh: trimesh.Trimesh

    @cached_property
    def largest(self) -> trimesh.Trimesh:
        """The component of the largest area: the shape; the others are extra sheets."""
        return largest_component(self.mesh)

    @cached_property
    def size(self) -> float:
        """Longest side of the box around the largest component."""
        return float(np.ptp(self.largest.vertices, axis=0).max())

    @cached_property
    def cell(self) -> float:
        """Median edge of a triangle: finer things are not in the mesh."""
        return float(np.median(self.mesh.edges_unique_length))

    @property
    def band(self) -> float:
        """Distance up to which a point is near."""
        return BAND * self.size

    def distance(self, points: Float[np.ndarray, "K 3"]) -> Float[np.ndarray, " K"]:
        """Exact distance to the nearest triangle of all components, unsigned."""
        return point_to_mesh(points, self.mesh)

    def nearest_points(
        self, points: Float[np.ndarray, "K 3"]
    ) -> tuple[Float[np.ndarray, " K"], Float[np.ndarray, "K 3"]]:
        """That distance, and the nearest place."""
        return nearest_on_mesh(points, self.mesh)

    def inside(self, points: Float[np.ndarray, "K 3"]) -> Bool[np.ndarray, " K"]:
        """Whether each point is inside the whole zero set."""
        return inside(points, self.mesh)

    def inside_largest(self, points: Float[np.ndarray, "K 3"]) -> Bool[np.ndarray, " K"]:
        """Whether each point is inside the largest component."""
        return inside(points, self.largest)

    def sampled(
        self, count: int, seed: int
    ) -> tuple[Float[np.ndarray, "K 3"], Float[np.ndarray, "K 3"]]:
        """Points drawn evenly by area, and the normals of their triangles."""
        found = trimesh.sample.sample_surface(self.mesh, count, seed=seed)
        return np.asarray(found[0]), np.asarray(self.mesh.face_normals)[found[1]]

    def sheets(self) -> dict[str, float]:
        """Components beside the largest: number, share of all area, nearest and farthest vertex.

        The distances are to the largest component; NaN where it is alone.
        """
        count = components(self.mesh)[0]
        share = 1 - self.largest.area / self.mesh.area if count > 1 else 0.0
        away = np.array([np.nan])
        if count > 1:
            used = np.unique(self.mesh.faces)
            away = point_to_mesh(np.asarray(self.mesh.vertices)[used], self.largest)
            away = away[away > 0]  # not those of the largest itself
        return {
            "sheets": float(count - 1),
            "sheet_area": float(share),
            "sheet_nearest": float(away.min()),
            "sheet_farthest": float(away.max()),
        }


def zero_surface(
    field: Field, latent: Float[Tensor, " L"], extent: float, resolution: int = 128
) -> ZeroSurface | None:
    """The zero set of ``field(., latent)`` in the box [-extent, extent]^3; None if there is none.

    resolution: nodes along its longest side. A field that has no sign has no zero set here.
    """
    mesh = extract_mesh(
        field, latent, resolution, extent, largest_only=False, newton_steps=NEWTON_STEPS
    )
    sound = np.isfinite(mesh.vertices).all() and len(mesh.faces) and mesh.area > 0
    return ZeroSurface(mesh) if sound else None
