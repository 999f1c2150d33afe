"""A field at random places of its box, near its surface and on it, with the true distance there.

Frame and unit: the field's. Letters: N points, D dimension, L code length.
"""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from shapespace.decoders.base import Field
from shapespace.diagnostics.zero_set import ZeroSurface, zero_surface
from shapespace.surface.query import field_gradients

MEDIAL_GAIN = 0.9
"""A step away from the surface that gains less of its length in distance met the medial axis."""


@dataclass(frozen=True)
class FieldSamples:
    """A field at N places.

    value: f. slope: grad f. length: |grad f|. distance: to the zero set, unsigned, NaN where there
    is none or none was asked for. inside: of the zero set, False where there is none. medial:
    whether the medial axis, at which a distance has no gradient, is within one band in the
    direction away from the surface.
    """

    points: Float[np.ndarray, "N D"]
    value: Float[np.ndarray, " N"]
    slope: Float[np.ndarray, "N D"]
    length: Float[np.ndarray, " N"]
    distance: Float[np.ndarray, " N"]
    inside: Bool[np.ndarray, " N"]
    medial: Bool[np.ndarray, " N"]

    @property
    def error(self) -> Float[np.ndarray, " N"]:
        """||f| - d|."""
        return np.abs(np.abs(self.value) - self.distance)

    @property
    def signed_distance(self) -> Float[np.ndarray, " N"]:
        """To the zero set, negative inside."""
        return np.where(self.inside, -self.distance, self.distance)

    @property
    def sound(self) -> Bool[np.ndarray, " N"]:
        """Where f and grad f are finite."""
        return np.isfinite(self.value) & np.isfinite(self.length)

    def take(self, rows: Bool[np.ndarray, " N"]) -> "FieldSamples":
        """Some of the places."""
        return FieldSamples(*(part[rows] for part in vars(self).values()))


@dataclass(frozen=True)
class SampledField:
    """What was measured of one shape.

    surface: its zero set, None if there is none or D is not 3. space: places even in the box. near:
    even in a band around the surface, none without one. normals: of the surface at the places
    ``on`` it.
    """

    extent: float
    seed: int
    surface: ZeroSurface | None
    space: FieldSamples
    near: FieldSamples
    on: FieldSamples
    normals: Float[np.ndarray, "N D"]

    @property
    def far(self) -> FieldSamples:
        """Places of the box farther from the surface than the band."""
        return self.space.take(self.space.distance > (self.surface.band if self.surface else 0.0))


def sample_field(
    field: Field,
    latent: Float[Tensor, " L"],
    extent: float,
    num_points: int = 50_000,
    seed: int = 0,
    resolution: int = 128,
    dimension: int = 3,
) -> SampledField:
    """Measure ``field(., latent)`` at ``num_points`` places of [-extent, extent]^dimension.

    As many lie near the surface, a fifth on it; resolution: of the mesh that stands for the surface
    (:func:`zero_surface`). What is drawn depends on ``seed`` alone.
    """
    rng = np.random.default_rng(seed)
    cube = rng.uniform(-extent, extent, (num_points, dimension))
    surface = zero_surface(field, latent, extent, resolution) if dimension == 3 else None
    near = on = normals = np.zeros((0, dimension))
    if surface is not None:
        start, direction = surface.sampled(num_points, seed)
        near = start + direction * rng.uniform(-surface.band, surface.band, (num_points, 1))
        near = near[(np.abs(near) <= extent).all(1)]
        on, normals = surface.sampled(max(num_points // 5, 1), seed + 1)
    space, around = (field_samples(field, latent, points, surface) for points in (cube, near))
    at = field_samples(field, latent, on, None)
    return SampledField(extent, seed, surface, space, around, at, normals)


def field_samples(
    field: Field,
    latent: Float[Tensor, " L"],
    points: Float[np.ndarray, "N D"],
    surface: ZeroSurface | None,
) -> FieldSamples:
    """A field at given places, and the distance to a surface, if one is given."""
    found = field_gradients(
        field, latent, torch.from_numpy(np.ascontiguousarray(points)).to(latent)
    )
    value, slope = (part.double().cpu().numpy() for part in found)
    length = np.linalg.norm(slope, axis=1)
    inside = medial = np.zeros(len(points), bool)
    if surface is None or not len(points):
        return FieldSamples(
            points, value, slope, length, np.full(len(points), np.nan), inside, medial
        )
    distance, nearest = surface.nearest_points(points)
    away = (points - nearest) / np.maximum(distance, 1e-300)[:, None]
    gain = surface.distance(points + surface.band * away) - distance
    medial = gain < MEDIAL_GAIN * surface.band
    return FieldSamples(points, value, slope, length, distance, surface.inside(points), medial)
