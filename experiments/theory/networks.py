"""Small networks trained on the points of one shape by the parts of the library."""

import numpy as np
import torch

from shapespace.decoders import SkipMLP
from shapespace.objectives import IGR
from shapespace.sampling import NearSurface, seeded_generator
from shapespace.scan import Scan
from shapespace.training.optimisers import decoder_optimisers
from shapespace.utils.schedules import cosine

NO_CODE = torch.zeros(1, 0)
RATE, SIGMA, EXTENT = 2e-3, 0.1, 1.5


def scan_of(points, normals=None):
    """A batch of one scan from points and normals [N,D]; sigma is left to the sampler."""
    points = torch.as_tensor(points, dtype=torch.float32)[None]
    if normals is not None:
        normals = torch.as_tensor(normals, dtype=torch.float32)[None]
    return Scan(torch.zeros(1, dtype=torch.long), points, normals, torch.zeros(points.shape[:2]))


def network(dimension, seed, start="sphere", width=128, depth=4):
    """start: "sphere" is the geometric initialisation, "plain" torch's own of a linear layer."""
    torch.manual_seed(seed)
    decoder = SkipMLP(0, dimension, width, depth, skip=depth // 2)
    if start == "plain":
        for layer in decoder.linears():
            layer.reset_parameters()
    return decoder


def trained(decoder, scan, seed, marks, uniform):
    """Train to the last of the ascending ``marks``; yields the step at each of them.

    uniform: uniform points for each surface point.
    """
    sampler, objective = NearSurface(SIGMA, EXTENT, uniform), IGR(latent=0.0)
    (optimiser,) = decoder_optimisers(decoder.parameters(), "adam", RATE, RATE)
    for step in range(marks[-1] + 1):
        if step in marks:
            yield step
        optimiser.param_groups[0]["lr"] = RATE * cosine(step / max(marks[-1], 1), 0.02)
        samples = sampler(scan, seeded_generator("cpu", seed, step))
        optimiser.zero_grad()
        objective.total(objective.terms(decoder, samples, NO_CODE)).mean().backward()
        optimiser.step()


@torch.no_grad()
def evaluated(decoder, points):
    """f [K] and grad f [K,D] at points [K,D], as float64 arrays."""
    points = torch.as_tensor(np.asarray(points), dtype=torch.float32)[None]
    values, slopes = decoder.value_and_gradient(points, NO_CODE)
    return values[0].double().numpy(), slopes[0].double().numpy()
