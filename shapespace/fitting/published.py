"""The code of a scan that was not trained on: the decoder stays, only the code moves.

Letters: B scans, L code length.
"""

import time
from collections.abc import Callable

import torch
from torch import Tensor

from shapespace.decoders import Decoder
from shapespace.fitting.pose import Pose
from shapespace.fitting.result import FitResult
from shapespace.objectives import Objective
from shapespace.sampling import Sampler, seeded_generator
from shapespace.scan import Samples, Scan

POINTS_PER_CHUNK = 70_000
"""In one backward pass, in whole scans; 3 GiB for the published network."""


def fit_codes(
    decoder: Decoder,
    scan: Scan,
    objective: Objective,
    sampler: Sampler,
    steps: int = 800,
    lr: float = 5e-3,
    init_std: float = 1 / 256,
    seed: int = 0,
    on_step: Callable[[], object] = lambda: None,
) -> FitResult:
    """The published latent optimisation: Adam on the code, its rate a tenth from half way on.

    The surface points are those of ``scan`` at every step, the space points are drawn anew; the
    code begins as N(0, init_std^2) (IGR, Gropp et al. 2020, released evaluation code: 800 steps,
    rate 5e-3, 16384 points). Scans are independent: one fitted in a batch is fitted as if alone.
    The decoder, its flags and its gradients stay untouched; ``on_step`` is called after each step.
    """
    start, device = time.perf_counter(), scan.points.device
    draw = torch.randn(decoder.latent_size, generator=seeded_generator("cpu", seed)) * init_std
    latent = draw.to(scan.points).repeat(len(scan.index), 1).requires_grad_()
    optimiser = torch.optim.Adam([latent], lr)
    terms: dict[str, Tensor] = {}
    for step in range(steps):
        optimiser.param_groups[0]["lr"] = lr * (0.1 if 2 * step >= steps else 1.0)
        samples = _draw(sampler, scan, device, seed, step)
        terms, latent.grad = _terms_and_gradient(decoder, objective, samples, latent)
        optimiser.step()
        on_step()
    codes, num = latent.detach(), len(latent)
    taken = torch.full((num,), steps, device=device)
    poses = Pose.identity(num, scan.points)
    seconds = time.perf_counter() - start
    return FitResult(codes, poses, terms, taken, taken > 0, codes.new_zeros(num), seconds)


def _terms_and_gradient(
    decoder: Decoder, objective: Objective, samples: Samples, latent: Tensor
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


def _draw(sampler: Sampler, scan: Scan, device: torch.device, seed: int, step: int) -> Samples:
    """Each scan from a generator of its own, so that no scan depends on its place in the batch."""
    rows = [scan[row : row + 1] for row in range(len(scan.index))]
    return Samples.cat([sampler(row, seeded_generator(device, seed, step)) for row in rows])
