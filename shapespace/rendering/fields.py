"""A picture of a field without a mesh: its surface traced and lit, soft at the silhouette.

Rays are parallel. Beams of them, a few at first and ever thinner, find what part of the picture is
empty and how far the rest may go without looking. Frame of lights: y up, z toward the viewer.
Shadows are none; hollows are darker, by what f says a little above the surface.

Letters: n x n beams, H x W pixels, K pixels that are painted, L code length.
"""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from shapespace.decoders.base import Field
from shapespace.rendering.camera import KEY_LIGHT, Orthographic, View, pixel_middles, turned
from shapespace.surface.cone_marching import march
from shapespace.surface.query import field_gradients, field_values, lipschitz_estimate, unit
from shapespace.surface.sphere_tracing import trace

BEAMS = (16, 64, 256)
"""Beams along a side, a multiple of those before each time."""
STEPS, PRECISION = 32, 0.1
"""Steps of a ray, and precision of a hit in pixels before its Newton step."""
_FILL = np.array([0.9, 0.15, 0.4]) / np.linalg.norm([0.9, 0.15, 0.4])
_ABOVE = 0.06
"""Height, in extents, of the place above the surface that tells how open it is."""
_CLOSED = 0.3  # light that reaches a hollow all the same


@dataclass(frozen=True)
class FieldView:
    """One shape in front of a camera, and how far the beams at it are free.

    extent: half side of the box. steepest: bound of |grad f|. reach: half side of the square of the
    image plane that the beams cover. fringe: how far beside the shape they look. free: [n,n]
    depths, row by row from the top, inf where there is nothing. Made by :func:`find_view`.
    """

    field: Field
    latent: Float[Tensor, " L"]
    extent: float
    pose: View
    lipschitz: float
    reach: float
    fringe: float
    free: Float[Tensor, "n n"]

    @property
    def bounds(self) -> tuple[float, float, float, float] | None:
        """Left, right, bottom and top of what may be seen, without its fringe; None for nothing."""
        seen = self.free.isfinite()
        if not seen.any():
            return None
        cell = 2 * self.reach / len(seen)
        column, row = (torch.nonzero(seen.any(axis))[[0, -1], 0].tolist() for axis in (0, 1))
        inset = self.reach - self.fringe
        left, right = column[0] * cell - inset, (column[1] + 1) * cell - 2 * self.reach + inset
        return left, right, 2 * self.reach - inset - (row[1] + 1) * cell, inset - row[0] * cell

    def paint(
        self, camera: Orthographic, height: int, width: int, colour: tuple[float, float, float]
    ) -> Float[np.ndarray, "H W 3"]:
        """The shape in a linear ``colour`` on white, linear, 0 to 1; one ray a pixel.

        A ray that misses by less than a pixel is painted in part. The camera has the portrait's
        pose and begins at its distance, 2 ``extent``.
        """
        pixel = (camera.top - camera.bottom) / height
        hits = trace(
            self.field,
            self.latent,
            *camera.rays(height, width),
            self.extent,
            self.starts(camera, height, width),
            STEPS,
            PRECISION * pixel,
            self.lipschitz,
        )
        slopes, near = hits.gradient, hits.closest < self.lipschitz * pixel
        edge = torch.nonzero(near & ~hits.hit)[:, 0]
        slopes[edge] = field_gradients(self.field, self.latent, hits.points[edge])[1]
        beside = hits.closest / torch.linalg.vector_norm(slopes, dim=-1).clamp(min=1e-6)
        cover = torch.where(hits.hit, 1, (1 - beside / pixel).clamp(min=0))
        seen = torch.nonzero(near & (cover > 0))[:, 0]
        image = torch.ones_like(hits.points)
        lit = self._lit(hits.points[seen], slopes[seen], torch.tensor(colour).to(image))
        image[seen] += cover[seen, None] * (lit - 1)
        return image.reshape(height, width, 3).double().cpu().numpy()

    def starts(self, camera: Orthographic, height: int, width: int) -> Float[Tensor, " K"]:
        """The free depth of the beam that each pixel is in; inf beside them all."""
        x, y = pixel_middles(camera, height, width)
        row, column = (
            np.clip(np.floor(share * len(self.free)), -1, len(self.free)).astype(int) + 1
            for share in ((1 - y / self.reach) / 2, (1 + x / self.reach) / 2)
        )
        padded = torch.nn.functional.pad(self.free, (1, 1, 1, 1), value=torch.inf)
        rows, columns = (torch.from_numpy(i).to(padded.device) for i in (row, column))
        return padded[rows][:, columns].reshape(-1)

    def _lit(self, points: Tensor, slopes: Tensor, colour: Tensor) -> Tensor:
        """[K,3] what the painted places look like."""
        normals, height = unit(slopes), _ABOVE * self.extent
        length = torch.linalg.vector_norm(slopes, dim=-1).clamp(min=1e-6)
        above = field_values(self.field, self.latent, points + height * normals) / (height * length)
        clear = _CLOSED + (1 - _CLOSED) * above.clamp(0, 1)
        upright = turned(self.pose.up, self.pose.azimuth)
        eye = -upright @ self.pose.axes[2]
        half = (KEY_LIGHT + eye) / np.linalg.norm(KEY_LIGHT + eye)
        turn = torch.from_numpy(np.stack([[0, 1, 0], KEY_LIGHT, _FILL, eye, half]) @ upright)
        up, key, fill, facing, gloss = (normals @ turn.to(normals).T).unbind(-1)
        sky = clear * (0.6 + 0.27 * up)
        light = 0.44 * sky + clear * (0.80 * key.clamp(min=0) + 0.12 * fill.clamp(min=0))
        shine = 0.10 * gloss.clamp(min=0) ** 30 + 0.10 * (1 - facing.clamp(0, 1)) ** 3 * sky
        return light[:, None] * colour + shine[:, None]


@torch.no_grad()
def find_view(
    field: Field,
    latent: Float[Tensor, " L"],
    extent: float,
    pose: View | None = None,
    fringe: float = 0.0,
    height: int = 256,
) -> FieldView:
    """Send beams at the box [-extent, extent]^3.

    fringe: how far beside the shape is kept. height: pixels of the picture to come; beams are not
    finer than those.
    """
    pose = pose or View()
    lipschitz = lipschitz_estimate(field, latent, extent)
    reach = extent * float(np.abs(pose.axes[:2]).sum(1).max())
    camera = Orthographic(-reach, reach, -reach, reach, pose, 2 * extent)
    free = torch.zeros(1, 1).to(latent)
    for n in [n for n in BEAMS if n <= max(height, BEAMS[0])]:
        times, radius = n // len(free), 2**0.5 * reach / n + fringe
        start = free.repeat_interleave(times, 0).repeat_interleave(times, 1).reshape(-1)
        rays = camera.rays(n, n)
        free = march(field, latent, *rays, radius, extent, start, STEPS, lipschitz).reshape(n, n)
    return FieldView(field, latent, extent, pose, lipschitz, reach, fringe, free)
