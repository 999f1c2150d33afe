"""Samplers: the points at which an objective evaluates a field.

Letters: B scans, N surface points, M space points a scan, D dimension.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from shapespace.errors import InputError, positive
from shapespace.scan import Samples, Scan


class Sampler:
    """Base of all samplers: ``(scan, generator) -> Samples``.

    A subclass writes :meth:`__call__` and sets ``extent``. All scans of a batch get the same number
    of samples. Every random number comes from ``generator``, whose seed depends on the run's seed
    and on the visit of the scan: a resumed run, and any number of ranks, so draw the same samples.
    Targets of the scan reach the objective without the sampler, unless it sets targets of its own.

    The arguments of ``__init__`` are numbers, strings and booleans with annotations: a config sets
    them by name and a checkpoint stores them.

    Example:
        One uniform point in the box for each surface point::

            >>> class Uniform(Sampler):
            ...     def __init__(self, extent: float = 1.8) -> None:
            ...         self.extent = extent
            ...
            ...     @property
            ...     def needs_sigma(self) -> bool:
            ...         return False
            ...
            ...     def __call__(self, scan: Scan, generator: torch.Generator) -> Samples:
            ...         unit = torch.rand(
            ...             scan.points.shape, generator=generator, device=scan.points.device
            ...         )
            ...         space = (2 * unit - 1) * self.extent
            ...         return Samples(scan.points, scan.normals, space)
            >>> Uniform(1.2).extent
            1.2
    """

    extent: float = 1.8
    """Half side of the box [-extent, extent]^D that is sampled, in the store's unit. Meshes of the
    space are looked for in the same box."""

    @property
    def needs_sigma(self) -> bool:
        """True if the sampler reads the scan's sigma, which a store holds only on request.

        A subclass that does not read it returns False: it then trains on any store.
        """
        return True

    def __call__(self, scan: Scan, generator: torch.Generator) -> Samples:
        """Samples of each scan of a batch; ``generator`` lies on the scan's device."""
        raise NotImplementedError


class NearSurface(Sampler):
    """Gaussian neighbours of surface points, and uniform points in a box (IGR, sec. 4).

    Args:
        sigma: standard deviation of the neighbours in the store's unit, the same for all points;
            None takes each point's own, the distance to its 50th neighbour.
        extent: half side of the box [-extent, extent]^D, in the store's unit; the box must hold
            every scan.
        uniform: uniform points for each surface point; 1/8 in the published recipe.
        near: fraction of the surface points that get a neighbour; 1 in the published recipe.
    """

    def __init__(
        self,
        sigma: float | None = None,
        extent: float = 1.8,
        uniform: float = 0.125,
        near: float = 1.0,
    ) -> None:
        positive(extent=extent, sigma=1.0 if sigma is None else sigma)
        if uniform < 0:
            raise InputError(f"uniform={uniform}: give 0 or more")
        if not 0 <= near <= 1:
            raise InputError(f"near={near}: give a fraction, 0 to 1")
        if near == 0 and uniform == 0:
            raise InputError("near=0 and uniform=0: nothing is left for the eikonal term")
        self.sigma = sigma
        self.extent = extent
        self.uniform = uniform
        self.near = near

    @property
    def needs_sigma(self) -> bool:
        """True unless one sigma holds for all points, or no point gets a neighbour."""
        return self.sigma is None and self.near > 0

    def __call__(self, scan: Scan, generator: torch.Generator) -> Samples:
        """M = floor(N * near) + floor(N * uniform) space points a scan.

        At least one is a neighbour, unless ``near`` is 0. The surface samples are the scan itself.
        """
        num_near = max(int(scan.num_points * self.near), 1 if self.near else 0)
        # Points are shuffled in the store: the first ones are a random part.
        noise = _draw(torch.randn, scan.points, count=num_near, generator=generator)
        near = scan.points[:, :num_near] + self._deviation(scan, num_near) * noise
        num_uniform = int(scan.num_points * self.uniform)
        unit = _draw(torch.rand, scan.points, count=num_uniform, generator=generator)
        box = (2 * unit - 1) * self.extent
        space = torch.cat([near, box], dim=1)
        return Samples(scan.points, scan.normals, space, scan.targets)

    def _deviation(self, scan: Scan, num_near: int) -> Tensor | float:
        """Standard deviation of each of the first ``num_near`` points, or of all points."""
        if self.sigma is not None or num_near == 0:
            return self.sigma or 0.0
        if scan.sigma is None:
            raise InputError(
                "sampler.sigma is null and the scans hold none; give a number, or prepare with "
                "--sigma"
            )
        return scan.sigma[:, :num_near, None]


def _draw(distribution, like: Tensor, *, count: int, generator: torch.Generator) -> Tensor:  # noqa: ANN001
    """``count`` random vectors for each scan, with the dimension, type and device of ``like``."""
    shape = (like.shape[0], count, like.shape[2])
    return distribution(shape, generator=generator, dtype=like.dtype, device=like.device)


def samples_of_visits(sampler: Sampler, scan: Scan, seed: int, visits: Sequence[int]) -> Samples:
    """Samples of each scan by a generator of its own, which depends on (seed, visit) alone.

    The samples of a scan then do not depend on the batch: several ranks draw the samples that one
    process would draw.

    Args:
        sampler: draws the samples.
        scan: a batch.
        seed: of the training.
        visits: for each scan of the batch, the number of this visit in the training.
    """
    device = scan.points.device
    drawn = [
        samples_of(sampler, scan[row : row + 1], seeded_generator(device, seed, visit))
        for row, visit in enumerate(visits)
    ]
    return Samples.cat(drawn)


def samples_of(sampler: Sampler, scan: Scan, generator: torch.Generator) -> Samples:
    """Samples of a batch, with the targets of its scans where the sampler set none.

    Args:
        sampler: draws the samples.
        scan: a batch.
        generator: of the draws, on the scan's device.
    """
    drawn = sampler(scan, generator)
    return replace(drawn, targets=scan.targets) if drawn.targets is None else drawn


def seeded_generator(device: torch.device | str, *keys: int) -> torch.Generator:
    """A generator whose state depends on ``keys`` alone, non-negative whole numbers.

    The same keys give the same draws in any process, after a resume too.
    """
    state = np.random.SeedSequence(keys).generate_state(1, np.uint64)
    # torch takes signed seeds of 64 bits: the last bit is dropped.
    return torch.Generator(device).manual_seed(int(state[0]) >> 1)
