"""The bending energy of a space: what the least strained motion of its surface costs.

Along a direction of codes the field fixes the velocity of its zero set along the normals, u. The
velocity along the surface is free. The completion is the velocity field v on samples that minimises

    size^2 strain(v) + mean (u - v . n)^2 / SOFT + RIDGE mean |v|^2,

strain as in :mod:`shapespace.bending.strain`, size as in :class:`ZeroSamples`. The energy is this
minimum divided by the mean of u^2. It has no unit and does not depend on the length of the
direction. It is 0 where the shape moves as a rigid body. A limb that bends costs little. One that
shrinks and grows again elsewhere costs much (GenCorres, Yang et al. 2024, minimises the same kind
of quadratic form). Twisting a limb about its axis is not seen: it moves no surface.

Frame and unit: those of the field. Letters: n samples, L code length.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from scipy.sparse import block_diag, csc_array, diags_array
from scipy.sparse.linalg import splu

from shapespace.bending.samples import ZeroSamples
from shapespace.bending.strain import SampleGraph, sample_graph

SOFT = 1e-4
"""Softness of the constraint v . n = u. A crumb smaller than 1 % of the size escapes it."""
RIDGE = 1e-6
"""Weight of |v|^2, which decides motions that the surface does not show, such as of a ball."""


class Bending(NamedTuple):
    """A least strained motion of a surface along a direction of codes.

    Args:
        samples: of the zero set.
        graph: their neighbours.
        velocity: v, the completed velocity, in the field's unit a unit of time.
        speed: u, the velocity along the normals that the field prescribes.
        energy: the minimum over the mean of u^2, without unit; 0 where nothing moves; NaN where
            there is no surface.
    """

    samples: ZeroSamples
    graph: SampleGraph
    velocity: Float[np.ndarray, "n 3"]
    speed: Float[np.ndarray, " n"]
    energy: float

    @property
    def strain_rate(self) -> float:
        """sqrt(energy x mean of u^2) / size, in 1 / time; 0 where nothing moves, NaN if empty."""
        if not len(self.speed):
            return float("nan")
        size = self.samples.size
        return float(np.sqrt(self.energy * self.mean_square_speed)) / size if size else 0.0

    @property
    def mean_square_speed(self) -> float:
        """Mean of u^2 over the samples; 0 without samples."""
        return float(np.square(self.speed).mean()) if len(self.speed) else 0.0


def completed(samples: ZeroSamples, speed: Float[np.ndarray, " n"]) -> Bending:
    """Complete the velocity along the normals by the least strained motion along the surface.

    Args:
        samples: of the whole surface.
        speed: u at each sample, along the outward normal.
    """
    graph = sample_graph(samples.points, samples.normals)
    count = len(speed)
    still = np.zeros((count, 3))
    if not count:
        return Bending(samples, graph, still, speed, float("nan"))
    mean_square = float(np.square(speed).mean())
    if not mean_square > 0:
        return Bending(samples, graph, still, speed, 0.0)
    across = normal_matrix(samples.normals)
    # The rows and columns of one sample are three in a row: v is flattened sample by sample.
    form = samples.size**2 * graph.matrix() + across @ across.T / (SOFT * count)
    form = form + diags_array(np.full(3 * count, RIDGE / count))
    velocity = splu(csc_array(form)).solve(across @ speed / (SOFT * count)).reshape(count, 3)
    misfit = np.square(speed - np.einsum("ni,ni->n", velocity, samples.normals)).mean()
    least = samples.size**2 * graph.strain(velocity) + misfit / SOFT
    least += RIDGE * np.square(velocity).sum(1).mean()
    return Bending(samples, graph, velocity, speed, float(least) / mean_square)


def normal_matrix(normals: Float[np.ndarray, "n 3"]) -> csc_array:
    """N [3 n, n] with N^T v = v . n of each sample, for v that is flattened sample by sample."""
    return csc_array(block_diag([normal[:, None] for normal in normals]))
