"""The strain rate of a velocity field on surface samples, as a quadratic form.

Each sample i has a rotation rate w_i, which takes what a rigid motion of its neighbours explains.
The energy is the mean over the edges i -> j of

    |v_j - v_i - w_i x e|^2 / |e|^2,    e = x_j - x_i,

minimised over all w_i. It is a mean squared strain rate, 0 for rigid motions (linearised: Sorkine
and Alexa, As-rigid-as-possible surface modeling, 2007; Huang et al., ARAPReg, 2021).

Letters: n samples, K neighbours, E = 3 (K + 1) numbers of a sample and its neighbours.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int
from scipy.sparse import coo_array, csc_array
from scipy.spatial import KDTree

NEIGHBOURS = 8
"""Neighbours of a sample."""
LEAST_COSINE = -0.2
"""Cosine of two normals below which samples are no neighbours: there is a gap between them.

The arm at rest beside the trunk is near it in space, and its normals point the other way.
"""
RIDGE = 1e-9
"""Share of the trace that is added to a 3 x 3 matrix: samples on a line do not fix a rotation."""


class SampleGraph(NamedTuple):
    """The nearest neighbours of each sample that lie on the same side of all gaps.

    Args:
        neighbours: K neighbours of each sample; of weight 0 where there are fewer.
        edges: e, from each sample to each neighbour.
        weight: 1 / |e|^2, and 0 for no edge.
    """

    neighbours: Int[np.ndarray, "n K"]
    edges: Float[np.ndarray, "n K 3"]
    weight: Float[np.ndarray, "n K"]

    @property
    def num_edges(self) -> int:
        """Edges of weight above 0."""
        return int((self.weight > 0).sum())

    def rotation_rate(self, velocity: Float[np.ndarray, "n 3"]) -> Float[np.ndarray, "n 3"]:
        """w of each sample: the rotation rate that explains the velocities around it best."""
        change = velocity[self.neighbours] - velocity[:, None]
        moment = np.einsum("nk,nki->ni", self.weight, np.cross(self.edges, change))
        return np.einsum("nij,nj->ni", np.linalg.inv(self._inertia()), moment)

    def strain(self, velocity: Float[np.ndarray, "n 3"]) -> float:
        """The mean squared strain rate of a velocity field, 1 / time^2; 0 without edges."""
        return float(self._of_edges(velocity).sum() / max(self.num_edges, 1))

    def local_strain(self, velocity: Float[np.ndarray, "n 3"]) -> Float[np.ndarray, " n"]:
        """Root of the mean squared strain rate over the edges of each sample; NaN without edges."""
        total, edges = self._of_edges(velocity).sum(1), (self.weight > 0).sum(1)
        return np.where(edges > 0, np.sqrt(total / np.maximum(edges, 1)), np.nan)

    def _of_edges(self, velocity: Float[np.ndarray, "n 3"]) -> Float[np.ndarray, "n K"]:
        """The weighted squared strain rate of each edge."""
        turn = np.cross(self.rotation_rate(velocity)[:, None], self.edges)
        change = velocity[self.neighbours] - velocity[:, None] - turn
        return self.weight * np.square(change).sum(2)

    def matrix(self) -> csc_array:
        """H [3 n, 3 n] with v^T H v = :meth:`strain`, for v that is flattened sample by sample."""
        count, width = self.neighbours.shape
        # x = (v_i, v_1 .. v_K) of one sample. Without rotations the form is a Laplacian; the best
        # rotation takes m^T B^-1 m away, where m = C x is the moment and B the inertia.
        laplacian = np.zeros((count, width + 1, width + 1))
        ring = np.arange(1, width + 1)
        laplacian[:, ring, ring] = self.weight
        laplacian[:, 0, 1:] = laplacian[:, 1:, 0] = -self.weight
        laplacian[:, 0, 0] = self.weight.sum(1)
        cross = self.weight[..., None, None] * _cross_matrix(self.edges)
        moment = np.concatenate([-cross.sum(1, keepdims=True), cross], axis=1)
        moment = moment.transpose(0, 2, 1, 3).reshape(count, 3, 3 * width + 3)
        form = np.einsum("nab,ij->naibj", laplacian, np.eye(3))
        form = form.reshape(count, 3 * width + 3, 3 * width + 3)
        form -= moment.transpose(0, 2, 1) @ np.linalg.inv(self._inertia()) @ moment
        return self._scattered(form / max(self.num_edges, 1))

    def _inertia(self) -> Float[np.ndarray, "n 3 3"]:
        """B = sum of weight (|e|^2 - e e^T) of each sample, made invertible."""
        square = np.square(self.edges).sum(2)
        outer = np.einsum("nk,nki,nkj->nij", self.weight, self.edges, self.edges)
        inertia = (self.weight * square).sum(1)[:, None, None] * np.eye(3) - outer
        ridge = RIDGE * np.trace(inertia, axis1=1, axis2=2) + (self.weight.sum(1) == 0)
        return inertia + ridge[:, None, None] * np.eye(3)

    def _scattered(self, form: Float[np.ndarray, "n E E"]) -> csc_array:
        """The forms of all samples, added up in one sparse matrix."""
        count = len(self.neighbours)
        nodes = np.column_stack([np.arange(count), self.neighbours])
        index = (3 * nodes[:, :, None] + np.arange(3)).reshape(count, form.shape[1])
        rows = np.broadcast_to(index[:, :, None], form.shape)
        columns = np.broadcast_to(index[:, None, :], form.shape)
        where = (rows.ravel(), columns.ravel())
        return coo_array((form.ravel(), where), (3 * count, 3 * count)).tocsc()


def sample_graph(
    points: Float[np.ndarray, "n 3"], normals: Float[np.ndarray, "n 3"]
) -> SampleGraph:
    """Connect each sample with its nearest neighbours, but not across a gap.

    Args:
        points: samples of a surface, no two at one place.
        normals: their unit normals.
    """
    count = len(points)
    width = min(NEIGHBOURS, max(count - 1, 0))
    if not width:
        zeros = np.zeros((count, 0))
        return SampleGraph(zeros.astype(np.int64), np.zeros((count, 0, 3)), zeros)
    neighbours = np.asarray(KDTree(points).query(points, width + 1)[1], np.int64)
    # A sample is its own nearest neighbour, unless another lies at the same place.
    itself = neighbours == np.arange(count)[:, None]
    itself[~itself.any(1), -1] = True
    neighbours = neighbours[~itself].reshape(count, width)
    edges = points[neighbours] - points[:, None]
    square = np.square(edges).sum(2)
    cosine = np.einsum("ni,nki->nk", normals, normals[neighbours])
    connected = (cosine >= LEAST_COSINE) & (square > 0)
    return SampleGraph(
        neighbours, edges, np.where(connected, 1 / np.where(connected, square, 1), 0)
    )


def _cross_matrix(vectors: Float[np.ndarray, "n K 3"]) -> Float[np.ndarray, "n K 3 3"]:
    """[e]_x with [e]_x v = e x v."""
    x, y, z = np.moveaxis(vectors, -1, 0)
    zero = np.zeros_like(x)
    rows = [zero, -z, y, z, zero, -x, -y, x, zero]
    return np.stack(rows, axis=-1).reshape(*x.shape, 3, 3)
