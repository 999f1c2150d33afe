"""The metrics: every distance between a shape and its target, Chamfer distances among them.

Columns have the names of `evaluation.definitions`.

Both surfaces are in one frame and unit: metres, or any other unit with relative thresholds. "To"
goes from samples of the shape to the target, "from" goes back from samples of the target.

Letters: K samples of the shape, J samples of the target, D dimension.
"""

import numpy as np
import trimesh
from jaxtyping import Float, Int

from shapespace.config.options import NUM_SAMPLES
from shapespace.errors import InputError
from shapespace.evaluation.definitions import Thresholds
from shapespace.evaluation.regions import Regions
from shapespace.evaluation.sampled_surface import SampledSurface, nearest_distances, nearest_samples
from shapespace.geometry.proximity import inside, nearest_triangles, point_to_mesh

Numbers = dict[str, float]
"""Column -> its value."""
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
    regions: Regions | None = None,
) -> Numbers:
    """Measure every distance between a shape and its target.

    A column that needs triangles, normals or a closed mesh is left out where one of the two has
    none. An empty shape has infinite distances, a far share of 1 and all other shares 0.

    Args:
        shape: the surface that is measured.
        target: the surface that is right.
        thresholds: distances of the F-scores; by default those of :class:`Thresholds`, in metres.
        num_points: random points at which ``volume_iou`` is counted.
        seed: seed of these points, and of the second sampling of the target for the floor.
        regions: regions of the target by which the exact distance is split; by default it is not.

    Returns:
        Column -> value, in the unit of the surfaces.

    Raises:
        InputError: if the target is empty.
    """
    if not len(target.points):
        raise InputError("the target has no surface, so that nothing can be measured")
    there, row_there = nearest_samples(shape.points, target)
    back, row_back = nearest_samples(target.points, shape)
    if not len(shape.points):
        # Means and maxima over no sample are undefined: one sample infinitely far away stands in.
        there = np.array([np.inf])
    found = _sampled_columns(there, back)
    exact, nearest = _exact(shape, target)
    # Shares use exact distances where there are triangles. Distances between samples have a floor,
    # which at small thresholds would decide the share.
    found |= _shares(
        to=exact.get("to", there),
        from_=exact.get("from", back),
        thresholds=thresholds or Thresholds(),
        diagonal=target.diagonal,
    )
    found |= _normal_columns(shape, target, row_there=row_there, row_back=row_back)
    found |= _exact_columns(exact)
    if regions is not None and len(exact) == 2:
        # No sample stands in here for those of an empty shape.
        to = exact["to"][: len(shape.points)]
        found |= regions.columns(to, exact["from"], *nearest)
    if target.mesh is not None:
        found["sampling_floor"] = _floor(target, seed)
        mine = shape.mesh
        closed = mine is not None and (mine.is_watertight or not len(mine.faces))
        if mine is not None and closed and target.mesh.is_watertight:
            found["volume_iou"] = volume_iou(mine, target.mesh, num_points=num_points, seed=seed)
    return found


def chamfer(points: Float[np.ndarray, "K D"], target: Float[np.ndarray, "J D"]) -> float:
    """Two-sided Chamfer distance, unsquared and halved (the definition of IGR, DGP and DiGS)."""
    there = nearest_distances(points, target)
    back = nearest_distances(target, points)
    return 0.5 * float(there.mean() + back.mean())


def volume_iou(
    a: trimesh.Trimesh, b: trimesh.Trimesh, num_points: int = NUM_SAMPLES, seed: int = 0
) -> float:
    """Intersection over union of the volumes of two closed meshes; 0 if either is empty.

    The volumes are counted at random points in the common bounding box. The standard error is at
    most 0.5 / sqrt(number of points in the union).

    Args:
        a: a closed mesh.
        b: a closed mesh in the same frame.
        num_points: random points.
        seed: seed of the points.
    """
    if not len(a.faces) or not len(b.faces):
        return 0.0
    corners = np.concatenate([a.bounds, b.bounds])
    points = np.random.default_rng(seed).uniform(corners.min(0), corners.max(0), (num_points, 3))
    in_a = inside(points, a)
    in_b = inside(points, b)
    return float((in_a & in_b).sum() / max(1, (in_a | in_b).sum()))


def _sampled_columns(there: Float[np.ndarray, " K"], back: Float[np.ndarray, " J"]) -> Numbers:
    """Columns of the distances between samples."""
    to = float(there.mean())
    from_ = float(back.mean())
    squared = float(np.square(there).mean() + np.square(back).mean())
    farthest_to = float(there.max())
    farthest_from = float(back.max())
    return {
        "chamfer_half_unsquared": 0.5 * (to + from_),
        "chamfer_to": to,
        "chamfer_from": from_,
        "chamfer_l2_half_squared": 0.5 * squared,
        "chamfer_sum_squared": squared,
        "chamfer_l1_times_10": 5 * (to + from_),
        "median_to": float(np.median(there)),
        "median_from": float(np.median(back)),
        "hausdorff": max(farthest_to, farthest_from),
        "hausdorff_to": farthest_to,
        "hausdorff_from": farthest_from,
        "mesh_accuracy_90": _percentile(there, 90),
    }


def _shares(
    to: Float[np.ndarray, " K"],
    from_: Float[np.ndarray, " J"],
    thresholds: Thresholds,
    diagonal: float,
) -> Numbers:
    """Columns of the shares of samples nearer or farther than each threshold."""
    found: Numbers = {}
    for value in thresholds.lengths:
        at = thresholds.length(value, diagonal)
        suffix = thresholds.suffix(value)
        precision = float((to < at).mean())
        recall = float((from_ < at).mean())
        both = precision + recall
        found[f"precision_{suffix}"] = precision
        found[f"recall_{suffix}"] = recall
        found[f"fscore_{suffix}"] = 2 * precision * recall / both if both else 0.0
    far = thresholds.length(thresholds.far, diagonal)
    found[f"far_share_{thresholds.suffix(thresholds.far)}"] = float((to > far).mean())
    return found


def _normal_columns(
    shape: SampledSurface,
    target: SampledSurface,
    row_there: Int[np.ndarray, " K"],
    row_back: Int[np.ndarray, " J"],
) -> Numbers:
    """Columns of the normals, from each sample to the nearest sample of the other surface."""
    if shape.normals is None or target.normals is None:
        return {}
    if not len(shape.points):
        return dict.fromkeys(NORMALS, 0.0)
    cosines_to = _cosines(shape.normals, target.normals[row_there])
    cosines_from = _cosines(target.normals, shape.normals[row_back])
    if not len(cosines_to) or not len(cosines_from):
        return {}
    to = float(np.abs(cosines_to).mean())
    from_ = float(np.abs(cosines_from).mean())
    return {
        "normal_consistency": 0.5 * (to + from_),
        "normal_consistency_to": to,
        "normal_consistency_from": from_,
        "normal_consistency_signed": 0.5 * float(cosines_to.mean() + cosines_from.mean()),
    }


def _cosines(a: Float[np.ndarray, "K D"], b: Float[np.ndarray, "K D"]) -> np.ndarray:
    """Cosine between the normals of each pair; pairs with an unknown normal (0) are left out."""
    known = a.any(1) & b.any(1)
    return np.einsum("ki,ki->k", a[known], b[known])


def _exact(
    shape: SampledSurface, target: SampledSurface
) -> tuple[dict[str, np.ndarray], tuple[np.ndarray, np.ndarray]]:
    """Exact distances of the samples to the triangles of the other surface, if it is a mesh.

    Also the nearest place on the target of each sample of the shape, and the triangle it lies in.
    """
    found: dict[str, np.ndarray] = {}
    nearest = np.zeros((0, 3)), np.zeros(0, np.int64)
    if target.mesh is not None:
        found["to"] = np.array([np.inf])
        if len(shape.points):
            found["to"], *nearest = nearest_triangles(shape.points, target.mesh)
    if shape.mesh is not None:
        found["from"] = point_to_mesh(target.points, shape.mesh)
    return found, (nearest[0], nearest[1])


def _exact_columns(exact: dict[str, np.ndarray]) -> Numbers:
    """Columns of the exact distances; those of both sides only where both surfaces are meshes."""
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
    """Percentile, linear between neighbours; infinite if the values are infinite."""
    # Distances to or from an empty surface are all infinite; interpolation would make them NaN.
    return float(np.percentile(values, percent)) if np.isfinite(values[0]) else float("inf")


def _floor(target: SampledSurface, seed: int) -> float:
    """Mean distance between two samplings of the target: its Chamfer distance to itself."""
    assert target.mesh is not None
    # Both samplings are of one surface, so that both sides of the Chamfer distance have the same
    # expectation, and one side is enough. The seed is far from those of shape and target.
    other = SampledSurface.of_mesh(target.mesh, len(target.points), seed + 1_000_003)
    return float(nearest_samples(other.points, target)[0].mean())
