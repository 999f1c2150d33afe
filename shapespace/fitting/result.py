"""What a fit found. Letters: B scans, L code length, K unknowns of a step."""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from shapespace.fitting.pose import Freedom, Pose


@dataclass(frozen=True)
class FitResult:
    """Codes and poses of some scans, and how they were found.

    codes: [B,L]. poses: from the store's frame of each scan to the frame of the space.
    terms: the unweighted terms of the objective at the end, each [B]. steps: evaluations of the
    field, of each scan. converged: whether the last step changed next to nothing; the published
    optimisation does not ask and says so always. spread: of second-order fits, the relative
    difference in cost of the best two starts of the last stage that had two, 0 where one alone
    was tried. seconds: of all together. distances: |f| at the points that were used, in the
    store's unit of the scan. sizes: of the scans, by :func:`median_distance`. covariances: of
    code and pose, [B,K,K], by the Laplace approximation; None of the published optimisation.
    freedom: what of the pose was looked for. strangeness: of the codes among the training codes,
    by :meth:`Prior.prior_distance`; None likewise.
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

    @property
    def scatter(self) -> Float[Tensor, " B"]:
        """Standard deviation of ``distances``, outliers left out: 1.48 times their median."""
        if not self.distances.shape[1]:
            return torch.zeros_like(self.sizes)
        return 1.4826 * self.distances.median(1).values
