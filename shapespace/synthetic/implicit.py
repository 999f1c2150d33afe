"""Solids made of balls: round cones, round triangles and their smooth union, as signed distances.

Sign: positive outside. Unit: that of the balls. A round cone is the union of the balls between two
balls, a round triangle of those between three (centre and radius interpolated alike). Both are

    d(x) = min over q of |x - q| - r(q),   q in the segment or triangle, r linear,

a convex problem with a closed form, so d is the exact distance outside and 1-Lipschitz everywhere
(sphere meshes, Thiery, Guy and Boubekeur 2013). Pieces of one mass are joined sharply, by the
minimum. The smooth union of masses d_i with blending radii k_i is the root v of

    sum over i of (max(0, v + k_i - d_i) / k_i)^2 = 1.

It is v = d_i where one mass is alone, it does not depend on the order, and its gradient is a convex
combination of those of the masses: v is 1-Lipschitz, so |v| never exceeds the distance to the zero
set. A mass with d_i >= v + k_i has no influence at all, which makes pruning exact. Where n masses
meet, v >= min d - (1 - 1/sqrt(n)) max k: outside, v is too small by no more than that.

Letters: K bundles of C points, P pieces, M masses, Q pairs of a bundle and a piece, sorted by
bundle and then by piece.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Float, Int

_STEPS = 6
_CHUNK = 400_000


@dataclass(frozen=True)
class Pairs:
    """Which pieces are looked at from which bundle of points: Q rows and pieces.

    Every bundle 0 .. K-1 has a pair.
    """

    row: Int[np.ndarray, " Q"]
    piece: Int[np.ndarray, " Q"]

    @staticmethod
    def all(num_bundles: int, num_pieces: int) -> "Pairs":
        """Every piece for every bundle."""
        piece = np.tile(np.arange(num_pieces), num_bundles)
        return Pairs(np.repeat(np.arange(num_bundles), num_pieces), piece)


@dataclass(frozen=True)
class Solid:
    """P round triangles; one whose third ball repeats the second is a round cone.

    centres: [P,3,3] the three balls of each piece. radii: [P,3]. mass: [P] the mass of each piece,
    ascending. blend: [M] blending radii of the masses, > 0.
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
        """Distance of each pair: the points of the bundle to the piece."""
        result = np.empty((len(pairs.row), points.shape[1]))
        cone = (self.centres[:, 1] == self.centres[:, 2]).all(1)[pairs.piece]
        ab, bc, ca = self._edges
        p, piece = points[pairs.row[cone]], pairs.piece[cone]
        result[cone] = ab(p, piece)
        p, piece = points[pairs.row[~cone]], pairs.piece[~cone]
        edges = np.minimum(np.minimum(ab(p, piece), bc(p, piece)), ca(p, piece))
        result[~cone] = self._face(p, piece, edges)
        return result

    def by_mass(self, pairs: Pairs) -> tuple[Int[np.ndarray, " R"], Int[np.ndarray, " Q"]]:
        """First pair of each run of one bundle and one mass, and the run of every pair."""
        mass = self.mass[pairs.piece]
        new = (np.diff(pairs.row, prepend=-1) != 0) | (np.diff(mass, prepend=-1) != 0)
        return np.flatnonzero(new), np.cumsum(new) - 1

    def union(self, distance: Float[np.ndarray, "Q C"], pairs: Pairs) -> Float[np.ndarray, "K C"]:
        """Signed distance of each bundle, by Newton's method from the nearest mass down."""
        runs, _ = self.by_mass(pairs)
        distance, row = np.minimum.reduceat(distance, runs), pairs.row[runs]
        starts = np.flatnonzero(np.diff(row, prepend=-1))
        sharpness = 1 / self.blend[self.mass[pairs.piece[runs]]][:, None]
        value = np.minimum.reduceat(distance, starts)
        offset = 1 - distance * sharpness
        for _ in range(_STEPS):
            weight = np.maximum(value[row] * sharpness + offset, 0)
            slope = 2 * np.add.reduceat(weight * sharpness, starts)
            weight *= weight
            value = value - (np.add.reduceat(weight, starts) - 1) / slope
        return value

    @cached_property
    def _edges(self) -> "tuple[_Cones, _Cones, _Cones]":
        c, r = self.centres, self.radii
        pairs = ((0, 1), (1, 2), (2, 0))
        ab, bc, ca = (_Cones.between(c[:, i], c[:, j], r[:, i], r[:, j]) for i, j in pairs)
        return ab, bc, ca

    @cached_property
    def _planes(self) -> tuple[np.ndarray, ...]:
        """In-plane axes, the third ball in them, the slope of the radius and its cosine."""
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
        ab = self._edges[0]
        across, along, height, slope, cosine = (a[piece] for a in self._planes)
        w = p - ab.start[piece][:, None]
        x, y = _dot(w, ab.axis[piece]), _dot(w, across)
        h = np.sqrt(np.maximum(_dot(w, w) - x * x - y * y, 0))
        u = (y + h * slope / cosine) / np.maximum(height, 1e-12)
        s = (x + h * ab.slope[piece] / cosine - u * along) / ab.length[piece]
        face = h * cosine - ab.slope[piece] * x - slope * y - ab.radius[piece]
        return np.where((u >= 0) & (s >= 0) & (u + s <= 1), face, edges)


@dataclass(frozen=True)
class _Cones:
    """Round cones: first centre, unit axis, length, first radius, growth by length."""

    start: Float[np.ndarray, "P 3"]
    axis: Float[np.ndarray, "P 3"]
    length: Float[np.ndarray, "P 1"]
    radius: Float[np.ndarray, "P 1"]
    slope: Float[np.ndarray, "P 1"]

    @staticmethod
    def between(a: np.ndarray, b: np.ndarray, ra: np.ndarray, rb: np.ndarray) -> "_Cones":
        length = np.maximum(np.linalg.norm(b - a, axis=-1, keepdims=True), 1e-12)
        return _Cones(a, (b - a) / length, length, ra[:, None], (rb - ra)[:, None] / length)

    def __call__(self, p: np.ndarray, piece: np.ndarray) -> np.ndarray:
        w, length, slope = p - self.start[piece][:, None], self.length[piece], self.slope[piece]
        t = _dot(w, self.axis[piece])
        square = np.maximum(_dot(w, w) - t * t, 0)
        shift = slope / np.sqrt(np.maximum(1 - slope * slope, 1e-12))
        q = np.clip(t + np.sqrt(square) * shift, 0, length)
        return np.sqrt((t - q) ** 2 + square) - self.radius[piece] - slope * q


def _dot(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """[Q,C,3] with [Q,C,3] or [Q,3] -> [Q,C]."""
    return np.einsum("qci,qci->qc", a, b) if b.ndim == 3 else np.einsum("qci,qi->qc", a, b)
