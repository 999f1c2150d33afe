"""Principal axes of codes, with a covariance that few codes do not make singular.

Letters: S codes, L code length, R leading axes.
"""

from typing import NamedTuple

import torch
from jaxtyping import Float, Float64
from torch import Tensor, nn

from shapespace.errors import InputError

EXPLAINED = 0.99
"""Share of the variance that the leading axes hold."""
MOST_AXES = 64
"""Most leading axes. More would need more codes than spaces have."""
LEAST_DEVIATION = 1e-3
"""Least standard deviation along an axis, as a share of the root mean square of the codes."""


class Shrunk(NamedTuple):
    """A covariance, shrunk towards a multiple of the identity.

    Args:
        covariance: the shrunk one.
        shrinkage: the share of the multiple of the identity, 0 to 1.
    """

    covariance: Float64[Tensor, "L L"]
    shrinkage: float


def ledoit_wolf(
    offsets: Float64[Tensor, "S L"], weights: Float64[Tensor, " S"] | None = None
) -> Shrunk:
    """The covariance of offsets from a mean, shrunk by the rule of Ledoit and Wolf (2004).

    The shrinkage is the one whose expected squared error is least. It is (1/n^2) sum ||x x^T -
    C||^2 over ||C - m I||^2, at most 1, with the mean variance m. Weighted offsets count as if each
    stood ``weights`` times.

    Args:
        offsets: from the mean.
        weights: of the offsets, not negative; None weighs all 1.
    """
    length = offsets.shape[1]
    weights = offsets.new_ones(len(offsets)) if weights is None else weights
    total = weights.sum().clamp(min=1e-300)
    covariance = (weights[:, None] * offsets).mT @ offsets / total
    ball = covariance.diagonal().mean() * torch.eye(length).to(covariance)
    spread = (covariance - ball).square().sum()
    if not length or spread == 0:
        return Shrunk(covariance, 0.0)
    # ||x x^T - C||^2 = |x|^4 - 2 x^T C x + ||C||^2.
    lengths = offsets.square().sum(1)
    mixed = (offsets @ covariance * offsets).sum(1)
    errors = lengths.square() - 2 * mixed + covariance.square().sum()
    share = float((weights.square() @ errors / total**2 / spread).clamp(0, 1))
    return Shrunk((1 - share) * covariance + share * ball, share)


class CodeAxes(nn.Module):
    """The mean of codes, their principal axes, and the standard deviation along each.

    The leading axes hold 99 % of the variance. Along the others the codes hardly differ; a prior
    takes them as independent Gaussians. With fewer codes than numbers of a code, the shrunk
    covariance gives every axis a variance.

    Args:
        latent_size: L.
        num_leading: R.
    """

    mean: Float64[Tensor, " L"]
    axes: Float64[Tensor, "L L"]
    deviations: Float64[Tensor, " L"]

    def __init__(self, latent_size: int, num_leading: int) -> None:
        super().__init__()
        self.num_leading = num_leading
        self.register_buffer("mean", torch.zeros(latent_size, dtype=torch.float64))
        self.register_buffer("axes", torch.eye(latent_size, dtype=torch.float64))
        self.register_buffer("deviations", torch.ones(latent_size, dtype=torch.float64))

    @classmethod
    def of_codes(cls, codes: Float[Tensor, "S L"]) -> "CodeAxes":
        """The axes of codes. The leading ones are fewer than the codes, and at most 64.

        Raises:
            InputError: there is no code, or codes have no numbers.
        """
        num, length = codes.shape
        if not length:
            raise InputError(
                "code length 0: a space of one shape has no other shapes to draw; train one of "
                "several scans"
            )
        if not num:
            raise InputError("0 codes: a prior needs at least one; give a space of some scans")
        codes = codes.double()
        mean = codes.mean(0)
        shrunk = ledoit_wolf(codes - mean).covariance
        variances, axes = torch.linalg.eigh(shrunk)
        variances, axes = variances.flip(0).clamp(min=0), axes.flip(1)
        found = cls(length, _num_leading(codes - mean, axes))
        size = codes.square().mean().sqrt()
        least = LEAST_DEVIATION * (float(size) or 1.0)
        found.mean.copy_(mean)
        found.axes.copy_(axes)
        found.deviations.copy_(variances.sqrt().clamp(min=least))
        return found

    @property
    def log_volume(self) -> Float64[Tensor, ""]:
        """Logarithm of the volume of a code's unit cell, as numbers along the axes count it."""
        return self.deviations.log().sum()

    def along(self, codes: Float[Tensor, "S L"]) -> Float64[Tensor, "S L"]:
        """Numbers of codes along the axes, in standard deviations; the leading ones come first."""
        return (codes.double() - self.mean) @ self.axes / self.deviations

    def codes(self, leading: Float64[Tensor, "S R"]) -> Float64[Tensor, "S L"]:
        """Codes of numbers along the leading axes; along the other axes they stay at the mean."""
        some = self.axes[:, : leading.shape[1]]
        return self.mean + leading * self.deviations[: leading.shape[1]] @ some.mT


def _num_leading(offsets: Float64[Tensor, "S L"], axes: Float64[Tensor, "L L"]) -> int:
    """R: the axes that hold ``EXPLAINED`` of the variance; 0 where all codes are equal."""
    variances = (offsets @ axes).square().sum(0)
    if variances.sum() <= 1e-12 * max(float(offsets.square().sum()), 1e-300) or len(offsets) < 2:
        return 0
    share = variances.cumsum(0) / variances.sum()
    needed = int((share < EXPLAINED).sum()) + 1
    return min(needed, len(offsets) - 1, MOST_AXES)
