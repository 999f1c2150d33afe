"""A mixture of Gaussians, by expectation and maximisation, with shrunk covariances.

Letters: S codes, K codes, L code length, R leading axes, C components, H held numbers.
"""

import math
from typing import NamedTuple

import torch
from jaxtyping import Float, Float64, Int
from torch import Tensor

from shapespace.errors import at_least
from shapespace.priors.axes import ledoit_wolf
from shapespace.priors.base import CodePrior

MOST_COMPONENTS = 8
"""Most components that are tried."""
LEAST_CODES = 4
"""Codes for each component, at least on average."""
TRIES = 2
"""Random starts of each number of components; the likeliest end counts."""
STEPS = 100
"""Most steps of expectation and maximisation."""
TOLERANCE = 1e-6
"""A mixture is done when a step changes the mean log density by less, in nats."""
LEAST_VARIANCE = 1e-4
"""Added to each variance, in squared standard deviations of all codes."""
LEAST_FLOOR = 1e-9
"""Added to variances of what held numbers leave free, which may be 0 but for rounding."""


class Components(NamedTuple):
    """The Gaussians of a mixture.

    Args:
        log_weights: logarithms of the shares.
        means: of the Gaussians.
        covariances: of the Gaussians.
    """

    log_weights: Float64[Tensor, " C"]
    means: Float64[Tensor, "C R"]
    covariances: Float64[Tensor, "C R R"]

    def joint(self, points: Float64[Tensor, "K R"]) -> Float64[Tensor, "K C"]:
        """Logarithm of share times density of each component at points."""
        factors = torch.linalg.cholesky(self.covariances)
        offsets = (points[:, None] - self.means).permute(1, 2, 0)
        scaled = torch.linalg.solve_triangular(factors, offsets, upper=False)
        half_log_det = factors.diagonal(dim1=1, dim2=2).log().sum(1)
        constant = 0.5 * self.means.shape[1] * math.log(2 * math.pi)
        return self.log_weights - half_log_det - constant - 0.5 * scaled.square().sum(1).mT

    def given(
        self,
        seen: Float64[Tensor, " H"],
        matrix: Float64[Tensor, "H R"],
        noise: Float64[Tensor, "H H"],
    ) -> "Components":
        """The mixture of points p of which ``matrix`` p + noise was seen.

        Each Gaussian is conditioned as in a Kalman filter; its share grows with the density that it
        gave to what was seen.

        Args:
            seen: what was seen.
            matrix: how points make it.
            noise: covariance of the noise. ``matrix`` C ``matrix``^T + ``noise`` is invertible.
        """
        across = matrix @ self.covariances
        expected = Components(self.log_weights, self.means @ matrix.mT, across @ matrix.mT + noise)
        log_weights = expected.joint(seen[None])[0].log_softmax(0)
        gain = torch.linalg.solve(expected.covariances, across).mT
        means = self.means + ((seen - expected.means)[:, None] @ gain.mT)[:, 0]
        covariances = self.covariances - gain @ across
        return Components(log_weights, means, 0.5 * (covariances + covariances.mT))

    def sample(self, num: int, generator: torch.Generator) -> Float64[Tensor, "K R"]:
        """Draw points.

        Args:
            num: K.
            generator: of the draws.
        """
        which = torch.multinomial(self.log_weights.exp(), num, True, generator=generator)
        size = self.means.shape[1]
        noise = torch.randn(num, size, 1, generator=generator, dtype=torch.float64)
        factors = torch.linalg.cholesky(self.covariances)
        return self.means[which] + (factors[which] @ noise)[..., 0]


class GaussianMixture(CodePrior):
    """A mixture of Gaussians; the number of components is the one of the least BIC.

    Covariances are shrunk by the rule of Ledoit and Wolf (2004). Components share one covariance,
    or each has its own, drawn to the shared one as if by R codes; BIC (Schwarz 1978) chooses.

    Args:
        latent_size: L.
        num_leading: R.
        num_components: C.
    """

    kind = "mixture"
    log_weights: Float64[Tensor, " C"]
    means: Float64[Tensor, "C R"]
    covariances: Float64[Tensor, "C R R"]

    def __init__(self, latent_size: int, num_leading: int, num_components: int = 1) -> None:
        super().__init__(latent_size, num_leading)
        one = Components(
            torch.full((num_components,), -math.log(num_components), dtype=torch.float64),
            torch.zeros(num_components, num_leading, dtype=torch.float64),
            torch.eye(num_leading, dtype=torch.float64).repeat(num_components, 1, 1),
        )
        for name, value in one._asdict().items():
            self.register_buffer(name, value)

    @property
    def components(self) -> Components:
        """The Gaussians along the leading axes."""
        return Components(self.log_weights, self.means, self.covariances)

    def fit_leading(self, leading: Float64[Tensor, "S R"], generator: torch.Generator) -> None:
        """Choose and learn the components.

        Args:
            leading: numbers of the training codes along the leading axes.
            generator: of the starts.
        """
        found = chosen(leading, generator)
        for name, value in found._asdict().items():
            setattr(self, name, value)

    def log_prob_leading(self, leading: Float64[Tensor, "K R"]) -> Float64[Tensor, " K"]:
        """The logarithm of the density along the leading axes, in nats."""
        return self.components.joint(leading).logsumexp(1)

    def sample_leading(self, num: int, generator: torch.Generator) -> Float64[Tensor, "K R"]:
        """Draw numbers along the leading axes.

        Args:
            num: K.
            generator: of the draws.
        """
        return self.components.sample(num, generator)

    def sample_holding(
        self, num: int, generator: torch.Generator, code: Float[Tensor, " L"], held: slice
    ) -> Float[Tensor, "K L"]:
        """Draw codes some of whose numbers are held, of single precision.

        The others are drawn as likely as they are beside the held ones. Along the axes that do not
        lead, the held numbers count as noise, and the others stay at the mean.

        Args:
            num: K; 0 gives none.
            generator: of the draws, on the CPU.
            code: has the numbers that are held.
            held: which these are.
        """
        at_least(0, num=num)
        lead, axes = self.num_leading, self.axes
        kept = code.detach().cpu()[held].double()
        if num and lead:
            back = axes.axes[held] * axes.deviations
            rest = back[:, lead:]
            seen = kept - axes.mean[held]
            found = self.components.given(seen, back[:, :lead], rest @ rest.mT)
            floor = LEAST_FLOOR * torch.eye(lead).to(rest)
            leading = found._replace(covariances=found.covariances + floor).sample(num, generator)
        else:
            leading = torch.zeros(num, lead, dtype=torch.float64)
        drawn = axes.codes(leading)
        drawn[:, held] = kept
        return drawn.float()

    def in_codes(self) -> Components:
        """The Gaussians of whole codes: R is L in the result."""
        axes, split = self.axes, self.num_leading
        num = len(self.means)
        along = torch.eye(self.latent_size).to(self.covariances).repeat(num, 1, 1)
        along[:, :split, :split] = self.covariances
        # Columns of ``back`` are the axes, each as long as the standard deviation along it.
        back = axes.axes * axes.deviations
        covariances = back @ along @ back.mT
        return Components(self.log_weights, axes.codes(self.means), covariances)


def chosen(leading: Float64[Tensor, "S R"], generator: torch.Generator) -> Components:
    """The mixture of the least BIC. The search ends after two numbers that are no better.

    Args:
        leading: the points.
        generator: of the starts.
    """
    num, length = leading.shape
    best, least, worse = None, math.inf, 0
    for count in range(1, max(1, min(MOST_COMPONENTS, num // LEAST_CODES)) + 1):
        before = least
        for shared in (True, False) if count > 1 else (True,):
            of_covariances = (1 if shared else count) * length * (length + 1) / 2
            parameters = count - 1 + count * length + of_covariances
            for _ in range(TRIES if count > 1 else 1):
                found = _maximised(leading, count, shared=shared, generator=generator)
                likelihood = float(found.joint(leading).logsumexp(1).sum())
                criterion = parameters * math.log(num) - 2 * likelihood
                if criterion < least:
                    best, least = found, criterion
        worse = 0 if least < before else worse + 1
        if worse == 2:
            break
    assert best is not None, "one component always has a finite criterion"
    return best


def _maximised(
    points: Float64[Tensor, "S R"], num: int, *, shared: bool, generator: torch.Generator
) -> Components:
    """A mixture of ``num`` components, improved from a random start until nothing changes."""
    centres = points[_spread_rows(points, num, generator)]
    nearest = torch.cdist(points, centres).argmin(1)
    shares = torch.nn.functional.one_hot(nearest, num).double()
    before = -math.inf
    found = _components(points, shares, shared)
    for _ in range(STEPS):
        joint = found.joint(points)
        density = float(joint.logsumexp(1).mean())
        if abs(density - before) < TOLERANCE:
            break
        before = density
        found = _components(points, joint.softmax(1), shared)
    return found


def _components(
    points: Float64[Tensor, "S R"], shares: Float64[Tensor, "S C"], shared: bool
) -> Components:
    """The maximisation: the components of points that belong to them by ``shares``."""
    length = points.shape[1]
    counts = shares.sum(0).clamp(min=1e-12)
    means = shares.mT @ points / counts[:, None]
    offsets = points[:, None] - means
    common = ledoit_wolf(offsets.flatten(0, 1), shares.flatten()).covariance
    common = common + LEAST_VARIANCE * torch.eye(length).to(points)
    covariances = common.repeat(len(counts), 1, 1)
    if not shared:
        weighted = (offsets * shares[..., None]).permute(1, 2, 0)
        scatter = weighted @ offsets.transpose(0, 1)
        covariances = (scatter + length * common) / (counts + length)[:, None, None]
    return Components((counts / counts.sum()).log(), means, covariances)


def _spread_rows(
    points: Float64[Tensor, "S R"], num: int, generator: torch.Generator
) -> Int[Tensor, " C"]:
    """Rows of points far apart: each next one by its squared distance (k-means++, Arthur 2007)."""
    first = int(torch.randint(len(points), (), generator=generator))
    rows = [first]
    for _ in range(num - 1):
        square = torch.cdist(points, points[rows]).square().amin(1)
        # Equal points leave no distance: any row then is as good.
        weights = square if square.sum() > 0 else torch.ones_like(square)
        rows.append(int(torch.multinomial(weights, 1, generator=generator)))
    return torch.tensor(rows)
