"""The terms of an objective at the codes of some scans, as training computes them.

Letters: B scans, L code length.
"""

import torch
from jaxtyping import Float
from torch import Tensor

from shapespace.decoders.base import Decoder
from shapespace.objectives.base import Objective
from shapespace.sampling import Sampler, samples_of, seeded_generator
from shapespace.scan import Samples, Scan

POINTS_PER_CHUNK = 70_000
"""Points of one backward pass, in whole scans: 3 GiB for the published network."""


@torch.no_grad()
def terms_of(
    decoder: Decoder, objective: Objective, samples: Samples, latent: Float[Tensor, "B L"]
) -> dict[str, Tensor]:
    """The unweighted terms of each scan, evaluated a bounded number of points at a time.

    Args:
        decoder: f(x; z).
        objective: names the terms.
        samples: of each scan, in the frame of the space.
        latent: the code of each scan.
    """
    return _joined(
        [objective.terms(decoder, samples[rows], latent[rows]) for rows in _chunks(samples, latent)]
    )


def terms_and_gradient(
    decoder: Decoder, objective: Objective, samples: Samples, latent: Float[Tensor, "B L"]
) -> tuple[dict[str, Tensor], Tensor]:
    """The unweighted terms of each scan, and the gradient of its total in its code [B,L].

    Args:
        decoder: f(x; z); its own gradients stay untouched.
        objective: names and weighs the terms.
        samples: of each scan, in the frame of the space.
        latent: the code of each scan.
    """
    found: list[dict[str, Tensor]] = []
    gradients = []
    for rows in _chunks(samples, latent):
        with torch.enable_grad():
            codes = latent.detach()[rows].requires_grad_()
            terms = objective.terms(decoder, samples[rows], codes)
            gradients.append(torch.autograd.grad(objective.total(terms).sum(), codes)[0])
        found.append({name: value.detach() for name, value in terms.items()})
    return _joined(found), torch.cat(gradients)


def _chunks(samples: Samples, latent: Tensor) -> list[slice]:
    """Rows of whole scans, at least one at a time."""
    size = max(1, POINTS_PER_CHUNK // samples.num_points)
    return [slice(start, start + size) for start in range(0, len(latent), size)]


def _joined(found: list[dict[str, Tensor]]) -> dict[str, Tensor]:
    """The terms of all chunks."""
    return {name: torch.cat([terms[name] for terms in found]) for name in found[0]}


def draw_samples(sampler: Sampler, scan: Scan, *, seed: int, step: int) -> Samples:
    """Samples of each scan from a generator of its own: no scan depends on its row in the batch.

    Args:
        sampler: draws the samples.
        scan: a batch, in the frame of the space.
        seed: of the fit.
        step: of the fit; each step draws other samples.
    """
    rows = [scan[row : row + 1] for row in range(len(scan.index))]
    device = scan.points.device
    return Samples.cat(
        [samples_of(sampler, row, seeded_generator(device, seed, step)) for row in rows]
    )
