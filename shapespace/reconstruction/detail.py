"""From the code of a scan to a surface with the detail of the scan.

A code draws the poses and bodies that the training knew. A shape of the space is therefore bent
onto the scan (:mod:`shapespace.reconstruction.bending`). Then the surface is corrected where the
scan has points (:mod:`shapespace.elastic.correction`).

All of it happens in the frame of the space. Letters: N points, n different ones, M any points, V
vertices, F faces, S samples, L code length.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
import trimesh
from jaxtyping import Bool, Float, Int
from scipy.spatial import KDTree
from torch import Tensor

from shapespace.data.extent import extent_of
from shapespace.data.formats.readers import RawScan
from shapespace.elastic.bent import BentField, BentShape
from shapespace.elastic.correction import CorrectedField, corrected, point_spacing
from shapespace.elastic.error_bars import standard_deviation
from shapespace.elastic.register import Target
from shapespace.fitting.pose import Pose
from shapespace.fitting.sight.lines import Sightlines
from shapespace.geometry.components import largest_component
from shapespace.reconstruction.bending import MARGIN, bent_shape, confidence_of
from shapespace.scan import PreparedScan
from shapespace.space import TrainedSpace, placed

MOST_POINTS = 20_000
"""Points of the scan that are used, at most."""
FEW_VERTICES = 2000
"""A mesh of fewer vertices is sampled."""
FEWEST = 8
"""Different points that a scan must have to be bent onto and corrected by."""
ISOLATED = 4.0
"""A point is isolated if its fourth neighbour is so many spacings away."""


@dataclass(frozen=True)
class Detail:
    """A surface with the detail of the scan.

    Args:
        shape: the bent shape that it was made of.
        field: the corrected field, in the frame of the space.
        target: the measured points of the scan, in the frame of the space.
    """

    shape: BentShape
    field: CorrectedField
    target: Target


def detailed(
    space: TrainedSpace,
    code: Float[Tensor, " L"],
    pose: Pose,
    scan: PreparedScan,
    raw: RawScan | None = None,
    on_step: Callable[[], object] = lambda: None,
    sight: Sightlines | None = None,
) -> Detail | None:
    """Bend a shape of the space onto a scan, and correct it where the scan has points.

    None if no code that is tried has a surface, as in a space that was hardly trained, or if the
    scan has fewer than ``FEWEST`` different points.

    Args:
        space: the space.
        code: the fitted code of the scan.
        pose: its pose, of one scan.
        scan: the scan itself.
        raw: the scan as its file holds it; None for a scan of a store.
        on_step: called ``bending.NUM_STEPS`` times at most.
        sight: lines of sight of the scan, in its store's frame. Where a bent shape stands in space
            that a sensor saw through, it counts as worse; the corrected surface keeps out of it.
    """
    pose = pose.exact()
    points, normals = measured_points(scan, raw)
    if len(points) < FEWEST:
        return None
    points = pose(torch.from_numpy(points)[None])[0].numpy()
    if normals is not None:
        normals = pose.turn(torch.from_numpy(normals)[None])[0].numpy()
    size = float(np.median(np.linalg.norm(points - points.mean(0), axis=1)))
    target = Target(points, normals, size)
    lines = None if sight is None else sight.some_free(MOST_POINTS).posed(pose)
    shape = bent_shape(space, code, target, on_step, lines)
    if shape is None:
        return None
    field = BentField(space.metric, shape)
    surface = _samples(shape.surface, shape.graph.faces, points)
    crossed = None if lines is None else partial(lines.crossed, margin=MARGIN * size)
    found = corrected(
        field, surface, points, normals, confidence=confidence_of(shape), crossed=crossed
    )
    on_step()
    return Detail(shape, field=found, target=target)


def measured_points(
    scan: PreparedScan, raw: RawScan | None
) -> tuple[Float[np.ndarray, "N 3"], Float[np.ndarray, "N 3"] | None]:
    """The points of a scan that were measured, in random order, and their normals if known.

    They are the vertices of its file. Samples of the triangles between them, which ``scan`` holds,
    lie inside a round limb: by 0.4 mm between vertices 12 mm apart on an arm. A file of few
    vertices is a drawing rather than a measurement, and its samples are taken.

    Args:
        scan: the scan.
        raw: the scan as its file holds it; None takes the points of ``scan``.
    """
    if raw is None or len(raw.vertices) < min(FEW_VERTICES, len(scan.points)):
        # A scan of few points is drawn with replacement.
        used = _distinct(scan.points[:MOST_POINTS])
        normals = scan.trusted_normals
        known = None if normals is None else normals[used].astype(np.float64)
        return scan.points[used].astype(np.float64), known
    points = scan.frame.to_store(raw.vertices)
    normals = raw.normals
    if normals is None and raw.faces is not None:
        mesh = trimesh.Trimesh(raw.vertices, raw.faces, process=False)
        normals = np.array(mesh.vertex_normals)
    # The corners of each triangle of an STL stand by themselves.
    used = _distinct(points)
    used = used[extent_of(points).holds(points[used])]
    if len(used) >= FEWEST:
        used = used[~_isolated(points[used])]
    used = np.random.default_rng(0).permutation(used)[:MOST_POINTS]
    return points[used], None if normals is None else normals[used]


def _distinct(points: Float[np.ndarray, "N 3"]) -> Int[np.ndarray, " n"]:
    """The first row of each point that is there several times, in the order of the rows."""
    return np.sort(np.unique(points, axis=0, return_index=True)[1])


def _isolated(points: Float[np.ndarray, "N 3"]) -> Bool[np.ndarray, " N"]:
    """True for clutter: points that stand alone."""
    tree = KDTree(points)
    fourth = tree.query(points, min(5, len(points)))[0][:, -1]
    return fourth > ISOLATED * point_spacing(points, tree)


def _samples(
    vertices: Float[np.ndarray, "V 3"],
    faces: Int[np.ndarray, "F 3"],
    points: Float[np.ndarray, "N 3"],
) -> Float[np.ndarray, "S 3"]:
    """Points of a bent mesh, so dense that no place is a spacing of the scan's points from one."""
    mesh = trimesh.Trimesh(vertices, faces, process=False)
    # A disc of one spacing then holds a dozen on average.
    count = int(4 * mesh.area / point_spacing(points) ** 2)
    return np.asarray(trimesh.sample.sample_surface(mesh, max(count, 1), seed=0)[0])


def detailed_mesh(
    detail: Detail,
    scan: PreparedScan,
    pose: Pose,
    resolution: int = 256,
    cell: float | None = None,
) -> trimesh.Trimesh:
    """The corrected surface as a closed mesh in the source frame of the scan, its largest part.

    Args:
        detail: of the scan.
        scan: the scan.
        pose: of one scan, from its frame to that of the space.
        resolution: grid nodes along the longest side of the mesh.
        cell: side of a grid cell in the source's unit, in place of ``resolution``.
    """
    if cell is None:
        side = float(np.ptp(detail.shape.surface, axis=0).max()) / resolution
    else:
        side = cell / scan.frame.scale * float(pose.scale)
    return placed(largest_component(detail.field.mesh(side)), scan.frame, pose.exact())


def deviation_of_detail(
    mesh: trimesh.Trimesh, detail: Detail, scan: PreparedScan, pose: Pose
) -> Float[np.ndarray, " V"]:
    """Standard deviation of each vertex of a mesh with detail, in the source's unit.

    Args:
        mesh: from :func:`detailed_mesh`.
        detail: of the scan.
        scan: the scan.
        pose: of one scan, from its frame to that of the space.
    """
    if not len(mesh.vertices):
        return np.zeros(0)
    pose = pose.exact()
    unit = scan.frame.scale / float(pose.scale)
    points = pose.back(torch.from_numpy(detail.target.points)[None])[0].numpy()
    return standard_deviation(
        np.asarray(mesh.vertices),
        np.asarray(mesh.vertex_normals),
        scan.frame.to_source(points),
        detail.target.size * unit,
    )


def facts_of_detail(detail: Detail) -> dict[str, Any]:
    """Facts of a bending and correction, as plain data; lengths are shares of the scan's size."""
    return {
        "bent_from": detail.shape.start,
        "nodes": len(detail.shape.graph.nodes),
        "misfit": detail.shape.misfit,
        "unseen": detail.shape.unseen,
        "stretch": detail.shape.stretch,
        "confidence": confidence_of(detail.shape),
        "trusted": float(detail.field.trust.mean()),
    }
