"""Scans and samples: the data on the way from a file to a loss.

Points are in the store's frame: the source's frame, moved by ``-centre`` and divided by ``scale``.
:class:`Frame` takes results back to the source.

Letters: B scans in a batch, N surface points a scan, M space points a scan, K points, D dimension
(3 or 2); n points of one prepared scan, m targets.
"""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from html import escape
from typing import Any, Literal, TypeVar, get_args

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
Need = Literal[
    "normals", "unsigned", "signed", "both_sides", "distance_gradient", "second_derivatives"
]
"""What an objective reads beside points.

* normals: unit normals of the scan whose side is known.
* unsigned, signed: distances at points around the scan, ``Samples.targets``. An occupancy is the
  sign of a signed distance.
* both_sides: half of the stored signed targets of a step are inside, half outside.
* distance_gradient: the gradients of these distances.
* second_derivatives: of the decoder.
"""
OF_TARGETS: frozenset[Need] = frozenset({"unsigned", "signed", "distance_gradient"})
"""Needs that :class:`TargetSamples` answer."""
Batched = TypeVar("Batched", bound="Scan | Samples | TargetSamples")
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

    def __repr__(self) -> str:
        points, dimension = self.points.shape
        return (
            f"PreparedScan({self.name!r}, {points} points, {dimension}-D, normals "
            f"{self.normals_kind})"
        )

    def _repr_html_(self) -> str:
        return f"<code>{escape(repr(self))}</code>"

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
class TargetSamples:
    """Points around B shapes with their distances, the same number of each.

    Args:
        points: in the store's frame.
        distance: to the surface, in the store's unit; positive outside if ``signed``.
        gradient: of the distance, of unit length, a zero row where unknown; None if not measured.
        signed: points inside have negative distances. Else no distance is negative.
    """

    points: Float[Tensor, "B K D"]
    distance: Float[Tensor, "B K"]
    gradient: Float[Tensor, "B K D"] | None
    signed: bool

    @staticmethod
    def cat(parts: "Sequence[TargetSamples]") -> "TargetSamples":
        """One batch of all ``parts``; unsigned if one of them is, without gradients if one is."""
        signed = all(part.signed for part in parts)
        parts = parts if signed else [part.unsigned() for part in parts]
        gradients = [part.gradient for part in parts if part.gradient is not None]
        return TargetSamples(
            points=torch.cat([part.points for part in parts]),
            distance=torch.cat([part.distance for part in parts]),
            gradient=torch.cat(gradients) if len(gradients) == len(parts) else None,
            signed=signed,
        )

    def unsigned(self) -> "TargetSamples":
        """The same points with the unsigned distance |d| and its gradient."""
        if not self.signed:
            return self
        side = torch.where(self.distance < 0, -1.0, 1.0).to(self.distance)
        gradient = None if self.gradient is None else self.gradient * side[..., None]
        return TargetSamples(self.points, self.distance.abs(), gradient, signed=False)


@dataclass(frozen=True)
class Scan:
    """Oriented points of B shapes, the same number of each.

    Args:
        index: the row of each scan's latent code.
        points: on the surface, in the store's frame.
        normals: unit and outward; a zero row is an unknown normal; None if no normal is known.
        sigma: standard deviation of the space points near each point: the distance to its 50th
            neighbour (IGR, Gropp et al. 2020, sec. 4); None if it was not measured.
        targets: distances around each scan, where the objective needs them.
    """

    index: Int[Tensor, " B"]
    points: Float[Tensor, "B N D"]
    normals: Float[Tensor, "B N D"] | None
    sigma: Float[Tensor, "B N"] | None
    targets: TargetSamples | None = None

    @staticmethod
    def cat(scans: "Sequence[Scan]") -> "Scan":
        """One batch of all ``scans``; scans without normals get unknown (zero) ones.

        The batch has sigma, and targets, if every scan has them.
        """
        known = any(scan.normals is not None for scan in scans)
        sigma = [scan.sigma for scan in scans if scan.sigma is not None]
        targets = [scan.targets for scan in scans if scan.targets is not None]
        return Scan(
            index=torch.cat([scan.index for scan in scans]),
            points=torch.cat([scan.points for scan in scans]),
            normals=torch.cat([_normals_or_zero(scan) for scan in scans]) if known else None,
            sigma=torch.cat(sigma) if len(sigma) == len(scans) else None,
            targets=TargetSamples.cat(targets) if len(targets) == len(scans) else None,
        )

    def __repr__(self) -> str:
        scans, points, dimension = self.points.shape
        having = [name for name in ("normals", "sigma") if getattr(self, name) is not None]
        return (
            f"Scan({scans} of {points} points, {dimension}-D, {' and '.join(having) or 'points'}"
            f"{'' if having else ' alone'}, {self.points.device})"
        )

    def _repr_html_(self) -> str:
        return f"<code>{escape(repr(self))}</code>"

    def __getitem__(self, rows: slice) -> "Scan":
        """The scans of ``rows``, as views."""
        return with_tensors(self, lambda tensor: tensor[rows])

    def pick(self, rows: Sequence[int]) -> "Scan":
        """The scans of ``rows`` in that order; a row may be given twice."""
        return Scan.cat([self[row : row + 1] for row in rows])

    def emptied(self) -> "Scan":
        """Scans of the same sizes with all points at 0 and normals unknown."""
        return replace(with_tensors(self, torch.zeros_like), index=self.index)

    def to(self, device: torch.device | str | torch.dtype) -> "Scan":
        """The same scans on ``device``, or in a floating point ``dtype``."""
        real_only = isinstance(device, torch.dtype)
        return with_tensors(
            self,
            lambda part: part if real_only and not part.is_floating_point() else part.to(device),
        )

    def pin_memory(self) -> "Scan":
        """The same scans in page-locked memory, for a data loader that feeds a GPU."""
        return with_tensors(self, Tensor.pin_memory)

    @property
    def num_points(self) -> int:
        """N, the points of each scan."""
        return self.points.shape[1]


def _normals_or_zero(scan: Scan) -> Tensor:
    """The normals of a scan; zero rows, which are unknown normals, if there are none."""
    return torch.zeros_like(scan.points) if scan.normals is None else scan.normals


def with_tensors(batch: Batched, change: Callable[[Tensor], Tensor]) -> Batched:
    """A copy of a dataclass of tensors, of the same class, with ``change`` applied to each tensor.

    The tensors of its parts are changed too; what is no tensor stays.
    """

    def changed(value: Any) -> Any:
        if isinstance(value, Tensor):
            return change(value)
        return with_tensors(value, change) if isinstance(value, TargetSamples) else value

    each = {field.name: changed(getattr(batch, field.name)) for field in fields(batch)}
    return replace(batch, **each)


@dataclass(frozen=True)
class Samples:
    """The points of B shapes at which an objective evaluates a field.

    A subclass may add tensors with B rows; slices and batches keep them.

    Args:
        surface: points on the surface, in the store's frame.
        normals: at the surface points, as in :class:`Scan`.
        space: points in the space around.
        targets: points with their distances, where the objective needs them.
    """

    surface: Float[Tensor, "B N D"]
    normals: Float[Tensor, "B N D"] | None
    space: Float[Tensor, "B M D"]
    targets: TargetSamples | None = None

    @property
    def num_points(self) -> int:
        """N + M + K, all points of one scan."""
        count = self.surface.shape[1] + self.space.shape[1]
        return count if self.targets is None else count + self.targets.points.shape[1]

    def __getitem__(self, rows: slice) -> "Samples":
        """The samples of the scans ``rows``, as views."""
        return with_tensors(self, lambda tensor: tensor[rows])

    def chunks(self, most_points: int | None) -> list[slice]:
        """Rows of whole scans: at most ``most_points`` points at a time, but at least one scan."""
        num_scans = self.surface.shape[0]
        size = scans_at_once(num_scans, self.num_points, most_points)
        return [slice(start, start + size) for start in range(0, num_scans, size)]

    @classmethod
    def cat(cls, samples: "Sequence[Samples]") -> "Samples":
        """One batch of samples of the same class, that all have normals or all have none."""
        first = samples[0]
        joined = {
            field.name: _joined([getattr(each, field.name) for each in samples])
            for field in fields(first)
        }
        return replace(first, **joined)


def _joined(values: Sequence[Any]) -> Any:
    """The values of one field of several samples as that of one batch."""
    if isinstance(values[0], Tensor):
        return torch.cat(list(values))
    return TargetSamples.cat(values) if isinstance(values[0], TargetSamples) else values[0]


def scans_at_once(num_scans: int, num_points: int, most_points: int | None) -> int:
    """The number of whole scans of one chunk, at least one.

    Args:
        num_scans: scans of the batch.
        num_points: points of each scan.
        most_points: points of a chunk, at most; None takes all scans.
    """
    fitting = num_scans * num_points if most_points is None else most_points
    return max(min(fitting // num_points, num_scans), 1)
