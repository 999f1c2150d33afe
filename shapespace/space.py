"""A trained space of shapes, ready to use from its checkpoint alone: no trainer, no store.

Letters: B scans, N points a scan, D dimension, V vertices, L code length.
"""

import hashlib
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
import trimesh
from jaxtyping import Float
from torch import Tensor

from shapespace.checkpoint import built, check_numbers
from shapespace.codes import LatentCodes
from shapespace.config.options import Factor
from shapespace.data.prepare.points import with_sigma
from shapespace.decoders.base import Decoder
from shapespace.decoders.derivatives import as_distance
from shapespace.encoders.codes import EncodedCodes
from shapespace.encoders.factors import FactorCodes, Held, HeldPart, with_part
from shapespace.errors import InputError
from shapespace.fitting.pose import Pose
from shapespace.fitting.reference import fit_codes_adam
from shapespace.fitting.refine import Refinement
from shapespace.fitting.residuals import State, median_distance
from shapespace.fitting.result import FitResult
from shapespace.fitting.search import Search
from shapespace.fitting.sight.lines import Sightlines, sight_batch
from shapespace.fitting.terms import (
    as_batch,
    draw_samples,
    missing_of,
    posed,
    terms_of,
    with_targets,
)
from shapespace.fitting.uncertainty import surface_deviation
from shapespace.objectives.base import FieldKind, Objective
from shapespace.sampling import Sampler
from shapespace.scan import Frame, PreparedScan
from shapespace.sharing.bundle import read_bundle, read_space
from shapespace.surface.mesh import extract_mesh
from shapespace.utils.launch import own_device
from shapespace.utils.notebook import Shown, nothing, shown


class TrainedSpace(Shown):
    """A decoder and the codes of its training scans.

    :meth:`load` builds a space from a checkpoint. The constructor takes parts as they are.

    Args:
        decoder: f(x; z). It should be in evaluation mode, of precision float32 and without
            gradients, as :meth:`load` makes it.
        codes: of the training scans, with names and frames.
        objective: of the training.
        sampler: of the training.
        unit: of the store, "m" or "radius".
        path: the checkpoint, for messages.
        kind: what the values of the field are; None takes the kind of the objective.

    Raises:
        InputError: a weight or a code is no finite real number, or not each code has a scan.
    """

    def __init__(
        self,
        decoder: Decoder,
        codes: LatentCodes,
        objective: Objective,
        sampler: Sampler,
        unit: str = "m",
        path: Path | None = None,
        kind: FieldKind | None = None,
    ) -> None:
        codes.check_named()
        for part in (decoder, codes):
            weights = dict(part.named_parameters())
            check_numbers(weights, dict.fromkeys(weights, torch.empty(0)))
        self.decoder = decoder
        self.codes = codes
        self.objective = objective
        self.sampler = sampler
        self.unit = unit
        self.path = path
        self.kind: FieldKind = objective.kind if kind is None else kind

    @classmethod
    def load(cls, path: str | Path, device: str = "auto") -> "TrainedSpace":
        """Rebuild the space of a checkpoint, frozen: in evaluation mode, float32, no gradients.

        Args:
            path: the checkpoint, or a folder that ``shapespace export`` wrote.
            device: as torch names it. "auto" takes the GPU if there is one, and of several GPUs
                that of this process (:func:`~shapespace.utils.launch.own_device`).

        Raises:
            InputError: if ``path`` is no checkpoint, or its parts do not fit together.
        """
        return cls.of_content(read_space(path), path, device)

    @classmethod
    def from_pretrained(cls, folder: str | Path, device: str = "auto") -> "TrainedSpace":
        """Rebuild an exported space, without pickle; frozen as by :meth:`load`.

        Args:
            folder: written by ``shapespace export``, or OWNER/NAME on the Hugging Face hub.
            device: as torch names it, or "auto", as for :meth:`load`.

        Raises:
            InputError: if ``folder`` is no exported space, or is damaged.
        """
        return cls.of_content(read_bundle(folder), folder, device)

    @classmethod
    def of_content(cls, content: dict[str, Any], path: str | Path, device: str) -> "TrainedSpace":
        """Build the space of the content of a checkpoint; frozen as by :meth:`load`.

        Args:
            content: as :func:`~shapespace.checkpoint.read_checkpoint` gives it.
            path: where it comes from, for messages.
            device: as torch names it, or "auto", as for :meth:`load`.

        Raises:
            InputError: its parts do not fit together.
        """
        decoder, codes, objective, sampler = built(content, path)
        if device == "auto":
            num_gpus = torch.cuda.device_count() if torch.cuda.is_available() else 0
            device = own_device(os.environ, num_gpus)
        decoder = decoder.to(device).eval().requires_grad_(False)
        decoder.precision = "float32"
        return cls(
            decoder=decoder,
            codes=codes.to(device).requires_grad_(False),
            objective=objective.to(device).eval().requires_grad_(False),
            sampler=sampler,
            unit=content["shapespace"].get("unit", "m"),
            path=Path(path),
            kind=content["shapespace"].get("field"),
        )

    def __repr__(self) -> str:
        shapes = f"{len(self)} shape{'' if len(self) == 1 else 's'}"
        return (
            f"TrainedSpace({shapes}, {self.decoder.dimension}-D, code length "
            f"{self.decoder.latent_size}, unit {self.unit}, box ±{self.extent:g})"
        )

    def __len__(self) -> int:
        return len(self.codes)

    def __iter__(self) -> Iterator[str]:
        return iter(self.names)

    def __getitem__(self, name: str) -> Float[Tensor, " L"]:
        """The code of a training scan, as :meth:`code`."""
        return self.code(name)

    @property
    def digest(self) -> str:
        """sha256 of weights and codes, hexadecimal: the identity of the space."""
        found = hashlib.sha256()
        for part in (*self.decoder.parameters(), *self.codes.parameters()):
            found.update(np.ascontiguousarray(part.detach().cpu().numpy()).data)
        return found.hexdigest()

    @cached_property
    def metric(self) -> Decoder:
        """The field as a distance: the decoder itself, or f / |grad f| where f is no distance.

        Fits, error bars, diagnostics and all lengths in reports are measured by it.
        """
        codes = self.codes.table.weight.detach()
        return as_distance(self.decoder, self.kind, codes, self.extent)

    @cached_property
    def size(self) -> float | None:
        """The median distance of a shape's surface from its middle, in the space's unit.

        The median is over coarse meshes of the first, the middle and the last training code. None
        for 2-D shapes, and if none of the three has a surface.
        """
        if self.decoder.dimension != 3:
            return None
        some = sorted({0, len(self.codes) // 2, len(self.codes) - 1})
        meshes = [self.mesh(code, resolution=32) for code in self.codes.table.weight.detach()[some]]
        found = [torch.from_numpy(np.array(mesh.vertices)) for mesh in meshes if len(mesh.vertices)]
        sizes = [float(median_distance(vertices[None])) for vertices in found]
        return float(np.median(sizes)) if sizes else None

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the training scans, in the order of the codes."""
        return self.codes.names

    @property
    def extent(self) -> float:
        """Half side of the box in which the field was trained, in the store's unit."""
        return self.sampler.extent

    def code(self, name: str) -> Float[Tensor, " L"]:
        """The code of a training scan; InputError if there is no scan of that name."""
        return self.codes.table.weight[self.codes.row(name)].detach()

    @property
    def identity_size(self) -> int:
        """Numbers at the front of a code that the scans of a subject share; 0 if there are none."""
        return self.codes.identity_size if isinstance(self.codes, FactorCodes) else 0

    def held(self, factor: Factor, name: str) -> Held:
        """The identity of a training scan or subject, or the posture of a scan, to be held.

        Args:
            factor: the part of the code.
            name: of the scan, or of the subject for its identity.

        Raises:
            InputError: the space has codes of one part, or there is no such scan.
        """
        if isinstance(self.codes, FactorCodes):
            return self.codes.held(factor, name)
        raise InputError(
            f"{self.path}: has codes of one part, of which no {factor} can be held; train with "
            "model.identity_size"
        )

    def combined(self, identity_of: str, posture_of: str) -> Float[Tensor, " L"]:
        """The code of one subject in the posture of another scan.

        Args:
            identity_of: training scan or subject.
            posture_of: training scan.
        """
        held = self.held("identity", identity_of)
        return with_part(self.code(posture_of), held, self.identity_size)

    def frame(self, name: str) -> Frame:
        """The frame of a training scan; InputError if there is no scan of that name."""
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

        A mesh that takes long shows a progress bar.

        Args:
            code: of the shape.
            frame: of the scan in its source; None leaves the mesh in the store's frame.
            resolution: grid nodes along the longest side of the shape.
            cell: side of a grid cell in the source's unit, in place of ``resolution``.
            pose: of one scan, from its frame to that of the space; None for the identity.

        Raises:
            InputError: for a space of 2-D shapes.
        """
        self.check_has_meshes()
        if pose is None:
            return extract_mesh(
                self.decoder, code, resolution, extent=self.extent, frame=frame, cell=cell, bar=True
            )
        frame = frame or Frame(np.zeros(3))
        pose = pose.exact()
        # The mesh is made in the frame of the space, so that its cells have the pose's scale.
        cell = None if cell is None else cell / frame.scale * float(pose.scale)
        mesh = extract_mesh(self.decoder, code, resolution, extent=self.extent, cell=cell, bar=True)
        return placed(mesh, frame, pose)

    def show(self, shape: str | Float[Tensor, " L"], resolution: int = 128) -> Any:
        """Show the shape of a code, or of a training scan by its name, in a notebook or a window.

        Args:
            shape: name of a training scan, or a code.
            resolution: grid nodes along the longest side of the shape.

        Returns:
            What trimesh's viewer returns, which a notebook displays.

        Raises:
            InputError: there is no viewer, or for a space of 2-D shapes.
        """
        code = self[shape] if isinstance(shape, str) else shape
        return shown(self.mesh(code, resolution=resolution))

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
        on_stage: Callable[[], object] = nothing,
        held: Held | None = None,
        sight: Sequence[Sightlines | None] = (),
    ) -> FitResult:
        """Find the codes of scans that were not trained on; the space stays as it is.

        Args:
            scans: all with the same number of usable points (:func:`usable_points`).
            num_points: points of each scan that are used, at most.
            search: options of the search; None takes the defaults.
            seed: of the samples at which the terms are evaluated at the end. Scans that lack what
                the objective needs have no terms.
            on_stage: called after each stage of the search.
            held: the part of the codes that is given (:meth:`held`); None finds whole codes.
            sight: what sensors saw through on the way to the points of each scan, in its store's
                frame; empty if no sensor is known.
        """
        codes = self.codes.table.weight.detach()
        search = search or Search()
        scans = with_sigma(scans, needed=self.sampler.needs_sigma or search.even)
        batch = as_batch(scans, num_points).to(codes.device)
        scan = replace(batch, normals=None) if self.kind == "unsigned" else batch
        if isinstance(self.codes, EncodedCodes) and search.guess is None:
            # The encoder's guess is looked at first, before the training codes.
            search = replace(search, guess=torch.cat([self.encode(batch.points), codes]))
        part = None if held is None else HeldPart.of(self.metric, held, self.identity_size)
        rays = sight_batch(sight, [s.points for s in scans], codes, search.delta, seed)
        found = search.holding(part, self.metric, scan, codes=codes, on_stage=on_stage, sight=rays)
        objective = self.objective.for_unseen()
        if missing_of(scans, objective) is not None:
            return found
        batch = with_targets(batch, scans, objective=objective, seed=seed)
        samples = draw_samples(self.sampler, posed(batch, found.poses), seed=seed, step=0)
        terms = terms_of(self.decoder, objective, samples=samples, latent=found.codes)
        return replace(found, terms=terms)

    @torch.no_grad()
    def encode(self, points: Float[Tensor, "B N D"]) -> Float[Tensor, "B L"]:
        """The codes that the encoder gives to scans in the frame of the space, in one pass.

        Raises:
            InputError: the space was trained with a table of codes.
        """
        if not isinstance(self.codes, EncodedCodes):
            raise InputError(f"{self.path}: has a table of codes and no encoder; use fit")
        return self.codes.encoder(points)[0]

    def refined(
        self,
        fitted: FitResult,
        row: int,
        scan: PreparedScan,
        refinement: Refinement | None = None,
        seed: int = 0,
        on_step: Callable[[], object] = nothing,
    ) -> "TrainedSpace":
        """A space whose decoder is refined near one fitted scan; this space stays as it is.

        The new space is for the mesh of that scan alone.

        Args:
            fitted: the result of :meth:`fit`.
            row: of the scan in the result.
            scan: the scan itself.
            refinement: options; None takes the defaults.
            seed: of the points of each step.
            on_step: called after each step.
        """
        which = torch.tensor([row], device=fitted.codes.device)
        code = fitted.codes[which]
        poses = fitted.poses.rows(which)
        scans = with_sigma([scan], needed=self.sampler.needs_sigma)
        objective = self.objective.for_refinement()
        batch = as_batch(scans, len(scan.points)).to(fitted.codes.device)
        batch = with_targets(batch, scans, objective=objective, seed=seed)
        size = float(fitted.sizes[row] * poses.scale[0])
        refine = refinement or Refinement()
        decoder = refine(
            self.decoder,
            posed(batch, poses),
            code,
            size=size,
            objective=objective,
            sampler=self.sampler,
            seed=seed,
            on_step=on_step,
            metric=self.metric,
        )
        return TrainedSpace(
            decoder=decoder,
            codes=self.codes,
            objective=self.objective,
            sampler=self.sampler,
            unit=self.unit,
            path=self.path,
            kind=self.kind,
        )

    def deviation(
        self, fitted: FitResult, row: int, mesh: trimesh.Trimesh, frame: Frame
    ) -> Float[np.ndarray, " V"]:
        """The standard deviation of a fitted surface along its normal, at each vertex of its mesh.

        NaN for a fit without covariances, which the published optimisation does not give.

        Args:
            fitted: the result of :meth:`fit`.
            row: of the scan in the result.
            mesh: of the fitted scan, in the source's frame.
            frame: of the scan in its source.

        Returns:
            One number a vertex, in the source's unit.
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
            covariances=fitted.covariances[which],
            spread=fitted.scatter[which],
            freedom=fitted.freedom,
        )
        return found[0].double().cpu().numpy() * frame.scale

    def fit_reference(
        self,
        scans: Sequence[PreparedScan],
        num_points: int = 16384,
        steps: int = 800,
        seed: int = 0,
        on_step: Callable[[], object] = nothing,
    ) -> FitResult:
        """Find the codes by the published optimisation (800 steps of Adam), to compare with.

        Args:
            scans: all with the same number of usable points (:func:`usable_points`).
            num_points: points of each scan that are used, at most.
            steps: of Adam, as published by default.
            seed: of the initial code and of the space points.
            on_step: called after each step.
        """
        scans = with_sigma(scans, needed=self.sampler.needs_sigma)
        objective = self.objective.for_unseen()
        batch = as_batch(scans, num_points).to(self.codes.table.weight.device)
        batch = with_targets(batch, scans, objective=objective, seed=seed)
        return fit_codes_adam(
            self.decoder,
            batch,
            objective=objective,
            sampler=self.sampler,
            steps=steps,
            seed=seed,
            on_step=on_step,
            metric=self.metric,
        )


def placed(mesh: trimesh.Trimesh, frame: Frame, pose: Pose) -> trimesh.Trimesh:
    """A copy of a mesh, taken from the frame of the space to the source frame of a scan.

    Args:
        mesh: in the frame of the space.
        frame: of the scan in its source.
        pose: of one scan, from its frame to that of the space.
    """
    vertices = torch.from_numpy(np.asarray(mesh.vertices, np.float64))
    found = mesh.copy()
    found.vertices = frame.to_source(pose.back(vertices[None])[0].numpy())
    return found
