"""The terms of an objective at the codes of some scans, as training computes them.

Letters: B scans, L code length.
"""

import torch
from jaxtyping import Float
from torch import Tensor

from shapespace.decoders.base import Decoder
from shapespace.objectives.base import Objective
from shapespace.sampling import Sampler, seeded_generator
from shapespace.scan import Samples, Scan

POINTS_PER_CHUNK = 70_000
"""In one backward pass, in whole scans; 3 GiB for the published network."""


@torch.no_grad()
def terms_of(
    decoder: Decoder, objective: Objective, samples: Samples, latent: Float[Tensor, "B L"]
) -> dict[str, Tensor]:
    """The terms of each scan, a bounded number of points at a time."""
    return _together(
        [objective.terms(decoder, samples[rows], latent[rows]) for rows in _chunks(samples, latent)]
    )


def terms_and_gradient(
    decoder: Decoder, objective: Objective, samples: Samples, latent: Float[Tensor, "B L"]
) -> tuple[dict[str, Tensor], Tensor]:
    """The same, and the gradient of each code."""
    found: list[dict[str, Tensor]] = []
    gradients = []
    for rows in _chunks(samples, latent):
        with torch.enable_grad():
            codes = latent.detach()[rows].requires_grad_()
            terms = objective.terms(decoder, samples[rows], codes)
            gradients.append(torch.autograd.grad(objective.total(terms).sum(), codes)[0])
        found.append({name: value.detach() for name, value in terms.items()})
    return _together(found), torch.cat(gradients)


def _chunks(samples: Samples, latent: Tensor) -> list[slice]:
    size = max(1, POINTS_PER_CHUNK // samples.num_points)
    return [slice(start, start + size) for start in range(0, len(latent), size)]


def _together(found: list[dict[str, Tensor]]) -> dict[str, Tensor]:
    return {name: torch.cat([terms[name] for terms in found]) for name in found[0]}


def draw_samples(sampler: Sampler, scan: Scan, seed: int, step: int) -> Samples:
    """Each scan from a generator of its own, so that no scan depends on its place in the batch."""
    rows = [scan[row : row + 1] for row in range(len(scan.index))]
    device = scan.points.device
    return Samples.cat([sampler(row, seeded_generator(device, seed, step)) for row in rows])
