"""The terms that objectives are made of.

f is a signed distance, positive outside; g is its gradient, n a unit normal that points outward.
Each function takes values at the points of B scans and gives one number a scan.

Letters: B scans, N surface points, K points a scan, D dimension, L code length.
"""

import copy
import math
from typing import Literal, NamedTuple, TypeVar

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from shapespace.decoders.base import Field, value_and_gradient
from shapespace.errors import InputError
from shapespace.objectives.base import Objective
from shapespace.scan import Samples, TargetSamples
from shapespace.utils.schedules import RunProgress, Schedule, weight_of

Potential = Literal["square", "absolute", "single_well", "double_well"]
"""The potential of a gradient's length s that :func:`eikonal` takes the mean of.

* square: (s - 1)^2, of IGR.
* absolute: |s - 1|, of SIREN and DiGS.
* single_well: (s - 1)^2 / 2, p1 of DRLSE (Li et al. 2010).
* double_well: (1 - cos 2 pi s) / (2 pi)^2 for s <= 1, else (s - 1)^2 / 2, p2 of DRLSE. Its minima
  are at 0 and 1: the far field may be flat, and a small slope is not pushed up.
"""
CodeTerm = Literal["norm", "mean_abs", "mean_square"]
"""What the term ``latent`` is: |z|, mean |z_k| or mean z_k^2."""
Kind = TypeVar("Kind", bound=Objective)


class Evaluated(NamedTuple):
    """f and grad f at the samples.

    Args:
        surface: f at the surface points.
        surface_gradient: grad f at the surface points.
        space: f at the space points.
        space_gradient: grad f at the space points.
    """

    surface: Float[Tensor, "B N"]
    surface_gradient: Float[Tensor, "B N D"]
    space: Float[Tensor, "B M"]
    space_gradient: Float[Tensor, "B M D"]


def evaluated(field: Field, samples: Samples, latent: Float[Tensor, "B L"]) -> Evaluated:
    """f and grad f at all points of the samples, from one evaluation.

    Args:
        field: f(x; z).
        samples: points on the surface and in the space around.
        latent: the code of each scan.
    """
    count = samples.surface.shape[1]
    points = torch.cat([samples.surface, samples.space], dim=1)
    sdf, gradient = value_and_gradient(field, points, latent)
    return Evaluated(sdf[:, :count], gradient[:, :count], sdf[:, count:], gradient[:, count:])


def targets_of(samples: Samples, objective: Objective) -> TargetSamples:
    """The targets that an objective reads; InputError for samples that hold none."""
    if samples.targets is None:
        raise InputError(
            f"{type(objective).__name__}: reads distances around the scan, and the samples hold "
            "none; prepare the store again with --targets, or pass the targets of the scan on in "
            "your sampler"
        )
    return samples.targets


def weights_of(**given: float | str) -> dict[str, float | Schedule]:
    """Weights by name: numbers as they are, texts as the schedules that they describe."""
    return {name: weight_of(value, name) for name, value in given.items()}


def value_at(value: float | Schedule, progress: RunProgress) -> float:
    """A number that may follow a schedule, at a moment of the run."""
    return value(progress) if isinstance(value, Schedule) else value


def without(objective: Kind, *names: str) -> Kind:
    """A copy of an objective in which the terms ``names`` weigh nothing."""
    changed = copy.copy(objective)
    changed.weights = {**objective.weights, **dict.fromkeys(names, 0.0)}
    return changed


def on_surface(sdf: Float[Tensor, "B K"]) -> Float[Tensor, " B"]:
    """mean |f|: zero if every point lies on the zero set (IGR eq. 1)."""
    return sdf.abs().mean(-1)


def eikonal(
    gradient: Float[Tensor, "B K D"], potential: Potential = "square", p: float = 2.0
) -> Float[Tensor, " B"]:
    """The mean over the points of a potential of |g|; mean (|g| - 1)^2 in IGR eq. 1.

    A distance in the norm |x|_p solves |g|_q = 1 with 1/p + 1/q = 1: the length of a gradient is
    measured in the dual norm.

    Args:
        gradient: g at the points.
        potential: 0 for a distance; see :data:`Potential`.
        p: of the norm that distances are measured in, 1 to infinity.
    """
    size = torch.linalg.vector_norm(gradient, ord=dual(p), dim=-1)
    if potential == "absolute":
        return (size - 1).abs().mean(-1)
    if potential == "square":
        return (size - 1).square().mean(-1)
    well = (size - 1).square() / 2
    if potential == "double_well":
        low = (1 - torch.cos(2 * math.pi * size)) / (2 * math.pi) ** 2
        well = torch.where(size <= 1, low, well)
    return well.mean(-1)


def dual(p: float) -> float:
    """q with 1/p + 1/q = 1, for p from 1 to infinity."""
    if not p >= 1:
        raise InputError(f"p={p:g}: give the p of a norm, 1 to inf")
    return math.inf if p == 1 else 1.0 if math.isinf(p) else p / (p - 1)


def repulsion(sdf: Float[Tensor, "B K"], sharpness: float) -> Float[Tensor, " B"]:
    """mean exp(-sharpness |f|): keeps the zero set away from points off the surface (SIREN).

    Args:
        sdf: f at points off the surface.
        sharpness: 1 / the distance that counts as away, 100 in SIREN.
    """
    return torch.exp(-sharpness * sdf.abs()).mean(-1)


def cosine_deviation(
    gradient: Float[Tensor, "B K D"],
    normals: Float[Tensor, "B K D"] | None,
    oriented: bool = True,
    power: float = 1.0,
) -> Float[Tensor, " B"]:
    """(mean (1 - cos)^power)^(1/power), cos of the angle between g and n (SIREN: power 1).

    The mean is over all points. A point of unknown normal, a zero row or no normals at all, counts
    0.

    Args:
        gradient: g at the points.
        normals: n at the points.
        oriented: False takes |cos|, so that the side of a normal does not matter.
        power: p of the norm over the points.
    """
    if normals is None:
        return gradient.new_zeros(gradient.shape[0])
    cosine = F.cosine_similarity(gradient, normals, dim=-1)
    deviation = (1 - (cosine if oriented else cosine.abs())) * normals.ne(0).any(-1)
    return power_mean(deviation, power)


def power_mean(values: Float[Tensor, "B K"], power: float) -> Float[Tensor, " B"]:
    """(mean v^p)^(1/p) of values that are not negative; 0 with gradient 0 if all are 0."""
    if power == 1:
        return values.mean(-1)
    # A root has an infinite slope at 0, and so has a power below 1.
    positive = values.clamp(min=0)
    mean = positive.pow(power).mean(-1)
    some = mean > 0
    return torch.where(some, torch.where(some, mean, 1.0).pow(1 / power), 0.0)


def smeared_delta(sdf: Float[Tensor, "B K"], epsilon: float) -> Float[Tensor, "B K"]:
    """eps / (pi (eps^2 + f^2)), a delta of width eps (from memory of Chan and Vese 2001)."""
    return epsilon / math.pi / (epsilon**2 + sdf.square())


def area(
    sdf: Float[Tensor, "B K"], gradient: Float[Tensor, "B K D"], epsilon: float
) -> Float[Tensor, " B"]:
    """mean delta(f) |g| over points uniform in a box: area of the zero set / volume of the box.

    Args:
        sdf: f at the points.
        gradient: g at the points.
        epsilon: width of the delta, in the store's unit.
    """
    size = torch.linalg.vector_norm(gradient, dim=-1)
    return (smeared_delta(sdf, epsilon) * size).mean(-1)


def volume(sdf: Float[Tensor, "B K"], epsilon: float) -> Float[Tensor, " B"]:
    """mean (1/2 - atan(f / eps) / pi) over points uniform in a box: the share that is inside.

    Args:
        sdf: f at the points.
        epsilon: width of the step, in the store's unit.
    """
    return (0.5 - torch.atan(sdf / epsilon) / math.pi).mean(-1)


def normal_deviation(
    gradient: Float[Tensor, "B K D"], normals: Float[Tensor, "B K D"] | None
) -> Float[Tensor, " B"]:
    """mean |g - n|: zero if grad f is the normal at every point (IGR eq. 1).

    The mean is over all points. A point of unknown normal, a zero row or no normals at all, counts
    0.
    """
    if normals is None:
        return gradient.new_zeros(gradient.shape[0])
    known = normals.ne(0).any(-1)
    return (torch.linalg.vector_norm(gradient - normals, dim=-1) * known).mean(-1)


def beyond_the_box(
    sdf: Float[Tensor, "B K"],
    points: Float[Tensor, "B K D"],
    surface: Float[Tensor, "B N D"],
    margin: float,
) -> Float[Tensor, " B"]:
    """mean max(0, d - f), d the distance to the bounding box of the surface points.

    A shape inside the box is at least as far from a point as the box is, so that its distance has
    no loss. Points inside the box count 0. The term says which side is outside where a scan has
    holes.

    Args:
        sdf: f at the points.
        points: in the space around.
        surface: the points of the scan.
        margin: by which the box is widened on each side, in the store's unit.
    """
    low = surface.amin(1, keepdim=True) - margin
    high = surface.amax(1, keepdim=True) + margin
    outside = torch.maximum(low - points, points - high).clamp(min=0)
    distance = torch.linalg.vector_norm(outside, dim=-1)
    return ((distance - sdf).clamp(min=0) * (distance > 0)).mean(-1)


def code_norm(latent: Float[Tensor, "B L"]) -> Float[Tensor, " B"]:
    """|z|, not squared; 0 for L = 0 (IGR's training term)."""
    return torch.linalg.vector_norm(latent, dim=-1)


def code_mean_abs(latent: Float[Tensor, "B L"]) -> Float[Tensor, " B"]:
    """mean |z_k|; 0 for L = 0 (IGR's term when an unseen scan is fitted)."""
    return latent.abs().sum(-1) / max(latent.shape[-1], 1)


def code_mean_square(latent: Float[Tensor, "B L"]) -> Float[Tensor, " B"]:
    """mean z_k^2; 0 for L = 0 (SALD's term; DeepSDF's when an unseen shape is fitted)."""
    return latent.square().sum(-1) / max(latent.shape[-1], 1)


def code_term(latent: Float[Tensor, "B L"], kind: CodeTerm) -> Float[Tensor, " B"]:
    """The term ``latent``, by its name; see :data:`CodeTerm`."""
    if kind == "norm":
        return code_norm(latent)
    return code_mean_abs(latent) if kind == "mean_abs" else code_mean_square(latent)
