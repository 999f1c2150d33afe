"""More shapes from the same scans: mirror images, and copies that a smooth random field has warped.

A copy is made of a window of points when it is read, so that no copy lies on the disk. It depends
on the seed and on the name of its scan, and on nothing else.

Frame: that of the store, whose scans are centred. Letters: n points, D dimension, W waves.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from shapespace.config.options import Axis
from shapespace.data.names import COPY
from shapespace.errors import InputError, at_least, one_line, positive

NUM_WAVES = 8
"""Waves of a warp."""
LONGEST = 4.0
"""Longest wave of a warp, in lengths of the shortest."""


class Warp(NamedTuple):
    """The map x -> x + sum_k a_k sin(w_k . x + p_k), a sum of W waves.

    The strain is at most sum_k |a_k| |w_k|, the same in all directions and everywhere: below 1 the
    map is one-to-one, and lengths change by no larger share.

    Args:
        amplitudes: a_k, in the store's unit.
        numbers: w_k, in radians per unit.
        phases: p_k, in radians.
    """

    amplitudes: Float[np.ndarray, "W D"]
    numbers: Float[np.ndarray, "W D"]
    phases: Float[np.ndarray, " W"]

    @classmethod
    def drawn(
        cls, rng: np.random.Generator, dimension: int, *, strain: float, wavelength: float
    ) -> "Warp":
        """A random warp.

        Args:
            rng: source of all random numbers.
            dimension: D.
            strain: most strain, below 1. It is the sum of the waves' own strains.
            wavelength: the shortest wave, in the store's unit.
        """
        lengths = wavelength * LONGEST ** rng.random(NUM_WAVES)
        numbers = _directions(rng, dimension) * (2 * np.pi / lengths)[:, None]
        shares = rng.random(NUM_WAVES)
        own = strain * shares / shares.sum()
        amplitudes = _directions(rng, dimension) * (own * lengths / (2 * np.pi))[:, None]
        return cls(amplitudes, numbers, rng.random(NUM_WAVES) * 2 * np.pi)

    def __call__(self, points: Float[np.ndarray, "n D"]) -> Float[np.ndarray, "n D"]:
        """Where the points go."""
        return points + np.sin(points @ self.numbers.T + self.phases) @ self.amplitudes

    def jacobian(self, points: Float[np.ndarray, "n D"]) -> Float[np.ndarray, "n D D"]:
        """The derivative of the map at points: rows are coordinates, columns directions."""
        slopes = np.cos(points @ self.numbers.T + self.phases)
        bend = np.einsum("nk,ki,kj->nij", slopes, self.amplitudes, self.numbers)
        return np.eye(points.shape[1]) + bend


class Points(NamedTuple):
    """Some points of a scan.

    Args:
        points: on the surface.
        normals: unit and outward, a zero row where unknown; None if none is known.
        sigma: distance of each point to its 50th neighbour; None if it was not measured.
    """

    points: Float[np.ndarray, "n D"]
    normals: Float[np.ndarray, "n D"] | None
    sigma: Float[np.ndarray, " n"] | None


@dataclass(frozen=True)
class Copy:
    """A scan, or a copy of it.

    Args:
        source: name of the scan.
        mirrored: whether it is mirrored, before it is warped.
        warp: number of its warp from 1; 0 is not warped.
    """

    source: str
    mirrored: bool = False
    warp: int = 0

    @property
    def name(self) -> str:
        """The name of its code; that of the scan for the scan itself."""
        mirror = f"{COPY}mirror" if self.mirrored else ""
        return self.source + mirror + (f"{COPY}warp{self.warp}" if self.warp else "")

    @property
    def is_source(self) -> bool:
        """Whether it is the scan itself."""
        return not self.mirrored and not self.warp


@dataclass(frozen=True)
class CopyOptions:
    """Which copies of each scan are trained on beside it.

    Args:
        mirror: axis along which a mirror image is turned round, such as that from left to right;
            None makes none.
        warps: number of warped copies of each scan, and of its mirror image.
        strain: most strain of a warp, above 0 and below 1: lengths change by no larger share.
        wavelength: the shortest wave of a warp, in the store's unit; the longest is four times as
            long.
        tied: a copy has the code of its scan, and takes turns with it at random; otherwise each has
            a code of its own, under the name of the scan with ~mirror and ~warp1 behind it.
    """

    mirror: Axis | None = None
    warps: int = 0
    strain: float = 0.2
    wavelength: float = 1.0
    tied: bool = False

    def __post_init__(self) -> None:
        at_least(0, warps=self.warps)
        positive(strain=self.strain, wavelength=self.wavelength)
        if self.strain >= 1:
            raise InputError(f"strain={self.strain:g}: give less than 1, or a warp would fold over")

    @property
    def num(self) -> int:
        """Number of shapes that are made of a scan, itself included."""
        return (1 + (self.mirror is not None)) * (1 + self.warps)

    def check_dimension(self, dimension: int) -> None:
        """Raise InputError for an axis that scans of dimension D do not have."""
        if self.mirror is not None and "xyz".index(self.mirror) >= dimension:
            raise InputError(
                f"mirror={self.mirror}: scans of dimension {dimension} have no such axis"
            )

    def of(self, sources: Sequence[str]) -> list[Copy]:
        """All shapes: the scans, then their mirror images, then the warped copies of both.

        Raises:
            InputError: a scan has the name of a copy of another.
        """
        mirrors = (False,) if self.mirror is None else (False, True)
        made = [
            Copy(source, mirrored, warp)
            for warp in range(1 + self.warps)
            for mirrored in mirrors
            for source in sources
        ]
        known = set(sources)
        for copy in made:
            if not copy.is_source and copy.name in known:
                raise InputError(
                    f"{one_line(copy.name)!r}: is a scan, and would be the name of a copy of "
                    f"{one_line(copy.source)!r}; rename the scan"
                )
        return made

    def applied(self, copy: Copy, given: Points, seed: int) -> Points:
        """The points of a scan as those of a copy.

        Args:
            copy: of the scan.
            given: points of the scan.
            seed: of all warps.
        """
        if copy.mirrored:
            given = self.mirrored(given)
        if copy.warp:
            warp = _warp_of(
                copy.source,
                copy.warp,
                seed,
                dimension=given.points.shape[1],
                strain=self.strain,
                wavelength=self.wavelength,
            )
            given = warped(warp, given)
        return given

    def mirrored(self, given: Points) -> Points:
        """The mirror image of points: one coordinate of points and normals changes its sign."""
        assert self.mirror is not None, "nothing is mirrored"
        sign = np.ones(given.points.shape[1], given.points.dtype)
        sign["xyz".index(self.mirror)] = -1
        normals = None if given.normals is None else given.normals * sign
        return Points(given.points * sign, normals, given.sigma)


def warped(warp: Warp, given: Points) -> Points:
    """Points moved by a warp, with its normals J^-T n of unit length.

    Sigma grows with the mean stretch of the place, det(J)^(1/D).

    Args:
        warp: of the copy.
        given: points of the scan, in the type of the result.
    """
    at = given.points.astype(np.float64)
    jacobian = warp.jacobian(at)
    points = warp(at).astype(given.points.dtype)
    normals = sigma = None
    if given.normals is not None:
        transposed = jacobian.swapaxes(1, 2)
        moved = np.linalg.solve(transposed, given.normals.astype(np.float64)[..., None])[..., 0]
        length = np.linalg.norm(moved, axis=1, keepdims=True)
        # An unknown normal, which is zero, stays one.
        unit = moved / np.where(length > 0, length, 1.0)
        normals = unit.astype(given.normals.dtype)
    if given.sigma is not None:
        stretch = np.linalg.det(jacobian) ** (1 / at.shape[1])
        sigma = (given.sigma * stretch).astype(given.sigma.dtype)
    return Points(points, normals, sigma)


@lru_cache(1024)
def _warp_of(
    source: str, number: int, seed: int, *, dimension: int, strain: float, wavelength: float
) -> Warp:
    """The warp of a copy, the same in every process and whatever other scans there are."""
    digest = hashlib.sha256(source.encode("utf-8", "surrogatepass")).digest()
    rng = np.random.default_rng((seed, number, int.from_bytes(digest[:8], "big")))
    return Warp.drawn(rng, dimension, strain=strain, wavelength=wavelength)


def _directions(rng: np.random.Generator, dimension: int) -> Float[np.ndarray, "W D"]:
    """A random direction for each wave."""
    drawn = rng.normal(size=(NUM_WAVES, dimension))
    return drawn / np.linalg.norm(drawn, axis=1, keepdims=True)
