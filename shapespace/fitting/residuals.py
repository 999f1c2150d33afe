"""What a code and a pose have to explain: the points of a scan and, on its normals, their distance.

Residuals without a second derivative: f(y) = 0 at the points, f(y +- delta n) = +- delta beside
them. Letters: P problems, N points, D dimension, L code length, M residuals, K unknowns of a step.
"""

from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from shapespace.decoders.base import Decoder
from shapespace.fitting.pose import Freedom, Pose, degrees_of_freedom, pose_columns

LEAST_SPACING = 0.1
"""Of the usual distance between points of a scan: nearer ones count as if so far apart."""
USUAL_SPACING = 0.8
"""Quantile of the distances that is the usual one. Sparser points count no more: outliers are."""


class State(NamedTuple):
    """Codes [P,L] and poses."""

    code: Float[Tensor, "P L"]
    pose: Pose

    def rows(self, which: Tensor) -> "State":
        """Those of some problems."""
        return State(self.code[which], self.pose.rows(which))

    def replaced(self, which: Int[Tensor, " A"], by: "State") -> "State":
        """The same with the rows ``which`` taken from ``by``."""

        def put(mine: Tensor, other: Tensor) -> Tensor:
            return mine.index_copy(0, which, other)

        pose = Pose(*(put(a, b) for a, b in zip(self.pose, by.pose, strict=True)))
        return State(put(self.code, by.code), pose)


class Prior(NamedTuple):
    """A Gaussian of codes: mean [L] and inverse covariance [L,L]."""

    mean: Float[Tensor, " L"]
    precision: Float[Tensor, "L L"]

    @classmethod
    def of_codes(cls, codes: Float[Tensor, "S L"], shrinkage: float = 0.1) -> "Prior":
        """Mean and covariance of training codes, drawn ``shrinkage`` of the way to a ball."""
        mean, length = codes.mean(0), codes.shape[1]
        offset = codes - mean
        covariance = offset.mT @ offset / max(len(codes) - 1, 1)
        variance = covariance.diagonal().mean() if length else covariance.new_ones(())
        eye = torch.eye(length, dtype=codes.dtype, device=codes.device)
        floor = variance if variance > 0 else torch.ones_like(variance)
        ball = eye * floor
        return cls(mean, torch.linalg.inv((1 - shrinkage) * covariance + shrinkage * ball))

    def prior_distance(
        self, codes: Float[Tensor, "B L"], training: Float[Tensor, "S L"]
    ) -> Float[Tensor, " B"]:
        """Mahalanobis distance of codes from the mean, over the median of the training codes'.

        About 1 for a code like those; 1 where nothing can be said.
        """
        mine, usual = (self._distance(part) for part in (codes, training))
        median = usual.median() if len(usual) else usual.new_zeros(())
        return torch.where(median > 0, mine / median.clamp(min=1e-12), 1.0)

    def _distance(self, codes: Float[Tensor, "S L"]) -> Float[Tensor, " S"]:
        offset = codes - self.mean
        return (offset @ self.precision * offset).sum(1).clamp(min=0).sqrt()


class Residuals:
    """Some scans of equally many points, each to be explained by ``decoder``.

    Args:
        decoder: f(x; z).
        points: of each problem, in its own frame.
        normals: of unit length, outward, a zero row where unknown; None where none is.
        size: of each problem; residuals are shares of it.
        delta: distance from the surface at which normals are read, a share of the size.
        freedom: what of the pose is to be found.
        weights: of the points, 1 if not given.
    """

    def __init__(
        self,
        decoder: Decoder,
        points: Float[Tensor, "P N D"],
        normals: Float[Tensor, "P N D"] | None,
        size: Float[Tensor, " P"],
        delta: float,
        freedom: Freedom = "none",
        weights: Float[Tensor, "P N"] | None = None,
    ) -> None:
        self.decoder, self.points, self.normals = decoder, points, normals
        self.size, self.delta = size, delta
        self.freedom: Freedom = freedom
        self.weights = torch.ones_like(points[..., 0]) if weights is None else weights

    @property
    def unknowns(self) -> int:
        """K: those of the code, then those of the pose."""
        size = degrees_of_freedom(self.freedom, self.points.shape[-1])
        return self.decoder.latent_size + size

    def moved(self, state: State, step: Float[Tensor, "P K"]) -> State:
        """The state after a step."""
        length = self.decoder.latent_size
        pose = state.pose.moved(step[:, length:], self.freedom)
        return State(state.code + step[:, :length], pose)

    def __call__(
        self, state: State, which: Int[Tensor, " A"]
    ) -> tuple[Float[Tensor, "A M"], Float[Tensor, "A M K"], Float[Tensor, "A M"]]:
        """Residuals, their derivatives and weights of some problems at their ``state``."""
        pose, size = state.pose, self.size[which]
        points, signs = pose(self.points[which]), [0.0]
        places, weights = [points], [self.weights[which]]
        if self.normals is not None:
            normals = self.normals[which]
            offset = (self.delta * size)[:, None, None] * pose.turn(normals)
            places, signs = [points, points + offset, points - offset], [0.0, 1.0, -1.0]
            known = weights[0] * (torch.linalg.vector_norm(normals, dim=-1) > 0.5)
            weights = [*weights, known, known]
        together = torch.cat(places, 1)
        sdf, gradient, code = self.decoder.jacobian(together, state.code)
        stretched = points.repeat(1, len(signs), 1)
        columns = pose_columns(together, stretched, gradient, pose, self.freedom)
        level = self.delta * torch.tensor(signs).to(sdf).repeat_interleave(points.shape[1])
        residuals = sdf / size[:, None] - level
        jacobian = torch.cat([code, columns], -1) / size[:, None, None]
        return residuals, jacobian, torch.cat(weights, 1)


def median_distance(points: Float[Tensor, "B N D"]) -> Float[Tensor, " B"]:
    """Of the points of each scan from their median; 1 for points that are all one, or none."""
    if not points.shape[1]:
        return points.new_ones(len(points))
    arms = points - points.median(1, keepdim=True).values
    distance = torch.linalg.vector_norm(arms, dim=-1).median(1).values
    return torch.where(distance > 0, distance, 1.0)


def even_weights(sigma: Float[Tensor, "P N"], dimension: int) -> Float[Tensor, "P N"]:
    """Weights that make a scan count by its surface, not by how densely that was scanned.

    sigma: distance to the 50th neighbour, whose power D - 1 is the surface that a point stands for.
    """
    if not sigma.shape[1]:
        return sigma
    usual = sigma.quantile(USUAL_SPACING, 1, keepdim=True).clamp(min=1e-12)
    return (sigma / usual).clamp(LEAST_SPACING, 1.0) ** (dimension - 1)


@torch.no_grad()
def distances(
    decoder: Decoder, points: Float[Tensor, "B N D"], state: State
) -> Float[Tensor, "B N"]:
    """|f| at points of each scan, in the unit of the scan."""
    sdf = decoder(state.pose(points), state.code)
    return sdf.abs() / state.pose.scale[:, None]
