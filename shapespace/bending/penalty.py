"""The bending energy between training codes, as a penalty of a training.

The penalty of a visit looks at one random place between two training codes: the code of the scan
that is visited and the nearest of some random others. With the energy E of the motion from the one
to the other (:mod:`shapespace.bending.energy`) it is sqrt(E). The root lets a few directions of
codes be dear, such as those from one person to another, where a mean would spread their cost over
all (ARAPReg, Huang et al. 2021).

The codes are held, and only the decoder learns: codes could grow together otherwise. Everything
random depends on the seed and the number of the visit, so that a resumed run and any number of
ranks see the same.

Frame and unit: those of the field. Letters: S training scans, V visits, N points, L code
length.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from shapespace.bending.energy import completed
from shapespace.bending.samples import ZeroSamples, normal_velocity, samples_near
from shapespace.bending.term import bending_term
from shapespace.decoders.base import Decoder, Field
from shapespace.errors import InputError, at_least
from shapespace.sampling import seeded_generator
from shapespace.utils.schedules import RunProgress, Schedule, weight_of

COUNT = 400
"""Samples of a zero set."""
CANDIDATES = 512
"""Surface points of the scan that look for the zero set, and as many points of the box."""
OTHERS = 8
"""Random scans of which the one with the nearest code is taken."""
LEAST = 1e-6
"""Energy that is added before the root is taken, whose slope at 0 is infinite."""
STREAM = 3
"""Last key of the random numbers, which keeps them apart from those of the samples."""


@dataclass(frozen=True)
class BendingPenalty:
    """Which visits of a training are penalised, and how much.

    Args:
        weight: of the mean penalty over all visits, a number or a schedule over the run.
        every: one visit of so many is penalised, by so many times the weight.
        seed: of the training.
    """

    weight: float | Schedule
    every: int
    seed: int

    def __post_init__(self) -> None:
        at_least(1, bending_every=self.every)

    def factor(self, progress: RunProgress) -> float:
        """The factor of the penalty of a penalised visit in its loss."""
        weight = self.weight(progress) if isinstance(self.weight, Schedule) else self.weight
        return weight * self.every

    def of_step(
        self,
        field: Field,
        table: Float[Tensor, "S L"],
        *,
        visits: Sequence[tuple[int, int]],
        weights: Sequence[float],
        points: Float[Tensor, "V N 3"],
        extent: float,
        progress: RunProgress,
        backward: Callable[[Tensor], object],
    ) -> dict[str, Float[Tensor, ""]]:
        """Add the gradient of the penalty of a step.

        Args:
            field: the decoder f(x; z).
            table: the codes of all scans.
            visits: row of the scan, and number, of each visit.
            weights: of the visits in the mean over the scans of the step.
            points: on the surface of each scan.
            extent: half side of the box in which the zero set is looked for.
            progress: of the run.
            backward: adds the gradient of its argument.

        Returns:
            The parts of these visits in the mean loss and in the mean penalty, by the names
            ``loss`` and ``bending``; 0 in a step without a penalty.
        """
        total = table.new_zeros(())
        factor = self.factor(progress)
        for (row, visit), weight, own in zip(visits, weights, points, strict=True):
            if not (factor and weight and visit % self.every == 0):
                continue
            found = self.of_visit(field, table, row=row, visit=visit, points=own, extent=extent)
            if found.requires_grad:
                backward(weight * factor * found)
            total = total + weight * found.detach()
        return {"loss": factor * total, "bending": self.every * total}

    def of_visit(
        self,
        field: Field,
        table: Float[Tensor, "S L"],
        *,
        row: int,
        visit: int,
        points: Float[Tensor, "N 3"],
        extent: float,
    ) -> Float[Tensor, ""]:
        """The penalty of a visit, with a gradient in the weights of the decoder.

        0, without a gradient, where there is one scan alone, where nothing moves, or where there
        is no surface.

        Args:
            field: the decoder f(x; z).
            table: the codes of all scans.
            row: of the scan that is visited.
            visit: its number in the training.
            points: on the surface of the scan.
            extent: half side of the box in which the zero set is looked for.
        """
        generator = seeded_generator("cpu", self.seed, visit, STREAM)
        latent, direction = place_between(table.detach(), row, generator)
        with torch.no_grad():
            samples = scattered_samples(
                field, latent, points=points, extent=extent, generator=generator
            )
        speed = normal_velocity(field, latent, direction, samples.points)
        found = completed(samples, speed)
        if not found.energy > 0:
            return latent.new_zeros(())
        return (bending_term(field, latent, direction, found) + LEAST).sqrt()


def penalty_of(
    weight: float | str, every: int, *, seed: int, decoder: Decoder
) -> BendingPenalty | None:
    """The penalty of a training; None for the weight 0.

    Args:
        weight: a number of 0 or more, or a schedule as text.
        every: as of :class:`BendingPenalty`.
        seed: of the training.
        decoder: of the training.

    Raises:
        InputError: the weight is negative or no weight, or the shapes are not 3-D.
    """
    found = weight_of(weight, "bending")
    if (min(found.values) if isinstance(found, Schedule) else found) < 0:
        raise InputError(f"bending={weight}: give 0 or more")
    penalty = BendingPenalty(found, every, seed)
    if not isinstance(found, Schedule) and found == 0:
        return None
    if decoder.dimension != 3:
        raise InputError(
            f"bending={weight}: is of 3-D shapes, and the decoder has dimension="
            f"{decoder.dimension}; leave it out"
        )
    return penalty


def place_between(
    table: Float[Tensor, "S L"], row: int, generator: torch.Generator
) -> tuple[Float[Tensor, " L"], Float[Tensor, " L"]]:
    """A random code on the way from a scan to the nearest of some random others, and the way.

    Args:
        table: the codes of all scans.
        row: of the scan.
        generator: of the draws, on the CPU.
    """
    drawn = torch.randint(len(table), (OTHERS,), generator=generator)
    share = float(torch.rand((), generator=generator))
    ways = table[drawn.to(table.device)] - table[row]
    length = torch.linalg.vector_norm(ways, dim=1)
    # A scan that drew itself has no way to go.
    length = torch.where(drawn.to(length.device) == row, torch.inf, length)
    way = ways[int(length.argmin())]
    return table[row] + share * way, way


def scattered_samples(
    field: Field,
    latent: Float[Tensor, " L"],
    *,
    points: Float[Tensor, "N 3"],
    extent: float,
    generator: torch.Generator,
) -> ZeroSamples:
    """Samples of a zero set without a mesh: points of a shape near it, and of the box, moved to it.

    Points of the box find parts that the near shape does not have. Small ones may be missed.

    Args:
        field: the decoder f(x; z).
        latent: the code.
        points: on the surface of a shape of a code nearby, in random order.
        extent: half side of the box, in the field's unit.
        generator: of the draws, on the CPU.
    """
    box = (2 * torch.rand((CANDIDATES, 3), generator=generator) - 1) * extent
    near = points[:CANDIDATES].detach().double().cpu()
    starts = np.concatenate([near.numpy(), box.double().numpy()])
    found = samples_near(field, latent, starts, count=COUNT, reach=extent)
    inside = (np.abs(found.points) <= extent).all(1)
    return ZeroSamples(found.points[inside], found.normals[inside])
