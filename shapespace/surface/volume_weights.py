"""Depth and normals by NeuS' unbiased weights: a soft surface, differentiable where rays miss too.

With the sigmoid Phi_s(f) = 1 / (1 + exp(-s f)), a section of a ray from sample i to i + 1 has

    alpha_i = max((Phi_s(f_i) - Phi_s(f_{i+1})) / Phi_s(f_i), 0)
    w_i = alpha_i prod_{j < i} (1 - alpha_j)

(Wang et al. 2021, eq. 13). Along a ray that meets a plane the weights are largest where f = 0,
whatever the angle. As s grows they draw the first zero of f alone. They sum up to 1 at most; the
sum is the opacity of the ray.

Letters: B shapes, K rays of each, S samples of a ray, L code length.
"""

from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from shapespace.decoders.base import Field, value_and_gradient
from shapespace.errors import at_least, positive

SAMPLES = 64
"""Even samples of a ray, as published."""
MORE = 16
"""Samples that are added in each round where the weights are large, as published."""
ROUNDS = 4
"""Rounds of added samples, as published."""
FIRST_SHARPNESS = 64.0
"""Sharpness of the first round, doubled from round to round, as published."""


def volume_weights(f: Float[Tensor, "*shape S"], sharpness: float | Tensor) -> Tensor:
    """The weight of each of the S - 1 sections of rays, at least 0, with a sum of at most 1.

    Args:
        f: values at the samples of each ray, in the order of their depth.
        sharpness: s, in 1 / the unit of f; a tensor of one number may be learnt.
    """
    # log Phi keeps its digits where Phi itself is 0 in floating point numbers.
    log_phi = torch.nn.functional.logsigmoid(sharpness * f)
    # log(1 - alpha) of each section: light is lost where f falls.
    kept = (log_phi[..., 1:] - log_phi[..., :-1]).clamp(max=0)
    through = torch.cat([torch.zeros_like(f[..., :1]), kept.cumsum(-1)], -1).exp()
    return through[..., :-1] - through[..., 1:]


def sharpness_at(share: float, first: float = 20.0, last: float = 2000.0) -> float:
    """A schedule of s: from ``first`` at 0 to ``last`` at 1, by equal factors.

    Args:
        share: how much of the optimisation is done, 0 to 1.
        first: s at the start, in 1 / the unit of the field.
        last: s at the end.
    """
    positive(first=first, last=last)
    return first * (last / first) ** min(max(share, 0.0), 1.0)


class SoftSurface(NamedTuple):
    """What rays see of a soft surface.

    Args:
        depth: weighted mean of the depths; 0 where nothing is seen.
        opacity: sum of the weights, 0 to 1.
        normals: weighted mean of grad f, of length 1; zero where nothing is seen.
    """

    depth: Float[Tensor, "B K"]
    opacity: Float[Tensor, "B K"]
    normals: Float[Tensor, "B K 3"]


def soft_surface(
    field: Field,
    latent: Float[Tensor, "B L"],
    origins: Float[Tensor, "B K 3"],
    directions: Float[Tensor, "B K 3"],
    *,
    near: Float[Tensor, "B K"],
    far: Float[Tensor, "B K"],
    sharpness: float | Tensor,
    samples: int = SAMPLES,
    rounds: int = ROUNDS,
) -> SoftSurface:
    """Depth, opacity and normals by the weights; differentiable in field, code, ray and sharpness.

    Args:
        field: as :data:`shapespace.decoders.Field`, D = 3.
        latent: the code of each shape.
        origins: where the rays start.
        directions: unit directions of the rays.
        near: first depth of each ray; the ray should be outside the shape there.
        far: last depth of each ray; a ray whose last depth is not beyond the first sees nothing.
        sharpness: s of the weights.
        samples: even samples of a ray, at least 2.
        rounds: of added samples, where the weights of the samples before are large.
    """
    at_least(2, samples=samples)
    at_least(0, rounds=rounds)
    high = torch.maximum(near, far)
    share = torch.linspace(0, 1, samples, dtype=near.dtype, device=near.device)
    t = near[..., None] + share * (high - near)[..., None]
    with torch.no_grad():
        for round_ in range(rounds):
            f = field(_points(origins, directions, t), latent).view(t.shape)
            weights = volume_weights(f, FIRST_SHARPNESS * 2**round_)
            t = torch.cat([t, _drawn(t, weights)], -1).sort(-1).values
    points = _points(origins, directions, t)
    f, gradient = value_and_gradient(field, points, latent)
    weights = volume_weights(f.view(t.shape), sharpness)
    opacity = weights.sum(-1)
    # An empty ray has no depth; the floor keeps its gradient finite.
    whole = opacity.clamp(min=1e-6)
    depth = (weights * 0.5 * (t[..., 1:] + t[..., :-1])).sum(-1) / whole
    gradient = gradient.view(*t.shape, 3)
    normals = (weights[..., None] * 0.5 * (gradient[..., 1:, :] + gradient[..., :-1, :])).sum(-2)
    length = torch.linalg.vector_norm(normals + 1e-30, dim=-1, keepdim=True)
    return SoftSurface(depth=depth, opacity=opacity, normals=normals / length.clamp(min=1e-9))


def _points(origins: Tensor, directions: Tensor, t: Float[Tensor, "B K S"]) -> Tensor:
    """The points at S depths of each ray, those of a shape in one row."""
    return (origins[:, :, None] + t[..., None] * directions[:, :, None]).flatten(1, 2)


def _drawn(t: Float[Tensor, "B K S"], weights: Tensor) -> Tensor:
    """Further depths, evenly spread over the distribution that the weights describe."""
    # A little weight everywhere: rays that see nothing are sampled evenly.
    density = weights + 1e-5
    total = torch.cat([torch.zeros_like(t[..., :1]), density.cumsum(-1)], -1)
    total = total / total[..., -1:]
    share = (torch.arange(MORE, device=t.device).to(t) + 0.5) / MORE
    wanted = share.expand(*t.shape[:-1], MORE).contiguous()
    index = torch.searchsorted(total.contiguous(), wanted).clamp(1, t.shape[-1] - 1)
    low, high = total.gather(-1, index - 1), total.gather(-1, index)
    part = (wanted - low) / (high - low).clamp(min=1e-12)
    before, after = t.gather(-1, index - 1), t.gather(-1, index)
    return before + part * (after - before)
