"""Parts that a user might write, named by class_path in tests."""

import os

import torch

from shapespace import module
from shapespace.sampling import Sampler
from shapespace.scan import Samples


class Inflated(Sampler):
    """Space points that depend on the scan alone: it, a little larger."""

    def __call__(self, scan, generator):
        space = torch.cat([1.1 * scan.points, 0.5 * scan.points], dim=1)
        return Samples(scan.points, scan.normals, space)


class Uneven(Inflated):
    """The second rank believes that nothing fits, the first that all does."""

    def __init__(self):
        module.points_that_fit = lambda *_: 1 if os.environ.get("LOCAL_RANK") == "1" else 10**9
