"""PointNet with pooled features (Qi et al. 2017), as SAL and Occupancy Networks encode scans.

Letters: B scans, N points a scan, D dimension, L code length.
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from shapespace.encoders.base import Encoder
from shapespace.errors import at_least, positive

FIRST_LOG_DEVIATION = -10.0
"""Logarithm of the standard deviation of codes at the start (SAL, ``model/network.py``)."""


class PointNet(Encoder):
    """Layers for each point, each followed by the largest features of all points of the scan.

    Args:
        latent_size: L, the code length.
        dimension: D, 3 or 2.
        width: neurons of a layer; 512 in SAL.
        depth: number of layers after the first; 4 in SAL.
        variational: draw codes in training from the normal distribution that the encoder gives, as
            SAL does; False takes its mean.
        weight: of the penalty of a variational encoder, 1e-3 in SAL.
    """

    def __init__(
        self,
        latent_size: int = 256,
        dimension: int = 3,
        width: int = 512,
        depth: int = 4,
        variational: bool = False,
        weight: float = 1e-3,
    ) -> None:
        super().__init__()
        at_least(1, latent_size=latent_size, width=width, depth=depth)
        positive(weight=weight)
        self.latent_size = latent_size
        self.dimension = dimension
        self.weight = weight
        self.first = nn.Linear(dimension, 2 * width)
        self.layers = nn.ModuleList(nn.Linear(2 * width, width) for _ in range(depth))
        self.mean = nn.Linear(width, latent_size)
        self.log_deviation = nn.Linear(width, latent_size) if variational else None
        if self.log_deviation is not None:
            nn.init.constant_(self.log_deviation.bias, FIRST_LOG_DEVIATION)

    def forward(
        self, points: Float[Tensor, "B N D"]
    ) -> tuple[Float[Tensor, "B L"], Float[Tensor, "B L"] | None]:
        """The mean of each code, and the logarithm of its deviation if variational."""
        features = self.first(points)
        pooled = features
        for layer in self.layers:
            own = layer(torch.relu(features))
            pooled = own.amax(1)
            features = torch.cat([own, pooled[:, None].expand_as(own)], -1)
        pooled = torch.relu(pooled)
        spread = None if self.log_deviation is None else self.log_deviation(pooled)
        return self.mean(pooled), spread
