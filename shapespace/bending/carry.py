"""One mesh carried along a path of codes, so that all shapes of a walk share its faces.

The vertices follow the least strained motion of the zero set (:mod:`shapespace.bending.energy`),
which is found on few of them and passed on by their local rigid motions. A step is one of the
midpoint rule (Runge and Kutta, second order). After it

1. Newton's method puts each vertex on the zero set;
2. one local and global step keeps the edges as they were at rest but for rotations (Sorkine and
   Alexa 2007), and Newton's method follows again;
3. where a triangle has turned over, its surroundings are smoothed.

Frame and unit: those of the field. Letters: V vertices, F faces, T shapes of a walk, n nodes,
K nodes that move a vertex, L code length.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import trimesh
from jaxtyping import Bool, Float, Int
from scipy.sparse import coo_array, csr_array, diags_array
from scipy.sparse.linalg import splu
from scipy.spatial import KDTree
from torch import Tensor

from shapespace.bending.energy import completed
from shapespace.bending.samples import ZeroSamples, derivatives, normal_velocity, size_of
from shapespace.bending.strain import LEAST_COSINE
from shapespace.decoders.base import Field
from shapespace.geometry.spread import farthest_point_sample
from shapespace.surface.projection import outward_normals, project

NODES = 800
"""Vertices at which the velocity is found."""
MOVERS = 4
"""Nodes that move a vertex."""
LONGEST_STEP = 0.05
"""Longest way of a node in a step, in units of the shape's size."""
MOST_STEPS = 32
"""Steps from one shape to the next, at most."""
FASTEST = 10.0
"""Normal velocities are cut at so many times their root mean square: |grad f| may be tiny."""
PULL = 1.0
"""Weight of the place of a vertex against that of an edge in the local and global step."""
SMOOTHINGS = 30
"""Rounds of smoothing, at most, where triangles have turned over."""
ROUNDS_AT_START = 10
"""Rounds of smoothing of the mesh at the start: marching cubes make thin triangles."""

CodeAt = Callable[[float], Tensor]
"""The code at a time of a walk."""


@dataclass(frozen=True)
class CarriedShape:
    """The mesh at one shape of a walk.

    Args:
        vertices: of the mesh, in the field's frame.
        distance: |f| / |grad f| at each vertex, about its distance to the zero set.
        flipped: faces whose normal points inward.
    """

    vertices: Float[np.ndarray, "V 3"]
    distance: Float[np.ndarray, " V"]
    flipped: int


def carry(
    field: Field, code_at: CodeAt, mesh: trimesh.Trimesh, times: Sequence[float]
) -> list[CarriedShape]:
    """Carry a mesh along a path of codes.

    Args:
        field: the field, positive outside, D = 3.
        code_at: the code at a time.
        mesh: the zero set at the first time, in the field's frame; its vertices are smoothed along
            the surface first. An empty mesh stays empty.
        times: of the shapes, rising.

    Returns:
        The mesh at each time. All have the faces of ``mesh``.
    """
    if not len(mesh.faces):
        nothing = CarriedShape(np.zeros((0, 3)), np.zeros(0), 0)
        return [nothing] * len(times)
    start = _smoothed(field, code_at(times[0]), np.asarray(mesh.vertices, np.float64), mesh.faces)
    faces = np.asarray(mesh.faces, np.int64)
    carrier = _Carrier(field, code_at, start, faces, code=code_at(times[0]))
    shapes = [carrier.shape(times[0])]
    for first, last in pairwise(times):
        carrier.move(first, last)
        shapes.append(carrier.shape(last))
    return shapes


class _Carrier:
    """A mesh on its way.

    Args:
        field: the field.
        code_at: the code at a time.
        vertices: at the start, on the zero set.
        faces: the triangles.
        code: at the start.
    """

    def __init__(
        self,
        field: Field,
        code_at: CodeAt,
        vertices: Float[np.ndarray, "V 3"],
        faces: Int[np.ndarray, "F 3"],
        code: Tensor,
    ) -> None:
        self.field = field
        self.code_at = code_at
        self.vertices = vertices
        self.faces = faces
        self.size = size_of(vertices)
        self.nodes = np.array(farthest_point_sample(vertices, NODES))
        normals = outward_normals(field, code, vertices)
        self.movers, self.weight = _movers(vertices, normals, self.nodes)
        self.shape_keeper = _ShapeKeeper(vertices, faces)

    def shape(self, time: float) -> CarriedShape:
        """The mesh as it is now, at a time."""
        value, gradient, _ = derivatives(self.field, self.code_at(time), self.vertices)
        slope = np.linalg.norm(gradient, axis=1)
        distance = np.divide(np.abs(value), slope, out=np.abs(value), where=slope > 0)
        flipped = int(turned_over(self.vertices, self.faces, gradient).sum())
        return CarriedShape(self.vertices.copy(), distance, flipped)

    def move(self, first: float, last: float) -> None:
        """Carry the mesh from one time to a later one."""
        time, least = first, (last - first) / MOST_STEPS
        while last - time > 1e-9 * (last - first):
            direction = self._direction(time, last, least)
            velocity, fastest = self._velocity(self.vertices, self.code_at(time), direction)
            longest = LONGEST_STEP * self.size / max(fastest, 1e-12)
            step = min(max(longest, least), last - time)
            half = self.vertices + 0.5 * step * velocity
            middle = self.code_at(time + 0.5 * step)
            direction = self._direction(time + 0.5 * step, last, least)
            velocity, _ = self._velocity(self._projected(half, middle, 1), middle, direction)
            time = last if step == last - time else time + step
            code = self.code_at(time)
            moved = self._projected(self.vertices + step * velocity, code, 2)
            moved = self._projected(self.shape_keeper(moved), code, 2)
            self.vertices = _unfolded(self.field, code, moved, self.faces)

    def _direction(self, time: float, last: float, span: float) -> Tensor:
        """The change of the code in a unit of time, over a short span before ``last``."""
        begin = min(time, last - span)
        return (self.code_at(begin + span) - self.code_at(begin)) / span

    def _projected(
        self, vertices: Float[np.ndarray, "V 3"], code: Tensor, steps: int
    ) -> Float[np.ndarray, "V 3"]:
        """The vertices moved towards the zero set."""
        reach = LONGEST_STEP * self.size
        return project(self.field, code, points=vertices, steps=steps, reach=reach)

    def _velocity(
        self, vertices: Float[np.ndarray, "V 3"], code: Tensor, direction: Tensor
    ) -> tuple[Float[np.ndarray, "V 3"], float]:
        """The velocity of each vertex, and the largest speed of a node."""
        points = vertices[self.nodes]
        speed = normal_velocity(self.field, code, direction, points)
        most = FASTEST * np.sqrt(np.square(speed).mean())
        normals = outward_normals(self.field, code, points)
        found = completed(ZeroSamples(points, normals), np.clip(speed, -most, most))
        turn = found.graph.rotation_rate(found.velocity)
        velocity = np.zeros_like(vertices)
        for mover, weight in zip(self.movers.T, self.weight.T, strict=True):
            arm = vertices - points[mover]
            velocity += weight[:, None] * (found.velocity[mover] + np.cross(turn[mover], arm))
        return velocity, float(np.linalg.norm(found.velocity, axis=1).max(initial=0.0))


class _ShapeKeeper:
    """One local and global step towards a mesh at rest, turned as it may be.

    Args:
        vertices: at rest.
        faces: the triangles.
    """

    def __init__(self, vertices: Float[np.ndarray, "V 3"], faces: Int[np.ndarray, "F 3"]) -> None:
        self.links = _links(faces, len(vertices))
        self.one, self.other = self.links.tocoo().coords
        self.rest = vertices[self.other] - vertices[self.one]
        degree = np.asarray(self.links.sum(axis=1)).ravel()
        self.factor = splu((diags_array(degree + PULL) - self.links).tocsc())

    def __call__(self, vertices: Float[np.ndarray, "V 3"]) -> Float[np.ndarray, "V 3"]:
        """The vertices after the step."""
        edges = vertices[self.other] - vertices[self.one]
        count = len(vertices)
        products = self.rest[:, :, None] * edges[:, None, :]
        total = np.zeros((count, 3, 3))
        np.add.at(total, self.one, products)
        left, _, right = np.linalg.svd(total)
        # The nearest rotation, of determinant 1 (Kabsch 1976).
        sign = np.sign(np.linalg.det(left @ right))
        right[:, 2] *= sign[:, None]
        rotation = (left @ right).swapaxes(1, 2)
        mean = 0.5 * (rotation[self.one] + rotation[self.other])
        wanted = np.einsum("eij,ej->ei", mean, self.rest)
        # The sum over the edges of a vertex of x_i - x_j is minus that of the wanted edges.
        pull = PULL * vertices
        np.subtract.at(pull, self.one, wanted)
        return self.factor.solve(pull)


def turned_over(
    vertices: Float[np.ndarray, "V 3"],
    faces: Int[np.ndarray, "F 3"],
    gradient: Float[np.ndarray, "V 3"],
) -> Bool[np.ndarray, " F"]:
    """Whether the normal of each face points against the mean of grad f at its corners.

    Args:
        vertices: of the mesh, near the zero set.
        faces: the triangles, wound outward.
        gradient: grad f at the vertices.
    """
    a, b, c = vertices[faces.T]
    return (np.cross(b - a, c - a) * gradient[faces].sum(1)).sum(1) < 0


def _unfolded(
    field: Field,
    code: Tensor,
    vertices: Float[np.ndarray, "V 3"],
    faces: Int[np.ndarray, "F 3"],
) -> Float[np.ndarray, "V 3"]:
    """The vertices, smoothed along the surface around faces that have turned over."""
    links = None
    for round_ in range(SMOOTHINGS):
        _, gradient, _ = derivatives(field, code, vertices)
        bad = turned_over(vertices, faces, gradient)
        if not bad.any():
            break
        links = _links(faces, len(vertices)) if links is None else links
        near = np.zeros(len(vertices))
        near[np.unique(faces[bad])] = 1.0
        # The longer it lasts, the more surroundings take part.
        for _ in range(1 + round_ // 5):
            near = np.maximum(near, (links @ near) > 0)
        rows = np.flatnonzero(near)
        vertices = vertices.copy()
        vertices[rows] = _pulled(field, code, vertices, links=links, rows=rows)
    return vertices


def _smoothed(
    field: Field,
    code: Tensor,
    vertices: Float[np.ndarray, "V 3"],
    faces: Int[np.ndarray, "F 3"],
) -> Float[np.ndarray, "V 3"]:
    """The vertices moved along the surface towards the means of their neighbours."""
    links = _links(faces, len(vertices))
    rows = np.arange(len(vertices))
    for _ in range(ROUNDS_AT_START):
        vertices = _pulled(field, code, vertices, links=links, rows=rows)
    return _unfolded(field, code, vertices, faces)


def _pulled(
    field: Field,
    code: Tensor,
    vertices: Float[np.ndarray, "V 3"],
    *,
    links: csr_array,
    rows: Int[np.ndarray, " n"],
) -> Float[np.ndarray, "n 3"]:
    """Some vertices, half way to the mean of their neighbours along the surface, projected."""
    part = links[rows]
    degree = np.maximum(np.asarray(part.sum(axis=1)).ravel(), 1)
    change = part @ vertices / degree[:, None] - vertices[rows]
    normal = outward_normals(field, code, vertices[rows])
    change -= (change * normal).sum(1, keepdims=True) * normal
    reach = float(np.linalg.norm(change, axis=1).max(initial=0.0)) + 1e-12
    moved = vertices[rows] + 0.5 * change
    return project(field, code, points=moved, steps=2, reach=reach)


def _links(faces: Int[np.ndarray, "F 3"], count: int) -> csr_array:
    """The edges of a mesh as a symmetric matrix of ones."""
    one = faces[:, [0, 1, 2, 1, 2, 0]].ravel()
    other = faces[:, [1, 2, 0, 0, 1, 2]].ravel()
    found = coo_array((np.ones(len(one)), (one, other)), (count, count)).tocsr()
    found.data[:] = 1.0
    return found


def _movers(
    vertices: Float[np.ndarray, "V 3"],
    normals: Float[np.ndarray, "V 3"],
    nodes: Int[np.ndarray, " n"],
) -> tuple[Int[np.ndarray, "V K"], Float[np.ndarray, "V K"]]:
    """The nodes that move each vertex, and their weights, which sum to 1.

    They are the nearest ones, but for those across a gap: a hand does not move the hip.
    """
    count = min(4 * MOVERS, len(nodes))
    gap, near = KDTree(vertices[nodes]).query(
        vertices,
        list(range(1, count + 1)),  # pyright: ignore[reportArgumentType] (the stub misses lists)
    )
    cosine = np.einsum("vi,vki->vk", normals, normals[nodes[near]])
    gap = np.where(cosine >= LEAST_COSINE, gap, gap + 10 * gap.max())
    order = np.argsort(gap, axis=1, kind="stable")[:, : MOVERS + 1]
    gap = np.take_along_axis(gap, order, axis=1)
    near = np.take_along_axis(near, order, axis=1)
    if count <= MOVERS:
        return near, np.full(near.shape, 1 / count)
    # Where the next node takes over, its weight begins at zero: the motion has no step there.
    weight = np.maximum(1 - gap[:, :-1] / np.maximum(gap[:, -1:], 1e-300), 0) ** 2
    weight[:, 0] = np.maximum(weight[:, 0], 1e-6)
    return near[:, :-1], weight / weight.sum(1, keepdims=True)
