"""The uncertainty of a fitted surface, point by point: the Laplace approximation of its posterior.

Letters: B scans, V vertices, D dimension, L code length, K unknowns of a step (code, then pose).
"""

import torch
from jaxtyping import Float
from torch import Tensor

from shapespace.config.options import Freedom
from shapespace.decoders.base import Decoder
from shapespace.fitting.pose import pose_columns
from shapespace.fitting.residuals import State

PATCHES = 9.0
"""Independent pieces of a scan.

The error of a surface that no code can draw is the same over a whole limb of a person, so that its
points are far from independent. The number was chosen so that twice the deviation holds four fifths
of the surface that a scan does not show (experiments/fitting).
"""


def covariance(
    information: Float[Tensor, "B K K"], prior: Float[Tensor, "*B L L"], spread: Float[Tensor, " B"]
) -> Float[Tensor, "B K K"]:
    """The covariance of the unknowns: the inverse Hessian of the negative log posterior.

    Args:
        information: the mean of J^T J over the points, J the derivatives of a residual.
        prior: the inverse covariance of the codes, one for all or one for each scan.
        spread: the standard deviation of a residual.
    """
    hessian = information.double() * (PATCHES / spread.double().square())[:, None, None]
    length = prior.shape[-1]
    hessian[:, :length, :length] += prior.double()
    # An unknown that neither the points nor the prior determine, such as the turn of a ball, would
    # make the Hessian singular. The small multiple of the identity gives a large variance instead.
    size = hessian.diagonal(dim1=-2, dim2=-1).mean(-1).clamp(min=1e-12)
    eye = torch.eye(hessian.shape[-1], dtype=hessian.dtype, device=hessian.device)
    return torch.linalg.inv(hessian + 1e-9 * size[:, None, None] * eye).to(information)


@torch.no_grad()
def surface_deviation(
    decoder: Decoder,
    points: Float[Tensor, "B V D"],
    state: State,
    *,
    covariances: Float[Tensor, "B K K"],
    spread: Float[Tensor, " B"],
    freedom: Freedom,
) -> Float[Tensor, "B V"]:
    """The standard deviation of the surface along its normal, in the unit of the scan.

    Args:
        decoder: f(x; z).
        points: on the zero set, in the frame of the scan.
        state: the fitted codes and poses.
        covariances: of code and pose.
        spread: the standard deviation of residuals, in the unit of the scan. No code draws a
            surface more exactly, so that it is the least deviation.
        freedom: the part of the pose that was found.
    """
    placed = state.pose(points)
    _, gradient, code = decoder.jacobian(placed, state.code)
    columns = pose_columns(placed, placed, gradient, pose=state.pose, freedom=freedom)
    jacobian = torch.cat([code, columns], -1)
    variance = ((jacobian @ covariances) * jacobian).sum(-1).clamp(min=0)
    # A change of f by df moves the zero set by df / |grad f| along the normal.
    steepness = torch.linalg.vector_norm(gradient, dim=-1).clamp(min=1e-6)
    along = variance.sqrt() / steepness / state.pose.scale[:, None]
    return torch.hypot(along, spread[:, None].expand_as(along))
