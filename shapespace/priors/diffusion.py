"""A diffusion model over codes, in the formulation of EDM (Karras et al. 2022).

x = code + noise of deviation s. A denoiser D(x; s) estimates the code; (x - D) / s is the slope of
the ordinary differential equation dx/ds that turns noise into codes and codes into noise.

Letters: S codes, K codes, R leading axes, s noise level.
"""

import math
from collections.abc import Callable
from itertools import pairwise

import torch
from jaxtyping import Float64
from torch import Tensor, nn

from shapespace.priors.base import CodePrior
from shapespace.priors.descent import descend

Denoise = Callable[[Tensor, Tensor], Tensor]
"""Points [K,R] with noise, and its levels [K]: estimates [K,R] of the points without noise."""
LEAST_NOISE, MOST_NOISE = 0.002, 80.0
"""Noise levels between which codes are drawn, in standard deviations of the codes."""
CURVATURE = 7.0
"""Exponent of the levels: larger ones put more steps at little noise."""
DRAW_STEPS = 24
DENSITY_STEPS = 64
"""Steps from most noise to least, for drawing and for the density."""
LOG_MEAN, LOG_DEVIATION = -1.2, 1.2
"""Normal distribution of the logarithms of the noise levels in training."""
WIDTH = 128
STEPS = 4000
RATE = 1e-3


class Denoiser(nn.Module):
    """D(x; s) = x / (s^2 + 1) + s / sqrt(s^2 + 1) F(x / sqrt(s^2 + 1), log(s) / 4).

    The factors keep inputs and targets of the network F at deviation 1, for codes of deviation 1.

    Args:
        size: R.
    """

    def __init__(self, size: int) -> None:
        super().__init__()
        self.network = nn.Sequential(
            nn.Linear(size + 1, WIDTH),
            nn.SiLU(),
            nn.Linear(WIDTH, WIDTH),
            nn.SiLU(),
            nn.Linear(WIDTH, size),
        )
        last = self.network[-1]
        assert isinstance(last, nn.Linear)
        # At zero D is that of a standard Gaussian: a good first guess of codes along their axes.
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)

    def forward(
        self, points: Float64[Tensor, "K R"], noise: Float64[Tensor, " K"]
    ) -> Float64[Tensor, "K R"]:
        """The estimates of the points without noise.

        Args:
            points: with noise.
            noise: level of each point, positive.
        """
        scale = (noise.square() + 1).sqrt()[:, None]
        seen = torch.cat([points / scale, noise.log()[:, None] / 4], 1)
        return points / scale.square() + noise[:, None] / scale * self.network(seen)


class Diffusion(CodePrior):
    """A small diffusion model along the leading axes.

    Args:
        latent_size: L.
        num_leading: R.
    """

    kind = "diffusion"

    def __init__(self, latent_size: int, num_leading: int) -> None:
        super().__init__(latent_size, num_leading)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            self.network = Denoiser(num_leading).double() if num_leading else None

    def fit_leading(self, leading: Float64[Tensor, "S R"], generator: torch.Generator) -> None:
        """Train the denoiser, until codes kept apart are denoised less well.

        Args:
            leading: numbers of the training codes along the leading axes.
            generator: of batches and noise.
        """
        network = self.network
        assert network is not None

        def loss(points: Tensor, draws: torch.Generator) -> Tensor:
            logs = torch.randn(len(points), generator=draws, dtype=torch.float64)
            noise = (LOG_MEAN + LOG_DEVIATION * logs).exp()
            added = torch.randn(points.shape, generator=draws, dtype=torch.float64)
            found = network(points + noise[:, None] * added, noise)
            # The weight makes the loss of F alike at all levels.
            weight = (noise.square() + 1) / noise.square()
            return weight * (found - points).square().mean(1)

        descend(network, loss, leading, generator, steps=STEPS, rate=RATE)

    def log_prob_leading(self, leading: Float64[Tensor, "K R"]) -> Float64[Tensor, " K"]:
        """The logarithm of the density along the leading axes, in nats."""
        assert self.network is not None
        return density(self.network, leading)

    def sample_leading(self, num: int, generator: torch.Generator) -> Float64[Tensor, "K R"]:
        """Draw numbers along the leading axes.

        Args:
            num: K.
            generator: of the noise.
        """
        assert self.network is not None
        noise = torch.randn(num, self.num_leading, generator=generator, dtype=torch.float64)
        return denoised(self.network, MOST_NOISE * noise)


def levels(num: int) -> Float64[Tensor, " T"]:
    """``num`` + 1 noise levels from most to least, closer where there is little noise."""
    share = torch.linspace(0, 1, num + 1, dtype=torch.float64)
    most, least = (noise ** (1 / CURVATURE) for noise in (MOST_NOISE, LEAST_NOISE))
    return (most + share * (least - most)) ** CURVATURE


@torch.no_grad()
def denoised(
    denoise: Denoise, points: Float64[Tensor, "K R"], num_steps: int = DRAW_STEPS
) -> Float64[Tensor, "K R"]:
    """Follow dx/ds from most noise to least by Heun's steps.

    Args:
        denoise: the denoiser.
        points: with noise of deviation ``MOST_NOISE``.
        num_steps: number of steps.
    """
    all_levels = levels(num_steps)
    for here, there in pairwise(all_levels):
        slope = _slope(denoise, points, here)
        ahead = points + (there - here) * slope
        points = points + 0.5 * (there - here) * (slope + _slope(denoise, ahead, there))
    return points


def density(
    denoise: Denoise, points: Float64[Tensor, "K R"], num_steps: int = DENSITY_STEPS
) -> Float64[Tensor, " K"]:
    """The log density of codes, blurred by the least noise.

    The change of variables along dx/ds: log p at a code is log p of the noise where its path ends,
    plus the integral of the divergence of the slope (Song et al. 2021). The divergence is exact.

    Args:
        denoise: the denoiser.
        points: the codes.
        num_steps: of Heun, from least noise to most.
    """
    all_levels = levels(num_steps).flip(0)
    gained = points.new_zeros(len(points))
    for here, there in pairwise(all_levels):
        step = there - here
        slope, widening = _with_divergence(denoise, points, here)
        ahead, widening_ahead = _with_divergence(denoise, points + step * slope, there)
        points = points + 0.5 * step * (slope + ahead)
        gained = gained + 0.5 * step * (widening + widening_ahead)
    normal = -0.5 * (points / MOST_NOISE).square() - 0.5 * math.log(2 * math.pi)
    return (normal - math.log(MOST_NOISE)).sum(1) + gained


def _slope(denoise: Denoise, points: Tensor, noise: Tensor) -> Tensor:
    """dx/ds at points of one noise level."""
    return (points - denoise(points, noise.expand(len(points)))) / noise


def _with_divergence(denoise: Denoise, points: Tensor, noise: Tensor) -> tuple[Tensor, Tensor]:
    """dx/ds [K,R] and its divergence [K]."""
    with torch.enable_grad():
        points = points.detach().requires_grad_()
        slope = _slope(denoise, points, noise)
        parts = [
            torch.autograd.grad(slope[:, axis].sum(), points, retain_graph=True)[0][:, axis]
            for axis in range(points.shape[1])
        ]
    return slope.detach(), torch.stack(parts, 1).sum(1)
