"""Levenberg-Marquardt for many small problems at once (Marquardt 1963).

Letters: P problems, A those still active, M residuals, K unknowns, L code length.
"""

from collections.abc import Callable
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from shapespace.fitting.residuals import Prior, Residuals, State
from shapespace.fitting.robust import Robust

FIRST_DAMPING, LEAST_DAMPING, MOST_DAMPING = 1e-2, 1e-6, 1e6
"""Of the diagonal of the Hessian: a third after a step that was taken, else four times."""


class Solution(NamedTuple):
    """Where the solver ended, per problem.

    state: codes and poses. cost: the objective there. hessian: Gauss-Newton's, [P,K,K]. iterations:
    evaluations of the field. converged: whether the last step changed the cost by less than asked.
    """

    state: State
    cost: Float[Tensor, " P"]
    hessian: Float[Tensor, "P K K"]
    iterations: Int[Tensor, " P"]
    converged: Bool[Tensor, " P"]


class NormalEquations(NamedTuple):
    """Normal equations at a state: cost [A], slope [A,K], hessian [A,K,K]."""

    cost: Tensor
    slope: Tensor
    hessian: Tensor


def solve(
    problem: Residuals,
    start: State,
    prior: Prior,
    robust: Robust,
    information: float,
    iterations: int = 25,
    tolerance: float = 1e-3,
    on_iteration: Callable[[Int[Tensor, " A"]], object] = lambda active: None,
) -> Solution:
    """Minimise information * weighted mean of robust(residuals) - log prior of each problem.

    information: points that count as independent, over the variance of a residual.
    tolerance: relative decrease of the cost below which a problem is done.
    """
    everything = torch.arange(len(start.code), device=start.code.device)
    state = start
    now = normal_equations(problem, state, everything, prior, robust, information)
    damping = torch.full_like(now.cost, FIRST_DAMPING)
    used = torch.ones_like(everything)
    converged = torch.zeros_like(everything, dtype=torch.bool)
    active = everything[torch.isfinite(now.cost)]
    for _ in range(iterations):
        if not len(active):
            break
        on_iteration(active)
        here = NormalEquations(*(part[active] for part in now))
        trial = problem.moved(state.rows(active), _step(here, damping[active]))
        there = normal_equations(problem, trial, active, prior, robust, information)
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
    return Solution(state, now.cost, now.hessian, used, converged)


def _step(normal: NormalEquations, damping: Float[Tensor, " A"]) -> Float[Tensor, "A K"]:
    """Minus the solution of (H + damping diag H) step = slope; none where H is singular."""
    hessian = normal.hessian.double()
    diagonal = hessian.diagonal(dim1=-2, dim2=-1)
    hessian = hessian + torch.diag_embed(damping[:, None] * diagonal.clamp(min=1e-12))
    factor, failed = torch.linalg.cholesky_ex(hessian)
    step = -torch.cholesky_solve(normal.slope.double()[..., None], factor)[..., 0]
    return torch.where(failed[:, None] == 0, step, 0.0).to(normal.slope)


def normal_equations(
    problem: Residuals,
    state: State,
    which: Int[Tensor, " A"],
    prior: Prior,
    robust: Robust,
    information: float,
) -> NormalEquations:
    """Cost, slope and Gauss-Newton Hessian of the problems ``which`` at their ``state``."""
    residuals, jacobian, weights = problem(state, which)
    share = weights * (information / weights.sum(1, keepdim=True).clamp(min=1))
    offset = state.code - prior.mean
    pull = offset @ prior.precision
    cost = (share * robust.cost(residuals)).sum(1) + 0.5 * (offset * pull).sum(1)
    weighted = (share * robust.weight(residuals))[..., None] * jacobian
    slope = (weighted * residuals[..., None]).sum(1)
    hessian = weighted.mT @ jacobian
    length = state.code.shape[1]
    slope[:, :length] += pull
    hessian[:, :length, :length] += prior.precision
    return NormalEquations(cost, slope, hessian)
