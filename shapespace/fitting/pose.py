"""Poses: similarities from the frame of a scan to the frame of a space, and their derivatives.

Letters: P problems, N points, D dimension (3 or 2), T numbers of a turn, K numbers of a pose step.
"""

from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from shapespace.config.options import Freedom


class Pose(NamedTuple):
    """y = scale * rotation x + shift, one for each problem.

    x is a point in the frame of the scan, y the same point in the frame of the space.

    Args:
        rotation: a rotation matrix.
        shift: in the unit of the space.
        scale: units of the space per unit of the scan.
    """

    rotation: Float[Tensor, "P D D"]
    shift: Float[Tensor, "P D"]
    scale: Float[Tensor, " P"]

    @classmethod
    def identity(cls, num: int, like: Float[Tensor, "*shape D"]) -> "Pose":
        """``num`` poses that move nothing, with the dimension, type and device of ``like``."""
        dimension = like.shape[-1]
        eye = torch.eye(dimension, dtype=like.dtype, device=like.device)
        return cls(
            rotation=eye.repeat(num, 1, 1),
            shift=like.new_zeros(num, dimension),
            scale=like.new_ones(num),
        )

    def __call__(self, points: Float[Tensor, "P N D"]) -> Float[Tensor, "P N D"]:
        """Points of the scan, in the frame of the space."""
        turned = self.turn(points) * self.scale[:, None, None]
        return turned + self.shift[:, None]

    def back(self, points: Float[Tensor, "P N D"]) -> Float[Tensor, "P N D"]:
        """Points of the space, in the frame of the scan."""
        return (points - self.shift[:, None]) @ self.rotation / self.scale[:, None, None]

    def turn(self, directions: Float[Tensor, "P N D"]) -> Float[Tensor, "P N D"]:
        """Directions of the scan, such as normals, in the frame of the space."""
        return directions @ self.rotation.mT

    def exact(self) -> "Pose":
        """The same poses in double precision, on the CPU."""
        return Pose(*(part.double().cpu() for part in self))

    def rows(self, which: Tensor) -> "Pose":
        """The poses of some problems."""
        return Pose(self.rotation[which], self.shift[which], self.scale[which])

    def moved(self, step: Float[Tensor, "P K"], freedom: Freedom) -> "Pose":
        """The pose after a step.

        The step acts in the frame of the space: the shift is added to, the turn comes after the
        rotation and is about the shifted origin of the scan.

        Args:
            step: shift, turn vector in radians, logarithm of the scale, as far as they are free.
            freedom: the part of the pose that the step changes.
        """
        if freedom == "none":
            return self
        dimension = self.shift.shape[1]
        pose = self._replace(shift=self.shift + step[:, :dimension])
        if freedom == "shift":
            return pose
        turn = step[:, dimension : degrees_of_freedom("rigid", dimension)]
        # The exponential keeps a rotation a rotation, however long the step, and a scale positive.
        rotation = torch.linalg.matrix_exp(cross(turn)) @ self.rotation
        scale = self.scale * step[:, -1].exp() if freedom == "similarity" else self.scale
        return pose._replace(rotation=rotation, scale=scale)


def degrees_of_freedom(freedom: Freedom, dimension: int) -> int:
    """K, the numbers of a pose step."""
    rigid = dimension * (dimension - 1) // 2 + dimension
    return {"none": 0, "shift": dimension, "rigid": rigid, "similarity": rigid + 1}[freedom]


def cross(turn: Float[Tensor, "P T"]) -> Float[Tensor, "P D D"]:
    """The skew matrix of a turn vector in 3-D, or of an angle in 2-D; radians, right-handed."""
    zero = torch.zeros_like(turn[:, 0])
    if turn.shape[1] == 1:
        (angle,) = turn.T
        rows = [[zero, -angle], [angle, zero]]
    else:
        a, b, c = turn.T
        rows = [[zero, -c, b], [c, zero, -a], [-b, a, zero]]
    return torch.stack([torch.stack(row, -1) for row in rows], -2)


def pose_columns(
    moved: Float[Tensor, "P N D"],
    stretched: Float[Tensor, "P N D"],
    gradient: Float[Tensor, "P N D"],
    *,
    pose: Pose,
    freedom: Freedom,
) -> Float[Tensor, "P N K"]:
    """Derivatives of f(y) in a step of the pose, at the step 0.

    Args:
        moved: the points y, in the frame of the space.
        stretched: the part of y that grows with the scale; the rest only turns and shifts.
        gradient: grad f at y.
        pose: from the frame of the scan to that of the space.
        freedom: the part of the pose that is found.
    """
    if freedom in ("none", "shift"):
        return gradient if freedom == "shift" else gradient[..., :0]
    # A turn w moves y by w x arm, and g . (w x arm) = w . (arm x g).
    arm = moved - pose.shift[:, None]
    if arm.shape[-1] == 2:
        turn = arm[..., :1] * gradient[..., 1:] - arm[..., 1:] * gradient[..., :1]
    else:
        turn = torch.linalg.cross(arm, gradient)
    parts = [gradient, turn]
    if freedom == "similarity":
        radius = stretched - pose.shift[:, None]
        parts.append((radius * gradient).sum(-1, keepdim=True))
    return torch.cat(parts, -1)
