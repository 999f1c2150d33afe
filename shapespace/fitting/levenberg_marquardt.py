"""Levenberg-Marquardt for many small problems at once (Marquardt 1963).

Letters: P problems, A problems that are still active, M residuals, K unknowns of a step, L code
length.
"""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from shapespace.fitting.residuals import MixturePrior, Prior, Residuals, State
from shapespace.fitting.robust import Robust

FIRST_DAMPING = 1e-2
LEAST_DAMPING = 1e-6
MOST_DAMPING = 1e6
"""Damping, as a multiple of the diagonal of the Hessian.

Marquardt (1963) begins with 0.01, as here, divides the damping by 10 after a step that lowered the
cost and multiplies it by 10 after one that did not. Here the factors are 3 and 4. Beyond
``MOST_DAMPING`` steps are too short to matter, and the problem is done.
"""


Further = Callable[[State, Int[Tensor, " A"]], tuple[Tensor, Tensor, Tensor]]
"""Another term of the cost: of the states of some problems, its cost [A], slope [A,K] and positive
Hessian [A,K,K]."""


class Solution(NamedTuple):
    """The end of the solver, per problem.

    Args:
        state: codes and poses.
        cost: the objective there.
        hessian: of Gauss and Newton, the prior included.
        iterations: evaluations of the field.
        converged: the last step lowered the cost by less than the tolerance, or no step lowers it.
    """

    state: State
    cost: Float[Tensor, " P"]
    hessian: Float[Tensor, "P K K"]
    iterations: Int[Tensor, " P"]
    converged: Bool[Tensor, " P"]


class NormalEquations(NamedTuple):
    """The cost and its quadratic model at a state.

    Args:
        cost: [A].
        slope: the gradient of the cost, [A,K].
        hessian: of Gauss and Newton, [A,K,K].
    """

    cost: Tensor
    slope: Tensor
    hessian: Tensor


def solve(
    problem: Residuals,
    start: State,
    prior: Prior | MixturePrior,
    robust: Robust,
    information: float,
    iterations: int = 25,
    tolerance: float = 1e-3,
    on_iteration: Callable[[Int[Tensor, " A"]], object] = lambda active: None,
    sight: Further | None = None,
) -> Solution:
    """Minimise information * weighted mean of robust(residuals) - log prior of each problem.

    The problems share the evaluations of the field and nothing else: each has its own damping, and
    leaves when it is done.

    Args:
        problem: the residuals.
        start: codes and poses to begin with.
        prior: of the codes.
        robust: the loss of a residual.
        information: points that count as independent, over the variance of a residual.
        iterations: at most.
        tolerance: a problem is done when a step lowers its cost by a smaller share than this.
        on_iteration: called before each iteration with the problems that are still active.
        sight: what lines of sight add to the cost, as a mean over rays.
    """
    everything = torch.arange(len(start.code), device=start.code.device)
    state = start
    equations = partial(
        normal_equations,
        problem,
        prior=prior,
        robust=robust,
        information=information,
        sight=sight,
    )
    now = equations(state, everything)
    damping = torch.full_like(now.cost, FIRST_DAMPING)
    used = torch.ones_like(everything)
    converged = torch.zeros_like(everything, dtype=torch.bool)
    # A start whose cost is no number is left as it is, not converged.
    active = everything[torch.isfinite(now.cost)]
    for _ in range(iterations):
        if not len(active):
            break
        on_iteration(active)
        here = NormalEquations(*(part[active] for part in now))
        trial = problem.moved(state.rows(active), _step(here, damping[active]))
        # The derivatives come with the cost: if the step is taken, the next one needs no
        # evaluation.
        there = equations(trial, active)
        better = there.cost < here.cost
        taken = active[better]
        state = state.replaced(taken, trial.rows(better))
        now = NormalEquations(
            *(a.index_copy(0, taken, b[better]) for a, b in zip(now, there, strict=True))
        )
        damping[active] = torch.where(better, damping[active] / 3, damping[active] * 4)
        damping.clamp_(min=LEAST_DAMPING)
        used[active] += 1
        small = better & (here.cost - there.cost < tolerance * here.cost)
        done = small | (damping[active] > MOST_DAMPING)
        converged[active] = done
        active = active[~done]
    return Solution(
        state=state, cost=now.cost, hessian=now.hessian, iterations=used, converged=converged
    )


def _step(normal: NormalEquations, damping: Float[Tensor, " A"]) -> Float[Tensor, "A K"]:
    """Minus the solution of (H + damping diag H) step = slope; zero where H is singular.

    The diagonal of H gives each unknown its own unit: lengths, radians and numbers of a code need
    no common scale (Marquardt 1963).
    """
    # In double precision, because H squares the condition of the Jacobian.
    hessian = normal.hessian.double()
    diagonal = hessian.diagonal(dim1=-2, dim2=-1)
    hessian = hessian + torch.diag_embed(damping[:, None] * diagonal.clamp(min=1e-12))
    factor, failed = torch.linalg.cholesky_ex(hessian)
    step = -torch.cholesky_solve(normal.slope.double()[..., None], factor)[..., 0]
    # A zero step does not lower the cost: the damping grows until the factorisation succeeds.
    return torch.where(failed[:, None] == 0, step, 0.0).to(normal.slope)


def normal_equations(
    problem: Residuals,
    state: State,
    which: Int[Tensor, " A"],
    *,
    prior: Prior | MixturePrior,
    robust: Robust,
    information: float,
    sight: Further | None = None,
) -> NormalEquations:
    """Cost, slope and Gauss-Newton Hessian of some problems.

    Args:
        problem: the residuals.
        state: codes and poses of the problems ``which``.
        which: the problems.
        prior: of the codes.
        robust: the loss of a residual.
        information: points that count as independent, over the variance of a residual.
        sight: what lines of sight add to the cost, as a mean over rays.
    """
    residuals, jacobian, weights = problem(state, which)
    # Each scan counts alike, however many points, and points with a known normal, it has.
    share = weights * (information / weights.sum(1, keepdim=True).clamp(min=1))
    of_prior = prior.terms(state.code)
    cost = (share * robust.cost(residuals)).sum(1) + of_prior.cost
    # Iterated least squares: the weight stands for the curvature of the robust loss, which may be
    # negative. The Hessian so stays positive.
    weighted = (share * robust.weight(residuals))[..., None] * jacobian
    slope = (weighted * residuals[..., None]).sum(1)
    hessian = weighted.mT @ jacobian
    length = state.code.shape[1]
    slope[:, :length] += of_prior.slope
    hessian[:, :length, :length] += of_prior.precision
    if sight is not None:
        of_rays = [information * part for part in sight(state, which)]
        cost, slope, hessian = cost + of_rays[0], slope + of_rays[1], hessian + of_rays[2]
    return NormalEquations(cost, slope, hessian)
