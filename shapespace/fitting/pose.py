"""Similarities from the frame of a scan to that of a space, and their derivatives.

Letters: P problems, N points, D dimension, 3 or 2.
"""

from typing import Literal, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

Freedom = Literal["none", "shift", "rigid", "similarity"]
"""What of a pose is to be found: nothing, where, also which way, also how large."""


class Pose(NamedTuple):
    """Y = scale * rotation x + shift of each problem.

    rotation: [P,D,D]; shift: [P,D]; scale: [P].
    """

    rotation: Float[Tensor, "P D D"]
    shift: Float[Tensor, "P D"]
    scale: Float[Tensor, " P"]

    @classmethod
    def identity(cls, num: int, like: Float[Tensor, "*shape D"]) -> "Pose":
        """``num`` poses that move nothing."""
        dimension = like.shape[-1]
        eye = torch.eye(dimension, dtype=like.dtype, device=like.device)
        return cls(eye.repeat(num, 1, 1), like.new_zeros(num, dimension), like.new_ones(num))

    def __call__(self, points: Float[Tensor, "P N D"]) -> Float[Tensor, "P N D"]:
        """Points of the scan in the frame of the space."""
        turned = self.turn(points) * self.scale[:, None, None]
        return turned + self.shift[:, None]

    def back(self, points: Float[Tensor, "P N D"]) -> Float[Tensor, "P N D"]:
        """Points of the space in the frame of the scan."""
        return (points - self.shift[:, None]) @ self.rotation / self.scale[:, None, None]

    def turn(self, directions: Float[Tensor, "P N D"]) -> Float[Tensor, "P N D"]:
        """Directions of the scan, such as normals."""
        return directions @ self.rotation.mT

    def rows(self, which: Tensor) -> "Pose":
        """Those of some problems."""
        return Pose(self.rotation[which], self.shift[which], self.scale[which])

    def moved(self, step: Float[Tensor, "P K"], freedom: Freedom) -> "Pose":
        """Another pose: (shift, turn, log scale) applied on the side of the space."""
        if freedom == "none":
            return self
        dimension = self.shift.shape[1]
        pose = self._replace(shift=self.shift + step[:, :dimension])
        if freedom == "shift":
            return pose
        turn = step[:, dimension : degrees_of_freedom("rigid", dimension)]
        rotation = torch.linalg.matrix_exp(cross(turn)) @ self.rotation
        scale = self.scale * step[:, -1].exp() if freedom == "similarity" else self.scale
        return pose._replace(rotation=rotation, scale=scale)


def degrees_of_freedom(freedom: Freedom, dimension: int) -> int:
    """Numbers of a step of a pose."""
    rigid = dimension * (dimension - 1) // 2 + dimension
    return {"none": 0, "shift": dimension, "rigid": rigid, "similarity": rigid + 1}[freedom]


def cross(turn: Float[Tensor, "P T"]) -> Float[Tensor, "P D D"]:
    """The skew matrix of a turn: of a vector in 3-D, of an angle in 2-D."""
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
    pose: Pose,
    freedom: Freedom,
) -> Float[Tensor, "P N K"]:
    """Derivatives of f(y) in a step of the pose; ``moved`` are the y, ``gradient`` grad f there.

    stretched: the part of y that grows with the scale; the rest only turns and shifts.
    """
    if freedom in ("none", "shift"):
        return gradient if freedom == "shift" else gradient[..., :0]
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
