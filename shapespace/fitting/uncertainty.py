"""How sure a fit is of its surface, place by place: the Laplace approximation of its posterior.

Letters: B scans, V vertices, D dimension, K unknowns of a step.
"""

import torch
from jaxtyping import Float
from torch import Tensor

from shapespace.decoders.base import Decoder
from shapespace.fitting.pose import Freedom, pose_columns
from shapespace.fitting.residuals import State

PATCHES = 9.0
"""Independent pieces of a scan: what no code can draw is wrong alike over a whole limb of a person.
Chosen so that twice the deviation holds four fifths of what a scan does not show
(experiments/fitting)."""


def covariance(
    information: Float[Tensor, "B K K"], prior: Float[Tensor, "L L"], spread: Float[Tensor, " B"]
) -> Float[Tensor, "B K K"]:
    """Of the unknowns, from the mean of J^T J over the points and the scatter of residuals.

    spread: standard deviation of a residual. What neither the points nor the prior hold is given
    no more than a large variance.
    """
    hessian = information.double() * (PATCHES / spread.double().square())[:, None, None]
    length = len(prior)
    hessian[:, :length, :length] += prior.double()
    size = hessian.diagonal(dim1=-2, dim2=-1).mean(-1).clamp(min=1e-12)
    eye = torch.eye(hessian.shape[-1], dtype=hessian.dtype, device=hessian.device)
    return torch.linalg.inv(hessian + 1e-9 * size[:, None, None] * eye).to(information)


@torch.no_grad()
def surface_deviation(
    decoder: Decoder,
    points: Float[Tensor, "B V D"],
    state: State,
    covariances: Float[Tensor, "B K K"],
    spread: Float[Tensor, " B"],
    freedom: Freedom,
) -> Float[Tensor, "B V"]:
    """Standard deviation of the surface along its normal, in the unit of the scan.

    points: on the zero set, in the frame of the scan. spread: of residuals, in that unit, which is
    as exact as any code is.
    """
    placed = state.pose(points)
    _, gradient, code = decoder.jacobian(placed, state.code)
    columns = pose_columns(placed, placed, gradient, state.pose, freedom)
    jacobian = torch.cat([code, columns], -1)
    variance = ((jacobian @ covariances) * jacobian).sum(-1).clamp(min=0)
    steepness = torch.linalg.vector_norm(gradient, dim=-1).clamp(min=1e-6)
    along = variance.sqrt() / steepness / state.pose.scale[:, None]
    return torch.hypot(along, spread[:, None].expand_as(along))
