"""Scans and samples: the data on the way from a file to a loss.

Points are in the store's frame: the source's frame, moved by ``-centre`` and divided by ``scale``.
:class:`Frame` takes results back to the source.

Letters: B scans in a batch, N surface points a scan, M space points a scan, K points, D dimension
(3 or 2); n points of one prepared scan, m targets.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
import torch
from jaxtyping import Float, Float32, Int, Int16
from torch import Tensor


def is_scan_name(name: object) -> bool:
    """True if ``name`` can name a scan: printable text that can be the name of a file.

    Scans become the names of files when meshes are written. h5py gives bytes for a name that is not
    UTF-8; such a name is refused.
    """
    if not isinstance(name, str) or not name.isprintable() or len(name) > MAX_NAME:
        return False
    return "/" not in name and name not in ("", ".", "..")


@dataclass(frozen=True)
class Frame:
    """The position and scale of a scan in its source: ``source = stored * scale + centre``.

    Args:
        centre: in the source's unit.
        scale: source units per unit of the store.
    """

    centre: Float[np.ndarray, " D"]
    scale: float = 1.0

    def to_source(self, points: Float[np.ndarray, "K D"]) -> Float[np.ndarray, "K D"]:
        """Points of the store, in the source's frame and unit, float64."""
        return np.asarray(points, np.float64) * self.scale + self.centre

    def is_near(self, other: "Frame") -> bool:
        """True if both differ by no more than another sampling of the scan would change."""
        reach = 0.02 * min(self.scale, other.scale)
        near = np.abs(np.asarray(self.centre) - other.centre).max() <= reach
        return bool(near) and abs(self.scale - other.scale) <= reach

    def to_store(self, points: Float[np.ndarray, "K D"]) -> Float[np.ndarray, "K D"]:
        """Points of the source, in the store's frame and unit, float64."""
        return (np.asarray(points, np.float64) - self.centre) / self.scale


NormalsKind = Literal["measured", "estimated-oriented", "estimated-unoriented", "none"]
"""The origin of normals: the source; estimated with a consistent side; estimated without; none."""
NORMALS_KINDS: tuple[NormalsKind, ...] = get_args(NormalsKind)
MAX_NAME = 1000
"""Most characters in the name of a scan."""
TRUSTED = ("measured", "estimated-oriented")
"""Kinds of normals whose direction a training may learn."""
NORMAL_STEPS = 32767
"""Stored normals are multiples of 1/32767: their angle is wrong by less than 0.002 degrees."""


def rounded_normals(normals: Float[np.ndarray, "n D"]) -> Float32[np.ndarray, "n D"]:
    """Unit normals as the store returns them; zero rows stay zero."""
    return decoded_normals(encoded_normals(normals))


def encoded_normals(normals: Float[np.ndarray, "n D"]) -> Int16[np.ndarray, "n D"]:
    """Unit normals in steps of 1/32767, two bytes a number."""
    assert np.abs(normals).max(initial=0.0) < 1.0001, "normals must be unit"
    return np.rint(normals * NORMAL_STEPS).astype(np.int16)


def decoded_normals(steps: Int16[np.ndarray, "*n D"]) -> Float32[np.ndarray, "*n D"]:
    """Unit normals from their steps, the inverse of :func:`encoded_normals`."""
    return steps / np.float32(NORMAL_STEPS)


@dataclass(frozen=True)
class Targets:
    """Distances at points around a scan, for objectives that learn from distances.

    Args:
        points: in the store's frame, shuffled.
        distance: to the surface, in the store's unit; positive outside if ``signed``.
        signed: the source is a watertight mesh, and points that are not outside have distances
            that are not positive.
    """

    points: Float32[np.ndarray, "m D"]
    distance: Float32[np.ndarray, " m"]
    signed: bool


@dataclass(frozen=True)
class PreparedScan:
    """One scan, ready for the store or for a fit.

    Args:
        name: of the scan.
        points: in the store's frame, shuffled.
        normals: unit and outward, rounded by :func:`rounded_normals`; a zero row is an unknown
            normal; None if and only if ``normals_kind`` is "none".
        sigma: distance of each point to its 50th neighbour, in the store's unit; None if it was not
            measured.
        frame: takes the points back to the source.
        source: the file as given.
        source_hash: sha256 of the bytes of the file, hexadecimal.
        num_source_points: points of the source.
        num_source_faces: faces of the source.
        seed: of sampling and shuffling.
        normals_kind: the origin of the normals.
        targets: distances around the scan, if asked for.
        stamp: of source and options; a scan with the same stamp need not be prepared again.
        account: one line that says what was read of the source, what was not used, and what was
            mended or left out; no part of the checksum.
    """

    name: str
    points: Float32[np.ndarray, "n D"]
    normals: Float32[np.ndarray, "n D"] | None
    sigma: Float32[np.ndarray, " n"] | None
    frame: Frame
    source: str
    source_hash: str
    num_source_points: int
    num_source_faces: int
    seed: int
    normals_kind: NormalsKind
    targets: Targets | None = None
    stamp: str = ""
    account: str = ""

    @property
    def trusted_normals(self) -> Float32[np.ndarray, "n D"] | None:
        """The normals if a training may learn their direction, else None."""
        return self.normals if self.normals_kind in TRUSTED else None

    @property
    def checksum(self) -> str:
        """sha256 of the scan as stored, hexadecimal: all but the path of its source."""
        digest = hashlib.sha256(self._facts().encode("utf-8", "surrogatepass"))
        normals = None if self.normals is None else encoded_normals(self.normals)
        targets = () if self.targets is None else (self.targets.points, self.targets.distance)
        for part in (self.points, normals, self.sigma, *targets):
            digest.update(b"" if part is None else np.ascontiguousarray(part).data)
        return digest.hexdigest()

    def _facts(self) -> str:
        """All of the checksum but the arrays, as text; floats in hexadecimal are exact."""
        targets = None if self.targets is None else (len(self.targets.points), self.targets.signed)
        centre = [float(x).hex() for x in self.frame.centre]
        scale = float(self.frame.scale).hex()
        counts = self.num_source_points, self.num_source_faces, self.seed
        facts = (self.points.shape, centre, scale, self.normals_kind, targets, counts)
        return repr((self.name, self.source_hash, *facts))


@dataclass(frozen=True)
class Scan:
    """Oriented points of B shapes, the same number of each.

    Args:
        index: the row of each scan's latent code.
        points: on the surface, in the store's frame.
        normals: unit and outward; a zero row is an unknown normal; None if no normal is known.
        sigma: standard deviation of the space points near each point: the distance to its 50th
            neighbour (IGR, Gropp et al. 2020, sec. 4); None if it was not measured.
    """

    index: Int[Tensor, " B"]
    points: Float[Tensor, "B N D"]
    normals: Float[Tensor, "B N D"] | None
    sigma: Float[Tensor, "B N"] | None

    @staticmethod
    def cat(scans: "Sequence[Scan]") -> "Scan":
        """One batch of all ``scans``; scans without normals get unknown (zero) ones.

        The batch has sigma if every scan has it.
        """
        known = any(scan.normals is not None for scan in scans)
        sigma = [scan.sigma for scan in scans if scan.sigma is not None]
        return Scan(
            index=torch.cat([scan.index for scan in scans]),
            points=torch.cat([scan.points for scan in scans]),
            normals=torch.cat([_normals_or_zero(scan) for scan in scans]) if known else None,
            sigma=torch.cat(sigma) if len(sigma) == len(scans) else None,
        )

    def __getitem__(self, rows: slice) -> "Scan":
        """The scans of ``rows``, as views."""
        return Scan(
            index=self.index[rows],
            points=self.points[rows],
            normals=None if self.normals is None else self.normals[rows],
            sigma=None if self.sigma is None else self.sigma[rows],
        )

    def pick(self, rows: Sequence[int]) -> "Scan":
        """The scans of ``rows`` in that order; a row may be given twice."""
        return Scan.cat([self[row : row + 1] for row in rows])

    def emptied(self) -> "Scan":
        """Scans of the same sizes with all points at 0 and normals unknown."""
        return Scan(
            index=self.index,
            points=torch.zeros_like(self.points),
            normals=None if self.normals is None else torch.zeros_like(self.normals),
            sigma=None if self.sigma is None else torch.zeros_like(self.sigma),
        )

    def to(self, device: torch.device | str | torch.dtype) -> "Scan":
        """The same scans on ``device``, or in a floating point ``dtype``."""
        return Scan(
            index=self.index if isinstance(device, torch.dtype) else self.index.to(device),
            points=self.points.to(device),
            normals=None if self.normals is None else self.normals.to(device),
            sigma=None if self.sigma is None else self.sigma.to(device),
        )

    def pin_memory(self) -> "Scan":
        """The same scans in page-locked memory, for a data loader that feeds a GPU."""
        return Scan(
            index=self.index.pin_memory(),
            points=self.points.pin_memory(),
            normals=None if self.normals is None else self.normals.pin_memory(),
            sigma=None if self.sigma is None else self.sigma.pin_memory(),
        )

    @property
    def num_points(self) -> int:
        """N, the points of each scan."""
        return self.points.shape[1]


def _normals_or_zero(scan: Scan) -> Tensor:
    """The normals of a scan; zero rows, which are unknown normals, if there are none."""
    return torch.zeros_like(scan.points) if scan.normals is None else scan.normals


@dataclass(frozen=True)
class Samples:
    """The points of B shapes at which an objective evaluates a field.

    Args:
        surface: points on the surface, in the store's frame.
        normals: at the surface points, as in :class:`Scan`.
        space: points in the space around.
    """

    surface: Float[Tensor, "B N D"]
    normals: Float[Tensor, "B N D"] | None
    space: Float[Tensor, "B M D"]

    @property
    def num_points(self) -> int:
        """N + M, all points of one scan."""
        return self.surface.shape[1] + self.space.shape[1]

    def __getitem__(self, rows: slice) -> "Samples":
        """The samples of the scans ``rows``, as views."""
        normals = None if self.normals is None else self.normals[rows]
        return Samples(self.surface[rows], normals, self.space[rows])

    def chunks(self, most_points: int | None) -> list[slice]:
        """Rows of whole scans: at most ``most_points`` points at a time, but at least one scan."""
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
    """The number of whole scans of one chunk, at least one.

    Args:
        num_scans: scans of the batch.
        num_points: points of each scan.
        most_points: points of a chunk, at most; None takes all scans.
    """
    fitting = num_scans * num_points if most_points is None else most_points
    return max(min(fitting // num_points, num_scans), 1)
