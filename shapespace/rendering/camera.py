"""Cameras: rays through the pixels of a picture.

Frame: that of the shapes, ``up`` naming the axis that points up. ``azimuth``: degrees the shapes
are turned to the right of the viewer; ``elevation``: degrees the camera looks down. The image plane
goes through the origin; x is to the right, y up, in the unit of the shapes. Pixels are numbered row
by row from the top left, a ray through the middle of each.

Letters: H x W pixels, K = H W.
"""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from shapespace.errors import InputError

KEY_LIGHT = np.array([-0.55, 0.95, 0.85]) / np.linalg.norm([-0.55, 0.95, 0.85])
"""Where the strongest light comes from: y up, z toward the viewer."""
MARGIN = 0.07
"""Around a row of shapes, in their height."""
GAMMA = 2.2
"""Of the colours of a picture: a number in a file is the light to the power of 1 / GAMMA."""
UPRIGHT = {
    "x": np.array([[0.0, -1, 0], [1, 0, 0], [0, 0, 1]]),
    "y": np.eye(3),
    "z": np.array([[1.0, 0, 0], [0, 0, 1], [0, -1, 0]]),
}
"""The rotation that turns each axis up: y up, z toward the viewer."""


def turned(up: str, azimuth: float) -> Float[np.ndarray, "3 3"]:
    """The rotation that sets shapes upright and turns them. InputError for an unknown ``up``."""
    if up not in UPRIGHT:
        raise InputError(f"up {up!r}: must be one of x, y, z")
    c, s = np.cos(np.radians(azimuth)), np.sin(np.radians(azimuth))
    return np.array([[c, 0, s], [0, 1, 0], [-s, 0, c]]) @ UPRIGHT[up]


@dataclass(frozen=True)
class View:
    """Where a camera looks from, its target being the origin."""

    azimuth: float = 20.0
    elevation: float = 8.0
    up: str = "y"

    @property
    def axes(self) -> Float[np.ndarray, "3 3"]:
        """Rows: to the right, upwards in the image, and into it."""
        c, s = np.cos(np.radians(self.elevation)), np.sin(np.radians(self.elevation))
        image = np.array([[1, 0, 0], [0, c, -s], [0, -s, -c]])
        return image @ turned(self.up, self.azimuth)


@dataclass(frozen=True)
class Orthographic:
    """Parallel rays through a window of the image plane; they begin ``distance`` before it."""

    left: float
    right: float
    bottom: float
    top: float
    pose: View = View()
    distance: float = 4.0

    def rays(self, height: int, width: int) -> tuple[Float[Tensor, "K 3"], Float[Tensor, "K 3"]]:
        """Origins and directions of all pixels."""
        x, y = pixel_middles(self, height, width)
        axes = self.pose.axes
        origins = _plane(x, y, axes) - self.distance * axes[2]
        return _tensor(origins), _tensor(np.broadcast_to(axes[2], origins.shape))


def pixel_middles(
    camera: Orthographic, height: int, width: int
) -> tuple[Float[np.ndarray, " W"], Float[np.ndarray, " H"]]:
    """X of the columns and y of the rows, in the image plane."""
    x = camera.left + (np.arange(width) + 0.5) / width * (camera.right - camera.left)
    y = camera.top - (np.arange(height) + 0.5) / height * (camera.top - camera.bottom)
    return x, y


@dataclass(frozen=True)
class Pinhole:
    """Rays from one eye, ``distance`` before the origin. view: vertical opening, degrees."""

    view: float = 35.0
    pose: View = View()
    distance: float = 4.0

    def rays(self, height: int, width: int) -> tuple[Float[Tensor, "K 3"], Float[Tensor, "K 3"]]:
        """Origins and directions (of length 1) of all pixels."""
        tall = np.tan(np.radians(self.view) / 2)
        x = tall * (2 * np.arange(width) + 1 - width) / height
        y = tall * (height - 1 - 2 * np.arange(height)) / height
        axes = self.pose.axes
        directions = _plane(x, y, axes) + axes[2]
        directions /= np.linalg.norm(directions, axis=1, keepdims=True)
        eye = np.broadcast_to(-self.distance * axes[2], directions.shape)
        return _tensor(eye), _tensor(directions)


def _plane(x: np.ndarray, y: np.ndarray, axes: np.ndarray) -> np.ndarray:
    """[K,3] points of the image plane, row by row."""
    return (x[None, :, None] * axes[0] + y[:, None, None] * axes[1]).reshape(-1, 3)


def _tensor(vectors: np.ndarray) -> Tensor:
    return torch.tensor(vectors, dtype=torch.float32)


def picture_of(light: Float[np.ndarray, "H W 3"]) -> UInt8[np.ndarray, "H W 3"]:
    """Linear colours, 0 to 1, as the numbers of an image file."""
    return np.round(255 * np.clip(light, 0, 1) ** (1 / GAMMA)).astype(np.uint8)


def light_of(colours: Float[np.ndarray, "*shape 3"]) -> Float[np.ndarray, "*shape 3"]:
    """Linear colours of those that one names, both 0 to 1."""
    return np.clip(np.asarray(colours, float), 0, 1) ** GAMMA
