"""A shape of the space, bent onto a scan from several starts; the one that ends nearest.

The starts are the fitted code and the training codes nearest to the scan. The limbs of the training
codes are laid on those of the scan first (:mod:`shapespace.elastic.limbs`).

All of it happens in the frame of the space. Letters: L code length.
"""

from collections.abc import Callable, Iterator

import numpy as np
import torch
import trimesh
from jaxtyping import Float
from scipy.spatial import KDTree
from torch import Tensor

from shapespace.elastic.bent import BentShape
from shapespace.elastic.correction import point_spacing
from shapespace.elastic.graph import DeformationGraph, Motion, deformation_graph, transferred
from shapespace.elastic.limbs import Limbs, laid, limbs_of_mesh, limbs_of_points
from shapespace.elastic.register import BendStage, Target, bend
from shapespace.fitting.sight.lines import Sightlines
from shapespace.fitting.starts import nearest_starts
from shapespace.space import TrainedSpace

NUM_STARTS = 3
"""Training codes that are bent beside the fitted code, each of another sequence."""
NUM_AT_REST = 1
"""Those that are bent as they are too, for shapes whose limbs cannot be told."""
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
LAID_STAGES = COARSE_STAGES[2:]
"""Stages of a start whose limbs were laid on those of the scan. Stiff ones would take them back."""
FINE_SPACINGS = (0.12, 0.08)
FINE_STAGES = (
    (BendStage(stiffness=0.05, reach=0.07, steps=4), BendStage(0.01, reach=0.047, steps=4)),
    (BendStage(stiffness=0.01, reach=0.035, steps=3), BendStage(0.003, reach=0.023, steps=3)),
)
"""Stages of the best start, on graphs with more and more nodes."""
NUM_STEPS = 1 + NUM_STARTS + len(FINE_STAGES) + 1
"""Steps that are counted: each code, each finer bending, and the correction that follows."""
GOOD, BAD = 0.004, 0.008
"""Sums of both distances of a bent shape, up to which it is believed, and from which not at all.

On eight unseen scans, shapes that ended within 2 mm of the truth had 0.003 at most, and those whose
limbs were wrong 0.0057 to 0.03 (experiments/unseen_scans).
"""
STRETCH_COST = 0.1
"""Distance that a start may be farther off for each unit of stretch that it is spared."""
TORN = 0.28
"""Largest stretch between two nodes, as a share of the size, above which a shape counts as torn: a
forearm may have been laid on the upper arm. Another start is then tried. It was at most 0.23 on 39
unseen scans, and 0.33 on the one whose arm was lost (experiments/unseen_scans)."""
BEHIND = -0.2
"""Height above the plane of the nearest point, as a share of the distance to it, below which a
place lies behind that point."""
MARGIN = 0.02
"""A place before a hit stands in free space beyond this share of the size of the scan."""
FAR = 0.12
"""Distance, as a share of the size, beyond which a point counts alike however far it is."""


def bent_shape(
    space: TrainedSpace,
    code: Float[Tensor, " L"],
    target: Target,
    on_step: Callable[[], object] = lambda: None,
    lines: Sightlines | None = None,
) -> BentShape | None:
    """The start that ends nearest to the scan, bent with more and more nodes.

    None if no code that is tried has a surface.

    Args:
        space: the space.
        code: the fitted code of the scan.
        target: the scan, its points in random order.
        on_step: called at most ``NUM_STEPS - 1`` times.
        lines: lines of sight of the scan. Where a shape stands in space that a sensor saw through,
            it counts as worse.
    """
    few, many = _some(target, FEW_POINTS), _some(target, MANY_POINTS)
    limbs = limbs_of_points(many.points, many.normals)
    found: list[BentShape] = []
    for rank, (name, start) in enumerate({"": code, **_training_codes(space, few)}.items()):
        laid_on = None if rank == 0 else limbs
        at_rest = rank <= NUM_AT_REST
        found += _rough(space, name, start, few, lines, limbs=laid_on, at_rest=at_rest)
        on_step()
    if not found:
        return None
    first, *others = sorted(found, key=_cost)
    best = _finer(space, first, many, lines, on_step)
    if others and _tear(best, target.size) > TORN:
        other = _finer(space, others[0], many, lines)
        best = min(best, other, key=lambda shape: _tear(shape, target.size))
    return best


def _finer(
    space: TrainedSpace,
    shape: BentShape,
    target: Target,
    lines: Sightlines | None,
    on_step: Callable[[], object] = lambda: None,
) -> BentShape:
    """A bent shape with more and more nodes; it stays as it is if its code has no finer mesh."""
    mesh = _mesh(space, shape.code, RESOLUTION)
    if mesh is None:
        return shape
    for spacing, stages in zip(FINE_SPACINGS, FINE_STAGES, strict=True):
        graph = deformation_graph(mesh, spacing * target.size)
        nearest = np.asarray(KDTree(shape.graph.vertices).query(graph.nodes)[1])
        motion = transferred(shape.motion, shape.graph, graph, nearest)
        motion = bend(graph, motion, target, stages, num_vertices=MANY_POINTS)
        shape = _measured(shape.start, shape.code, graph, motion, target=target, lines=lines)
        on_step()
    return shape


def _tear(shape: BentShape, size: float) -> float:
    """The largest stretch between two nodes, as a share of the size."""
    stretch = shape.graph.stretch(shape.motion)
    return float(np.linalg.norm(stretch, axis=1).max(initial=0)) / size


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
    *,
    limbs: Limbs | None,
    at_rest: bool,
) -> Iterator[BentShape]:
    """One code bent with few nodes, as it is and from the limbs of the scan; none without one."""
    mesh = _mesh(space, code, COARSE_RESOLUTION)
    if mesh is None:
        return
    graph = deformation_graph(mesh, COARSE_SPACING * target.size)
    starts = [(graph.at_rest(), COARSE_STAGES)] if at_rest else []
    if limbs is not None:
        starts += [(laid(graph, limbs_of_mesh(mesh), limbs, target.size), LAID_STAGES)]
    for start, stages in starts:
        motion = bend(graph, start, target, stages, num_vertices=FEW_POINTS)
        yield _measured(name, code, graph, motion, target=target, lines=lines)


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
