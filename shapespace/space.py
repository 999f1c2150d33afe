"""A trained space of shapes, ready to use: no trainer, no store, one file.

Letters: B scans, N points a scan, L code length.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
import trimesh
from jaxtyping import Float
from jsonargparse import ArgumentParser
from torch import Tensor

from shapespace.checkpoint import read_checkpoint
from shapespace.codes import LatentCodes
from shapespace.decoders import Decoder
from shapespace.errors import InputError, one_line
from shapespace.fitting import FitResult, fit_codes
from shapespace.mesh import extract_mesh
from shapespace.objectives import Objective
from shapespace.sampling import Sampler
from shapespace.scan import Frame, PreparedScan, Scan


class TrainedSpace:
    """A decoder and the codes of its training scans.

    decoder: in evaluation mode and float32, without gradients of its own; codes: with names and
    frames; objective, sampler: those of the training; unit: of the store, "m" or "radius"; path:
    the file.
    """

    def __init__(
        self,
        decoder: Decoder,
        codes: LatentCodes,
        objective: Objective,
        sampler: Sampler,
        unit: str = "m",
        path: Path | None = None,
    ) -> None:
        self.decoder = decoder.eval().requires_grad_(False)
        self.decoder.precision = "float32"
        self.codes = codes.requires_grad_(False)
        self.objective, self.sampler = objective, sampler
        self.unit, self.path = unit, path

    @classmethod
    def load(cls, path: str | Path, device: str = "auto") -> "TrainedSpace":
        """Rebuild the space of a checkpoint; InputError if ``path`` is none.

        device: as torch names it; "auto" is the GPU if there is one.
        """
        content = read_checkpoint(path)
        hyper = content["hyper_parameters"]
        try:
            decoder, objective, sampler = build_parts(hyper)
            codes = LatentCodes(hyper["num_scans"], decoder.latent_size)
            decoder.load_state_dict(_part(content, "decoder."))
            codes.load_state_dict(_part(content, "codes."))
        except (KeyError, TypeError, ValueError, RuntimeError) as error:
            raise InputError(
                f"{path}: its parts do not fit together ({one_line(error)})"
            ) from error
        if device == "auto":
            device = "cuda" if torch.cuda.is_available() else "cpu"
        unit = content["shapespace"].get("unit", "m")
        return cls(decoder.to(device), codes.to(device), objective, sampler, unit, Path(path))

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the training scans, in the order of the codes."""
        return self.codes.names

    @property
    def extent(self) -> float:
        """Half side of the box in which the field was trained, in the store's unit."""
        return self.sampler.extent

    def code(self, name: str) -> Float[Tensor, " L"]:
        """The code of a training scan."""
        return self.codes.table.weight[self.codes.row(name)]

    def frame(self, name: str) -> Frame:
        """The frame of a training scan."""
        return self.codes.frames[self.codes.row(name)]

    def mesh(
        self,
        code: Float[Tensor, " L"],
        frame: Frame | None = None,
        resolution: int = 128,
        cell: float | None = None,
    ) -> trimesh.Trimesh:
        """The shape of a code as a mesh in the source frame; empty if it has no surface.

        ``cell``, the side of a grid cell in the source's unit, takes the place of ``resolution``.
        A mesh that takes long shows a bar. InputError for a space of 2-D shapes.
        """
        self.check_has_meshes()
        return extract_mesh(self.decoder, code, resolution, self.extent, frame, cell=cell, bar=True)

    def check_has_meshes(self) -> None:
        """InputError for a space of 2-D shapes."""
        if self.decoder.dimension != 3:
            raise InputError(
                f"{self.path}: is a space of {self.decoder.dimension}-D shapes, without meshes; "
                "the previews of its run show their level sets, TrainedSpace.fit finds codes"
            )

    def fit(
        self,
        scans: Sequence[PreparedScan],
        num_points: int = 16384,
        steps: int = 800,
        seed: int = 0,
        on_step: Callable[[], object] = lambda: None,
    ) -> FitResult:
        """The codes of scans that were not trained on, all at once; the space stays as it is.

        ``num_points`` of each scan are used, of all scans alike: :func:`usable_points` tells how
        many one has.
        """
        batch = as_batch(scans, num_points).to(self.codes.table.weight.device)
        objective = self.objective.for_unseen()
        return fit_codes(
            self.decoder, batch, objective, self.sampler, steps, seed=seed, on_step=on_step
        )


def usable_points(scan: PreparedScan, num_points: int) -> int:
    """``num_points``, or all that a smaller scan has."""
    return min(num_points, len(scan.points))


def as_batch(scans: Sequence[PreparedScan], num_points: int) -> Scan:
    """The first ``num_points`` (shuffled) points of each scan, or all of a smaller one.

    ValueError for scans of different counts, whose codes would depend on each other.
    """
    counts = {usable_points(scan, num_points) for scan in scans}
    if len(counts) > 1:
        raise ValueError(f"scans of {sorted(counts)} points: fit each count by itself")
    (count,) = counts
    return Scan.cat([_first_points(scan, index, count) for index, scan in enumerate(scans)])


def _first_points(scan: PreparedScan, index: int, count: int) -> Scan:
    trusted = scan.trusted_normals
    normals = None if trusted is None else torch.from_numpy(trusted[None, :count])
    points, sigma = torch.from_numpy(scan.points), torch.from_numpy(scan.sigma)
    return Scan(torch.tensor([index]), points[None, :count], normals, sigma[None, :count])


def build_parts(hyper: dict[str, Any]) -> tuple[Decoder, Objective, Sampler]:
    """Decoder, objective and sampler from the plain data of a checkpoint or config."""
    kinds = {"decoder": Decoder, "objective": Objective, "sampler": Sampler}
    parser = ArgumentParser(exit_on_error=False)
    for name, kind in kinds.items():
        parser.add_subclass_arguments(kind, name, required=True)
    config = parser.parse_object({name: hyper[name] for name in kinds})
    built = parser.instantiate_classes(config)
    return built["decoder"], built["objective"], built["sampler"]


def _part(content: dict[str, Any], prefix: str) -> dict[str, Any]:
    state = content["state_dict"]
    return {key[len(prefix) :]: state[key] for key in state if key.startswith(prefix)}
