"""The decoder of occupancy networks: residual blocks whose scale and shift come from the code.

Letters: B scans, N points a scan, D dimension, L code length, H width.
"""

import math

import torch
from jaxtyping import Float
from torch import Tensor, nn

from shapespace.decoders.base import Decoder
from shapespace.errors import at_least, positive


class OccupancyResNet(Decoder):
    """Residual ReLU blocks with conditional normalisation (Mescheder et al. 2019).

    The published layer is a conditional batch norm: gamma(z) (h - mean) / deviation + beta(z), with
    moments over the points of all scans of a batch. f(x; z) would then depend on the other points
    and scans, which a field may not. Here the layer is gamma(z) h + beta(z), the learnt affine part
    without moments of a batch: each scan, and each point, stands for itself. The start below keeps
    the sizes that the moments would have kept.

    f is minus the logit of the occupancy, positive outside. Gamma begins as 1 and beta as 0 with no
    weight of the code, and the second layer of each block as 0, as published. The first layer and
    the last begin so that f is |x| - radius for any code. Since no code has an influence at the
    start, codes must not begin at 0. ReLUs are not twice differentiable.

    Args:
        latent_size: L, the code length; 0 for a single shape.
        dimension: D, 3 or 2.
        width: neurons of a layer; 256 is published.
        blocks: residual blocks of two layers; 5 is published.
        radius: of the sphere that the field begins as, in the store's unit.
    """

    twice_differentiable = False

    def __init__(
        self,
        latent_size: int = 256,
        dimension: int = 3,
        width: int = 256,
        blocks: int = 5,
        radius: float = 1.0,
    ) -> None:
        super().__init__()
        at_least(0, latent_size=latent_size)
        at_least(1, width=width, blocks=blocks)
        positive(radius=radius)
        self.dimension = dimension
        self.latent_size = latent_size
        self.zero_latent_columns = latent_size > 0
        self.first = nn.Linear(dimension, width)
        self.blocks = nn.ModuleList(_Block(latent_size, width) for _ in range(blocks))
        self.norm = _CodeAffine(latent_size, width)
        self.last = nn.Linear(width, 1)
        # One layer of ReLUs is a sphere by itself: see shapespace.decoders.layers.sphere_start.
        nn.init.normal_(self.first.weight, 0.0, math.sqrt(2 / width))
        nn.init.zeros_(self.first.bias)
        nn.init.normal_(self.last.weight, math.sqrt(math.pi / width), 1e-6)
        nn.init.constant_(self.last.bias, -radius)

    def forward(
        self, points: Float[Tensor, "B N D"], latent: Float[Tensor, "B L"]
    ) -> Float[Tensor, "B N"]:
        """Minus the logit of the occupancy at ``points``, positive outside."""
        hidden = self.first(points)
        for block in self.blocks:
            hidden = block(hidden, latent)
        return self.last(torch.relu(self.norm(hidden, latent))).squeeze(-1)


class _CodeAffine(nn.Module):
    """gamma(z) h + beta(z), gamma and beta affine in the code; begins as h."""

    def __init__(self, latent_size: int, width: int) -> None:
        super().__init__()
        self.gamma = nn.Parameter(torch.zeros(width, latent_size))
        self.gamma_bias = nn.Parameter(torch.ones(width))
        self.beta = nn.Parameter(torch.zeros(width, latent_size))
        self.beta_bias = nn.Parameter(torch.zeros(width))

    def forward(
        self, hidden: Float[Tensor, "B N H"], latent: Float[Tensor, "B L"]
    ) -> Float[Tensor, "B N H"]:
        """The same scale and shift for all points of a scan."""
        gamma = latent @ self.gamma.mT + self.gamma_bias
        beta = latent @ self.beta.mT + self.beta_bias
        return hidden * gamma.unsqueeze(1) + beta.unsqueeze(1)


class _Block(nn.Module):
    """h + W1 relu(norm1(W0 relu(norm0(h)))); begins as h."""

    def __init__(self, latent_size: int, width: int) -> None:
        super().__init__()
        self.norms = nn.ModuleList(_CodeAffine(latent_size, width) for _ in range(2))
        self.layers = nn.ModuleList(nn.Linear(width, width) for _ in range(2))
        second = self.layers[1]
        assert isinstance(second, nn.Linear)
        nn.init.zeros_(second.weight)
        nn.init.zeros_(second.bias)

    def forward(
        self, hidden: Float[Tensor, "B N H"], latent: Float[Tensor, "B L"]
    ) -> Float[Tensor, "B N H"]:
        """The block at each point."""
        change = hidden
        for norm, layer in zip(self.norms, self.layers, strict=True):
            change = layer(torch.relu(norm(change, latent)))
        return hidden + change
