"""A space whose codes are known: ellipsoids, the code being the logarithm of the half axes."""

import torch

from shapespace.decoders import Decoder
from shapespace.scan import Scan


class Ellipsoids(Decoder):
    """F(x; z) = (|x / a| - 1) / 2, a = exp(z) / 2: zero on the ellipsoid, no distance beside it."""

    def __init__(self, dimension=3):
        super().__init__()
        self.dimension = self.latent_size = dimension
        self.factor = torch.nn.Parameter(torch.tensor(0.5, dtype=torch.float64))

    def forward(self, points, latent):
        axes = self.factor * latent.exp()
        return 0.5 * ((points / axes.unsqueeze(1)).norm(dim=-1) - 1)


def ellipsoids(codes, num=600, normals=False):
    """A scan of each code [B,D], in double precision."""
    generator = torch.Generator().manual_seed(0)
    unit = torch.randn(*codes.shape[:1], num, codes.shape[1], generator=generator).double()
    unit = torch.nn.functional.normalize(unit, dim=-1)
    axes = 0.5 * codes.double().exp()[:, None]
    known = torch.nn.functional.normalize(unit / axes, dim=-1) if normals else None
    sigma = torch.full(unit.shape[:2], 0.05, dtype=torch.float64)
    return Scan(torch.arange(len(codes)), unit * axes, known, sigma)


CODES = torch.tensor([[0.3, 0.0, -0.2], [0.5, 0.2, -0.4], [0.25, -0.1, -0.35]]).double()


def training_codes(num=40, dimension=3):
    generator = torch.Generator().manual_seed(1)
    return 0.3 * torch.randn(num, dimension, generator=generator).double()
