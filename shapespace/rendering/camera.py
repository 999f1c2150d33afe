"""An orthographic camera: parallel camera rays through the pixels of a picture.

Frame and unit: those of the shapes. The camera looks at the origin, and the image plane contains
the origin. In the image plane x points right and y points up.

Letters: H x W pixels.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from shapespace.errors import InputError

UPRIGHT = {
    "x": np.array([[0.0, -1, 0], [1, 0, 0], [0, 0, 1]]),
    "y": np.eye(3),
    "z": np.array([[1.0, 0, 0], [0, 0, 1], [0, -1, 0]]),
}
"""For each up axis of the shapes, the rotation to the upright frame: y up, z toward the viewer."""


def turned(up: str, azimuth: float) -> Float[np.ndarray, "3 3"]:
    """The rotation that sets shapes upright and then turns them about the vertical axis.

    ``up`` names the axis of the shapes that points up: x, y or z. ``azimuth`` is the angle in
    degrees by which the shapes turn to the right of the viewer. Raises InputError for an unknown
    ``up``.
    """
    if up not in UPRIGHT:
        raise InputError(f"up {up!r}: must be one of x, y, z")
    cos = np.cos(np.radians(azimuth))
    sin = np.sin(np.radians(azimuth))
    return np.array([[cos, 0, sin], [0, 1, 0], [-sin, 0, cos]]) @ UPRIGHT[up]


@dataclass(frozen=True)
class View:
    """The direction from which a camera looks at the origin.

    Args:
        azimuth: degrees by which the shapes turn to the right of the viewer.
        elevation: degrees by which the camera looks down.
        up: the axis of the shapes that points up: x, y or z.
    """

    azimuth: float = 20.0
    elevation: float = 8.0
    up: str = "y"

    @property
    def axes(self) -> Float[np.ndarray, "3 3"]:
        """Unit vectors as rows: right and up in the image, and the direction of the camera rays."""
        cos = np.cos(np.radians(self.elevation))
        sin = np.sin(np.radians(self.elevation))
        image = np.array([[1, 0, 0], [0, cos, -sin], [0, -sin, -cos]])
        return image @ turned(self.up, self.azimuth)


@dataclass(frozen=True)
class Orthographic:
    """A camera whose rays are parallel and cover a rectangle of the image plane.

    Args:
        left: x of the left border of the rectangle.
        right: x of the right border.
        bottom: y of the lower border.
        top: y of the upper border.
        view: the direction from which the camera looks.
        distance: distance from the origins of the rays to the image plane.
    """

    left: float
    right: float
    bottom: float
    top: float
    view: View = View()
    distance: float = 4.0

    @property
    def direction(self) -> Float[np.ndarray, " 3"]:
        """The unit direction of all camera rays."""
        return self.view.axes[2]

    def origins(self, height: int, width: int) -> Float[np.ndarray, "H W 3"]:
        """Origins of the rays through the centres of the pixels, image rows from top to bottom."""
        x = self.left + (np.arange(width) + 0.5) / width * (self.right - self.left)
        y = self.top - (np.arange(height) + 0.5) / height * (self.top - self.bottom)
        right, up, forward = self.view.axes
        return x[None, :, None] * right + y[:, None, None] * up - self.distance * forward
