"""Pinhole cameras: where they stand, and the rays through their pixels.

Two conventions of camera axes are in use. OpenCV (COLMAP): x right, y down, z forward. OpenGL
(Blender, nerfstudio): x right, y up, z backward. Here a camera has OpenCV axes; files say which
they have. The centre of the first pixel is at (0.5, 0.5).

Frame and unit of positions: those of the world, as the camera file has them. Letters: H x W pixels,
C cameras, K points.
"""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float

from shapespace.errors import InputError

TURN = np.diag([1.0, -1.0, -1.0])
"""From OpenGL axes to OpenCV axes, and back."""
ROUNDED = 1e-3
"""Most error of a rotation in a file, that may be rounded."""


@dataclass(frozen=True)
class Pinhole:
    """A camera without distortion.

    Args:
        name: of its image.
        width: W, columns of the image.
        height: H, rows.
        focal: focal lengths in pixels, along columns and along rows.
        middle: column and row of the principal point, in pixels.
        rotation: the axes of the camera in the world as columns: right, down, forward.
        position: of the camera in the world.
        depth: file of its depth map, if the camera file names one.
        mask: file of its mask, if the camera file names one.
    """

    name: str
    width: int
    height: int
    focal: tuple[float, float]
    middle: tuple[float, float]
    rotation: Float[np.ndarray, "3 3"]
    position: Float[np.ndarray, " 3"]
    depth: Path | None = None
    mask: Path | None = None

    def __post_init__(self) -> None:
        numbers = [*self.focal, *self.middle, *self.position, *self.rotation.flat]
        if not np.isfinite(numbers).all() or min(self.focal) <= 0:
            raise InputError(
                f"camera {self.name!r}: focal lengths {self.focal} and all else must be finite, "
                "focal lengths positive"
            )
        if min(self.width, self.height) < 1:
            raise InputError(f"camera {self.name!r}: has {self.width} x {self.height} pixels")
        off = np.abs(self.rotation.T @ self.rotation - np.eye(3)).max()
        if off > ROUNDED or np.linalg.det(self.rotation) < 0:
            raise InputError(
                f"camera {self.name!r}: its matrix is no rotation (off by {off:.2g}, determinant "
                f"{np.linalg.det(self.rotation):.2g}); give camera-to-world matrices"
            )

    @property
    def forward(self) -> Float[np.ndarray, " 3"]:
        """The direction in which the camera looks, of length 1."""
        return self.rotation[:, 2]

    def slopes(self) -> Float[np.ndarray, "H W 3"]:
        """Directions of the rays through the pixels in camera axes, of length 1 along z."""
        x = (np.arange(self.width) + 0.5 - self.middle[0]) / self.focal[0]
        y = (np.arange(self.height) + 0.5 - self.middle[1]) / self.focal[1]
        shape = (self.height, self.width)
        return np.stack(
            [np.broadcast_to(x, shape), np.broadcast_to(y[:, None], shape), np.ones(shape)], -1
        )

    def directions(self) -> Float[np.ndarray, "H W 3"]:
        """Unit directions of the rays through the pixels, in the world."""
        along = self.slopes() @ self.rotation.T
        return along / np.linalg.norm(along, axis=-1, keepdims=True)

    def local(self, points: Float[np.ndarray, "K 3"]) -> Float[np.ndarray, "K 3"]:
        """Points of the world in camera axes; the last number is the depth along the axis."""
        return (points - self.position) @ self.rotation

    def pixels(
        self, points: Float[np.ndarray, "K 3"]
    ) -> tuple[Float[np.ndarray, "K 2"], Bool[np.ndarray, " K"]]:
        """Column and row of points of the world, and whether each is in front and in the image."""
        x, y, z = self.local(points).T
        front = z > 0
        depth = np.where(front, z, 1)
        found = np.stack([x, y], 1) / depth[:, None] * self.focal + np.array(self.middle)
        size = np.array([self.width, self.height])
        return found, front & ((found >= 0) & (found < size)).all(1)

    def turned(self) -> "Pinhole":
        """The camera whose file had the axes of the other convention."""
        return replace(self, rotation=self.rotation @ TURN)

    def inverted(self) -> "Pinhole":
        """The camera whose file held the inverse of its matrix, in OpenGL axes."""
        opengl = self.rotation @ TURN
        return replace(self, rotation=opengl.T @ TURN, position=-opengl.T @ self.position)


def looking_at(
    name: str,
    position: Float[np.ndarray, " 3"],
    at: Float[np.ndarray, " 3"],
    up: Float[np.ndarray, " 3"],
    size: tuple[int, int],
    angle: float,
) -> Pinhole:
    """A camera that looks at a point.

    Args:
        name: of its image.
        position: of the camera.
        at: the point in the middle of its image.
        up: a direction that is up in the image; it may not be that of the view.
        size: columns and rows of the image.
        angle: of view in degrees, along the shorter side.
    """
    forward = (at - position) / np.linalg.norm(at - position)
    right = np.cross(forward, up)
    right = right / np.linalg.norm(right)
    width, height = size
    focal = 0.5 * min(size) / np.tan(np.radians(angle) / 2)
    return Pinhole(
        name=name,
        width=width,
        height=height,
        focal=(focal, focal),
        middle=(width / 2, height / 2),
        rotation=np.stack([right, np.cross(forward, right), forward], 1),
        position=np.asarray(position, float),
    )


def ring(
    num: int,
    middle: Float[np.ndarray, " 3"],
    radius: float,
    *,
    up: int = 1,
    elevation: float = 10.0,
    azimuth: float = 20.0,
    size: tuple[int, int] = (320, 320),
    angle: float = 40.0,
) -> list[Pinhole]:
    """Cameras at equal angles around a ball, each of which shows the whole ball.

    Args:
        num: C, at least 1.
        middle: of the ball.
        radius: of the ball.
        up: the upright axis, 0, 1 or 2.
        elevation: degrees by which the cameras look down.
        azimuth: degrees of the first camera about the upright axis.
        size: columns and rows of the images.
        angle: of view in degrees, along the shorter side.
    """
    upright = np.eye(3)[up]
    level, across = np.eye(3)[(up + 1) % 3], np.eye(3)[(up + 2) % 3]
    distance = 1.05 * radius / np.sin(np.radians(angle) / 2)
    tilt = np.radians(elevation)
    cameras = []
    for row in range(num):
        turn = np.radians(azimuth) + 2 * np.pi * row / num
        away = np.cos(tilt) * (np.cos(turn) * across + np.sin(turn) * level)
        position = middle + distance * (away + np.sin(tilt) * upright)
        cameras.append(looking_at(f"{row:03d}", position, middle, upright, size, angle))
    return cameras
