"""A trained space of shapes, ready to use from its checkpoint alone: no trainer, no store.

Letters: B scans, N points a scan, V vertices, L code length.
"""

import hashlib
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import cached_property
from html import escape
from pathlib import Path
from typing import Any

import numpy as np
import torch
import trimesh
from jaxtyping import Float
from torch import Tensor

from shapespace.checkpoint import TABLE, check_numbers, read_checkpoint
from shapespace.codes import LatentCodes
from shapespace.config.parts import build_part, check_size
from shapespace.data.prepare.points import sigma_of
from shapespace.decoders.base import Decoder
from shapespace.errors import InputError, one_line
from shapespace.fitting.pose import Pose
from shapespace.fitting.reference import fit_codes_adam
from shapespace.fitting.refine import Refinement
from shapespace.fitting.residuals import State, median_distance
from shapespace.fitting.result import FitResult
from shapespace.fitting.search import Search
from shapespace.fitting.terms import (
    draw_samples,
    missing_of,
    posed,
    terms_of,
    with_targets,
)
from shapespace.fitting.uncertainty import surface_deviation
from shapespace.objectives.base import Objective
from shapespace.sampling import Sampler
from shapespace.scan import Frame, PreparedScan, Scan
from shapespace.surface.mesh import extract_mesh
from shapespace.utils.launch import own_device


def _nothing() -> None:
    """Do nothing between two steps."""


class TrainedSpace:
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

    @classmethod
    def load(cls, path: str | Path, device: str = "auto") -> "TrainedSpace":
        """Rebuild the space of a checkpoint, frozen: in evaluation mode, float32, no gradients.

        Args:
            path: the checkpoint.
            device: as torch names it. "auto" takes the GPU if there is one, and of several GPUs
                that of this process (:func:`~shapespace.utils.launch.own_device`).

        Raises:
            InputError: if ``path`` is no checkpoint, or its parts do not fit together.
        """
        content = read_checkpoint(path)
        try:
            decoder, objective, sampler = build_parts(content)
            codes = _built_codes(content, decoder.latent_size)
        except (AttributeError, KeyError, TypeError, ValueError, RuntimeError) as error:
            raise InputError(
                f"{path}: its parts do not fit together ({one_line(error)})"
            ) from error
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
        )

    def __repr__(self) -> str:
        shapes = f"{len(self)} shape{'' if len(self) == 1 else 's'}"
        return (
            f"TrainedSpace({shapes}, {self.decoder.dimension}-D, code length "
            f"{self.decoder.latent_size}, unit {self.unit}, box ±{self.extent:g})"
        )

    def _repr_html_(self) -> str:
        return f"<code>{escape(repr(self))}</code>"

    def __len__(self) -> int:
        return len(self.codes)

    def __iter__(self) -> Iterator[str]:
        return iter(self.names)

    def __contains__(self, name: object) -> bool:
        return name in self.names

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
    def size(self) -> float | None:
        """The median distance of a shape's surface from its middle, in the space's unit.

        The median is over coarse meshes of the first, the middle and the last training code. None
        for 2-D shapes, and if none of the three has a surface.
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
        """The names of the training scans, in the order of the codes."""
        return self.codes.names

    @property
    def extent(self) -> float:
        """Half side of the box in which the field was trained, in the store's unit."""
        return self.sampler.extent

    def code(self, name: str) -> Float[Tensor, " L"]:
        """The code of a training scan; InputError if there is no scan of that name."""
        return self.codes.table.weight[self.codes.row(name)].detach()

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
        mesh = self.mesh(self[shape] if isinstance(shape, str) else shape, resolution=resolution)
        try:
            return mesh.show()
        # Each viewer that is missing or has no screen raises errors of its own.
        except Exception as error:
            raise InputError(
                f"no viewer ({one_line(error, 100)}): install pyglet, call it in a notebook, or "
                "write the mesh: space.mesh(code).export('shape.ply')"
            ) from error

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
        on_stage: Callable[[], object] = _nothing,
    ) -> FitResult:
        """Find the codes of scans that were not trained on; the space stays as it is.

        Args:
            scans: all with the same number of usable points (:func:`usable_points`).
            num_points: points of each scan that are used, at most.
            search: options of the search; None takes the defaults.
            seed: of the samples at which the terms are evaluated at the end. Scans that lack what
                the objective needs have no terms.
            on_stage: called after each stage of the search.
        """
        codes = self.codes.table.weight.detach()
        search = search or Search()
        scans = self._with_sigma(scans, needed=self.sampler.needs_sigma or search.even)
        batch = as_batch(scans, num_points).to(codes.device)
        found = search(self.decoder, batch, codes, on_stage=on_stage)
        objective = self.objective.for_unseen()
        if missing_of(scans, objective) is not None:
            return found
        batch = with_targets(batch, scans, objective=objective, seed=seed)
        samples = draw_samples(self.sampler, posed(batch, found.poses), seed=seed, step=0)
        terms = terms_of(self.decoder, objective, samples=samples, latent=found.codes)
        return replace(found, terms=terms)

    @staticmethod
    def _with_sigma(scans: Sequence[PreparedScan], needed: bool) -> Sequence[PreparedScan]:
        """The scans, with sigma if it is needed."""
        if not needed:
            return scans
        return [_measured(scan) for scan in scans]

    def refined(
        self,
        fitted: FitResult,
        row: int,
        scan: PreparedScan,
        refinement: Refinement | None = None,
        seed: int = 0,
        on_step: Callable[[], object] = _nothing,
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
        scans = self._with_sigma([scan], needed=self.sampler.needs_sigma)
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
        )
        return TrainedSpace(
            decoder=decoder,
            codes=self.codes,
            objective=self.objective,
            sampler=self.sampler,
            unit=self.unit,
            path=self.path,
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
        on_step: Callable[[], object] = _nothing,
    ) -> FitResult:
        """Find the codes by the published optimisation (800 steps of Adam), to compare with.

        Args:
            scans: all with the same number of usable points (:func:`usable_points`).
            num_points: points of each scan that are used, at most.
            steps: of Adam, as published by default.
            seed: of the initial code and of the space points.
            on_step: called after each step.
        """
        scans = self._with_sigma(scans, needed=self.sampler.needs_sigma)
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


def usable_points(scan: PreparedScan, num_points: int) -> int:
    """The number of points that a fit uses: ``num_points``, or all of a smaller scan."""
    return min(num_points, len(scan.points))


def _measured(scan: PreparedScan) -> PreparedScan:
    """The scan with sigma; measured here if ``prepare`` did not."""
    if scan.sigma is not None:
        return scan
    again = not scan.num_source_faces and len(scan.points) > scan.num_source_points
    return replace(scan, sigma=sigma_of(scan.points, again))


def as_batch(scans: Sequence[PreparedScan], num_points: int) -> Scan:
    """One batch of the first ``num_points`` points of each scan, or of all points of small scans.

    Points are stored shuffled, so that the first are random ones. ValueError if the scans would
    have different numbers of points.
    """
    counts = {usable_points(scan, num_points) for scan in scans}
    if len(counts) > 1:
        raise ValueError(f"scans of {sorted(counts)} points: fit each count by itself")
    (count,) = counts
    return Scan.cat([_first_points(scan, index, count) for index, scan in enumerate(scans)])


def _first_points(scan: PreparedScan, index: int, count: int) -> Scan:
    """A batch of one scan, with normals only where their direction can be trusted."""
    trusted = scan.trusted_normals
    return Scan(
        index=torch.tensor([index]),
        points=torch.from_numpy(scan.points)[None, :count],
        normals=None if trusted is None else torch.from_numpy(trusted[None, :count]),
        sigma=None if scan.sigma is None else torch.from_numpy(scan.sigma)[None, :count],
    )


def build_parts(content: dict[str, Any]) -> tuple[Decoder, Objective, Sampler]:
    """Decoder and objective with their weights, and sampler, from the content of a checkpoint.

    Raises:
        InputError: a part is not known, has other arguments, or its weights are no finite numbers.
        RuntimeError: the weights are those of another decoder or objective.
    """
    hyper = content["hyper_parameters"]
    weights = _part(content, "decoder.")
    check_size(hyper["decoder"], Decoder, weights)
    decoder = build_part(hyper["decoder"], Decoder, "decoder")
    check_numbers(weights, decoder.state_dict())
    decoder.load_state_dict(weights)
    objective = build_part(hyper["objective"], Objective, "objective")
    learnt = _part(content, "objective.")
    check_numbers(learnt, objective.state_dict())
    objective.load_state_dict(learnt)
    return decoder, objective, build_part(hyper["sampler"], Sampler, "sampler")


def _built_codes(content: dict[str, Any], latent_size: int) -> LatentCodes:
    """The codes of a checkpoint, with their scans."""
    state = _part(content, "codes.")
    num_scans, length = content["state_dict"][TABLE].shape
    if length != latent_size:
        raise InputError(f"codes have length {length} but the decoder takes {latent_size}")
    codes = LatentCodes(num_scans, latent_size)
    check_numbers(state, codes.state_dict())
    codes.load_state_dict(state)
    codes.check_named()
    return codes


def _part(content: dict[str, Any], prefix: str) -> dict[str, Any]:
    """The entries of the state whose keys begin with ``prefix``, without the prefix."""
    state = content["state_dict"]
    return {key[len(prefix) :]: state[key] for key in state if key.startswith(prefix)}
