"""Parts that a user might write, named by class_path in tests."""

import torch

from shapespace.sampling import Sampler
from shapespace.scan import Samples


class Inflated(Sampler):
    """Space points that depend on the scan alone: it, a little larger."""

    def __call__(self, scan, generator):
        space = torch.cat([1.1 * scan.points, 0.5 * scan.points], dim=1)
        return Samples(scan.points, scan.normals, space)
