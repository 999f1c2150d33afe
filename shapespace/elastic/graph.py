"""Embedded deformation: a mesh that bends with the rigid motions of a few hundred of its places.

Each node of the graph has a rotation R and a shift t. A vertex v near the nodes g moves to

    sum over nodes of w (R (v - g) + g + t),

with weights w that fall with the distance along the surface. A hand at the hip does not move the
hip, although it is near in space (Sumner, Schmid and Pauly, Embedded deformation for shape
manipulation, ACM Transactions on Graphics 26(3), 2007).

Letters: V vertices, F faces, J nodes, E edges between nodes, K nodes that move one vertex, N
points.
"""

from typing import NamedTuple

import numpy as np
import trimesh
from jaxtyping import Float, Int
from scipy.sparse.csgraph import dijkstra

from shapespace.geometry.components import edge_lengths

NEIGHBOURS = 3
"""Nodes that move a vertex."""
REACH = 3.0
"""Distance along the surface at which a node has no influence, in units of the spacing."""


class Motion(NamedTuple):
    """The rigid motion of each node.

    Args:
        rotation: rotation about the node.
        shift: shift of the node.
    """

    rotation: Float[np.ndarray, "J 3 3"]
    shift: Float[np.ndarray, "J 3"]


class DeformationGraph(NamedTuple):
    """A mesh at rest, its nodes, and the influence of the nodes on the vertices.

    Args:
        vertices: the mesh at rest.
        normals: outward unit normals of the vertices at rest.
        faces: the triangles.
        nodes: positions of the nodes at rest; each is a vertex.
        movers: nodes that move each vertex.
        weight: their weights, which sum to 1.
        edges: pairs of nodes that move a common vertex, each in both orders.
    """

    vertices: Float[np.ndarray, "V 3"]
    normals: Float[np.ndarray, "V 3"]
    faces: Int[np.ndarray, "F 3"]
    nodes: Float[np.ndarray, "J 3"]
    movers: Int[np.ndarray, "V K"]
    weight: Float[np.ndarray, "V K"]
    edges: Int[np.ndarray, "E 2"]

    def at_rest(self) -> Motion:
        """The motion that moves nothing."""
        count = len(self.nodes)
        return Motion(np.tile(np.eye(3), (count, 1, 1)), np.zeros((count, 3)))

    def bent(self, motion: Motion) -> Float[np.ndarray, "V 3"]:
        """The vertices after a motion."""
        moved = np.zeros_like(self.vertices)
        for index, weight in zip(self.movers.T, self.weight.T, strict=True):
            arm = self.vertices - self.nodes[index]
            turned = _turned(motion.rotation[index], arm)
            moved += weight[:, None] * (turned + self.nodes[index] + motion.shift[index])
        return moved

    def bent_normals(self, motion: Motion) -> Float[np.ndarray, "V 3"]:
        """The normals after a motion, each turned by the mean of the rotations at its vertex."""
        turned = _turned(self.mean_rotation(motion), self.normals)
        return turned / np.maximum(np.linalg.norm(turned, axis=1, keepdims=True), 1e-12)

    def mean_rotation(self, motion: Motion) -> Float[np.ndarray, "V 3 3"]:
        """The weighted mean of the rotations at each vertex; nearly a rotation."""
        total = np.zeros((len(self.vertices), 3, 3))
        for index, weight in zip(self.movers.T, self.weight.T, strict=True):
            total += weight[:, None, None] * motion.rotation[index]
        return total

    def straightened(
        self, motion: Motion, points: Float[np.ndarray, "N 3"], nearest: Int[np.ndarray, " N"]
    ) -> Float[np.ndarray, "N 3"]:
        """Take points near the bent mesh back to where they are near the mesh at rest.

        Each node of the nearest vertex takes the point back by its own rigid motion; the result is
        the weighted mean. This is the inverse of :meth:`bent` where the nodes move alike, and close
        to it where the bending is smooth.

        Args:
            motion: motion of the nodes.
            points: points near the bent mesh.
            nearest: the bent vertex that is nearest to each point.
        """
        back = np.zeros_like(points)
        for index, weight in zip(self.movers[nearest].T, self.weight[nearest].T, strict=True):
            arm = points - self.nodes[index] - motion.shift[index]
            turned = _turned(motion.rotation[index].swapaxes(1, 2), arm)
            back += weight[:, None] * (turned + self.nodes[index])
        return back

    def stretch(self, motion: Motion) -> Float[np.ndarray, "E 3"]:
        """By how much each node misses the place where its neighbour's motion would take it.

        All rows are zero if, and only if, connected nodes move as one rigid body.
        """
        one, other = self.edges.T
        arm = _turned(motion.rotation[one], self.nodes[other] - self.nodes[one])
        place = self.nodes[one] + motion.shift[one] + arm
        return place - self.nodes[other] - motion.shift[other]


def deformation_graph(mesh: trimesh.Trimesh, spacing: float) -> DeformationGraph:
    """Cover a mesh with nodes, no place farther than ``spacing`` from one along the surface.

    Args:
        mesh: a mesh with at least one face. Parts that are not connected get nodes of their own.
        spacing: distance of the nodes, in the unit of the mesh.
    """
    vertices = np.array(mesh.vertices, np.float64)
    links = edge_lengths(mesh)
    rows, nodes = [], []
    gap = np.full(len(vertices), np.inf)
    while gap.max() > spacing:
        nodes.append(int(gap.argmax()))
        rows.append(dijkstra(links, indices=nodes[-1], limit=REACH * spacing))
        gap = np.minimum(gap, rows[-1])
    distance = np.minimum(np.stack(rows), REACH * spacing)
    index, weight = _influence(distance)
    return DeformationGraph(
        vertices=vertices,
        normals=np.array(mesh.vertex_normals, np.float64),
        faces=np.array(mesh.faces, np.int64),
        nodes=vertices[nodes],
        movers=index,
        weight=weight,
        edges=_edges(index, weight),
    )


def transferred(
    motion: Motion, graph: DeformationGraph, other: DeformationGraph, nearest: Int[np.ndarray, " J"]
) -> Motion:
    """The motion of another graph of the same shape, such as one with more nodes.

    Args:
        motion: motion of the nodes of ``graph``.
        graph: the graph that was bent.
        other: the graph whose motion is wanted.
        nearest: the vertex of ``graph`` that is nearest to each node of ``other``, at rest.
    """
    # The nearest rotation to the mean of rotations (Kabsch 1976).
    left, _, right = np.linalg.svd(graph.mean_rotation(motion)[nearest])
    rotation = left @ right
    arm = other.nodes - graph.vertices[nearest]
    place = graph.bent(motion)[nearest] + _turned(rotation, arm)
    return Motion(rotation, place - other.nodes)


def _influence(
    distance: Float[np.ndarray, "J V"],
) -> tuple[Int[np.ndarray, "V K"], Float[np.ndarray, "V K"]]:
    """The nearest nodes of each vertex, and weights that fall to zero at the next node."""
    count = min(NEIGHBOURS + 1, len(distance))
    order = np.argsort(distance, axis=0)[:count].T
    near = np.take_along_axis(distance.T, order, axis=1)
    if count == 1:
        return order, np.ones(order.shape)
    # Where the next node takes over, its weight begins at zero: the bending has no step there.
    weight = np.maximum(0, 1 - near[:, :-1] / np.maximum(near[:, -1:], 1e-12)) ** 2
    weight[:, 0] = np.maximum(weight[:, 0], 1e-6)
    return order[:, :-1], weight / weight.sum(1, keepdims=True)


def _edges(index: Int[np.ndarray, "V K"], weight: Float[np.ndarray, "V K"]) -> np.ndarray:
    """All pairs of nodes that move a common vertex, in both orders."""
    size = index.max() + 1
    keys = [
        (index[:, a] * size + index[:, b])[(weight[:, a] > 1e-3) & (weight[:, b] > 1e-3)]
        for a in range(index.shape[1])
        for b in range(index.shape[1])
        if a != b
    ]
    key = np.unique(np.concatenate(keys)) if keys else np.zeros(0, np.int64)
    return np.stack([key // size, key % size], axis=1)


def _turned(rotation: Float[np.ndarray, "N 3 3"], arm: Float[np.ndarray, "N 3"]) -> np.ndarray:
    """Each vector turned by its own rotation."""
    return np.einsum("nij,nj->ni", rotation, arm)
