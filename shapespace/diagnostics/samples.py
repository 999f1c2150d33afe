"""Samples of a field in its box, near its zero set and on it, with exact distances.

Frame and unit are those of the field. Letters: N points, D dimension, L code length.
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
"""Smallest gain in distance, as a share of the step, of a step that meets no medial axis."""


@dataclass(frozen=True)
class FieldSamples:
    """A field sampled at N points.

    Args:
        points: the points.
        value: f.
        slope: grad f.
        length: |grad f|.
        distance: unsigned exact distance to the zero set; NaN if there is no zero set, or none was
            given.
        inside: True inside the zero set; False everywhere without one.
        medial: True where the medial axis lies within one band in the direction away from the
            surface. A distance has no gradient on its medial axis.
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
        """Absolute error ||f| - d|, where d is the exact distance."""
        return np.abs(np.abs(self.value) - self.distance)

    @property
    def signed_distance(self) -> Float[np.ndarray, " N"]:
        """Exact distance to the zero set, negative inside."""
        return np.where(self.inside, -self.distance, self.distance)

    @property
    def sound(self) -> Bool[np.ndarray, " N"]:
        """True where f and grad f are finite."""
        return np.isfinite(self.value) & np.isfinite(self.length)

    def take(self, rows: Bool[np.ndarray, " N"]) -> "FieldSamples":
        """The samples of some rows."""
        return FieldSamples(**{name: values[rows] for name, values in vars(self).items()})


@dataclass(frozen=True)
class SampledField:
    """Samples of the field of one shape.

    Args:
        extent: half side of the box.
        seed: seed of all that was drawn.
        surface: zero set of the field; None if there is none or D is not 3.
        space: samples uniform in the box.
        near: samples in a band around the zero set; empty without a zero set.
        on: samples on the zero set, without distances; empty without a zero set.
        normals: normals of the zero set at the samples ``on`` it.
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
        """Samples of the box that are farther from the zero set than the band."""
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
    """Sample ``field(., latent)`` in [-extent, extent]^dimension, near its zero set and on it.

    Args:
        field: the field.
        latent: code of the shape.
        extent: half side of the box.
        num_points: samples in the box. As many are drawn near the zero set, of which those outside
            the box are dropped, and a fifth of as many on the zero set.
        seed: seed of all that is drawn.
        resolution: grid nodes along the longest side of the zero set, for the mesh that stands for
            the zero set.
        dimension: D; in other dimensions than 3 there is no mesh, and only the box is sampled.
    """
    rng = np.random.default_rng(seed)
    cube = rng.uniform(-extent, extent, (num_points, dimension))
    surface = None
    if dimension == 3:
        surface = zero_surface(field, latent, extent=extent, resolution=resolution)
    near = np.zeros((0, dimension))
    on = np.zeros((0, dimension))
    normals = np.zeros((0, dimension))
    if surface is not None:
        # Points uniform by area, moved uniformly along normals, are nearly uniform in the band
        # where the band is thin against the radius of curvature.
        start, direction = surface.sampled(num_points, seed)
        near = start + direction * rng.uniform(-surface.band, surface.band, (num_points, 1))
        near = near[(np.abs(near) <= extent).all(1)]
        # Another seed, so that no sample on the surface is the foot of one near the surface.
        on, normals = surface.sampled(max(num_points // 5, 1), seed + 1)
    return SampledField(
        extent=extent,
        seed=seed,
        surface=surface,
        space=field_samples(field, latent, cube, surface=surface),
        near=field_samples(field, latent, near, surface=surface),
        on=field_samples(field, latent, on, surface=None),
        normals=normals,
    )


def field_samples(
    field: Field,
    latent: Float[Tensor, " L"],
    points: Float[np.ndarray, "N D"],
    surface: ZeroSurface | None,
) -> FieldSamples:
    """Sample a field at given points, with the distance to its zero set.

    Args:
        field: the field.
        latent: code of the shape.
        points: the points.
        surface: zero set of the field; None leaves the distances unknown (NaN).
    """
    at = torch.from_numpy(np.ascontiguousarray(points)).to(latent)
    value, slope = field_gradients(field, latent, at)
    slopes = slope.double().cpu().numpy()
    distance = np.full(len(points), np.nan)
    inside = np.zeros(len(points), bool)
    medial = np.zeros(len(points), bool)
    if surface is not None and len(points):
        distance, nearest = surface.nearest_points(points)
        away = (points - nearest) / np.maximum(distance, 1e-300)[:, None]
        # A step of length s straight away from the surface raises the distance by s, unless another
        # part of the surface becomes the nearest on the way: the step then crosses the medial axis.
        gain = surface.distance(points + surface.band * away) - distance
        medial = gain < MEDIAL_GAIN * surface.band
        inside = surface.inside(points)
    return FieldSamples(
        points=points,
        value=value.double().cpu().numpy(),
        slope=slopes,
        length=np.linalg.norm(slopes, axis=1),
        distance=distance,
        inside=inside,
        medial=medial,
    )
