"""From scan files to meshes through a trained space: the codes of scans it was not trained on.

Everything is written in the frame and units of the scan it came from.
"""

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
import trimesh
from jaxtyping import Float
from torch import Tensor

from shapespace.data.sources import AnySource, StoredScan
from shapespace.errors import InputError, at_least
from shapespace.fitting.refine import Refinement
from shapespace.fitting.residuals import State, distances
from shapespace.fitting.result import FitResult
from shapespace.reconstruction.export import check_cell, remark, write_mesh
from shapespace.reconstruction.inputs import check_store, prepare_for, space_of_meshes, unit_of
from shapespace.reconstruction.method import FitOptions, alike
from shapespace.reconstruction.pictures import fit_picture
from shapespace.reconstruction.record import (
    bare_share,
    facts_of_fit,
    facts_of_meshing,
    facts_of_refinement,
    facts_of_surface,
    line_of,
    with_dropped,
)
from shapespace.scan import PreparedScan
from shapespace.space import TrainedSpace, as_batch
from shapespace.utils.files import output_folder, replacing
from shapespace.utils.progress import progress

FEWEST = 20_000
"""Points that are sampled of a scan, if no more are fitted."""
CODE, FACTS, MESH, PICTURE = ".npy", ".json", ".ply", ".png"


@dataclass(frozen=True)
class Reconstruction:
    """One scan: its code [L], what its .json says, and the file of its mesh."""

    name: str
    code: Float[Tensor, " L"]
    facts: dict[str, Any]
    path: Path

    @property
    def mesh(self) -> trimesh.Trimesh:
        """Read from the file."""
        return with_dropped(trimesh.load_mesh(self.path, process=False), self.facts)

    @property
    def terms(self) -> dict[str, float]:
        """The unweighted terms of the objective at the end of the fit."""
        return self.facts["terms"]

    def line(self) -> str:
        """All that matters in one line."""
        return f"{self.path}: {line_of(self.facts)}"


@dataclass
class Reconstructions:
    """What :func:`reconstruct_files` did.

    kept: names that an earlier call had done; share: which of how many, from 1.
    """

    share: tuple[int, int] = (1, 1)
    done: list[Reconstruction] = field(default_factory=list)
    kept: list[str] = field(default_factory=list)
    skipped: list[tuple[str, str]] = field(default_factory=list)

    def lines(self) -> list[str]:
        """One readable line a scan."""
        lines = [item.line() for item in self.done if item.name not in self.kept]
        if self.kept:
            lines.append(f"kept {len(self.kept)} that were done before (--again does them anew)")
        lines += [f"skipped {name}: {reason}" for name, reason in self.skipped]
        return lines + ([self._summary()] if self.share[1] > 1 else [])

    def _summary(self) -> str:
        share = "share {} of {}".format(*self.share)
        if not self.done and not self.skipped:
            return f"{share}: nothing to do, there are fewer scans than shares"
        new, kept = len(self.done) - len(self.kept), len(self.kept)
        return f"{share}: {new} reconstructed, {kept} kept, {len(self.skipped)} skipped"


def reconstruct_files(
    checkpoint: str | Path,
    sources: Sequence[AnySource],
    out: str | Path,
    fit: FitOptions | None = None,
    *,
    resolution: int = 256,
    cell: float | None = None,
    batch: int = 8,
    unit: str = "auto",
    strict: bool = False,
    again: bool = False,
    pictures: bool = False,
    sequence: bool = False,
    share: tuple[int, int] = (1, 1),
) -> Reconstructions:
    """Fit and mesh the scans ``sources``; a bad one is skipped unless ``strict``.

    Writes ``<name>.ply``, ``<name>.json`` (the fit) and ``<name>.npy`` (the code) to ``out``, each
    scan as soon as it is done. What an earlier call with the same arguments has written of the same
    scan is kept, unless ``again``. With ``pictures`` there is a ``<name>.png`` of each. In a
    ``sequence`` the code of each scan is where the search for the next begins.

    share: (i, n) takes the i-th of n parts of the scans, from 1. The parts share nothing but
    ``out``, and one without any good scan is as good as the others.
    """
    fit = fit or FitOptions()
    at_least(1, batch=batch)
    at_least(2, resolution=resolution)
    check_cell(cell)
    sources = _part(sources, share, sequence)
    if not sources:
        return Reconstructions(share)
    space = space_of_meshes(checkpoint)
    for store in {source.store for source in sources if isinstance(source, StoredScan)}:
        check_store(space, store)
    made_by = {"space": space.digest, **asdict(fit), "unit": unit, "sequence": sequence}
    made_by |= {"resolution": resolution, "cell": cell}
    work = _Work(space, fit, output_folder(out), made_by, strict, again, pictures)
    work.result.share = share
    batch = 1 if sequence else batch
    with progress(total=fit.rounds * len(sources), desc="reconstructing", unit="round") as bar:
        for start in range(0, len(sources), batch):
            work.do(sources[start : start + batch], bar.update)
    order = {source.name: place for place, source in enumerate(sources)}
    work.result.done.sort(key=lambda item: order[item.name])
    if not work.result.done and share[1] == 1:
        raise InputError("; ".join(reason for _, reason in work.result.skipped[:3]))
    return work.result


def _part(
    sources: Sequence[AnySource], share: tuple[int, int], sequence: bool
) -> Sequence[AnySource]:
    part, of = share
    if not 1 <= part <= of:
        raise InputError(f"share={part, of}: give (i, n) with i from 1 to n")
    if sequence and of > 1:
        raise InputError(
            f"sequence in {of} shares: each frame begins where the one before it ended, so one "
            "process does them all; give --shard 1/1, and a process of its own to each sequence"
        )
    return sources[part - 1 :: of]


@dataclass
class _Work:
    """Scans of one call, a batch at a time."""

    space: TrainedSpace
    fit: FitOptions
    folder: Path
    made_by: dict[str, Any]
    strict: bool
    again: bool
    pictures: bool
    result: Reconstructions = field(default_factory=Reconstructions)

    def do(self, sources: Sequence[AnySource], advance: Callable[[int], object]) -> None:
        """Reconstruct a batch; ``advance`` is told of each round of each scan."""
        good: list[PreparedScan] = []
        for source in sources:
            scan = self._tried(source.name, partial(self._prepared, source))
            if scan is None:
                advance(self.fit.rounds)
            else:
                good.append(scan)
        for scans in alike(good, self.fit.num_points):
            fitted = self.fit(self.space, scans, partial(advance, len(scans)), self._guess())
            for row, scan in enumerate(scans):
                done = self._tried(scan.name, partial(self._write, scan, fitted, row, advance))
                self.result.done += [done] if done else []

    def _guess(self) -> Float[Tensor, "1 L"] | None:
        """The code of the frame before, in a sequence."""
        known = self.made_by["sequence"] and self.result.done
        return self.result.done[-1].code[None] if known else None

    def _tried(self, name: str, work: Callable[[], Any]) -> Any:
        """What ``work`` gives, or None after an error that concerns this scan alone."""
        try:
            return work()
        except InputError as error:
            if self.strict:
                raise
            self.result.skipped.append((name, str(error)))
            return None

    def _prepared(self, source: AnySource) -> PreparedScan | None:
        """A scan in the unit of the space, or None if it was done before."""
        kept = None if self.again else self._kept(source)
        if kept is not None:
            self.result.kept.append(kept.name)
            self.result.done.append(kept)
            return None
        # The published sampler takes its widths from the density of a full sample.
        sampled = max(self.fit.num_points, FEWEST) if self.fit.method == "second-order" else None
        return prepare_for(self.space, source, self.made_by["unit"], self.fit.seed, sampled)

    def _kept(self, source: AnySource) -> Reconstruction | None:
        """What an earlier call made of the same scan in the same way."""
        mesh = self.folder / (source.name + MESH)
        try:
            facts = json.loads((self.folder / (source.name + FACTS)).read_text())
            same = facts["made_by"] == self.made_by and mesh.exists()
            if not same or facts["scan_sha256"] != source.digest():
                return None
            code = torch.from_numpy(np.load(self.folder / (source.name + CODE)))
        except (OSError, ValueError, KeyError):
            return None
        return Reconstruction(source.name, code, facts, mesh)

    def _write(
        self,
        scan: PreparedScan,
        fitted: FitResult,
        row: int,
        advance: Callable[[int], object],
    ) -> Reconstruction:
        pose, code = fitted.poses.rows(torch.tensor([row])), fitted.codes[row]
        resolution, cell = self.made_by["resolution"], self.made_by["cell"]
        space = self._refined(scan, fitted, row, partial(advance, 1))
        start = time.perf_counter()
        mesh = space.mesh(code, scan.frame, resolution, cell, pose)
        made = facts_of_meshing(mesh, time.perf_counter() - start)
        deviation = self.space.deviation(fitted, row, mesh, scan.frame)
        known = deviation if np.isfinite(deviation).all() else None
        if self.pictures:
            fit_picture(self.folder / (scan.name + PICTURE), scan, mesh, known, self.fit.up)
        path = write_mesh(mesh, self.folder / (scan.name + MESH), known)
        with replacing(self.folder / (scan.name + CODE)) as part:
            np.save(part, code.cpu().numpy())
        facts = {
            "scan": scan.source,
            "scan_sha256": scan.source_hash,
            "checkpoint": str(self.space.path),
            "made_by": self.made_by,
            "remark": remark(mesh),
            **made,
            "unit": unit_of(self.space, scan.frame),
            "centre": scan.frame.centre.tolist(),
            "scale": scan.frame.scale,
            **facts_of_fit(fitted, row, self.space.unit),
            **facts_of_surface(known, scan.frame.scale, self.space.unit),
            "share_without_points": bare_share(mesh, scan, float(fitted.sizes[row])),
            **self._facts_of_refinement(space, fitted, row, scan),
        }
        with replacing(self.folder / (scan.name + FACTS)) as part:
            part.write_text(json.dumps(facts, indent=2) + "\n")
        return Reconstruction(scan.name, code, facts, path)

    def _refined(
        self, scan: PreparedScan, fitted: FitResult, row: int, on_step: Callable[[], object]
    ) -> TrainedSpace:
        """The space of the mesh: the trained one, or one of this scan alone."""
        if not self.fit.refine:
            return self.space
        refinement = Refinement(self.fit.refine)
        return self.space.refined(fitted, row, scan, refinement, self.fit.seed, on_step)

    def _facts_of_refinement(
        self, space: TrainedSpace, fitted: FitResult, row: int, scan: PreparedScan
    ) -> dict[str, float]:
        if space is self.space:
            return {}
        batch = as_batch([scan], fitted.distances.shape[1]).to(fitted.codes.device)
        which = torch.tensor([row], device=fitted.codes.device)
        state = State(fitted.codes, fitted.poses).rows(which)
        off = distances(space.decoder, batch.points, state)
        return facts_of_refinement(off[0].double().cpu().numpy(), space.unit)
