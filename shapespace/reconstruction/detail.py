"""From the code of a scan to a surface with the detail of the scan.

A code draws the poses and bodies that the training knew. A shape of the space is therefore bent
onto the scan (:mod:`shapespace.elastic.register`), from the fitted code and from the training codes
nearest to the scan, whichever ends nearest. Then the surface is corrected where the scan has points
(:mod:`shapespace.elastic.correction`).

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
from shapespace.elastic.graph import DeformationGraph, Motion, deformation_graph, transferred
from shapespace.elastic.register import BendStage, Target, bend
from shapespace.fitting.pose import Pose
from shapespace.fitting.sight.lines import Sightlines
from shapespace.fitting.starts import nearest_starts
from shapespace.geometry.components import largest_component
from shapespace.scan import PreparedScan
from shapespace.space import TrainedSpace, placed

NUM_STARTS = 3
"""Training codes that are bent beside the fitted code, each of another sequence."""
MOST_POINTS = 20_000
"""Points of the scan that are used, at most."""
FEW_VERTICES = 2000
"""A mesh of fewer vertices is sampled."""
FEWEST = 8
"""Different points that a scan must have to be bent onto and corrected by."""
FEW_POINTS = 2000
"""Points that decide between the starts."""
MANY_POINTS = 4000
"""Points, and vertices, of the bending of the best start."""
COARSE_RESOLUTION = 64
RESOLUTION = 128
COARSE_SPACING = 0.18
COARSE_STAGES = (
    BendStage(stiffness=10.0, reach=0.35, steps=5),
    BendStage(stiffness=3.0, reach=0.23, steps=5),
    BendStage(stiffness=0.3, reach=0.12, steps=5),
    BendStage(stiffness=0.05, reach=0.07, steps=4),
)
"""Stages of every start. Spacing of the nodes, and reach, are shares of the size of the scan."""
FINE_SPACINGS = (0.12, 0.08)
FINE_STAGES = (
    (BendStage(stiffness=0.05, reach=0.07, steps=4), BendStage(0.01, reach=0.047, steps=4)),
    (BendStage(stiffness=0.01, reach=0.035, steps=3), BendStage(0.003, reach=0.023, steps=3)),
)
"""Stages of the best start, on graphs with more and more nodes."""
NUM_STEPS = 1 + NUM_STARTS + len(FINE_STAGES) + 1
"""Steps that are counted: each start, each finer bending, the correction."""
GOOD, BAD = 0.004, 0.008
"""Sums of both distances of a bent shape, up to which it is believed, and from which not at all.

On eight unseen scans, shapes that ended within 2 mm of the truth had 0.003 at most, and those whose
limbs were wrong 0.0057 to 0.03 (experiments/unseen_scans).
"""
STRETCH_COST = 0.1
"""Distance that a start may be farther off for each unit of stretch that it is spared."""
BEHIND = -0.2
"""Height above the plane of the nearest point, as a share of the distance to it, below which a
place lies behind that point."""
ISOLATED = 4.0
"""A point is isolated if its fourth neighbour is so many spacings away."""
MARGIN = 0.02
"""A place before a hit stands in free space beyond this share of the size of the scan."""
FAR = 0.12
"""Distance, as a share of the size, beyond which a point counts alike however far it is."""


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
        on_step: called ``NUM_STEPS`` times at most.
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
    shape = _bent(space, code, target, on_step, lines)
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


def _bent(
    space: TrainedSpace,
    code: Float[Tensor, " L"],
    target: Target,
    on_step: Callable[[], object],
    lines: Sightlines | None,
) -> BentShape | None:
    """The start that ends nearest to the scan, bent with more and more nodes; None without one."""
    few = _some(target, FEW_POINTS)
    best: BentShape | None = None
    for name, start in {"": code, **_training_codes(space, few)}.items():
        shape = _rough(space, name, start, few, lines)
        if shape is not None and (best is None or _cost(shape) < _cost(best)):
            best = shape
        on_step()
    mesh = None if best is None else _mesh(space, best.code, RESOLUTION)
    if best is None or mesh is None:
        return None
    many = _some(target, MANY_POINTS)
    for spacing, stages in zip(FINE_SPACINGS, FINE_STAGES, strict=True):
        graph = deformation_graph(mesh, spacing * target.size)
        nearest = np.asarray(KDTree(best.graph.vertices).query(graph.nodes)[1])
        motion = transferred(best.motion, best.graph, graph, nearest)
        motion = bend(graph, motion, many, stages, num_vertices=MANY_POINTS)
        best = _measured(best.start, best.code, graph, motion, target=many, lines=lines)
        on_step()
    return best


def confidence_of(shape: BentShape) -> float:
    """How far a bent shape is believed where the scan has no points: 1 for a good one, 0 for none.

    A shape that did not reach the pose of the scan has limbs where none are. The points alone then
    give a nearer surface.
    """
    return float(np.clip((BAD - _badness(shape)) / (BAD - GOOD), 0, 1))


def _badness(shape: BentShape) -> float:
    """Both distances, from the points and from the shape."""
    return shape.misfit + shape.unseen


def _cost(shape: BentShape) -> float:
    """What decides between starts: the distances, and how far the shape was stretched for them.

    A leg that stands at the place of the other one is drawn out between them.
    """
    return _badness(shape) + STRETCH_COST * shape.stretch


def _training_codes(space: TrainedSpace, target: Target) -> dict[str, Float[Tensor, " L"]]:
    """The training codes nearest to the scan, of different sequences, by name."""
    codes = space.codes.table.weight.detach()
    points = torch.from_numpy(target.points).to(codes)
    unturned = torch.eye(3).to(codes)[None]
    pairs = nearest_starts(space.metric, points, codes=codes, turns=unturned)
    found: dict[str, str] = {}
    for row in pairs[:, 1].tolist():
        # Neighbouring frames bend alike; another sequence is another chance.
        found.setdefault(_sequence(space.names[row]), space.names[row])
    return {name: space.code(name) for name in list(found.values())[:NUM_STARTS]}


def _sequence(name: str) -> str:
    """The name without its last part, which is the number of the frame."""
    return name.rpartition("_")[0] or name


def _rough(
    space: TrainedSpace,
    name: str,
    code: Float[Tensor, " L"],
    target: Target,
    lines: Sightlines | None,
) -> BentShape | None:
    """One start bent with few nodes; None for a code without a surface."""
    mesh = _mesh(space, code, COARSE_RESOLUTION)
    if mesh is None:
        return None
    graph = deformation_graph(mesh, COARSE_SPACING * target.size)
    motion = bend(graph, graph.at_rest(), target, COARSE_STAGES, num_vertices=FEW_POINTS)
    return _measured(name, code, graph, motion, target=target, lines=lines)


def _mesh(
    space: TrainedSpace, code: Float[Tensor, " L"], resolution: int
) -> trimesh.Trimesh | None:
    """The largest part of the surface of a code; None if there is none."""
    mesh = space.mesh(code, resolution=resolution)
    return mesh if len(mesh.faces) else None


def _some(target: Target, count: int) -> Target:
    """The first points, which are random ones because scans are stored shuffled."""
    normals = None if target.normals is None else target.normals[:count]
    return target._replace(points=target.points[:count], normals=normals)


def _measured(
    start: str,
    code: Float[Tensor, " L"],
    graph: DeformationGraph,
    motion: Motion,
    *,
    target: Target,
    lines: Sightlines | None,
) -> BentShape:
    """A bent shape with its misfit."""
    vertices = graph.bent(motion)
    normals = graph.bent_normals(motion)
    distance, row = KDTree(vertices).query(target.points)
    across = np.abs(((target.points - vertices[row]) * normals[row]).sum(1))
    # Beside the surface, over a missing part of the shape, the distance across is small for
    # nothing.
    spacing = np.median(distance)
    off = np.where(distance > across + 3 * spacing, distance, across)
    if target.normals is not None:
        faces_away = (target.normals * normals[row]).sum(1) < 0
        off = np.where(faces_away & target.normals.any(1), FAR * target.size, off)
    beyond = np.zeros(len(vertices))
    # Without normals nothing says which side of the points is free.
    if target.normals is not None:
        tree = KDTree(target.points)
        gap, row = tree.query(vertices)
        # Behind seen surface lies what the scanner could not see, such as a back.
        height = ((vertices - target.points[row]) * target.normals[row]).sum(1)
        far = np.maximum(gap - 2 * point_spacing(target.points, tree), 0)
        beyond = np.where(height < BEHIND * gap, 0, far)
    if lines is not None:
        beyond = np.maximum(beyond, lines.crossed(vertices, margin=MARGIN * target.size))
    stretch = np.sqrt((graph.stretch(motion) ** 2).sum(1).mean()) if len(graph.edges) else 0.0
    return BentShape(
        start=start,
        code=code,
        graph=graph,
        motion=motion,
        misfit=float(np.minimum(off / target.size, FAR).mean()),
        unseen=float(np.minimum(beyond / target.size, FAR).mean()),
        stretch=float(stretch) / target.size,
    )


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
