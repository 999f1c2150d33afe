"""Spaces of exact shapes, with training codes of our choice."""

import numpy as np
import torch

from shapespace.codes import LatentCodes
from shapespace.decoders.base import Decoder
from shapespace.objectives import IGR
from shapespace.sampling import NearSurface
from shapespace.scan import Frame
from shapespace.space import TrainedSpace


class Exact(Decoder):
    """A decoder of an exact field."""

    dimension = 3

    def __init__(self, field, latent_size):
        super().__init__()
        self.field = field
        self.latent_size = latent_size

    def forward(self, points, latent):
        return self.field(points, latent)


def spoke(points, latent):
    """A capsule of radius 0.15 from the origin to (the code, 0)."""
    x, y, z = points.unbind(-1)
    a, b = latent[:, None, 0], latent[:, None, 1]
    along = ((x * a + y * b) / (a * a + b * b).clamp(min=1e-12)).clamp(0, 1)
    return torch.sqrt((x - along * a) ** 2 + (y - along * b) ** 2 + z**2) - 0.15


def space_of(field, codes, extent=1.5, scale=1.0):
    """A space of a field, whose training scans are called a, b, c, ..."""
    codes = torch.tensor(np.asarray(codes), dtype=torch.float32)
    table = LatentCodes(len(codes), codes.shape[1])
    table.assign(
        tuple("abcdefghijklmnopqrstuvwxyz"[: len(codes)]),
        [Frame(np.zeros(3), scale) for _ in codes],
    )
    with torch.no_grad():
        table.table.weight.copy_(codes)
    decoder = Exact(field, codes.shape[1]).eval()
    return TrainedSpace(
        decoder, table.requires_grad_(False), IGR(), NearSurface(extent=extent), unit="m"
    )
