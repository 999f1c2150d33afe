"""What every prior over codes can do: draw codes, and say how likely a code is.

Letters: S training codes, K codes, L code length, R leading axes.
"""

import math
from typing import ClassVar

import torch
from jaxtyping import Float, Float64
from torch import Tensor, nn

from shapespace.errors import at_least
from shapespace.priors.axes import CodeAxes


class CodePrior(nn.Module):
    """A distribution of codes.

    A subclass models the leading principal axes, in standard deviations along each. The other axes
    are independent Gaussians in :meth:`log_prob`. In :meth:`sample` they stay at the mean, because
    the training codes do not say what lies along them.

    Args:
        latent_size: L.
        num_leading: R; 0 where all training codes are equal.
    """

    kind: ClassVar[str]
    """Name of the kind, as the command line and the file have it."""

    def __init__(self, latent_size: int, num_leading: int) -> None:
        super().__init__()
        self.axes = CodeAxes(latent_size, num_leading)

    @classmethod
    def fit(cls, codes: Float[Tensor, "S L"], generator: torch.Generator) -> "CodePrior":
        """The prior of training codes. Equal codes give a prior that draws that code alone.

        Args:
            codes: of the training scans.
            generator: of all that is random, on the CPU.

        Raises:
            InputError: there is no code, or codes have no numbers.
        """
        axes = CodeAxes.of_codes(codes.detach().cpu())
        found = cls.of_size(len(axes.mean), axes.num_leading)
        found.axes = axes
        if axes.num_leading:
            leading = axes.along(codes.detach().cpu())[:, : axes.num_leading]
            found.fit_leading(leading, generator)
        return found.eval().requires_grad_(False)

    @classmethod
    def of_size(cls, latent_size: int, num_leading: int) -> "CodePrior":
        """An untrained prior.

        Args:
            latent_size: L.
            num_leading: R.
        """
        return cls(latent_size, num_leading)

    @property
    def latent_size(self) -> int:
        """L."""
        return len(self.axes.mean)

    @property
    def num_leading(self) -> int:
        """R."""
        return self.axes.num_leading

    @torch.no_grad()
    def log_prob(self, codes: Float[Tensor, "K L"]) -> Float64[Tensor, " K"]:
        """The logarithm of the density at codes, in nats."""
        along = self.axes.along(codes.detach().cpu())
        leading, rest = along[:, : self.num_leading], along[:, self.num_leading :]
        gaussian = -0.5 * (rest.square() + math.log(2 * math.pi)).sum(1)
        known = self.log_prob_leading(leading) if self.num_leading else torch.zeros_like(gaussian)
        return known + gaussian - self.axes.log_volume

    @torch.no_grad()
    def sample(self, num: int, generator: torch.Generator) -> Float[Tensor, "K L"]:
        """Draw codes, of single precision.

        Args:
            num: K; 0 gives none.
            generator: of the draws, on the CPU.
        """
        at_least(0, num=num)
        if self.num_leading and num:
            leading = self.sample_leading(num, generator)
        else:
            leading = torch.zeros(num, self.num_leading, dtype=torch.float64)
        return self.axes.codes(leading).float()

    def fit_leading(self, leading: Float64[Tensor, "S R"], generator: torch.Generator) -> None:
        """Learn the distribution along the leading axes.

        Args:
            leading: numbers of the training codes along the leading axes.
            generator: of all that is random.
        """
        raise NotImplementedError

    def log_prob_leading(self, leading: Float64[Tensor, "K R"]) -> Float64[Tensor, " K"]:
        """The logarithm of the density along the leading axes, in nats."""
        raise NotImplementedError

    def sample_leading(self, num: int, generator: torch.Generator) -> Float64[Tensor, "K R"]:
        """Draw numbers along the leading axes.

        Args:
            num: K.
            generator: of the draws.
        """
        raise NotImplementedError
