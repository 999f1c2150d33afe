"""Scans and samples: the two things that travel from a file to a loss.

Frame: points are in the store's frame, which is the source frame moved by ``-centre`` and divided
by ``scale``; ``Frame`` takes results back. D is 3 or 2.

Letters: B scans in a batch, N surface points a scan, M space points a scan, D dimension; n points
of one prepared scan, m targets.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
import torch
from jaxtyping import Float, Float32, Int, Int16
from torch import Tensor


@dataclass(frozen=True)
class Frame:
    """Where a scan lies in its source: ``source = stored * scale + centre``.

    centre: [D] in source units; scale: source units per stored unit.
    """

    centre: Float[np.ndarray, " D"]
    scale: float = 1.0

    def to_source(self, points: Float[np.ndarray, "K D"]) -> Float[np.ndarray, "K D"]:
        """Points of the store's frame in the source's frame and units, float64."""
        return np.asarray(points, np.float64) * self.scale + self.centre

    def is_near(self, other: "Frame") -> bool:
        """Whether both are the same but for what another sampling of the scan would move."""
        reach = 0.02 * min(self.scale, other.scale)
        near = np.abs(np.asarray(self.centre) - other.centre).max() <= reach
        return bool(near) and abs(self.scale - other.scale) <= reach

    def to_store(self, points: Float[np.ndarray, "K D"]) -> Float[np.ndarray, "K D"]:
        """Points of the source's frame in the store's frame, float64."""
        return (np.asarray(points, np.float64) - self.centre) / self.scale


NormalsKind = Literal["measured", "estimated-oriented", "estimated-unoriented", "none"]
"""Where normals come from: the source, a fit with a consistent side, a fit without, nowhere."""
NORMALS_KINDS: tuple[NormalsKind, ...] = get_args(NormalsKind)
TRUSTED = ("measured", "estimated-oriented")
"""Kinds of normals whose direction may be learnt."""
NORMAL_STEPS = 32767
"""Stored normals are multiples of 1/32767: the angle is off by less than 0.002 degrees."""


def rounded_normals(normals: Float[np.ndarray, "n D"]) -> Float32[np.ndarray, "n D"]:
    """Unit normals as the store gives them back; zero rows stay zero."""
    return decoded_normals(encoded_normals(normals))


def encoded_normals(normals: Float[np.ndarray, "n D"]) -> Int16[np.ndarray, "n D"]:
    """Unit normals in steps of 1/32767, two bytes a number."""
    assert np.abs(normals).max(initial=0.0) < 1.0001, "normals must be unit"
    return np.rint(normals * NORMAL_STEPS).astype(np.int16)


def decoded_normals(steps: Int16[np.ndarray, "*n D"]) -> Float32[np.ndarray, "*n D"]:
    """Inverse of :func:`encoded_normals`."""
    return steps / np.float32(NORMAL_STEPS)


@dataclass(frozen=True)
class Targets:
    """Distances at points around a scan, for the objectives that learn from them.

    points: in the store's frame, shuffled. distance: to the surface in the store's units, positive
    outside if ``signed`` (a watertight mesh; the shape is where it is not positive), else unsigned.
    """

    points: Float32[np.ndarray, "m D"]
    distance: Float32[np.ndarray, " m"]
    signed: bool


@dataclass(frozen=True)
class PreparedScan:
    """One scan, ready for the store or to be fitted directly.

    points: in the store's frame, shuffled; normals: unit and outward, a zero row is unknown, made
    of steps as :func:`rounded_normals` makes them; None just where normals_kind is "none".
    sigma: distance to the 50th neighbour, in the store's units.
    frame: takes the points back to the source.
    source, source_hash: the file as given and the sha256 of its bytes, hexadecimal.
    num_source_points, num_source_faces: what the source held; seed: of sampling and shuffling.
    stamp: of source and options, by which a scan that was prepared before is known again.
    """

    name: str
    points: Float32[np.ndarray, "n D"]
    normals: Float32[np.ndarray, "n D"] | None
    sigma: Float32[np.ndarray, " n"]
    frame: Frame
    source: str
    source_hash: str
    num_source_points: int
    num_source_faces: int
    seed: int
    normals_kind: NormalsKind
    targets: Targets | None = None
    stamp: str = ""

    @property
    def trusted_normals(self) -> Float32[np.ndarray, "n D"] | None:
        """The normals if their direction may be learnt."""
        return self.normals if self.normals_kind in TRUSTED else None

    @property
    def checksum(self) -> str:
        """sha256 of all that the store holds of the scan but where it came from, hexadecimal."""
        digest = hashlib.sha256(self._facts().encode("utf-8", "surrogatepass"))
        normals = None if self.normals is None else encoded_normals(self.normals)
        targets = () if self.targets is None else (self.targets.points, self.targets.distance)
        for part in (self.points, normals, self.sigma, *targets):
            digest.update(b"" if part is None else np.ascontiguousarray(part).data)
        return digest.hexdigest()

    def _facts(self) -> str:
        targets = None if self.targets is None else (len(self.targets.points), self.targets.signed)
        centre, scale = [float(x).hex() for x in self.frame.centre], float(self.frame.scale).hex()
        counts = self.num_source_points, self.num_source_faces, self.seed
        facts = (self.points.shape, centre, scale, self.normals_kind, targets, counts)
        return repr((self.name, self.source_hash, *facts))


@dataclass(frozen=True)
class Scan:
    """Oriented points of B shapes, the same number of each.

    index: position of each scan among the scans in use, the row of its latent code.
    normals: unit outward normals; a zero row is an unknown normal; None if none is known.
    sigma: local noise scale, the distance to the 50th neighbour (IGR, Gropp et al. 2020, sec. 4).
    """

    index: Int[Tensor, " B"]
    points: Float[Tensor, "B N D"]
    normals: Float[Tensor, "B N D"] | None
    sigma: Float[Tensor, "B N"]

    @staticmethod
    def cat(scans: "Sequence[Scan]") -> "Scan":
        """One batch of all ``scans``; those without normals get unknown (zero) ones."""
        known = any(scan.normals is not None for scan in scans)
        return Scan(
            torch.cat([scan.index for scan in scans]),
            torch.cat([scan.points for scan in scans]),
            torch.cat([_normals_or_zero(scan) for scan in scans]) if known else None,
            torch.cat([scan.sigma for scan in scans]),
        )

    def __getitem__(self, rows: slice) -> "Scan":
        """The scans of ``rows``, views of the same memory."""
        normals = None if self.normals is None else self.normals[rows]
        return Scan(self.index[rows], self.points[rows], normals, self.sigma[rows])

    def pick(self, rows: Sequence[int]) -> "Scan":
        """The scans of ``rows``, which may repeat, in that order."""
        return Scan.cat([self[row : row + 1] for row in rows])

    def emptied(self) -> "Scan":
        """Scans of the same sizes with all points at 0 and normals unknown."""
        normals = None if self.normals is None else torch.zeros_like(self.normals)
        zero = torch.zeros_like(self.points)
        return Scan(self.index, zero, normals, torch.zeros_like(self.sigma))

    def to(self, device: torch.device | str | torch.dtype) -> "Scan":
        """The same scans on ``device``, or in a floating ``dtype``."""
        normals = None if self.normals is None else self.normals.to(device)
        index = self.index if isinstance(device, torch.dtype) else self.index.to(device)
        return Scan(index, self.points.to(device), normals, self.sigma.to(device))

    def pin_memory(self) -> "Scan":
        """The same scans in page-locked memory, for a data loader that feeds a GPU."""
        normals = None if self.normals is None else self.normals.pin_memory()
        return Scan(
            self.index.pin_memory(), self.points.pin_memory(), normals, self.sigma.pin_memory()
        )

    @property
    def num_points(self) -> int:
        """N, the points of each scan."""
        return self.points.shape[1]


def _normals_or_zero(scan: Scan) -> Tensor:
    return torch.zeros_like(scan.points) if scan.normals is None else scan.normals


@dataclass(frozen=True)
class Samples:
    """What an objective sees of B shapes: points on the surface and points of the space around.

    normals: at ``surface``, as in :class:`Scan`.
    """

    surface: Float[Tensor, "B N D"]
    normals: Float[Tensor, "B N D"] | None
    space: Float[Tensor, "B M D"]

    @property
    def num_points(self) -> int:
        """N + M, all points of one scan."""
        return self.surface.shape[1] + self.space.shape[1]

    def __getitem__(self, rows: slice) -> "Samples":
        """The samples of the scans ``rows``, views of the same memory."""
        normals = None if self.normals is None else self.normals[rows]
        return Samples(self.surface[rows], normals, self.space[rows])

    def chunks(self, most_points: int | None) -> list[slice]:
        """Rows of whole scans, as many at a time as have ``most_points`` points, at least one."""
        num_scans = self.surface.shape[0]
        size = scans_at_once(num_scans, self.num_points, most_points)
        return [slice(start, start + size) for start in range(0, num_scans, size)]

    @staticmethod
    def cat(samples: "Sequence[Samples]") -> "Samples":
        """One batch of samples that all have normals or all have none."""
        normals = [s.normals for s in samples if s.normals is not None]
        return Samples(
            torch.cat([s.surface for s in samples]),
            torch.cat(normals) if normals else None,
            torch.cat([s.space for s in samples]),
        )


def scans_at_once(num_scans: int, num_points: int, most_points: int | None) -> int:
    """Whole scans of ``num_points`` that ``most_points`` hold, at least one; None holds all."""
    fitting = num_scans * num_points if most_points is None else most_points
    return max(min(fitting // num_points, num_scans), 1)
