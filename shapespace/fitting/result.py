"""The result of a fit.

Letters: B scans, N points, D dimension, L code length, K unknowns of a step (code, then pose).
"""

from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from shapespace.config.options import Freedom
from shapespace.encoders.factors import HeldPart
from shapespace.fitting.pose import Pose
from shapespace.utils.notebook import Shown


@dataclass(frozen=True)
class FitResult(Shown):
    """Codes and poses of some scans, and how well they are known.

    Args:
        codes: of the scans.
        poses: from the store's frame of each scan to the frame of the space.
        terms: the unweighted terms of the objective at the end, by name.
        steps: evaluations of the field that each scan took.
        converged: the last step changed the cost by next to nothing. The published optimisation
            does not test this and always says True.
        spread: the relative difference in cost of the two best starts, in the last stage that had
            two; 0 where one start was tried. A small spread means that two starts agree or tie.
        seconds: of all scans together.
        distances: |f| at the points that were used, in the store's unit of the scan.
        sizes: of the scans, by :func:`~shapespace.fitting.residuals.median_distance`.
        covariances: of code and pose, by the Laplace approximation; None from the published
            optimisation.
        freedom: the part of the pose that was found.
        prior_distance: Mahalanobis distance of each code from the mean training code, or from the
            likeliest mean of a mixture, relative to
            the training codes' own, by
            :meth:`Prior.prior_distance <shapespace.fitting.residuals.Prior.prior_distance>`; None
            from the published optimisation.
    """

    codes: Float[Tensor, "B L"]
    poses: Pose
    terms: dict[str, Float[Tensor, " B"]]
    steps: Int[Tensor, " B"]
    converged: Bool[Tensor, " B"]
    spread: Float[Tensor, " B"]
    seconds: float
    distances: Float[Tensor, "B N"]
    sizes: Float[Tensor, " B"]
    covariances: Float[Tensor, "B K K"] | None = None
    freedom: Freedom = "none"
    prior_distance: Float[Tensor, " B"] | None = None

    def __repr__(self) -> str:
        scans, length = self.codes.shape
        done = int(self.converged.sum())
        return (
            f"FitResult({scans} scan{'' if scans == 1 else 's'}, code length {length}, pose "
            f"{self.freedom}, {done} converged, {self.seconds:.1f} s)"
        )

    @property
    def scatter(self) -> Float[Tensor, " B"]:
        """Robust standard deviation of ``distances``: 1.48 times their median, outliers ignored.

        The factor makes it the standard deviation of a Gaussian.
        """
        if not self.distances.shape[1]:
            return torch.zeros_like(self.sizes)
        return 1.4826 * self.distances.median(1).values


def widened(found: FitResult, part: HeldPart) -> FitResult:
    """The result of a fit of the free numbers of codes as that of whole codes.

    What is held has no variance.

    Args:
        found: codes are the free numbers.
        part: says which numbers are free, and has the others.
    """
    codes = part.whole(found.codes)
    covariances = found.covariances
    if covariances is not None:
        beyond = torch.arange(part.latent_size, covariances.shape[-1], device=codes.device)
        # The unknowns of the pose stand after those of the code.
        rows = torch.cat([part.free, beyond - part.latent_size + codes.shape[1]])
        size = codes.shape[1] + len(beyond)
        wide = covariances.new_zeros(len(codes), size, size)
        wide[:, rows[:, None], rows] = covariances
        covariances = wide
    return replace(found, codes=codes, covariances=covariances)
