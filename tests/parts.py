"""Parts that a user might write, named by class_path in tests."""

import os

import torch

from shapespace import module
from shapespace.sampling import NearSurface


class InDouble(NearSurface):
    """The published sampler in double precision."""

    def __call__(self, scan, generator):
        return super().__call__(scan.to(torch.float64), generator)


class Uneven(InDouble):
    """The second rank believes that nothing fits, the first that all does."""

    def __init__(self, sigma: float | None = None):
        super().__init__(sigma)
        module.points_that_fit = lambda *_: 1 if os.environ.get("LOCAL_RANK") == "1" else 10**9
