"""A first bending by limbs: the extremities of a shape are laid on those of a scan.

Iterative closest points does not find an arm that hangs in the shape and is raised in the scan.
Distances along the surface hardly change with the pose (Elad and Kimmel, On bending invariant
signatures for surfaces, 2003). The tips of both surfaces are the places farthest along the surface
from the centre and from each other. They are matched by their distances. Then places of equal
distances from all tips belong together: they form rings around the limbs, and each node of the
shape is moved so that the centre of its ring comes to the centre of that ring of the scan.

Letters: N points, T tips, J nodes, R places whose rings are wanted, E edges between nodes.
"""

import itertools
from typing import NamedTuple

import numpy as np
import trimesh
from jaxtyping import Float, Int
from scipy.sparse import coo_array, csr_array
from scipy.sparse.csgraph import connected_components, dijkstra
from scipy.spatial import KDTree

from shapespace.elastic.graph import DeformationGraph, Motion
from shapespace.elastic.register import pulled
from shapespace.geometry.components import edge_lengths

NUM_TIPS = 5
"""A body has a head, two hands and two feet. Of another shape any five far places are taken."""
NEIGHBOURS = 8
"""Neighbours of a point along the surface of a scan."""
LONGEST = 3.0
"""An edge between points is at most so many usual edges long."""
LEAST_PART = 0.01
"""Share of the points below which a part of a scan that stands alone is left out."""
MOST_PLACES = 2000
"""Places of each surface that make the rings."""
NUM_MATCHINGS = 12
"""Matchings of the tips whose rings are compared; those of the most similar distances."""
WIDTH = 0.08
"""Width of a ring, as a share of the size."""
FARTHEST = 0.5
"""Distance, as a share of the size, beyond which two rings count alike however far they are."""
UNLIKE = 0.15
"""Difference of the distances from the tips, as a share of the size, at which a ring counts 1/e."""
TURN_ROUNDS = 30
TURN_SMOOTHNESS = 0.3
"""Weight of the rotations of the neighbours against that of their positions."""
STIFFNESSES = (3.0, 0.3)
"""Stiffness of the graph while the rings are pulled together."""
STEPS = 6


class Limbs(NamedTuple):
    """The tips of a surface, and how far its places are from them along the surface.

    Args:
        points: places of the surface, of one connected part.
        tips: rows of the tips.
        distance: of each place from each tip, along the surface.
    """

    points: Float[np.ndarray, "N 3"]
    tips: Int[np.ndarray, " T"]
    distance: Float[np.ndarray, "T N"]


def limbs_of_points(
    points: Float[np.ndarray, "N 3"], normals: Float[np.ndarray, "N 3"] | None
) -> Limbs:
    """The limbs of a scan.

    Neighbouring points are connected, unless their normals are opposite: a hand at the hip is not.
    Parts that a gap divides are joined by their shortest link.

    Args:
        points: of the scan, evenly sampled, at least two different ones.
        normals: outward unit normals; None where they are not known.
    """
    count = min(NEIGHBOURS, len(points) - 1)
    found, rows = KDTree(points).query(points, count + 1)
    one = np.repeat(np.arange(len(points)), count)
    length, other = found[:, 1:].ravel(), np.asarray(rows)[:, 1:].ravel()
    used = length <= LONGEST * np.median(length)
    if normals is not None:
        used &= (normals[one] * normals[other]).sum(1) > 0
    pairs = np.stack([one[used], other[used]], axis=1)
    return _limbs(points, _joined(points, pairs))


def limbs_of_mesh(mesh: trimesh.Trimesh) -> Limbs:
    """The limbs of the largest part of a mesh with at least one face."""
    return _limbs(np.asarray(mesh.vertices, np.float64), edge_lengths(mesh))


def laid(graph: DeformationGraph, shape: Limbs, scan: Limbs, size: float) -> Motion:
    """Move the limbs of a shape to those of a scan.

    Args:
        graph: the shape.
        shape: its limbs.
        scan: limbs of the scan, in the same frame and of about the same directions.
        size: size of the scan, the unit of all lengths.
    """
    at = KDTree(shape.points).query(graph.nodes)[1]
    wanted = shape.distance[:, at]
    own = _rings(wanted, shape, WIDTH * size)[0]
    best = np.inf
    centre, weight = own, np.zeros(len(own))
    for unlike, matched in _matchings(shape, scan, size):
        place, off = _rings(wanted, matched, WIDTH * size)
        apart = np.linalg.norm(place - own, axis=1) / size
        # A body that is taken for its mirror image has all of it far off, not only its limbs.
        cost = unlike + np.minimum(apart, FARTHEST).mean()
        if cost < best:
            best, centre = cost, place
            weight = np.exp(-((off / (UNLIKE * size)) ** 2))
    motion = _turned_alike(graph, own, centre, weight)
    # A node moves the centre of its ring alone.
    rings = graph._replace(
        vertices=own, movers=np.arange(len(own))[:, None], weight=np.ones((len(own), 1))
    )
    for stiffness in STIFFNESSES:
        motion = pulled(rings, motion, centre, weight, stiffness=stiffness, steps=STEPS)
    return motion


def _joined(points: Float[np.ndarray, "N 3"], pairs: Int[np.ndarray, "E 2"]) -> csr_array:
    """Lengths of the edges between points, with the shortest links that join large parts."""
    count = len(points)
    while True:
        pairs = np.unique(np.sort(pairs, axis=1), axis=0)
        one, other = np.concatenate([pairs, pairs[:, ::-1]]).T
        length = np.linalg.norm(points[one] - points[other], axis=1)
        links = coo_array((np.maximum(length, 1e-12), (one, other)), (count, count)).tocsr()
        label = connected_components(links, directed=False)[1]
        size = np.bincount(label)
        inside = label == size.argmax()
        outside = np.flatnonzero(~inside & (size[label] >= LEAST_PART * count))
        if not len(outside):
            return links
        inside = np.flatnonzero(inside)
        gap, row = KDTree(points[inside]).query(points[outside])
        nearest = gap.argmin()
        link = [outside[nearest], inside[np.asarray(row)[nearest]]]
        pairs = np.concatenate([pairs, [link]])


def _limbs(points: Float[np.ndarray, "N 3"], links: csr_array) -> Limbs:
    """The limbs of the largest connected part."""
    label = connected_components(links, directed=False)[1]
    inside = np.flatnonzero(label == np.bincount(label).argmax())
    points, links = points[inside], links[inside][:, inside]
    # The places farthest from each other surround the centre.
    around = [dijkstra(links, indices=int(dijkstra(links, indices=0).argmax()))]
    while len(around) < NUM_TIPS - 1:
        around.append(dijkstra(links, indices=int(np.min(around, axis=0).argmax())))
    near = dijkstra(links, indices=int(np.max(around, axis=0).argmin()))
    tips, distance = [], []
    while len(tips) < NUM_TIPS:
        tips.append(int(near.argmax()))
        distance.append(dijkstra(links, indices=tips[-1]))
        near = np.minimum(near, distance[-1])
    return Limbs(points, np.array(tips), np.stack(distance))


def _matchings(shape: Limbs, scan: Limbs, size: float) -> list[tuple[float, Limbs]]:
    """The best matchings: how unlike the distances between the tips are, and the scan's limbs.

    The tips of these are in the order of the shape's, and its distances have the shape's scale.
    """
    one, other = np.triu_indices(NUM_TIPS, 1)
    own = shape.distance[:, shape.tips][one, other]
    between = scan.distance[:, scan.tips]
    found = []
    for order in itertools.permutations(range(NUM_TIPS)):
        seen = between[np.array(order)[one], np.array(order)[other]]
        scale = own.sum() / max(seen.sum(), 1e-12)
        found.append((np.abs(scale * seen - own).mean() / size, scale, list(order)))
    found.sort()
    return [
        (float(unlike), Limbs(scan.points, scan.tips[order], scale * scan.distance[order]))
        for unlike, scale, order in found[:NUM_MATCHINGS]
    ]


def _rings(
    wanted: Float[np.ndarray, "T R"], limbs: Limbs, width: float
) -> tuple[Float[np.ndarray, "R 3"], Float[np.ndarray, " R"]]:
    """The centre of the places at given distances from the tips, and by how much they miss them."""
    every = -(-len(limbs.points) // MOST_PLACES)
    distance = limbs.distance[:, ::every]
    # The mean, not its square: a hand at the hip shortens the way from one tip to all of the body.
    off = np.zeros((wanted.shape[1], distance.shape[1]))
    for mine, row in zip(wanted, distance, strict=True):
        off += np.abs(mine[:, None] - row) / len(distance)
    least = off.min(1)
    share = np.exp(-(off**2 - least[:, None] ** 2) / (2 * width**2))
    return (share / share.sum(1, keepdims=True)) @ limbs.points[::every], least


def _turned_alike(
    graph: DeformationGraph,
    own: Float[np.ndarray, "J 3"],
    centre: Float[np.ndarray, "J 3"],
    weight: Float[np.ndarray, " J"],
) -> Motion:
    """Rotations that turn the lines between rings into those of the scan, and neighbours alike."""
    one, other = graph.edges.T
    arm, wanted = own[other] - own[one], centre[other] - centre[one]
    count = len(own)
    rotation = np.tile(np.eye(3), (count, 1, 1))
    if len(graph.edges):
        share = weight[one] * weight[other] / max(float(np.median((arm**2).sum(1))), 1e-12)
        lines = np.zeros((count, 3, 3))
        np.add.at(lines, one, np.einsum("n,na,nb->nab", share, wanted, arm))
        for _ in range(TURN_ROUNDS):
            alike = np.zeros((count, 3, 3))
            np.add.at(alike, one, rotation[other])
            # The nearest rotation (Kabsch 1976). Along a limb the lines leave its twist open; the
            # neighbours decide that.
            left, _, right = np.linalg.svd(lines + TURN_SMOOTHNESS * alike)
            left[:, :, 2] *= np.linalg.det(left @ right)[:, None]
            rotation = left @ right
    moved = np.einsum("nij,nj->ni", rotation, own - graph.nodes) + graph.nodes
    return Motion(rotation, centre - moved)
