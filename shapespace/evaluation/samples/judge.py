"""The judgement of a set of new shapes beside the training shapes, computed on surfaces.

Unit: that of the space. Letters: K samples.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float

from shapespace.errors import InputError
from shapespace.evaluation.sampled_surface import SampledSurface
from shapespace.evaluation.samples.metrics import (
    compactness,
    copies,
    coverage,
    distances_between,
    minimum_matching_distance,
    nearest_neighbour_accuracy,
    novelty,
    on_leading_axes,
    surface_distance,
)
from shapespace.evaluation.samples.shapes import CoarseShapes
from shapespace.priors.held_out import folds_of
from shapespace.utils.progress import progress

MOST_REFERENCES = 48
"""Training shapes that stand for all; of more, evenly spaced ones."""
MOST_HELD_OUT = 16
"""Training shapes that are compared with those of other people, or of other parts."""
AXES = (2, 8, 32)
"""Numbers of axes at which generalisation is stated."""
SHARES = (0.9, 0.99)
"""Shares of the variance at which compactness is stated."""


@dataclass(frozen=True)
class SampleScores:
    """How good and how new samples are.

    :mod:`~shapespace.evaluation.samples.metrics` defines the numbers.

    Args:
        num_samples: samples that have a surface.
        num_empty: samples without one, which are left out.
        num_reference: training shapes that stand for all.
        held_out_by: what "held out" means: "subject", "sequence" or "random".
        coverage: 0 to 1.
        matching_distance: minimum matching distance.
        nearest_neighbour_accuracy: 0 to 1; 0.5 is best.
        specificity: mean distance of the samples to their nearest training shape.
        held_out_distance: median distance of held-out shapes to their nearest training shape.
        novelty: the samples' median distance over ``held_out_distance``.
        copies: samples that repeat a training shape.
        generalisation: mean distance of held-out shapes to those of their codes on the leading
            axes of the other codes, by the number of axes.
        compactness: number of axes that hold a share of the variance, by the share.
    """

    num_samples: int
    num_empty: int
    num_reference: int
    held_out_by: str
    coverage: float
    matching_distance: float
    nearest_neighbour_accuracy: float
    specificity: float
    held_out_distance: float
    novelty: float
    copies: int
    generalisation: dict[str, float]
    compactness: dict[str, int]

    def as_dict(self) -> dict[str, Any]:
        """The numbers by name, NaN as None."""
        return {
            key: None if isinstance(value, float) and not np.isfinite(value) else value
            for key, value in asdict(self).items()
        }

    def lines(self, unit: str) -> list[str]:
        """The numbers for a person, in lines.

        Args:
            unit: of the space, "m" or "radius"; metres are shown in mm.
        """
        factor, name = (1000.0, "mm") if unit == "m" else (100.0, "% of the radius")
        shown = {key: f"{factor * value:.3g}" for key, value in self.generalisation.items()}
        general = ", ".join(f"{axes} axes {value}" for axes, value in shown.items())
        compact = ", ".join(f"{share} in {axes}" for share, axes in self.compactness.items())
        general, compact = general or "unknown, one shape", compact or "no axis"
        return [
            f"{self.num_samples} samples, {self.num_empty} empty, beside {self.num_reference} "
            f"training shapes; lengths in {name}",
            f"coverage {self.coverage:.2f}, minimum matching distance "
            f"{factor * self.matching_distance:.3g}, 1-nearest-neighbour accuracy "
            f"{self.nearest_neighbour_accuracy:.2f} (0.5 is best)",
            f"specificity {factor * self.specificity:.3g}; shapes held out by {self.held_out_by} "
            f"lie {factor * self.held_out_distance:.3g} off: novelty {self.novelty:.2f}, "
            f"copies {self.copies}",
            f"generalisation: {general}; compactness: {compact}",
        ]


def judge(
    shapes: CoarseShapes,
    samples: Sequence[SampledSurface],
    nearest: Float[np.ndarray, " K"],
    seed: int = 0,
) -> SampleScores:
    """Compare samples with the training shapes of their space.

    Args:
        shapes: of the space.
        samples: coarse surfaces of the samples.
        nearest: distance of each sample to its nearest training shape.
        seed: of who is held out.

    Raises:
        InputError: no sample has a surface, the space has one shape, or libigl is not installed.
    """
    full = [row for row, sample in enumerate(samples) if len(sample.points)]
    num = len(shapes.codes)
    if not full:
        raise InputError(f"{len(samples)} samples: none has a surface to judge; fit another prior")
    if num < 2:
        raise InputError("1 training shape: samples are judged beside two or more")
    kept = [samples[row] for row in full]
    rows = np.unique(np.linspace(0, num - 1, min(num, MOST_REFERENCES)).round().astype(int))
    reference = [shapes.training(row) for row in rows.tolist()]
    across = distances_between(kept, reference)
    by, held_distances, general = _held_out(shapes, seed)
    off = nearest[full]
    return SampleScores(
        num_samples=len(kept),
        num_empty=len(samples) - len(kept),
        num_reference=len(reference),
        held_out_by=by,
        coverage=coverage(across),
        matching_distance=minimum_matching_distance(across),
        nearest_neighbour_accuracy=nearest_neighbour_accuracy(
            distances_between(kept, kept), across, distances_between(reference, reference)
        ),
        specificity=float(off.mean()),
        held_out_distance=float(np.median(held_distances)),
        novelty=novelty(off, held_distances),
        copies=copies(off, held_distances),
        generalisation=general,
        compactness=_axes_needed(shapes),
    )


def _axes_needed(shapes: CoarseShapes) -> dict[str, int]:
    """The number of axes that hold each of ``SHARES`` of the variance; none for equal codes."""
    cumulated = compactness(shapes.codes.double().cpu().numpy())
    if not len(cumulated):
        return {}
    return {f"{share:.0%}": int((cumulated < share).sum()) + 1 for share in SHARES}


def _held_out(
    shapes: CoarseShapes, seed: int
) -> tuple[str, Float[np.ndarray, " K"], dict[str, float]]:
    """What was held out, distances of held-out shapes to the others, and generalisation."""
    by, folds = folds_of(shapes.space.names, seed)
    part = torch.tensor(folds)
    num = len(part)
    rows = np.unique(np.linspace(0, num - 1, min(num, MOST_HELD_OUT)).round().astype(int)).tolist()
    distances: list[float] = []
    off: dict[str, list[float]] = {}
    table = shapes.codes.double().cpu().numpy()
    for row in progress(rows, "held-out shapes", unit="shape"):
        others = torch.nonzero(part != part[row])[:, 0]
        mine = shapes.training(row)
        distances.append(shapes.nearest(shapes.codes[row], mine, among=others).distance)
        training = table[others.numpy()]
        for count in (*(each for each in AXES if each < min(training.shape)), "all"):
            used = training.shape[0] if count == "all" else count
            moved = on_leading_axes(table[row : row + 1], training, used)[0]
            drawn = shapes.surface(torch.from_numpy(moved))
            off.setdefault(str(count), []).append(surface_distance(mine, drawn))
    return by, np.array(distances), {key: float(np.mean(value)) for key, value in off.items()}
