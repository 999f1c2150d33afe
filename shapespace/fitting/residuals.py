"""The residuals of a fit: what a code and a pose have to explain of a scan.

The field must be zero at the points, f(y) = 0, and a distance beside them, along the normals:
f(y +- delta n) = +- delta. The second kind says which way the surface faces and needs no second
derivative, unlike grad f = n.

Letters: P problems (a scan and one of its starts), A some of them, B scans, S training scans, N
points, D dimension, L code length, C Gaussians, M residuals, K unknowns of a step (code, then
pose).
"""

from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from shapespace.config.options import Freedom
from shapespace.decoders.base import Decoder
from shapespace.fitting.pose import Pose, degrees_of_freedom, pose_columns

LEAST_SPACING = 0.1
"""Least spacing of points that counts, relative to the usual spacing of the scan."""
USUAL_SPACING = 0.8
"""Quantile of the spacings that is the usual one. Sparser points, such as outliers, count no more
than points of the usual spacing."""


class State(NamedTuple):
    """The unknowns of some problems.

    Args:
        code: of each problem.
        pose: of each problem.
    """

    code: Float[Tensor, "P L"]
    pose: Pose

    def rows(self, which: Tensor) -> "State":
        """The state of some problems."""
        return State(self.code[which], self.pose.rows(which))

    def replaced(self, which: Int[Tensor, " A"], by: "State") -> "State":
        """A copy with the problems ``which`` taken from ``by``."""

        def put(mine: Tensor, other: Tensor) -> Tensor:
            return mine.index_copy(0, which, other)

        pose = Pose(*(put(a, b) for a, b in zip(self.pose, by.pose, strict=True)))
        return State(put(self.code, by.code), pose)


class PriorTerms(NamedTuple):
    """Minus the log density of codes and its derivatives.

    Args:
        cost: of each code, up to a constant that all codes share.
        slope: its gradient.
        precision: its Hessian, of all codes or of each.
    """

    cost: Float[Tensor, " A"]
    slope: Float[Tensor, "A L"]
    precision: Float[Tensor, "*A L L"]


class Prior(NamedTuple):
    """A Gaussian of codes.

    Args:
        mean: of the codes.
        precision: the inverse of their covariance.
    """

    mean: Float[Tensor, " L"]
    precision: Float[Tensor, "L L"]

    @classmethod
    def of_codes(cls, codes: Float[Tensor, "S L"], shrinkage: float = 0.1) -> "Prior":
        """The Gaussian of the training codes, its covariance shrunk towards a multiple of identity.

        Fewer scans than numbers of a code would leave directions without variance.
        """
        mean = codes.mean(0)
        length = codes.shape[1]
        offset = codes - mean
        covariance = offset.mT @ offset / max(len(codes) - 1, 1)
        variance = covariance.diagonal().mean() if length else covariance.new_ones(())
        eye = torch.eye(length, dtype=codes.dtype, device=codes.device)
        # One code, or equal codes, have no variance at all: 1 is as good as any.
        floor = variance if variance > 0 else torch.ones_like(variance)
        ball = eye * floor
        return cls(mean, torch.linalg.inv((1 - shrinkage) * covariance + shrinkage * ball))

    @property
    def means(self) -> Float[Tensor, "1 L"]:
        """The mean as the only row: a search starts there."""
        return self.mean[None]

    def terms(self, codes: Float[Tensor, "A L"]) -> PriorTerms:
        """Cost, slope and Hessian at codes."""
        offset = codes - self.mean
        pull = offset @ self.precision
        return PriorTerms(0.5 * (offset * pull).sum(1), pull, self.precision)

    def prior_distance(
        self, codes: Float[Tensor, "B L"], training: Float[Tensor, "S L"]
    ) -> Float[Tensor, " B"]:
        """Mahalanobis distance of codes from the mean, divided by the training codes' median.

        A code like the training codes has about 1. Training codes that are all equal give 1.
        """
        return _relative(self.distance(codes), self.distance(training))

    def distance(self, codes: Float[Tensor, "S L"]) -> Float[Tensor, " S"]:
        """The Mahalanobis distance of each code from the mean."""
        offset = codes - self.mean
        return (offset @ self.precision * offset).sum(1).clamp(min=0).sqrt()


class MixturePrior(NamedTuple):
    """A mixture of Gaussians of codes, in which only the likeliest Gaussian at a code counts.

    This is the max-mixture of Olson and Agarwal (2013). Near a code it is one Gaussian, so that it
    is a least-squares term as the one Gaussian is.

    Args:
        means: of the Gaussians.
        precisions: the inverses of their covariances.
        costs: minus the logarithm of the share and of the highest density of each Gaussian, less
            the least of these: 0 or more.
    """

    means: Float[Tensor, "C L"]
    precisions: Float[Tensor, "C L L"]
    costs: Float[Tensor, " C"]

    @classmethod
    def of_gaussians(
        cls,
        log_weights: Float[Tensor, " C"],
        means: Float[Tensor, "C L"],
        covariances: Float[Tensor, "C L L"],
        shrinkage: float = 0.1,
    ) -> "MixturePrior":
        """The prior of Gaussians, their covariances shrunk as :meth:`Prior.of_codes` shrinks one.

        Args:
            log_weights: logarithms of the shares.
            means: of the Gaussians.
            covariances: of the Gaussians.
            shrinkage: the share of a multiple of the identity.
        """
        eye = torch.eye(means.shape[1]).to(covariances)
        variance = covariances.diagonal(dim1=1, dim2=2).mean(1)[:, None, None]
        shrunk = (1 - shrinkage) * covariances + shrinkage * variance * eye
        costs = 0.5 * torch.logdet(shrunk) - log_weights
        return cls(means, torch.linalg.inv(shrunk), costs - costs.min())

    def like(self, codes: Float[Tensor, "S L"]) -> "MixturePrior":
        """The same prior, of the type and on the device of codes."""
        return MixturePrior(*(part.to(codes) for part in self))

    def terms(self, codes: Float[Tensor, "A L"]) -> PriorTerms:
        """Cost, slope and Hessian at codes, by the likeliest Gaussian of each."""
        which, squares = self._likeliest(codes)
        offset = codes - self.means[which]
        precision = self.precisions[which]
        slope = (offset[:, None] @ precision)[:, 0]
        return PriorTerms(self.costs[which] + 0.5 * squares, slope, precision)

    def prior_distance(
        self, codes: Float[Tensor, "B L"], training: Float[Tensor, "S L"]
    ) -> Float[Tensor, " B"]:
        """Mahalanobis distance from the likeliest mean, over the training codes' median.

        A code like the training codes has about 1. Training codes that are all equal give 1.
        """
        return _relative(self.distance(codes), self.distance(training))

    def distance(self, codes: Float[Tensor, "S L"]) -> Float[Tensor, " S"]:
        """The Mahalanobis distance of each code from the mean of its likeliest Gaussian."""
        return self._likeliest(codes)[1].clamp(min=0).sqrt()

    def _likeliest(
        self, codes: Float[Tensor, "A L"]
    ) -> tuple[Int[Tensor, " A"], Float[Tensor, " A"]]:
        """The likeliest Gaussian at each code, and the squared Mahalanobis distance from it."""
        offset = codes[:, None] - self.means
        squares = torch.einsum("acl,clm,acm->ac", offset, self.precisions, offset)
        which = (self.costs + 0.5 * squares).argmin(1)
        return which, squares.gather(1, which[:, None])[:, 0]


def _relative(mine: Float[Tensor, " B"], usual: Float[Tensor, " S"]) -> Float[Tensor, " B"]:
    """Distances, divided by the median of usual ones; 1 where that is 0."""
    median = usual.median() if len(usual) else usual.new_zeros(())
    return torch.where(median > 0, mine / median.clamp(min=1e-12), 1.0)


class Residuals:
    """The residuals of some scans, all with the same number of points, under a decoder.

    Args:
        decoder: f(x; z).
        points: of each problem, in the frame of its scan.
        normals: of unit length, outward, a zero row where unknown; None where no normal is known.
        size: of each problem; residuals are shares of it.
        delta: distance from the surface at which normals are read, a share of the size.
        freedom: the part of the pose that is found.
        weights: of the points; None weighs all 1.
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
        self.decoder = decoder
        self.points = points
        self.normals = normals
        self.size = size
        self.delta = delta
        self.freedom: Freedom = freedom
        self.weights = torch.ones_like(points[..., 0]) if weights is None else weights

    @property
    def unknowns(self) -> int:
        """K: the numbers of the code, then those of the pose."""
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
        """Residuals, their derivatives and their weights, of the problems ``which`` at ``state``.

        M is N without normals, and 3 N with normals.
        """
        pose = state.pose
        size = self.size[which]
        points = pose(self.points[which])
        evaluated = [points]
        levels = [0.0]
        weights = [self.weights[which]]
        if self.normals is not None:
            normals = self.normals[which]
            offset = (self.delta * size)[:, None, None] * pose.turn(normals)
            evaluated = [points, points + offset, points - offset]
            levels = [0.0, 1.0, -1.0]
            # A point of unknown normal has a zero row: it has no residual beside the surface.
            known = weights[0] * (torch.linalg.vector_norm(normals, dim=-1) > 0.5)
            weights = [*weights, known, known]
        together = torch.cat(evaluated, 1)
        sdf, gradient, code = self.decoder.jacobian(together, state.code)
        # The offsets have a fixed length: only the points themselves grow with the scale.
        stretched = points.repeat(1, len(levels), 1)
        columns = pose_columns(together, stretched, gradient, pose=pose, freedom=self.freedom)
        level = self.delta * torch.tensor(levels).to(sdf).repeat_interleave(points.shape[1])
        residuals = sdf / size[:, None] - level
        jacobian = torch.cat([code, columns], -1) / size[:, None, None]
        return residuals, jacobian, torch.cat(weights, 1)


def median_distance(points: Float[Tensor, "B N D"]) -> Float[Tensor, " B"]:
    """The size of a scan: the median distance of its points from their median.

    Medians, because outliers would move means. 1 where all points are one, or there is none.
    """
    if not points.shape[1]:
        return points.new_ones(len(points))
    arms = points - points.median(1, keepdim=True).values
    distance = torch.linalg.vector_norm(arms, dim=-1).median(1).values
    return torch.where(distance > 0, distance, 1.0)


def even_weights(sigma: Float[Tensor, "P N"], dimension: int) -> Float[Tensor, "P N"]:
    """Weights by which a scan counts by its surface, however densely each part was scanned.

    A point stands for a surface that grows with the power D - 1 of the distance to its neighbours.

    Args:
        sigma: the distance of each point to its 50th neighbour.
        dimension: D.
    """
    if not sigma.shape[1]:
        return sigma
    usual = sigma.quantile(USUAL_SPACING, 1, keepdim=True).clamp(min=1e-12)
    return (sigma / usual).clamp(LEAST_SPACING, 1.0) ** (dimension - 1)


@torch.no_grad()
def distances(
    decoder: Decoder, points: Float[Tensor, "B N D"], state: State
) -> Float[Tensor, "B N"]:
    """|f| at points of each scan, in the unit of the scan.

    Args:
        decoder: f(x; z).
        points: in the frame of each scan.
        state: code and pose of each scan.
    """
    sdf = decoder(state.pose(points), state.code)
    return sdf.abs() / state.pose.scale[:, None]
