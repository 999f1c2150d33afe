"""The terms of an objective at the codes of some scans, as training computes them.

Letters: B scans, L code length.
"""

import torch
from jaxtyping import Float
from torch import Tensor

from shapespace.decoders import Decoder
from shapespace.objectives import Objective
from shapespace.sampling import Sampler, seeded_generator
from shapespace.scan import Samples, Scan

POINTS_PER_CHUNK = 70_000
"""In one backward pass, in whole scans; 3 GiB for the published network."""


def terms_and_gradient(
    decoder: Decoder, objective: Objective, samples: Samples, latent: Float[Tensor, "B L"]
) -> tuple[dict[str, Tensor], Tensor]:
    """The terms of each scan and the gradient of its code, a bounded number of points at a time."""
    size = max(1, POINTS_PER_CHUNK // samples.num_points)
    found: list[dict[str, Tensor]] = []
    gradients = []
    for start in range(0, len(latent), size):
        rows = slice(start, start + size)
        with torch.enable_grad():
            codes = latent.detach()[rows].requires_grad_()
            terms = objective.terms(decoder, samples[rows], codes)
            gradients.append(torch.autograd.grad(objective.total(terms).sum(), codes)[0])
        found.append({name: value.detach() for name, value in terms.items()})
    together = {name: torch.cat([terms[name] for terms in found]) for name in found[0]}
    return together, torch.cat(gradients)


def draw(sampler: Sampler, scan: Scan, seed: int, step: int) -> Samples:
    """Each scan from a generator of its own, so that no scan depends on its place in the batch."""
    rows = [scan[row : row + 1] for row in range(len(scan.index))]
    device = scan.points.device
    return Samples.cat([sampler(row, seeded_generator(device, seed, step)) for row in rows])
