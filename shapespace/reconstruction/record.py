"""Facts about a reconstruction, for its .json file and for one line of text.

Letters: V vertices, N points of the scan that the fit used.
"""

from collections.abc import Mapping
from typing import Any, TypeGuard

import numpy as np
import torch
import trimesh
from jaxtyping import Float
from scipy.spatial import KDTree

from shapespace.data.check.cloud import sample_faces
from shapespace.data.extent import extent_of
from shapespace.data.formats.contents import ORDINARY
from shapespace.data.prepare.neighbours import neighbour_distance
from shapespace.errors import InputError
from shapespace.fitting.residuals import State, distances
from shapespace.fitting.result import FitResult
from shapespace.fitting.search import Search
from shapespace.fitting.sight.lines import Sightlines
from shapespace.fitting.terms import as_batch
from shapespace.geometry.proximity import point_to_mesh
from shapespace.geometry.rays import RayScene
from shapespace.scan import PreparedScan
from shapespace.space import TrainedSpace
from shapespace.utils.plain import is_list_of, is_number

DOUBTFUL_OUTLIERS = 0.04
"""Share of outliers from which the shape of a code is doubted."""
LOST_CODE = 7.0
"""Strangeness of a code with so many outliers, beyond which its shape is none of the space.

Both were chosen on raw scans of people and motions that were not trained on, and on a horse, a
chair and bodies that stood on their heads or lay (experiments/unseen_scans). A strange code alone
is no fault: a space of few shapes has many good ones.
"""
LOST = 0.02
"""Sum of misfit and unseen of a bent shape, as shares of the size, beyond which it is none.

A horse had 0.030 and a chair 0.039 (experiments/unseen_scans).
"""
NEAR = 0.06
"""A vertex has a point near it within this share of the size of the scan, at least."""
COVER_POINTS = 20_000
"""Most points of a scan that are looked at for the share of a mesh without points."""
OUTLIER = 3.0
"""A point is an outlier beyond so many times the noise that a search assumes."""
NUMBERS = (
    *("seconds", "mesh_seconds", "steps", "converged", "outliers", "strangeness"),
    *("dropped_components", "dropped_area_share", "share_far"),
)
"""Facts that are numbers, or yes or no, and are measured or shown later."""
DETAIL = ("confidence", "misfit", "unseen")
"""Facts of the detail that are numbers and are shown later."""
FARTHEST = 1e12
"""Largest length and scale of a reconstruction, and 1 / the smallest scale; there is no larger."""
NO_ROTATION = 1e-3
"""Largest entry of R R^T - 1 of a matrix R that counts as a rotation."""
FAR_FROM_MESH = 0.1
"""Distance from its mesh, in radii of the scan, beyond which a point is far."""
MOST_FAR = 0.05
"""A mesh is not its scan if a larger share of the points is far.

The share is chosen, not measured on good fits: an exact mesh has 0, and so has one that is moved by
1 % of its radius; a mesh cut by a quarter has more.
"""
CROSSED = 0.03
"""A free ray is crossed if the mesh meets it more than this share of the radius before its hit."""
COMPARED = 20_000
"""Most points of a scan, and points of its mesh, that are compared."""
MILLIMETRES, PERCENT = (1000.0, "mm"), (100.0, "% of the radius")
"""Factor from the unit of a space to the unit that is shown, and the name of that unit."""


def remark(mesh: trimesh.Trimesh) -> str:
    """Number of faces of a mesh, and whether it is watertight, in a few words."""
    if len(mesh.faces) == 0:
        return "EMPTY (the field has no zero set: the fit failed or the training was too short)"
    closed = "watertight" if mesh.is_watertight else "NOT watertight"
    return f"{len(mesh.faces)} faces, {closed}"


def summary_line(facts: dict[str, Any]) -> str:
    """The most important facts of a reconstruction in one line, without the name of its file."""
    ended = f"{facts['steps']} steps" + ("" if facts["converged"] else ", NOT converged")
    off = f"{facts['off_median']:.3g} median, {facts['off_95_percent']:.3g} at 95 %"
    fit = f"points off by {off} ({facts['off_unit']}), outliers {facts['outliers']:.1%}"
    detail = facts.get("detail", {})
    if is_number(detail.get("off_median")) and is_number(detail.get("off_95_percent")):
        bent = f"{detail['off_median']:.3g} median, {detail['off_95_percent']:.3g} at 95 %"
        fit = f"points off by {bent} ({facts['off_unit']}), from the shape of the code by {off}"
    if "refined_off_median" in facts:
        fit += f"; refined to {facts['refined_off_median']:.3g} median"
    if facts["deviation_95_percent"] is not None:
        fit += f"; surface sure to {facts['deviation_95_percent']:.3g} at 95 %"
    fit += f", {facts['share_without_points']:.0%} of it without points"
    crossed = facts.get("free_space", {}).get("crossed")
    if is_number(crossed):
        fit += f", crossed by {crossed:.1%} of the rays before their hits"
    if not ORDINARY.fullmatch(facts.get("account", "")):
        fit += f"; {facts['account']}"
    unit = "" if facts["unit"] in ("m", facts["made_by"]["unit"]) else f"read as {facts['unit']}; "
    said = verdict(facts)
    first = f"{said}; {unit}" if said else unit
    return f"{first}{facts['remark']}; {fit}; {ended}, {facts['seconds']:.1f} s"


def verdict(facts: Mapping[str, Any]) -> str:
    """FAILED or DOUBTFUL and the reason; "" for a reconstruction that may be believed.

    Args:
        facts: of a reconstruction. What an earlier version did not record is not judged.
    """
    far = failure(facts.get("share_far") or 0.0)
    if far:
        return far
    detail = facts.get("detail")
    if detail is not None:
        return _verdict_of_detail(detail)
    outliers = facts.get("outliers") or 0.0
    if outliers <= DOUBTFUL_OUTLIERS:
        return ""
    off = f"{outliers:.0%} of the points do not lie on the shape of its code"
    strangeness = facts.get("strangeness") or 0.0
    if strangeness > LOST_CODE:
        return (
            f"FAILED: {off}, which is {strangeness:.1f} times as far from the mean as training "
            "codes: the space has no such shape"
        )
    return f"DOUBTFUL: {off}"


def _verdict_of_detail(detail: Mapping[str, Any]) -> str:
    """The verdict on a bent shape; where it is not believed, the points alone made the surface."""
    off = detail["misfit"] + detail["unseen"]
    if off > LOST:
        return (
            "FAILED: the space has no such shape, even bent; the surface is that of the points "
            "alone, holes are closed without knowledge"
        )
    if detail["confidence"] < 1:
        return (
            f"DOUBTFUL: bent shapes of the space end {off:.1%} of the size away; holes are closed "
            "from the points"
        )
    return ""


def share_without_points(mesh: trimesh.Trimesh, scan: PreparedScan, size: float) -> float:
    """Share of the vertices of a mesh without a point of the scan near them; 1 for an empty mesh.

    Args:
        mesh: mesh in the frame of the source.
        scan: the scan that was reconstructed.
        size: size of the scan in stored units, as in ``FitResult.sizes``.
    """
    if not len(mesh.vertices) or not len(scan.points):
        return 1.0
    local = scan.frame.to_store(np.asarray(mesh.vertices))
    # Points are shuffled when they are stored, so the first ones are a random subset.
    distance, _ = KDTree(scan.points[:COVER_POINTS]).query(local)
    # sigma is the distance to the 50th neighbour: in a sparse scan, gaps of that size are no holes.
    some = scan.points[:COVER_POINTS]
    sigma = scan.sigma if scan.sigma is not None else neighbour_distance(some)
    near = max(NEAR * size, 0.5 * float(np.median(sigma[:COVER_POINTS])))
    return float((distance > near).mean())


def share_far(mesh: trimesh.Trimesh, scan: PreparedScan) -> float:
    """Share of the points of a scan that lie far from its mesh; 1 for an empty mesh.

    Far is beyond ``FAR_FROM_MESH`` radii of the scan. Stray points, which belong to no shape, do
    not count.

    Args:
        mesh: mesh in the frame of the source.
        scan: the scan that was reconstructed.
    """
    if not len(mesh.faces) or not np.asarray(mesh.area_faces).any():
        return 1.0
    extent = extent_of(scan.points)
    points = scan.points[extent.holds(scan.points)][:COMPARED]
    vertices = scan.frame.to_store(np.asarray(mesh.vertices))
    faces = np.asarray(mesh.faces, np.int64)
    rng = np.random.default_rng(0)
    surface, _ = sample_faces(vertices, faces, count=COMPARED, rng=rng)
    distance, _ = KDTree(surface).query(points)
    return float((distance > FAR_FROM_MESH * extent.radius).mean())


def failure(share: float) -> str:
    """Say that a mesh is not its scan, if so large a share of the points lies far from it."""
    if share <= MOST_FAR:
        return ""
    return (
        f"FAILED: {share:.0%} of the points lie farther from the mesh than {FAR_FROM_MESH:.0%} of "
        "the radius of the scan"
    )


def _shown(unit: str) -> tuple[float, str]:
    """Factor and name of the unit in which lengths of a space are shown."""
    return MILLIMETRES if unit == "m" else PERCENT


def _percentiles(off: Float[np.ndarray, " N"], unit: str) -> dict[str, float]:
    """Median and 95 % of distances in stored units, in the unit in which they are shown."""
    per_unit = _shown(unit)[0]
    return {
        "off_median": per_unit * float(np.median(off)),
        "off_95_percent": per_unit * float(np.percentile(off, 95)),
    }


def check_facts(facts: Mapping[str, Any]) -> None:
    """Raise ValueError unless the facts of a reconstruction say where it lies.

    They are read from a file that anybody may have made. A rotation that is none, or a scale of 0,
    would spoil pictures and distances.
    """
    for key in NUMBERS:
        value = facts.get(key)
        if not (value is None or isinstance(value, bool) or is_number(value)):
            raise ValueError(f"{key} is no number")
    detail = facts.get("detail", dict.fromkeys(DETAIL, 1.0))
    if not isinstance(detail, Mapping) or not all(is_number(detail.get(key)) for key in DETAIL):
        raise ValueError("the facts of the detail are none")
    pose = facts.get("pose")
    centre = facts.get("centre")
    if not isinstance(pose, Mapping) or not _is_row(centre):
        raise ValueError("holds no centre and pose of the scan")
    if not _is_scale(facts.get("scale")) or not _is_scale(pose.get("scale")):
        raise ValueError("a scale is no positive number")
    shift = pose.get("shift")
    rotation = pose.get("rotation")
    if not _is_row(shift) or not is_list_of(rotation, _is_row):
        raise ValueError("the pose is no rotation and shift")
    dimension = len(centre)
    if {len(shift), len(rotation), *map(len, rotation)} != {dimension} or dimension not in (2, 3):
        raise ValueError(f"centre, shift and rotation are not of one dimension, {dimension}")
    turn = np.array(rotation, np.float64)
    if np.abs(turn @ turn.T - np.eye(dimension)).max() > NO_ROTATION:
        raise ValueError("the rotation of the pose is none")


def _is_row(value: object) -> TypeGuard[list[float]]:
    return is_list_of(value, _is_length)


def _is_length(value: object) -> bool:
    return is_number(value) and abs(value) <= FARTHEST


def _is_scale(value: object) -> bool:
    return is_number(value) and 1 / FARTHEST <= value <= FARTHEST


def facts_of_surface(
    deviation: Float[np.ndarray, " V"] | None, scale: float, unit: str
) -> dict[str, Any]:
    """Percentiles over the vertices of the standard deviation of the surface, in ``off_unit``.

    Args:
        deviation: standard deviation at each vertex, in the unit of the source; None if unknown.
        scale: source units in one stored unit.
        unit: unit of the space, "m" or "radius".
    """
    if deviation is None or not len(deviation):
        return {"deviation_median": None, "deviation_95_percent": None}
    shares = np.percentile(deviation, [50, 95]) / scale * _shown(unit)[0]
    return {"deviation_median": float(shares[0]), "deviation_95_percent": float(shares[1])}


def facts_of_meshing(mesh: trimesh.Trimesh, seconds: float) -> dict[str, Any]:
    """Facts of a mesh from ``extract_mesh``, with the components that were dropped from it."""
    return {
        "watertight": bool(mesh.is_watertight),
        "faces": len(mesh.faces),
        "dropped_components": mesh.metadata.get("dropped_components", 0),
        "dropped_area_share": mesh.metadata.get("dropped_area_share", 0.0),
        "mesh_seconds": round(seconds, 3),
    }


def with_dropped(mesh: trimesh.Trimesh, facts: dict[str, Any]) -> trimesh.Trimesh:
    """Put the facts of the dropped components back into the metadata of a mesh from a file."""
    known = ("dropped_components", "dropped_area_share", "share_far")
    mesh.metadata.update({key: facts[key] for key in known if key in facts})
    return mesh


def facts_of_fit(fitted: FitResult, row: int, unit: str) -> dict[str, Any]:
    """Facts of the fit of one scan of a batch; lengths are in ``off_unit``.

    Args:
        fitted: fit of the batch.
        row: row of the scan in the batch.
        unit: unit of the space, "m" or "radius".
    """
    off = fitted.distances[row].double().cpu().numpy()
    rotation, shift, scale = (part[row].tolist() for part in fitted.poses)
    far = OUTLIER * Search().noise * float(fitted.sizes[row])
    return {
        "terms": {term: float(value[row]) for term, value in fitted.terms.items()},
        "steps": int(fitted.steps[row]),
        "converged": bool(fitted.converged[row]),
        "spread_of_starts": float(fitted.spread[row]),
        "seconds": round(fitted.seconds / len(fitted.codes), 3),
        **_percentiles(off, unit),
        "off_unit": _shown(unit)[1],
        "outliers": float((off > far).mean()) if len(off) else 0.0,
        "strangeness": None if fitted.prior_distance is None else float(fitted.prior_distance[row]),
        "pose": {"rotation": rotation, "shift": shift, "scale": scale},
    }


def facts_of_distance(
    points: Float[np.ndarray, "N 3"], mesh: trimesh.Trimesh, scale: float, unit: str
) -> dict[str, float]:
    """Percentiles of the distances of points to a mesh, in ``off_unit``; nothing for an empty mesh.

    Args:
        points: of the scan, in the frame of the source.
        mesh: in the same frame.
        scale: source units in one stored unit.
        unit: unit of the space, "m" or "radius".
    """
    if not len(mesh.faces) or not len(points):
        return {}
    return _percentiles(point_to_mesh(points[:COMPARED], mesh) / scale, unit)


def facts_of_sight(
    mesh: trimesh.Trimesh, scan: PreparedScan, lines: Sightlines | None
) -> dict[str, dict[str, float]]:
    """How many free rays a mesh crosses: the space before a hit is known to be empty.

    Args:
        mesh: in the frame of the source.
        scan: the scan.
        lines: its lines of sight, in its store's frame; None if no sensor is known.

    Returns:
        As ``free_space`` the number of free rays that were looked at, and the share that meets the
        mesh more than ``CROSSED`` of the scan's radius before its hit. The share is 0 without a
        ray, and is left out where embreex is not installed. Nothing without lines of sight.
    """
    if lines is None:
        return {}
    free = lines.some_free(COMPARED)
    facts = {"rays": float(len(free)), "crossed": 0.0}
    if not len(free) or not len(mesh.faces):
        return {"free_space": facts}
    vertices = scan.frame.to_store(np.asarray(mesh.vertices))
    faces = np.asarray(mesh.faces, np.int64)
    try:
        face = RayScene(vertices, faces).first(free.origins, free.directions)
    except InputError:
        return {"free_space": {"rays": facts["rays"]}}
    a, b, c = vertices[faces[face]].transpose(1, 0, 2)
    normal = np.cross(b - a, c - a)
    slope = (normal * free.directions).sum(1)
    depth = ((a - free.origins) * normal).sum(1) / np.where(slope == 0, 1e-30, slope)
    margin = CROSSED * extent_of(scan.points).radius
    crossed = (face >= 0) & (depth < free.far - margin) & (depth > free.near)
    return {"free_space": facts | {"crossed": float(crossed.mean())}}


def facts_of_refined(
    space: TrainedSpace, fitted: FitResult, row: int, scan: PreparedScan
) -> dict[str, float]:
    """Percentiles of the distances of a scan's points to a refined surface.

    Args:
        space: the refined copy of the space.
        fitted: fit of a batch of scans.
        row: row of the scan in the batch.
        scan: the scan.
    """
    batch = as_batch([scan], fitted.distances.shape[1]).to(fitted.codes.device)
    which = torch.tensor([row], device=fitted.codes.device)
    off = distances(space.metric, batch.points, State(fitted.codes, fitted.poses).rows(which))
    found = _percentiles(off[0].double().cpu().numpy(), space.unit)
    return {f"refined_{name}": value for name, value in found.items()}
