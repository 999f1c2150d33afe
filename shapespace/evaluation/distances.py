"""All distances of one surface to another, each under the name that `definitions` explains.

Both in one frame and unit: metres, or any other with relative thresholds. Letters: K points,
D dimension.
"""

import numpy as np
from jaxtyping import Float, Int

from shapespace.errors import InputError
from shapespace.evaluation.definitions import Thresholds
from shapespace.evaluation.metrics import NUM_SAMPLES, SampledSurface, nearest_samples, volume_iou
from shapespace.geometry.proximity import point_to_mesh

Numbers = dict[str, float]
NORMALS = (
    "normal_consistency",
    "normal_consistency_to",
    "normal_consistency_from",
    "normal_consistency_signed",
)


def surface_distances(
    shape: SampledSurface,
    target: SampledSurface,
    thresholds: Thresholds | None = None,
    num_points: int = NUM_SAMPLES,
    seed: int = 0,
) -> Numbers:
    """How far ``shape`` is from ``target``; columns that the two do not have are left out.

    An empty ``shape`` has infinite distances and shares of 0. num_points: of ``volume_iou``; seed:
    of these, and of the second sampling of the target. InputError for an empty ``target``.
    """
    if not len(target.points):
        raise InputError("the target has no surface, so that nothing can be measured")
    there, row_there = nearest_samples(shape.points, target)
    back, row_back = nearest_samples(target.points, shape)
    if not len(shape.points):
        there = np.array([np.inf])
    found = _sampled_columns(there, back)
    exact = _exact(shape, target)
    to, from_ = exact.get("to", there), exact.get("from", back)
    found |= _shares(to, from_, thresholds or Thresholds(), target.diagonal)
    found |= _normals(shape, target, row_there, row_back)
    found |= _exact_columns(exact)
    if target.mesh is not None:
        found["sampling_floor"] = _floor(target, seed)
        mine = shape.mesh
        closed = mine is not None and (mine.is_watertight or not len(mine.faces))
        if mine is not None and closed and target.mesh.is_watertight:
            found["volume_iou"] = volume_iou(mine, target.mesh, num_points, seed)
    return found


def _sampled_columns(there: Float[np.ndarray, " K"], back: Float[np.ndarray, " J"]) -> Numbers:
    to, from_ = float(there.mean()), float(back.mean())
    squared = float(np.square(there).mean() + np.square(back).mean())
    most = float(there.max()), float(back.max())
    return {
        "chamfer_half_unsquared": 0.5 * (to + from_),
        "chamfer_to": to,
        "chamfer_from": from_,
        "chamfer_l2_half_squared": 0.5 * squared,
        "chamfer_sum_squared": squared,
        "chamfer_l1_times_10": 5 * (to + from_),
        "median_to": float(np.median(there)),
        "median_from": float(np.median(back)),
        "hausdorff": max(most),
        "hausdorff_to": most[0],
        "hausdorff_from": most[1],
        "mesh_accuracy_90": _percentile(there, 90),
    }


def _shares(
    to: Float[np.ndarray, " K"],
    from_: Float[np.ndarray, " J"],
    thresholds: Thresholds,
    diagonal: float,
) -> Numbers:
    found: Numbers = {}
    for value in thresholds.lengths:
        at, suffix = thresholds.length(value, diagonal), thresholds.suffix(value)
        precision, recall = float((to < at).mean()), float((from_ < at).mean())
        both = precision + recall
        found[f"precision_{suffix}"] = precision
        found[f"recall_{suffix}"] = recall
        found[f"fscore_{suffix}"] = 2 * precision * recall / both if both else 0.0
    far = thresholds.length(thresholds.far, diagonal)
    found[f"far_share_{thresholds.suffix(thresholds.far)}"] = float((to > far).mean())
    return found


def _normals(
    shape: SampledSurface,
    target: SampledSurface,
    row_there: Int[np.ndarray, " K"],
    row_back: Int[np.ndarray, " J"],
) -> Numbers:
    if shape.normals is None or target.normals is None:
        return {}
    if not len(shape.points):
        return dict.fromkeys(NORMALS, 0.0)
    sides = (shape.normals, target.normals[row_there]), (target.normals, shape.normals[row_back])
    cosines = [_cosines(*side) for side in sides]
    if not all(len(each) for each in cosines):
        return {}
    to, from_ = (float(np.abs(each).mean()) for each in cosines)
    signed = 0.5 * float(sum(each.mean() for each in cosines))
    return dict(zip(NORMALS, (0.5 * (to + from_), to, from_, signed), strict=True))


def _cosines(a: Float[np.ndarray, "K D"], b: Float[np.ndarray, "K D"]) -> np.ndarray:
    known = a.any(1) & b.any(1)
    return np.einsum("ki,ki->k", a[known], b[known])


def _exact(shape: SampledSurface, target: SampledSurface) -> dict[str, np.ndarray]:
    """Exact distances of the samples to the triangles of the other, where it has any."""
    found = {}
    if target.mesh is not None:
        found["to"] = point_to_mesh(shape.points, target.mesh)
        if not len(shape.points):
            found["to"] = np.array([np.inf])
    if shape.mesh is not None:
        found["from"] = point_to_mesh(target.points, shape.mesh)
    return found


def _exact_columns(exact: dict[str, np.ndarray]) -> Numbers:
    found: Numbers = {}
    for side, name in (("to", "accuracy_exact"), ("from", "completeness_exact")):
        if side in exact:
            found[name] = float(exact[side].mean())
            found[f"{name}_median"] = float(np.median(exact[side]))
            found[f"{name}_95"] = _percentile(exact[side], 95)
    if len(exact) == 2:
        found["point_to_mesh"] = 0.5 * (found["accuracy_exact"] + found["completeness_exact"])
        found["hausdorff_exact"] = float(max(each.max() for each in exact.values()))
    return found


def _percentile(values: Float[np.ndarray, " K"], percent: int) -> float:
    """Linear between neighbours; infinite values are all infinite, as of an empty surface."""
    return float(np.percentile(values, percent)) if np.isfinite(values[0]) else float("inf")


def _floor(target: SampledSurface, seed: int) -> float:
    """Both samplings are of one surface: one side is the mean of both in expectation."""
    assert target.mesh is not None
    other = SampledSurface.of_mesh(target.mesh, len(target.points), seed + 1_000_003)
    return float(nearest_samples(other.points, target)[0].mean())
