"""Samples of level sets that move with the weights, and the objective of Atzmon et al. 2019.

Controlling Neural Level Sets: a point p on the level c of f, as a function of the weights, is
p - (f(p) - c) g / |g|^2, of which only f(p) is differentiated; g is grad f. Its value is p, and its
derivative is that of the level set along the normal.

Letters: B scans, N surface points, K samples, D dimension, L code length.
"""

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from shapespace.decoders.base import Field, value_and_gradient
from shapespace.errors import at_least, positive
from shapespace.objectives.base import Objective
from shapespace.objectives.terms import code_term, on_surface, weights_of, without
from shapespace.scan import Samples


@torch.no_grad()
def project_to_level(
    field: Field,
    points: Float[Tensor, "B K D"],
    latent: Float[Tensor, "B L"],
    *,
    level: float = 0.0,
    steps: int = 10,
    tolerance: float = 1e-5,
) -> tuple[Float[Tensor, "B K D"], Bool[Tensor, "B K"]]:
    """Move points onto a level set by generalised Newton steps, without a graph.

    Args:
        field: f(x; z).
        points: seeds, near the level set.
        latent: the code of each scan.
        level: c.
        steps: most steps; 10 is published.
        tolerance: of |f - c|, below which a point stays; 1e-5 is published.

    Returns:
        The points, and which of them lie on the level set within the tolerance.
    """
    for _ in range(steps):
        f, g = value_and_gradient(field, points, latent)
        off = f - level
        if (off.abs() <= tolerance).all():
            break
        step = off / g.square().sum(-1).clamp(min=1e-6)
        step = torch.where(off.abs() > tolerance, step, 0.0)
        points = points - step.unsqueeze(-1) * g
    found = (field(points, latent) - level).abs() <= tolerance
    return points, found


def level_set_samples(
    field: Field, points: Float[Tensor, "B K D"], latent: Float[Tensor, "B L"]
) -> tuple[Float[Tensor, "B K D"], Float[Tensor, "B K"]]:
    """Points as functions of the weights and codes, each on its own level set, and the levels.

    Args:
        field: f(x; z).
        points: p, which have no gradient of their own.
        latent: the code of each scan.

    Returns:
        The values of ``points``, with the derivatives of the level set; and f there, a constant.
    """
    points = points.detach()
    with torch.no_grad():
        levels, g = value_and_gradient(field, points, latent)
        direction = g / g.square().sum(-1, keepdim=True).clamp(min=1e-6)
    f = field(points, latent)
    return points - (f - levels).unsqueeze(-1) * direction, levels


class LevelSets(Objective):
    """mean | d(p) - |f(p)| | + surface mean |f| + latent |z|, p samples of level sets.

    d is the distance to the nearest surface point of the step. Every second space point is moved
    onto the zero set, the others stay on the level that they are on. Only the positions of the
    samples are differentiated: the level sets move to where their value is the distance. Seeds that
    do not reach the zero set count 0. The weight of the first term is 1. Constants are those of the
    authors' code (ControllingNeuralLevelsets @3a69e4d).

    Args:
        surface: weight of mean |f| at the surface points.
        latent: weight of the code term.
        steps: most Newton steps.
        tolerance: of f on the zero set, in the store's unit.
    """

    def __init__(
        self,
        surface: float | str = 3.0,
        latent: float | str = 1e-3,
        steps: int = 10,
        tolerance: float = 1e-5,
    ) -> None:
        super().__init__()
        at_least(0, steps=steps)
        positive(tolerance=tolerance)
        self.steps = steps
        self.tolerance = tolerance
        self.weights = weights_of(level_sets=1.0, surface=surface, latent=latent)

    def terms(
        self, field: Field, samples: Samples, latent: Float[Tensor, "B L"]
    ) -> dict[str, Float[Tensor, " B"]]:
        """The terms ``level_sets``, ``surface`` and ``latent``.

        Args:
            field: f(x; z), positive outside.
            samples: points on the surface and in the space around.
            latent: the code of each scan.
        """
        seeds = samples.space[:, ::2]
        on_zero, reached = project_to_level(
            field, seeds, latent, steps=self.steps, tolerance=self.tolerance
        )
        others = samples.space[:, 1::2]
        points, levels = level_set_samples(field, torch.cat([on_zero, others], 1), latent)
        counts = torch.cat([reached, reached.new_ones(others.shape[:2])], 1)
        distance = _to_nearest(points, samples.surface)
        return {
            "level_sets": ((distance - levels.abs()).abs() * counts).mean(-1),
            "surface": on_surface(field(samples.surface, latent)),
            "latent": code_term(latent, "norm"),
        }

    def for_refinement(self) -> "LevelSets":
        """mean |f| at the surface points alone: level sets reach into regions without points."""
        return without(self, "level_sets", "latent")


def _to_nearest(
    points: Float[Tensor, "B K D"], surface: Float[Tensor, "B N D"]
) -> Float[Tensor, "B K"]:
    """The distance of each point to the nearest surface point of its scan."""
    with torch.no_grad():
        nearest = torch.cdist(points, surface).argmin(-1)
    chosen = surface.gather(1, nearest.unsqueeze(-1).expand(*nearest.shape, surface.shape[-1]))
    return torch.linalg.vector_norm(points - chosen, dim=-1)
