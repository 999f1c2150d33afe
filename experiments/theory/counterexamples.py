"""Fields on a line whose loss is zero: the surface is {-1, 1}, its distance |x| - 1.

Fields as of the library, (points [B,N,1], latent) -> values [B,N].
"""

import numpy as np
import torch
from distance import distance_error_1d, sign_changes, steepest_chord

from shapespace.objectives import IGR
from shapespace.scan import Samples


def exact(points, latent):
    return points[..., 0].abs() - 1


def dented(points, latent):
    """The distance with a kink inside, which does not reach zero."""
    far = points[..., 0].abs()
    return torch.where(far < 0.3, -0.4 - far, far - 1)


def ghost(points, latent):
    """The distance to {-1.5, -1, 1, 1.5}: a sheet where there are no points."""
    far = points[..., 0].abs()
    return torch.where(far > 1.25, 1.5 - far, far - 1)


def unsigned(points, latent):
    return exact(points, latent).abs()


FIELDS = {"distance": exact, "dented": dented, "ghost": ghost, "unsigned": unsigned}


def measured(field, has_normals):
    """Loss of the two points, and whether the field is a distance: numbers by quantity."""
    surface = torch.tensor([[[-1.0], [1.0]]], dtype=torch.float64)
    space = torch.linspace(-2, 2, 1000, dtype=torch.float64)[None, :, None]
    samples, code = Samples(surface, surface if has_normals else None, space), torch.zeros(1, 0)
    objective = IGR(latent=0.0)
    loss = objective.total(objective.terms(field, samples, code.double()))
    x, values = space[0, :, 0].numpy(), field(space, code)[0].numpy()
    return {
        "loss": loss.item(),
        "steepest chord": steepest_chord(x[:, None], values),
        "sign changes": len(sign_changes(x, values)),
        "error to own distance": distance_error_1d(x, values),
        "error to true distance": float(np.abs(values - np.abs(x) + 1).max()),
    }
