"""Solids made of balls: round cones, round triangles and their smooth union, as signed distances.

Sign: positive outside. Unit: the unit of the balls.

A round cone is the union of the balls between two balls: centre and radius are interpolated
linearly. A round triangle is the union of the balls between three balls. The distance of both is

    d(x) = min over q of |x - q| - r(q),   q in the segment or triangle, r linear.

This convex problem has a closed form. So d is the exact distance outside and 1-Lipschitz everywhere
(sphere meshes, Thiery, Guy and Boubekeur 2013). The pieces of a mass are joined sharply, by the
minimum. The smooth union of masses with distances d_i and blending radii k_i is the root v of

    sum over i of (max(0, v + k_i - d_i) / k_i)^2 = 1.

Where one mass is alone, v = d_i. The order of the masses does not matter. The gradient of v is a
convex combination of the gradients of the masses, so v is 1-Lipschitz, and |v| never exceeds the
distance to the zero set. A mass with d_i >= v + k_i has no influence at all, which makes pruning
exact. Where n masses meet, v >= min d - (1 - 1/sqrt(n)) max k: this bounds by how much v is too
small outside.

Letters: K bundles of C points, P pieces, M masses, Q pairs of a bundle and a piece, sorted by
bundle and then by piece, R runs of pairs of one bundle and one mass.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Float, Int

_STEPS = 6
"""Steps of Newton's method for the smooth union."""
_CHUNK = 400_000
"""Pairs of a point and a piece that are evaluated at once, to bound the memory."""


@dataclass(frozen=True)
class Pairs:
    """Pairs of a bundle of points and a piece; every bundle 0 .. K-1 has at least one.

    Args:
        row: bundle of each pair.
        piece: piece of each pair.
    """

    row: Int[np.ndarray, " Q"]
    piece: Int[np.ndarray, " Q"]

    @staticmethod
    def all(num_bundles: int, num_pieces: int) -> "Pairs":
        """Pair every bundle with every piece."""
        piece = np.tile(np.arange(num_pieces), num_bundles)
        return Pairs(np.repeat(np.arange(num_bundles), num_pieces), piece)


@dataclass(frozen=True)
class Solid:
    """The smooth union of masses made of round triangles.

    A piece whose third ball repeats the second one is a round cone.

    Args:
        centres: centres of the three balls of each piece.
        radii: radii of the three balls of each piece.
        mass: number of the mass of each piece, ascending.
        blend: blending radii of the masses, positive.
    """

    centres: Float[np.ndarray, "P 3 3"]
    radii: Float[np.ndarray, "P 3"]
    mass: Int[np.ndarray, " P"]
    blend: Float[np.ndarray, " M"]

    def __call__(self, points: Float[np.ndarray, "C 3"]) -> Float[np.ndarray, " C"]:
        """Signed distance of C points."""
        pairs = Pairs.all(1, len(self.mass))
        chunks = np.array_split(
            np.asarray(points, float), 1 + len(points) * len(self.mass) // _CHUNK
        )
        values = [self.union(self.distances(chunk[None], pairs), pairs) for chunk in chunks]
        return np.concatenate(values, axis=1)[0]

    def distances(
        self, points: Float[np.ndarray, "K C 3"], pairs: Pairs
    ) -> Float[np.ndarray, "Q C"]:
        """Distance of the points of each pair's bundle from its piece."""
        result = np.empty((len(pairs.row), points.shape[1]))
        cone = (self.centres[:, 1] == self.centres[:, 2]).all(1)[pairs.piece]
        ab, bc, ca = self._edges
        p = points[pairs.row[cone]]
        piece = pairs.piece[cone]
        result[cone] = ab(p, piece)
        p = points[pairs.row[~cone]]
        piece = pairs.piece[~cone]
        edges = np.minimum(np.minimum(ab(p, piece), bc(p, piece)), ca(p, piece))
        result[~cone] = self._face(p, piece, edges)
        return result

    def by_mass(self, pairs: Pairs) -> tuple[Int[np.ndarray, " R"], Int[np.ndarray, " Q"]]:
        """First pair of each run, and the run of each pair."""
        mass = self.mass[pairs.piece]
        # Pairs are sorted by bundle and piece, and pieces by mass, so runs are contiguous.
        new = (np.diff(pairs.row, prepend=-1) != 0) | (np.diff(mass, prepend=-1) != 0)
        return np.flatnonzero(new), np.cumsum(new) - 1

    def union(self, distance: Float[np.ndarray, "Q C"], pairs: Pairs) -> Float[np.ndarray, "K C"]:
        """Signed distance of the points of each bundle from the distances of its pairs.

        Newton's method for v starts at the nearest mass. There the sum is at least 1, and it is
        convex and increasing in v: the steps go down to the root without passing it.
        """
        runs, _ = self.by_mass(pairs)
        distance = np.minimum.reduceat(distance, runs)
        row = pairs.row[runs]
        starts = np.flatnonzero(np.diff(row, prepend=-1))
        sharpness = 1 / self.blend[self.mass[pairs.piece[runs]]][:, None]
        value = np.minimum.reduceat(distance, starts)
        offset = 1 - distance * sharpness
        # (v + k - d) / k = v sharpness + offset
        for _ in range(_STEPS):
            # weight^2 is the term of each mass in the sum, slope the derivative of the sum.
            weight = np.maximum(value[row] * sharpness + offset, 0)
            slope = 2 * np.add.reduceat(weight * sharpness, starts)
            weight *= weight
            value = value - (np.add.reduceat(weight, starts) - 1) / slope
        return value

    @cached_property
    def _edges(self) -> "tuple[_Cones, _Cones, _Cones]":
        """The round cones along the three edges ab, bc and ca of each piece."""

        def edge(i: int, j: int) -> _Cones:
            return _Cones.between(
                a=self.centres[:, i],
                b=self.centres[:, j],
                radius_a=self.radii[:, i],
                radius_b=self.radii[:, j],
            )

        return edge(0, 1), edge(1, 2), edge(2, 0)

    @cached_property
    def _planes(self) -> tuple[np.ndarray, ...]:
        """The plane of each round triangle, with the first ball as origin and ab as first axis.

        Returns:
            The second axis, the coordinates of the third ball along both axes, the slope of the
            radius along the second axis, and the cosine of the angle between the plane and the
            faces that touch all three balls.
        """
        ab, _, ca = self._edges
        side = -ca.axis * ca.length
        along = (side * ab.axis).sum(-1, keepdims=True)
        across = side - along * ab.axis
        height = np.linalg.norm(across, axis=-1, keepdims=True)
        across = across / np.maximum(height, 1e-12)
        rise = self.radii[:, 2:] - self.radii[:, :1] - along * ab.slope
        slope = rise / np.maximum(height, 1e-12)
        cosine = np.sqrt(np.maximum(1e-12, 1 - ab.slope**2 - slope**2))
        return across, along, height, slope, cosine

    def _face(self, p: np.ndarray, piece: np.ndarray, edges: np.ndarray) -> np.ndarray:
        """Distance of round triangles: of a face where the nearest q is inside, else of the edges.

        Args:
            p: [Q,C,3] points.
            piece: [Q] pieces.
            edges: [Q,C] distance of the nearest of the three edges.
        """
        ab = self._edges[0]
        across, along, height, slope, cosine = (a[piece] for a in self._planes)
        w = p - ab.start[piece][:, None]
        x = _dot(w, ab.axis[piece])
        y = _dot(w, across)
        # x, y in the plane, h above it; s, u are barycentric coordinates of the nearest q.
        h = np.sqrt(np.maximum(_dot(w, w) - x * x - y * y, 0))
        u = (y + h * slope / cosine) / np.maximum(height, 1e-12)
        s = (x + h * ab.slope[piece] / cosine - u * along) / ab.length[piece]
        face = h * cosine - ab.slope[piece] * x - slope * y - ab.radius[piece]
        # Outside the triangle the nearest q lies on an edge, because the problem is convex.
        return np.where((u >= 0) & (s >= 0) & (u + s <= 1), face, edges)


@dataclass(frozen=True)
class _Cones:
    """Round cones.

    Args:
        start: centre of the first ball.
        axis: unit vector to the second ball.
        length: distance of the two centres.
        radius: radius of the first ball.
        slope: growth of the radius along the axis.
    """

    start: Float[np.ndarray, "P 3"]
    axis: Float[np.ndarray, "P 3"]
    length: Float[np.ndarray, "P 1"]
    radius: Float[np.ndarray, "P 1"]
    slope: Float[np.ndarray, "P 1"]

    @staticmethod
    def between(
        a: np.ndarray, b: np.ndarray, radius_a: np.ndarray, radius_b: np.ndarray
    ) -> "_Cones":
        """The round cones from balls at ``a`` to balls at ``b``."""
        # A single ball has length 0, and its axis does not matter.
        length = np.maximum(np.linalg.norm(b - a, axis=-1, keepdims=True), 1e-12)
        return _Cones(
            start=a,
            axis=(b - a) / length,
            length=length,
            radius=radius_a[:, None],
            slope=(radius_b - radius_a)[:, None] / length,
        )

    def __call__(self, p: np.ndarray, piece: np.ndarray) -> np.ndarray:
        """Distance of the points [Q,C,3] from one cone each, [Q] rows of this table."""
        w = p - self.start[piece][:, None]
        length = self.length[piece]
        slope = self.slope[piece]
        t = _dot(w, self.axis[piece])
        square = np.maximum(_dot(w, w) - t * t, 0)
        shift = slope / np.sqrt(np.maximum(1 - slope * slope, 1e-12))
        # The segment from the point to the nearest q meets the side of the cone at a right angle.
        q = np.clip(t + np.sqrt(square) * shift, 0, length)
        return np.sqrt((t - q) ** 2 + square) - self.radius[piece] - slope * q


def _dot(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Scalar products of vectors [Q,C,3] with vectors [Q,C,3] or [Q,3]: [Q,C]."""
    return np.einsum("qci,qci->qc", a, b) if b.ndim == 3 else np.einsum("qci,qi->qc", a, b)
