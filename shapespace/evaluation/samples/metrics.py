"""How good and how new a set of shapes is, from the distances between surfaces alone.

Letters: K samples, J reference shapes, S training shapes or codes, L code length, A axes.
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from shapespace.errors import InputError
from shapespace.evaluation.sampled_surface import SampledSurface
from shapespace.geometry.proximity import point_to_mesh

COPY = 0.1
"""A sample is a copy if it is nearer to a training shape than this share of what shapes that were
held out are, in the median."""


def surface_distance(a: SampledSurface, b: SampledSurface) -> float:
    """Mean distance between two surfaces: from the points of each to the mesh of the other, halved.

    The distance is exact but for the choice of the points, not squared, and in the unit of the
    surfaces. It is infinite if one surface is empty, and 0 if both are.

    Raises:
        InputError: libigl is not installed.
    """
    if not len(a.points) or not len(b.points):
        return 0.0 if len(a.points) == len(b.points) else float("inf")
    assert a.mesh is not None and b.mesh is not None, "clouds have no exact distance"
    there = point_to_mesh(a.points, b.mesh).mean()
    back = point_to_mesh(b.points, a.mesh).mean()
    return 0.5 * float(there + back)


def distances_between(
    some: Sequence[SampledSurface], others: Sequence[SampledSurface]
) -> Float[np.ndarray, "K J"]:
    """The distance of each surface of ``some`` to each of ``others``.

    Distances of a set to itself are computed once for each pair.
    """
    same = some is others
    found = np.zeros((len(some), len(others)))
    for row, a in enumerate(some):
        for column, b in enumerate(others):
            if same and column <= row:
                found[row, column] = found[column, row] if column < row else 0.0
            else:
                found[row, column] = surface_distance(a, b)
    return found


def coverage(sample_to_reference: Float[np.ndarray, "K J"]) -> float:
    """Share of the reference shapes that are nearest to some sample (Achlioptas et al. 2018)."""
    _check(sample_to_reference)
    nearest = sample_to_reference.argmin(1)
    return len(np.unique(nearest)) / sample_to_reference.shape[1]


def minimum_matching_distance(sample_to_reference: Float[np.ndarray, "K J"]) -> float:
    """Mean distance of the reference shapes to their nearest sample (Achlioptas et al. 2018)."""
    _check(sample_to_reference)
    return float(sample_to_reference.min(0).mean())


def nearest_neighbour_accuracy(
    samples: Float[np.ndarray, "K K"],
    sample_to_reference: Float[np.ndarray, "K J"],
    reference: Float[np.ndarray, "J J"],
) -> float:
    """Share of all shapes whose nearest other shape is of their own set (Lopez-Paz 2017).

    0.5 means that the sets cannot be told apart, 1 that they lie apart, less than 0.5 that samples
    repeat the reference shapes. Of equally near shapes, those of the other set count.

    Args:
        samples: distances of the samples to each other.
        sample_to_reference: distances of the samples to the reference shapes.
        reference: distances of the reference shapes to each other.
    """
    _check(sample_to_reference)
    own = np.concatenate([_without_self(samples).min(1), _without_self(reference).min(1)])
    other = np.concatenate([sample_to_reference.min(1), sample_to_reference.min(0)])
    return float((own < other).mean())


def specificity(sample_to_training: Float[np.ndarray, "K S"]) -> float:
    """Mean distance of the samples to their nearest training shape (Davies et al. 2002).

    Small means that samples look like training shapes. It is 0 for copies, so that it says little
    without :func:`novelty`.
    """
    _check(sample_to_training)
    return float(sample_to_training.min(1).mean())


def novelty(
    nearest_of_samples: Float[np.ndarray, " K"], nearest_of_held_out: Float[np.ndarray, " J"]
) -> float:
    """How far samples lie from the training shapes, as a share of how far held-out shapes lie.

    The ratio of the medians of the distances to the nearest training shape: 0 for copies, 1 for
    samples as new as shapes that the space has not seen, more for stranger ones. NaN if the
    held-out shapes are copies themselves.

    Args:
        nearest_of_samples: distance of each sample to its nearest training shape.
        nearest_of_held_out: distance of each held-out shape to its nearest training shape.
    """
    usual = float(np.median(nearest_of_held_out))
    return float(np.median(nearest_of_samples)) / usual if usual > 0 else float("nan")


def copies(
    nearest_of_samples: Float[np.ndarray, " K"], nearest_of_held_out: Float[np.ndarray, " J"]
) -> int:
    """The number of samples that repeat a training shape, by ``COPY``.

    Args:
        nearest_of_samples: distance of each sample to its nearest training shape.
        nearest_of_held_out: distance of each held-out shape to its nearest training shape.
    """
    return int((nearest_of_samples < COPY * float(np.median(nearest_of_held_out))).sum())


def compactness(codes: Float[np.ndarray, "S L"]) -> Float[np.ndarray, " A"]:
    """Share of the variance of codes that their leading 1, 2, ... principal axes hold.

    The last is 1. Codes that are all equal, or of no numbers, have no axis.
    """
    if not codes.size:
        return np.zeros(0)
    variances = np.linalg.svd(codes - codes.mean(0), compute_uv=False) ** 2
    variances = variances[variances > 1e-12 * max(float((codes**2).sum()), 1e-300)]
    return np.cumsum(variances) / variances.sum() if len(variances) else np.zeros(0)


def on_leading_axes(
    codes: Float[np.ndarray, "K L"], training: Float[np.ndarray, "S L"], num: int
) -> Float[np.ndarray, "K L"]:
    """Codes moved to the nearest point of the mean plus ``num`` principal axes of training codes.

    The generalisation of a shape model is the distance between the shapes of held-out codes and of
    these (Davies et al. 2002).

    Args:
        codes: that were held out.
        training: the codes whose mean and axes count.
        num: of axes; more than there are count as all.
    """
    mean = training.mean(0)
    axes = np.linalg.svd(training - mean, full_matrices=False)[2][:num]
    return mean + (codes - mean) @ axes.T @ axes


def _without_self(distances: Float[np.ndarray, "K K"]) -> np.ndarray:
    """The distances, infinite from each shape to itself."""
    return np.where(np.eye(len(distances), dtype=bool), np.inf, distances)


def _check(distances: Float[np.ndarray, "K J"]) -> None:
    """InputError without a sample or without a reference shape."""
    if not distances.size:
        num, of = distances.shape
        raise InputError(f"{num} samples and {of} reference shapes: give at least one of each")
