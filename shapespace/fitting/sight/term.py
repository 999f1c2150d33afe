"""What lines of sight add to the cost of a fit: hinges at free rays, cross entropy at silhouettes.

q is the least f on a ray, as a share of the scan's size, with the sign that makes it positive where
the ray is contradicted: -f on a free ray, f on a ray of the silhouette.

Letters: P problems (a scan and one of its starts), A some of them, K rays of each, U unknowns of a
step (code, then pose).
"""

from dataclasses import dataclass
from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from shapespace.config.options import Freedom
from shapespace.decoders.base import Decoder
from shapespace.fitting.pose import pose_columns
from shapespace.fitting.residuals import State
from shapespace.fitting.sight.lines import SightBatch
from shapespace.surface.query import least_depths

SAMPLES = 20
"""Even samples of a ray. A limb thinner than their distance is seen by the next ray."""
FIRST_ALPHA, LAST_ALPHA = 50.0, 1600.0
"""IDR's sharpness of the mask term, doubled five times, in 1 / the size of the scan."""


class Quadratic(NamedTuple):
    """A cost and its quadratic model.

    Args:
        cost: of each problem.
        slope: its gradient.
        hessian: positive.
    """

    cost: Float[Tensor, " A"]
    slope: Float[Tensor, "A U"]
    hessian: Float[Tensor, "A U U"]


class RayLoss(NamedTuple):
    """Loss of each ray, its derivative, and the curvature of a parabola above it.

    Args:
        cost: of each ray.
        slope: derivative in q.
        curvature: not negative.
    """

    cost: Tensor
    slope: Tensor
    curvature: Tensor


def hinge(q: Float[Tensor, "A K"], width: float) -> RayLoss:
    """0 for q <= 0, then q^2 / 2, and linear from ``width`` on (Huber 1964).

    A ray that is wrong, as one at the border of a limb, pulls no more than one that is off by the
    width.
    """
    over = q.clamp(min=0)
    within = over.clamp(max=width)
    curvature = torch.where(q > 0, width / over.clamp(min=width), 0)
    return RayLoss(within * (over - 0.5 * within), slope=within, curvature=curvature)


def cross_entropy(q: Float[Tensor, "A K"], width: float, alpha: float) -> RayLoss:
    """IDR's mask term, softplus(alpha q) / alpha, times ``width``: as steep as the hinge far off.

    Args:
        q: the least f, positive where the mask is contradicted.
        width: of the hinge that it stands beside.
        alpha: sharpness, in 1 / the unit of q.
    """
    steep = alpha * q
    cost = width * torch.nn.functional.softplus(steep) / alpha
    slope = width * torch.sigmoid(steep)
    # The parabola of Jaakkola and Jordan (2000) touches the loss at q and lies above it.
    half = (0.5 * steep).abs().clamp(min=1e-4)
    return RayLoss(cost, slope=slope, curvature=width * alpha * torch.tanh(half) / (4 * half))


@dataclass(frozen=True)
class SightTerm:
    """The mean loss of the rays of each problem.

    Args:
        decoder: f(x; z).
        rays: of each problem, in the frame of its scan.
        size: of each problem; q is a share of it.
        freedom: the part of the pose that is found.
        width: of the hinge, a share of the size.
        alpha: sharpness of the mask term.
        masks: True if there are silhouettes: free rays then count by the mask term too.
    """

    decoder: Decoder
    rays: SightBatch
    size: Float[Tensor, " P"]
    freedom: Freedom
    width: float
    alpha: float = FIRST_ALPHA
    masks: bool = False

    def __call__(self, state: State, which: Int[Tensor, " A"]) -> Quadratic:
        """The term of the problems ``which`` at ``state``."""
        pose = state.pose
        rays = self.rays
        origins = pose(rays.origins[which])
        directions = pose.turn(rays.directions[which])
        scale = pose.scale[:, None]
        t = least_depths(
            self.decoder,
            state.code,
            origins,
            directions,
            near=rays.near[which] * scale,
            far=rays.far[which] * scale,
            samples=SAMPLES,
            rounds=1,
        )
        points = origins + t[..., None] * directions
        f, gradient, code = self.decoder.jacobian(points, state.code)
        columns = pose_columns(points, points, gradient, pose=pose, freedom=self.freedom)
        # The place of the least f is a minimum: that it moves along the ray changes nothing.
        factor = rays.side[which] / self.size[which][:, None]
        q = factor * f
        jacobian = factor[..., None] * torch.cat([code, columns], -1)
        loss = cross_entropy(q, self.width, self.alpha) if self.masks else hinge(q, self.width)
        share = (rays.side[which] != 0).to(q) / q.shape[1]
        return Quadratic(
            cost=(share * loss.cost).sum(1),
            slope=((share * loss.slope)[..., None] * jacobian).sum(1),
            hessian=((share * loss.curvature)[..., None] * jacobian).mT @ jacobian,
        )


def alpha_of(stage: int, num_stages: int) -> float:
    """The sharpness of the mask term in a stage: IDR's, from first to last by equal factors.

    Args:
        stage: from 0.
        num_stages: of the search.
    """
    share = stage / max(num_stages - 1, 1)
    return FIRST_ALPHA * (LAST_ALPHA / FIRST_ALPHA) ** share
