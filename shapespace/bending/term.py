"""The bending energy as a term of a loss: its gradient by the envelope theorem.

The energy is a minimum over velocities v. Its derivative in a weight of the decoder is therefore
the derivative of the minimised expression with v held fixed; the sparse solve is not
differentiated. Only the constraint depends on the weights: with s = |grad f|, held fixed too,

    mean ((df/dz . d + v . grad f) / s)^2 / SOFT.

The bracket is the derivative of f along (v, d). It is taken as a central difference, which needs
two evaluations of f and no second derivative of the decoder.

Frame and unit: those of the field. Letters: n samples, L code length.
"""

import torch
from jaxtyping import Float
from torch import Tensor

from shapespace.bending.energy import SOFT, Bending
from shapespace.decoders.base import Field
from shapespace.surface.query import field_gradients

STEP = 1e-3
"""Longest way of a sample in the central difference, in units of the shape's size."""


def bending_term(
    field: Field,
    latent: Float[Tensor, " L"],
    direction: Float[Tensor, " L"],
    found: Bending,
    step: float = STEP,
) -> Float[Tensor, ""]:
    """The bending energy, with a gradient in the weights of the field.

    The value is that of ``found``. The gradient holds the samples, the velocity, the slope and the
    mean of u^2 fixed. Nothing is learnt of a shape that is empty or does not move: the term is 0.

    Args:
        field: the field, as it was when ``found`` was made.
        latent: the code z.
        direction: d, as it was given to :func:`~shapespace.bending.meshed.bending`.
        found: the least strained motion.
        step: longest way of a sample in the central difference, in units of the shape's size.
    """
    scale = found.mean_square_speed
    if not scale > 0:
        return latent.new_zeros(())
    points = torch.from_numpy(found.samples.points).to(latent)
    velocity = torch.from_numpy(found.velocity).to(latent)
    gradient = field_gradients(field, latent, points)[1]
    slope = torch.linalg.vector_norm(gradient, dim=1)
    fastest = float(velocity.norm(dim=1).max())
    time = step * found.samples.size / max(fastest, 1e-12)
    ahead = field((points + time * velocity)[None], (latent + time * direction)[None])[0]
    behind = field((points - time * velocity)[None], (latent - time * direction)[None])[0]
    misfit = ((ahead - behind) / (2 * time * slope)).square().mean() / (SOFT * scale)
    # The value is the whole energy, the gradient that of the misfit alone.
    return misfit - misfit.detach() + found.energy
