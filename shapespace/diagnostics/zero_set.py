"""The zero set of a field as a mesh: exact distances, inside and outside, extra sheets.

Frame and unit are those of the field. Letters: K points, L code length.
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
"""Newton steps that move each vertex of the mesh onto the zero set."""
BAND = 0.05
"""Width of the band near the surface, as a share of the longest side of the largest component."""


@dataclass(frozen=True)
class ZeroSurface:
    """The whole zero set of a field in its box, made by :func:`zero_surface`.

    Args:
        mesh: all components in the frame of the field, with faces whose normals point outward.
    """

    mesh: trimesh.Trimesh

    @cached_property
    def largest(self) -> trimesh.Trimesh:
        """The component of the largest area, which is the shape; all others are extra sheets."""
        return largest_component(self.mesh)

    @cached_property
    def size(self) -> float:
        """Longest side of the bounding box of the largest component."""
        return float(np.ptp(self.largest.vertices, axis=0).max())

    @cached_property
    def cell(self) -> float:
        """Median length of an edge, which is the resolution of the mesh."""
        return float(np.median(self.mesh.edges_unique_length))

    @property
    def band(self) -> float:
        """Distance from the surface up to which a point is called near."""
        return BAND * self.size

    def distance(self, points: Float[np.ndarray, "K 3"]) -> Float[np.ndarray, " K"]:
        """Unsigned exact distance to the nearest triangle of all components."""
        return point_to_mesh(points, self.mesh)

    def nearest_points(
        self, points: Float[np.ndarray, "K 3"]
    ) -> tuple[Float[np.ndarray, " K"], Float[np.ndarray, "K 3"]]:
        """Distance to the nearest triangle, and the nearest point on that triangle."""
        return nearest_on_mesh(points, self.mesh)

    def inside(self, points: Float[np.ndarray, "K 3"]) -> Bool[np.ndarray, " K"]:
        """True for each point inside the whole zero set."""
        return inside(points, self.mesh)

    def inside_largest(self, points: Float[np.ndarray, "K 3"]) -> Bool[np.ndarray, " K"]:
        """True for each point inside the largest component."""
        return inside(points, self.largest)

    def sampled(
        self, count: int, seed: int
    ) -> tuple[Float[np.ndarray, "K 3"], Float[np.ndarray, "K 3"]]:
        """Draw points uniformly by area, with the normals of their triangles."""
        found = trimesh.sample.sample_surface(self.mesh, count, seed=seed)
        return np.asarray(found[0]), np.asarray(self.mesh.face_normals)[found[1]]

    def sheets(self) -> dict[str, float]:
        """Columns about the extra sheets, which are the components beside the largest.

        Their number, their share of the whole area, and the distances of their nearest and farthest
        vertex to the largest component. The distances are NaN without extra sheets.
        """
        count = components(self.mesh)[0]
        share = 1 - self.largest.area / self.mesh.area if count > 1 else 0.0
        away = np.array([np.nan])
        if count > 1:
            used = np.unique(self.mesh.faces)
            away = point_to_mesh(np.asarray(self.mesh.vertices)[used], self.largest)
            # Vertices of the largest component itself are at distance 0.
            away = away[away > 0]
        return {
            "sheets": float(count - 1),
            "sheet_area": float(share),
            "sheet_nearest": float(away.min()),
            "sheet_farthest": float(away.max()),
        }


def zero_surface(
    field: Field, latent: Float[Tensor, " L"], extent: float, resolution: int = 128
) -> ZeroSurface | None:
    """Mesh the zero set of ``field(., latent)`` in [-extent, extent]^3.

    Args:
        field: the field, with D = 3.
        latent: code of the shape.
        extent: half side of the box.
        resolution: grid nodes along the longest side of the zero set.

    Returns:
        The zero set; None if f does not change sign, or no sound mesh was found.
    """
    mesh = extract_mesh(
        field,
        latent,
        resolution=resolution,
        extent=extent,
        largest_only=False,
        newton_steps=NEWTON_STEPS,
    )
    sound = np.isfinite(mesh.vertices).all() and len(mesh.faces) and mesh.area > 0
    return ZeroSurface(mesh) if sound else None
