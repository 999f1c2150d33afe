"""The code of a scan that was not trained on: the decoder stays, only the code moves.

Letters: B scans, L code length.
"""

import time
from collections.abc import Callable

import torch
from torch import Tensor

from shapespace.decoders.base import Decoder
from shapespace.fitting.pose import Pose
from shapespace.fitting.residuals import State, distances, median_distance
from shapespace.fitting.result import FitResult
from shapespace.fitting.terms import draw_samples, terms_and_gradient
from shapespace.objectives.base import Objective
from shapespace.sampling import Sampler, seeded_generator
from shapespace.scan import Scan


def fit_codes_adam(
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
    drawn = torch.randn(decoder.latent_size, generator=seeded_generator("cpu", seed)) * init_std
    latent = drawn.to(scan.points).repeat(len(scan.index), 1).requires_grad_()
    optimiser = torch.optim.Adam([latent], lr)
    terms: dict[str, Tensor] = {}
    for step in range(steps):
        optimiser.param_groups[0]["lr"] = lr * (0.1 if 2 * step >= steps else 1.0)
        samples = draw_samples(sampler, scan, seed, step)
        terms, latent.grad = terms_and_gradient(decoder, objective, samples, latent)
        optimiser.step()
        on_step()
    state = State(latent.detach(), Pose.identity(len(latent), scan.points))
    taken = torch.full((len(latent),), steps, device=device)
    off = distances(decoder, scan.points, state)
    return FitResult(
        *state,
        terms=terms,
        steps=taken,
        converged=taken > 0,
        spread=state.code.new_zeros(len(latent)),
        seconds=time.perf_counter() - start,
        distances=off,
        sizes=median_distance(scan.points),
    )
