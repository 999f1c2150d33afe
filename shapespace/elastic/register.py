"""Bending a shape onto a scan: non-rigid iterative closest points on a deformation graph.

Minimised over the rigid motions of the nodes, by Gauss and Newton:

    mean over pairs (x, v) of weight ((n . (x - v'))^2 + POINT |x - v'|^2)
    + stiffness * mean over edges of |stretch|^2

x is a point of the scan with its normal n, v' the bent vertex nearest to it. The pairs are found
anew at each step, from the scan to the shape and from the shape to the scan. A far pair counts
little (Geman and McClure 1987), so that clutter and missing parts do not pull. The second term
keeps the motion near rigid (Sorkine and Alexa, As-rigid-as-possible surface modeling, 2007). Stages
go from stiff to soft (Amberg, Romdhani and Vetter, Optimal step nonrigid ICP algorithms, 2007).

Letters: V vertices, J nodes, N points, M pairs, K nodes that move one vertex, U unknowns.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int
from scipy.sparse import csr_array, eye_array
from scipy.sparse.linalg import spsolve
from scipy.spatial import KDTree
from scipy.spatial.transform import Rotation

from shapespace.elastic.graph import DeformationGraph, Motion

POINT = 0.05
"""Weight of the distance along the surface against that across it: surfaces may slide."""
TURN = 0.1
"""Distance, as a share of the size, that two opposite normals are worth when pairs are found."""
LEAST_COSINE = 0.3
"""Cosine between the normals of a pair below which the pair does not count."""
SLIDE = 0.04
"""Distance along the surface, as a share of the size, beyond which a vertex has no point of the
scan: this part of the shape was not seen."""
SMALL_STEP = 1e-3
"""Longest shift, as a share of the size, of a step that ends a stage."""


class BendStage(NamedTuple):
    """One stage of the bending.

    Args:
        stiffness: weight of the stretch of the graph.
        reach: distance of a pair, as a share of the size, at which it counts a quarter.
        steps: steps at most.
    """

    stiffness: float
    reach: float
    steps: int


class Target(NamedTuple):
    """The points that a shape is bent onto.

    Args:
        points: points of the scan.
        normals: outward unit normals; None where their direction is not known.
        size: size of the shape, the unit of all lengths of the stages.
    """

    points: Float[np.ndarray, "N 3"]
    normals: Float[np.ndarray, "N 3"] | None
    size: float


class Matches(NamedTuple):
    """Pairs of a vertex and the place where it should be.

    Args:
        vertex: the vertices.
        place: point of the scan.
        normal: direction across the surface.
        weight: weight of each pair; the weights of one direction sum to at most 1.
    """

    vertex: Int[np.ndarray, " M"]
    place: Float[np.ndarray, "M 3"]
    normal: Float[np.ndarray, "M 3"]
    weight: Float[np.ndarray, " M"]


def bend(
    graph: DeformationGraph,
    motion: Motion,
    target: Target,
    stages: Sequence[BendStage],
    num_vertices: int = 4000,
    seed: int = 0,
) -> Motion:
    """Bend a shape onto the points of a scan.

    Args:
        graph: the shape, near the points.
        motion: motion to begin with.
        target: the points.
        stages: the stages, one after the other.
        num_vertices: vertices, at most, that look for a point of the scan.
        seed: seed of the choice of these vertices.

    Returns:
        The motion of the nodes.
    """
    if not len(target.points):
        return motion
    some = np.random.default_rng(seed).permutation(len(graph.vertices))[:num_vertices]
    to_scan = _tree(target.points, target.normals, target.size)
    for stage in stages:
        for _ in range(stage.steps):
            pairs = _pairs(graph, motion, target, some, to_scan=to_scan, reach=stage.reach)
            motion, longest = _stepped(graph, motion, pairs, stage.stiffness)
            if longest < SMALL_STEP * target.size:
                break
    return motion


def pulled(
    graph: DeformationGraph,
    motion: Motion,
    places: Float[np.ndarray, "V 3"],
    weight: Float[np.ndarray, " V"],
    *,
    stiffness: float,
    steps: int,
) -> Motion:
    """Pull each vertex of a shape to a place that is known.

    Args:
        graph: the shape.
        motion: motion to begin with.
        places: where each vertex should be.
        weight: weight of each vertex.
        stiffness: weight of the stretch of the graph.
        steps: steps of Gauss and Newton.
    """
    count = len(places)
    # No direction is across the surface: all three count alike, and in full.
    pairs = Matches(np.arange(count), places, np.zeros((count, 3)), weight / (POINT * count))
    for _ in range(steps):
        motion, _ = _stepped(graph, motion, pairs, stiffness)
    return motion


def _stepped(
    graph: DeformationGraph, motion: Motion, pairs: Matches, stiffness: float
) -> tuple[Motion, float]:
    """The motion after one step, and the longest shift of the step."""
    step = _step(graph, motion, pairs, stiffness)
    turn = Rotation.from_rotvec(step[:, :3]).as_matrix()
    return Motion(turn @ motion.rotation, motion.shift + step[:, 3:]), float(
        np.abs(step[:, 3:]).max()
    )


def _pairs(
    graph: DeformationGraph,
    motion: Motion,
    target: Target,
    some: Int[np.ndarray, " S"],
    *,
    to_scan: KDTree,
    reach: float,
) -> Matches:
    """Pairs of each point and its nearest vertex, and of some vertices and their nearest point."""
    vertices = graph.bent(motion)
    directions = graph.bent_normals(motion)
    known = directions if target.normals is not None else None
    wanted = _keys(target.points, target.normals, target.size)
    nearest = np.asarray(_tree(vertices, known, target.size).query(wanted)[1])
    wanted = _keys(vertices[some], None if known is None else known[some], target.size)
    back = np.asarray(to_scan.query(wanted)[1])
    vertex = np.concatenate([nearest, some])
    place = np.concatenate([target.points, target.points[back]])
    # Without normals of the scan the shape tells which way is across.
    normal = directions[vertex]
    alike = np.ones(len(vertex), bool)
    if target.normals is not None:
        normal = np.concatenate([target.normals, target.normals[back]])
        alike = (normal * directions[vertex]).sum(1) > LEAST_COSINE
    offset = place - vertices[vertex]
    across = (offset * normal).sum(1)
    squared = (offset**2).sum(1)
    weight = alike / (1 + squared / (reach * target.size) ** 2) ** 2
    # A vertex whose nearest point is far to the side lies over a hole of the scan.
    slid = squared - across**2 > (SLIDE * target.size) ** 2
    weight[len(nearest) :][slid[len(nearest) :]] = 0
    weight[: len(nearest)] /= len(nearest)
    weight[len(nearest) :] /= max(len(some), 1)
    return Matches(vertex=vertex, place=place, normal=normal, weight=weight)


def _keys(
    points: Float[np.ndarray, "N 3"], normals: Float[np.ndarray, "N 3"] | None, size: float
) -> np.ndarray:
    """Points and, if known, their normals as coordinates in which pairs are near."""
    return points if normals is None else np.hstack([points, 0.5 * TURN * size * normals])


def _tree(
    points: Float[np.ndarray, "N 3"], normals: Float[np.ndarray, "N 3"] | None, size: float
) -> KDTree:
    """A search tree of points and normals."""
    return KDTree(_keys(points, normals, size))


def _step(
    graph: DeformationGraph, motion: Motion, pairs: Matches, stiffness: float
) -> Float[np.ndarray, "J 6"]:
    """One step of Gauss and Newton: turn vector and shift of each node."""
    data, wanted = _data_rows(graph, motion, pairs)
    smooth, stretched = _stretch_rows(graph, motion, stiffness)
    unknowns = 6 * len(graph.nodes)
    # The last term makes the system regular where a node has no pair and no neighbour.
    least = 1e-9 * eye_array(unknowns)
    hessian = data.T @ data + smooth.T @ smooth + least
    slope = data.T @ wanted + smooth.T @ stretched
    return np.asarray(spsolve(hessian.tocsc(), slope)).reshape(-1, 6)


def _data_rows(
    graph: DeformationGraph, motion: Motion, pairs: Matches
) -> tuple[csr_array, Float[np.ndarray, " R"]]:
    """The equations of the pairs: one across the surface, three for the distance itself."""
    index = graph.movers[pairs.vertex]
    weight = graph.weight[pairs.vertex]
    at_rest = graph.vertices[pairs.vertex]
    turned = np.einsum(
        "mkij,mkj->mki", motion.rotation[index], at_rest[:, None] - graph.nodes[index]
    )
    node = graph.nodes[index] + motion.shift[index]
    moved = (weight[..., None] * (turned + node)).sum(1)
    columns = (6 * index[:, :, None] + np.arange(6)).reshape(len(index), -1)
    offset = pairs.place - moved
    axes = np.broadcast_to(np.eye(3), (len(index), 3, 3)).swapaxes(0, 1)
    rows, wanted = [], []
    for direction, share in [(pairs.normal, 1.0), *((axis, POINT) for axis in axes)]:
        scale = np.sqrt(share * pairs.weight)
        # A turn w of a node moves the vertex by w x arm, and d . (w x arm) = w . (arm x d).
        turn = np.cross(turned, direction[:, None])
        shift = np.broadcast_to(direction[:, None], turn.shape)
        row = np.concatenate([turn, shift], axis=2) * (weight * scale[:, None])[..., None]
        rows.append(row.reshape(len(index), -1))
        wanted.append(scale * (offset * direction).sum(1))
    values = np.concatenate(rows)
    columns = np.tile(columns, (len(rows), 1))
    ends = np.arange(0, values.size + 1, values.shape[1])
    shape = (len(values), 6 * len(graph.nodes))
    return csr_array((values.ravel(), columns.ravel(), ends), shape), np.concatenate(wanted)


def _stretch_rows(
    graph: DeformationGraph, motion: Motion, stiffness: float
) -> tuple[csr_array, Float[np.ndarray, " R"]]:
    """The equations that keep each node where its neighbour's motion takes it."""
    one, other = graph.edges.T
    count = len(graph.edges)
    scale = np.sqrt(stiffness / max(count, 1))
    arm = np.einsum("nij,nj->ni", motion.rotation[one], graph.nodes[other] - graph.nodes[one])
    # The matrix of w -> w x arm.
    cross = np.zeros((count, 3, 3))
    cross[:, [0, 1, 2], [1, 2, 0]] = arm[:, [2, 0, 1]]
    cross[:, [1, 2, 0], [0, 1, 2]] = -arm[:, [2, 0, 1]]
    eye = np.broadcast_to(np.eye(3), (count, 3, 3))
    values = scale * np.concatenate([cross, eye, -eye], axis=2)
    axes = np.arange(3)
    columns = np.concatenate(
        [6 * one[:, None] + axes, 6 * one[:, None] + 3 + axes, 6 * other[:, None] + 3 + axes],
        axis=1,
    )
    columns = np.repeat(columns[:, None], 3, axis=1)
    ends = np.arange(0, values.size + 1, 9)
    matrix = csr_array((values.ravel(), columns.ravel(), ends), (3 * count, 6 * len(graph.nodes)))
    return matrix, -scale * graph.stretch(motion).ravel()
