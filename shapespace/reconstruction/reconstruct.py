"""Reconstruct scans that a space was not trained on: find their codes, mesh them, write the files.

Frame and unit: every file is written in the frame and unit of the scan that it came from.
Letters: L code length, V vertices.
"""

import json
import time
from collections.abc import Callable, Sequence, Set
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
import trimesh
from jaxtyping import Float
from torch import Tensor

from shapespace.config.options import FitOptions, MeshOptions, ReadOptions
from shapespace.data.sources import AnySource, Source, StoredScan
from shapespace.errors import DiskError, InputError
from shapespace.fitting.result import FitResult
from shapespace.reconstruction.detail import (
    detailed,
    detailed_mesh,
    deviation_of_detail,
    facts_of_detail,
)
from shapespace.reconstruction.export import facts_of_reconstruction, write_mesh
from shapespace.reconstruction.inputs import (
    MIN_SAMPLES,
    check_store,
    space_of_meshes,
)
from shapespace.reconstruction.method import (
    alike,
    fit_scans,
    fitting_prior,
    identity_of_options,
    num_rounds,
    refined_space,
)
from shapespace.reconstruction.pictures import fit_picture
from shapespace.reconstruction.record import (
    facts_of_distance,
    facts_of_meshing,
    facts_of_refined,
    facts_of_sight,
)
from shapespace.reconstruction.results import (
    CODE,
    FACTS,
    MESH,
    PICTURE,
    Reconstruction,
    Reconstructions,
    bytes_of_code,
    part_of,
    read_result,
)
from shapespace.reconstruction.views.check import prepare_seen
from shapespace.reconstruction.views.fuse import sight_of, sights_of
from shapespace.scan import PreparedScan
from shapespace.space import TrainedSpace
from shapespace.utils.files import output_folder, path_inside, replacing
from shapespace.utils.progress import progress


def reconstruct_files(
    checkpoint: str | Path,
    sources: Sequence[AnySource],
    out: str | Path,
    fit: FitOptions | None = None,
    meshing: MeshOptions | None = None,
    *,
    strict: bool = False,
    again: bool = False,
    pictures: bool = False,
    sequence: bool = False,
    share: tuple[int, int] = (1, 1),
) -> Reconstructions:
    """Find the codes of scans and write their meshes; each scan as soon as it is done.

    Writes ``<name>.ply``, ``<name>.json`` (facts of the fit) and ``<name>.npy`` (the code). Results
    of an earlier call are kept if scan, checkpoint and options are the same.

    Args:
        checkpoint: file of a trained space.
        sources: the scans: files, frames of registration files, or scans of stores.
        out: folder for the results.
        fit: how codes are found.
        meshing: how scans are read and meshes are made.
        strict: raise at the first scan that cannot be used, instead of skipping it.
        again: do every scan anew, whatever an earlier call has left.
        pictures: write ``<name>.png`` too.
        sequence: the scans are the frames of a motion, in order. The search for the code of a frame
            starts at the code of the frame before it.
        share: (i, n) takes the i-th of n parts of the scans, from 1. Parts share nothing but
            ``out``. A part in which no scan can be used is no error.

    Raises:
        InputError: the checkpoint, an option or, if ``strict``, a scan cannot be used; or none of
            the scans can.
    """
    fit, meshing = fit or FitOptions(), meshing or MeshOptions()
    sources = part_of(sources, share, sequence)
    if not sources:
        return Reconstructions(share)
    space = space_of_meshes(checkpoint)
    # A mistake is found before the first scan is read.
    fitting_prior(fit.prior, space)
    for store in {source.store for source in sources if isinstance(source, StoredScan)}:
        check_store(space, store)
    work = _Reconstructor(
        space=space,
        fit=fit,
        meshing=meshing,
        folder=output_folder(out),
        strict=strict,
        again=again,
        pictures=pictures,
        sequence=sequence,
        result=Reconstructions(share),
    )
    # Each frame of a sequence needs the code of the one before it.
    batch = 1 if sequence else meshing.batch
    with progress(total=len(sources), desc="reconstructing", unit="scan", parts=True) as bar:
        for start in range(0, len(sources), batch):
            try:
                work.do(sources[start : start + batch], partial(bar.update_parts, num_rounds(fit)))
            except DiskError as error:
                done = len(work.result.done)
                raise DiskError(
                    f"{error}; {done} of {len(sources)} scans are done and kept: make room and run "
                    "the same command"
                ) from error
    # Scans with another number of points are fitted later than their neighbours.
    order = {source.name: row for row, source in enumerate(sources)}
    work.result.done.sort(key=lambda item: order[item.name])
    if not work.result.done and share[1] == 1:
        raise InputError("; ".join(reason for _, reason in work.result.skipped[:3]))
    return work.result


@dataclass
class _Reconstructor:
    """The scans of one call, a batch at a time; fields as :func:`reconstruct_files` takes them."""

    space: TrainedSpace
    fit: FitOptions
    meshing: MeshOptions
    folder: Path
    strict: bool
    again: bool
    pictures: bool
    sequence: bool
    result: Reconstructions
    _sources: dict[str, AnySource] = field(default_factory=dict)

    @cached_property
    def made_by(self) -> dict[str, Any]:
        """All that a result depends on beside the scan: equal values mean equal results."""
        return {
            "space": self.space.digest,
            **identity_of_options(self.fit),
            "unit": self.meshing.unit,
            "sequence": self.sequence,
            "resolution": self.meshing.resolution,
            "cell": self.meshing.cell,
            **({"columns": self.meshing.columns} if self.meshing.columns else {}),
        }

    @cached_property
    def reading(self) -> ReadOptions:
        """How files are read."""
        return ReadOptions(self.meshing.columns, self.strict)

    def do(self, sources: Sequence[AnySource], advance: Callable[[int], object]) -> None:
        """Reconstruct a batch; ``advance`` is called with the number of rounds that were done."""
        self._sources = {source.name: source for source in sources}
        new = {source.name for source in sources if not self._keep(source)}
        advance(num_rounds(self.fit) * (len(sources) - len(new)))
        if not new:
            return
        good: list[PreparedScan] = []
        # Scans that are kept are fitted too, and not written: the numbers of a fit depend, in their
        # last digits, on the other scans of its batch. So a call that goes on where another one was
        # killed writes what that one would have written.
        for source in sources:
            if source.name not in new:
                with suppress(InputError):
                    good.append(self._prepared(source))
                continue
            scan = self._tried(source.name, partial(self._prepared, source))
            if scan is None:
                advance(num_rounds(self.fit))
            else:
                good.append(scan)
        for scans in alike(good, self.fit.num_points):
            self._fit(scans, new, advance)

    def _fit(
        self, scans: Sequence[PreparedScan], new: Set[str], advance: Callable[[int], object]
    ) -> None:
        """Fit scans together, and write those called ``new``."""
        to_write = [row for row, scan in enumerate(scans) if scan.name in new]
        if not to_write:
            return
        fitted = fit_scans(
            self.fit,
            self.space,
            scans,
            on_round=partial(advance, len(to_write)),
            guess=self._guess(),
            sight=sights_of(self._sources, scans),
        )
        for row in to_write:
            scan = scans[row]
            write = partial(self._write, scan, fitted, row, on_step=partial(advance, 1))
            done = self._tried(scan.name, write)
            self.result.done += [done] if done else []

    def _guess(self) -> Float[Tensor, "1 L"] | None:
        """The code of the frame before; None outside a sequence and at its start."""
        return self.result.done[-1].code[None] if self.sequence and self.result.done else None

    def _tried(self, name: str, work: Callable[[], Any]) -> Any:
        """The result of ``work``; None, and a line in ``skipped``, if this scan cannot be used."""
        try:
            return work()
        except InputError as error:
            # Fits of further scans would be in vain on a full disk.
            if self.strict or isinstance(error, DiskError):
                raise
            self.result.skipped.append((name, str(error)))
            return None

    def _keep(self, source: AnySource) -> bool:
        """Take over the reconstruction of the same scan by an earlier call, if there is one."""
        kept = None if self.again else self._kept(source)
        if kept is not None:
            self.result.kept.append(kept.name)
            self.result.done.append(kept)
        return kept is not None

    def _prepared(self, source: AnySource) -> PreparedScan:
        """The scan in the unit of the space; InputError if its name cannot name files."""
        path_inside(self.folder, source.name)
        # The published sampler takes its sigma from the density of a full sample.
        few = self.fit.method == "second-order"
        return prepare_seen(
            self.space,
            source,
            unit=self.meshing.unit,
            seed=self.fit.seed,
            num_points=max(self.fit.num_points, MIN_SAMPLES) if few else None,
            reading=self.reading,
        )

    def _kept(self, source: AnySource) -> Reconstruction | None:
        """The reconstruction of the same scan by an earlier call with the same options, if any."""
        try:
            found = read_result(self.folder, source.name)
            if found is None or found.facts.get("made_by") != self.made_by:
                return None
            same = found.facts.get("scan_sha256") == source.digest()
        # What cannot be read was not left by an earlier call and is made anew.
        except InputError:
            return None
        return found if same and len(found.code) == self.space.decoder.latent_size else None

    def _write(
        self,
        scan: PreparedScan,
        fitted: FitResult,
        row: int,
        on_step: Callable[[], object],
    ) -> Reconstruction:
        """Mesh one scan of a batch and write its files; the .json last, which marks it as done."""
        code, source = fitted.codes[row], self._sources[scan.name]
        start = time.perf_counter()
        made = self._detailed(scan, fitted, row, on_step) if self.fit.detailed else None
        mesh, deviation, more = made or self._plain(scan, fitted, row, on_step)
        known = deviation if np.isfinite(deviation).all() else None
        of_mesh = facts_of_meshing(mesh, time.perf_counter() - start)
        path = write_mesh(mesh, self._path(scan, MESH), known)
        with replacing(self._path(scan, CODE)) as part:
            part.write_bytes(bytes_of_code(code))
        facts = facts_of_reconstruction(
            self.space,
            scan,
            fitted,
            row,
            mesh=mesh,
            deviation=known,
            made_by=self.made_by,
            more=of_mesh | more | facts_of_sight(mesh, scan, sight_of(source, scan)),
        )
        if self.pictures:
            fit_picture(
                self._path(scan, PICTURE),
                scan,
                mesh,
                known,
                self.fit.up,
                unit=facts["unit"],
                verdict=facts["verdict"],
            )
        with replacing(self._path(scan, FACTS)) as part:
            part.write_text(json.dumps(facts, indent=2) + "\n")
        return Reconstruction(scan.name, code, facts, path)

    def _path(self, scan: PreparedScan, suffix: str) -> Path:
        """The file of a scan in the folder of the results."""
        return path_inside(self.folder, scan.name, suffix)

    def _plain(
        self, scan: PreparedScan, fitted: FitResult, row: int, on_step: Callable[[], object]
    ) -> tuple[trimesh.Trimesh, Float[np.ndarray, " V"], dict[str, Any]]:
        """The surface of the code, or of the refined decoder, its standard deviation, and facts."""
        space = refined_space(self.space, fitted, row, scan, options=self.fit, on_step=on_step)
        mesh = space.mesh(
            fitted.codes[row],
            scan.frame,
            resolution=self.meshing.resolution,
            cell=self.meshing.cell,
            pose=fitted.poses.rows(torch.tensor([row])),
        )
        more = {} if space is self.space else facts_of_refined(space, fitted, row, scan)
        return mesh, self.space.deviation(fitted, row, mesh, scan.frame), more

    def _detailed(
        self, scan: PreparedScan, fitted: FitResult, row: int, on_step: Callable[[], object]
    ) -> tuple[trimesh.Trimesh, Float[np.ndarray, " V"], dict[str, Any]] | None:
        """The bent and corrected surface, its standard deviation, and facts; None if empty."""
        pose = fitted.poses.rows(torch.tensor([row]))
        source = self._sources[scan.name]
        raw = source.load(self.reading)[0] if isinstance(source, Source) else None
        code, sight = fitted.codes[row], sight_of(source, scan)
        detail = detailed(self.space, code, pose, scan, raw=raw, on_step=on_step, sight=sight)
        if detail is None:
            return None
        mesh = detailed_mesh(
            detail, scan, pose, resolution=self.meshing.resolution, cell=self.meshing.cell
        )
        deviation = deviation_of_detail(mesh, detail, scan, pose)
        points = scan.frame.to_source(scan.points)
        off = facts_of_distance(points, mesh, scan.frame.scale, self.space.unit)
        return mesh, deviation, {"detail": facts_of_detail(detail) | off}
