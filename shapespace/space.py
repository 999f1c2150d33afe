"""A trained space of shapes, ready to use: no trainer, no store, one file.

Letters: B scans, N points a scan, L code length.
"""

import hashlib
import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
import trimesh
from jaxtyping import Float
from jsonargparse import ArgumentParser
from torch import Tensor

from shapespace.checkpoint import read_checkpoint
from shapespace.codes import LatentCodes
from shapespace.decoders.base import Decoder
from shapespace.errors import InputError, one_line
from shapespace.fitting.pose import Pose
from shapespace.fitting.reference import fit_codes_adam
from shapespace.fitting.refine import Refinement
from shapespace.fitting.residuals import State, median_distance
from shapespace.fitting.result import FitResult
from shapespace.fitting.search import Search
from shapespace.fitting.terms import draw_samples, terms_of
from shapespace.fitting.uncertainty import surface_deviation
from shapespace.objectives.base import Objective
from shapespace.sampling import Sampler
from shapespace.scan import Frame, PreparedScan, Scan
from shapespace.surface.mesh import extract_mesh
from shapespace.utils.launch import own_device


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
        self.decoder = decoder
        self.codes = codes
        self.objective, self.sampler = objective, sampler
        self.unit, self.path = unit, path

    @classmethod
    def load(cls, path: str | Path, device: str = "auto") -> "TrainedSpace":
        """Rebuild the space of a checkpoint; InputError if ``path`` is none.

        device: as torch names it; "auto" is the GPU if there is one, :func:`own_device` of several.
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
            num_gpus = torch.cuda.device_count() if torch.cuda.is_available() else 0
            device = own_device(os.environ, num_gpus)
        decoder = decoder.to(device).eval().requires_grad_(False)
        decoder.precision = "float32"
        return cls(
            decoder,
            codes.to(device).requires_grad_(False),
            objective,
            sampler,
            unit=content["shapespace"].get("unit", "m"),
            path=Path(path),
        )

    @property
    def digest(self) -> str:
        """sha256 of weights and codes, hexadecimal: which space it is."""
        found = hashlib.sha256()
        for part in (*self.decoder.parameters(), *self.codes.parameters()):
            found.update(np.ascontiguousarray(part.detach().cpu().numpy()).data)
        return found.hexdigest()

    @cached_property
    def size(self) -> float | None:
        """Median distance of a surface from its middle, in the space's unit; None if unknown.

        Of the first, the middle and the last training code, by coarse meshes.
        """
        if self.decoder.dimension != 3:
            return None
        codes = self.codes.table.weight.detach()
        rows = sorted({0, len(self.codes) // 2, len(self.codes) - 1})
        meshes = [self.mesh(codes[row], resolution=32) for row in rows]
        sizes = [
            float(median_distance(torch.from_numpy(np.array(mesh.vertices))[None]))
            for mesh in meshes
            if len(mesh.vertices)
        ]
        return float(np.median(sizes)) if sizes else None

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
        return self.codes.table.weight[self.codes.row(name)].detach()

    def frame(self, name: str) -> Frame:
        """The frame of a training scan."""
        return self.codes.frames[self.codes.row(name)]

    def mesh(
        self,
        code: Float[Tensor, " L"],
        frame: Frame | None = None,
        resolution: int = 128,
        cell: float | None = None,
        pose: Pose | None = None,
    ) -> trimesh.Trimesh:
        """The shape of a code as a mesh in the source frame; empty if it has no surface.

        ``cell``, the side of a grid cell in the source's unit, takes the place of ``resolution``.
        ``pose`` of one scan leads from its frame to that of the space. A mesh that takes long shows
        a bar. InputError for a space of 2-D shapes.
        """
        self.check_has_meshes()
        field = self.decoder, code, resolution, self.extent
        if pose is None:
            return extract_mesh(*field, frame, cell=cell, bar=True)
        frame = frame or Frame(np.zeros(3))
        pose = Pose(*(part.double().cpu() for part in pose))
        cell = None if cell is None else cell / frame.scale * float(pose.scale)
        mesh = extract_mesh(*field, cell=cell, bar=True)
        return placed(mesh, frame, pose)

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
        search: Search | None = None,
        seed: int = 0,
        on_stage: Callable[[], object] = lambda: None,
    ) -> FitResult:
        """The codes of scans that were not trained on, all at once; the space stays as it is.

        At most ``num_points`` of each scan are used, of all scans alike: :func:`usable_points`
        tells how many one has. ``seed`` is of the samples at which the terms are taken at the end.
        """
        codes = self.codes.table.weight.detach()
        batch = as_batch(scans, num_points).to(codes.device)
        found = (search or Search())(self.decoder, batch, codes, on_stage=on_stage)
        samples = draw_samples(self.sampler, _posed(batch, found.poses), seed, 0)
        objective = self.objective.for_unseen()
        return replace(found, terms=terms_of(self.decoder, objective, samples, found.codes))

    def refined(
        self,
        fitted: FitResult,
        row: int,
        scan: PreparedScan,
        refinement: Refinement | None = None,
        seed: int = 0,
        on_step: Callable[[], object] = lambda: None,
    ) -> "TrainedSpace":
        """A space whose decoder moved near one fitted scan, for its mesh alone; this one stays."""
        which = torch.tensor([row], device=fitted.codes.device)
        code, poses = fitted.codes[which], fitted.poses.rows(which)
        batch = as_batch([scan], len(scan.points)).to(fitted.codes.device)
        size = float(fitted.sizes[row] * poses.scale[0])
        parts = _posed(batch, poses), code, size, self.objective.for_refinement(), self.sampler
        decoder = (refinement or Refinement())(self.decoder, *parts, seed, on_step)
        others = self.codes, self.objective, self.sampler, self.unit, self.path
        return TrainedSpace(decoder, *others)

    def deviation(
        self, fitted: FitResult, row: int, mesh: trimesh.Trimesh, frame: Frame
    ) -> Float[np.ndarray, " V"]:
        """How sure a fit is of its mesh: standard deviation along the normal, in the source's unit.

        NaN at every vertex for a fit that says nothing of it (the published optimisation).
        """
        if fitted.covariances is None:
            return np.full(len(mesh.vertices), np.nan)
        which = torch.tensor([row], device=fitted.codes.device)
        state = State(fitted.codes, fitted.poses).rows(which)
        local = frame.to_store(np.asarray(mesh.vertices))
        points = torch.from_numpy(local)[None].to(fitted.codes)
        found = surface_deviation(
            self.decoder,
            points,
            state,
            fitted.covariances[which],
            fitted.scatter[which],
            fitted.freedom,
        )
        return found[0].double().cpu().numpy() * frame.scale

    def fit_reference(
        self,
        scans: Sequence[PreparedScan],
        num_points: int = 16384,
        steps: int = 800,
        seed: int = 0,
        on_step: Callable[[], object] = lambda: None,
    ) -> FitResult:
        """The same by the published optimisation (:func:`fit_codes_adam`), to compare with."""
        batch = as_batch(scans, num_points).to(self.codes.table.weight.device)
        objective = self.objective.for_unseen()
        return fit_codes_adam(
            self.decoder, batch, objective, self.sampler, steps, seed=seed, on_step=on_step
        )


def placed(mesh: trimesh.Trimesh, frame: Frame, pose: Pose) -> trimesh.Trimesh:
    """A copy of a mesh of the space in the source frame of a scan that has a pose."""
    vertices = torch.from_numpy(np.asarray(mesh.vertices, np.float64))
    found = mesh.copy()
    found.vertices = frame.to_source(pose.back(vertices[None])[0].numpy())
    return found


def usable_points(scan: PreparedScan, num_points: int) -> int:
    """``num_points``, or all that a smaller scan has."""
    return min(num_points, len(scan.points))


def _posed(batch: Scan, poses: Pose) -> Scan:
    """Scans in the frame of the space."""
    normals = None if batch.normals is None else poses.turn(batch.normals)
    return Scan(batch.index, poses(batch.points), normals, batch.sigma * poses.scale[:, None])


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
