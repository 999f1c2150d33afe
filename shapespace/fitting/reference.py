"""The published latent optimisation: Adam on the code, the decoder frozen.

This is the reference implementation that :class:`~shapespace.fitting.search.Search` is compared
with (IGR, Gropp et al. 2020; DeepSDF, Park et al. 2019).

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
    metric: Decoder | None = None,
) -> FitResult:
    """Find the codes of some scans by Adam, as IGR's released evaluation code does.

    The rate falls to a tenth half way. The surface points are those of ``scan`` at every step, the
    space points are drawn anew. Each scan is fitted as if alone. The decoder, its flags and its
    gradients stay untouched. Published: 800 steps, rate 5e-3, 16384 points a scan.

    Args:
        decoder: f(x; z), frozen.
        scan: a batch, in the frame of the space; no pose is found.
        objective: to be minimised; ``objective.for_unseen()`` of a training.
        sampler: draws the space points.
        steps: of Adam.
        lr: the rate of the first half.
        init_std: codes begin as N(0, init_std^2), the same for all scans.
        seed: of the initial code and of the space points.
        on_step: called after each step.
        metric: the field as a distance, by which the result is measured; None for ``decoder``.
    """
    start = time.perf_counter()
    device = scan.points.device
    drawn = torch.randn(decoder.latent_size, generator=seeded_generator("cpu", seed)) * init_std
    latent = drawn.to(scan.points).repeat(len(scan.index), 1).requires_grad_()
    optimiser = torch.optim.Adam([latent], lr)
    terms: dict[str, Tensor] = {}
    for step in range(steps):
        optimiser.param_groups[0]["lr"] = lr * (0.1 if 2 * step >= steps else 1.0)
        samples = draw_samples(sampler, scan, seed=seed, step=step)
        terms, latent.grad = terms_and_gradient(
            decoder, objective=objective, samples=samples, latent=latent
        )
        optimiser.step()
        on_step()
    state = State(latent.detach(), Pose.identity(len(latent), scan.points))
    taken = torch.full((len(latent),), steps, device=device)
    off = distances(metric or decoder, scan.points, state)
    return FitResult(
        codes=state.code,
        poses=state.pose,
        terms=terms,
        steps=taken,
        converged=taken > 0,
        spread=state.code.new_zeros(len(latent)),
        seconds=time.perf_counter() - start,
        distances=off,
        sizes=median_distance(scan.points),
    )
