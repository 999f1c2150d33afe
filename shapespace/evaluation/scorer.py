"""Scores of one reconstruction after another: to scan and truth, beside the baselines.

The scores of a scan are kept in a file of their own, its card. A later call takes them from there.
"""

import hashlib
import json
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np
import trimesh

from shapespace.baselines.poisson import poisson_baselines, without_open3d
from shapespace.baselines.shapes import Baselines, pose_of
from shapespace.config.options import EvaluationOptions, FitOptions, MeshOptions, ReadOptions
from shapespace.data.sources import AnySource, Source, StoredScan
from shapespace.data.units import PER_METRE
from shapespace.errors import InputError
from shapespace.evaluation.compare import RELATIVE, sampled_raw, scores_of
from shapespace.evaluation.definitions import FIT, Thresholds
from shapespace.evaluation.metrics import surface_distances
from shapespace.evaluation.regions import Regions, labelled_triangles, misfit
from shapespace.evaluation.sampled_surface import SampledSurface
from shapespace.evaluation.scores import Part, Scores, group_of, plain, scores_in
from shapespace.evaluation.tables import POISSON, LengthUnit
from shapespace.reconstruction.inputs import likely_unit
from shapespace.reconstruction.results import FACTS, MESH, Reconstruction
from shapespace.space import TrainedSpace
from shapespace.utils.files import path_inside, read_inside, replacing
from shapespace.utils.plain import is_mapping_of, is_text, json_object
from shapespace.version import __version__

_SUFFIX = ".json"


@dataclass(frozen=True)
class Card:
    """What was measured of one scan.

    Args:
        scores: its scores.
        notes: what a reader has to know beside them: "truth", how the true surface was read;
            "poisson", where its normals come from or why there is none; "labels", why they do not
            fit; "nearest", the name of the nearest training shape.
    """

    scores: Scores
    notes: Mapping[str, str] = field(default_factory=dict)


def write_card(card: Card, key: str, folder: Path) -> None:
    """Write the card of a scan.

    Args:
        card: what was measured of it.
        key: stands for all that its numbers depend on.
        folder: gets a file with the name of the scan.
    """
    scores = card.scores
    shape = {"name": scores.name, "group": scores.group, **scores.parts}
    content = {"key": key, "notes": dict(card.notes), "shape": shape}
    with replacing(path_inside(folder, scores.name, _SUFFIX)) as temporary:
        temporary.write_text(json.dumps(plain(content), allow_nan=False) + "\n", "utf-8")


def read_card(folder: Path, name: str, key: str) -> Card | None:
    """The card of a scan; None if there is none, or one that is damaged or of another key.

    Args:
        folder: folder of the cards.
        name: name of the scan.
        key: as :func:`write_card` was given.
    """
    try:
        content = json_object(read_inside(folder, name + _SUFFIX) or b"{}")
        notes = content.get("notes")
        if content.get("key") != key or not is_mapping_of(notes, is_text):
            return None
        return Card(scores_in(content["shape"]), notes)
    # What cannot be read is measured again, and written anew.
    except (InputError, ValueError, KeyError):
        return None


@dataclass(frozen=True)
class _Surfaces:
    """What one reconstruction is measured to.

    Args:
        targets: samples of the scan and of the truth, if there is one, by part.
        scan: the whole scan: all of its points, and its mesh where it has triangles.
        normals: in words, where the normals of the whole scan come from.
        regions: regions of the truth, by part.
        notes: as those of a card.
    """

    targets: dict[str, SampledSurface]
    scan: SampledSurface
    normals: str
    regions: dict[str, Regions]
    notes: dict[str, str]


@dataclass(frozen=True)
class Scorer:
    """Scores the reconstructions of one space against scans, truth and baselines.

    Args:
        space: the space.
        truths: name of a scan -> its true surface.
        labels: name of a part -> mask over the vertices of each true surface.
        fit: how codes were found.
        meshing: how scans are read and meshes were made.
        options: how reconstructions are measured.
        reading: how files are read.
    """

    space: TrainedSpace
    truths: Mapping[str, Source]
    labels: Mapping[str, np.ndarray]
    fit: FitOptions
    meshing: MeshOptions
    options: EvaluationOptions
    reading: ReadOptions

    @property
    def metric(self) -> bool:
        """Whether the lengths of the space are metres."""
        return self.space.unit == "m"

    @property
    def unit(self) -> LengthUnit:
        """Unit of all lengths."""
        return "m" if self.metric else "none"

    @property
    def thresholds(self) -> Thresholds:
        """Distances at which shares are counted, and up to which a place is seen."""
        return Thresholds() if self.metric else RELATIVE

    @cached_property
    def without_poisson(self) -> str:
        """Why there is no screened Poisson, and how to install it; "" where there is."""
        return without_open3d() if self.options.baselines else ""

    @cached_property
    def baselines(self) -> Baselines:
        """The nearest and the mean shape."""
        return Baselines(self.space, self.meshing.resolution)

    def key(self, item: Reconstruction, source: AnySource) -> str:
        """A digest of all that the card of a reconstruction depends on."""
        truth = self.truths.get(item.name)
        content = {
            "version": __version__,
            "space": self.space.digest,
            "result": [
                hashlib.sha256(read_inside(item.path.parent, item.name + suffix) or b"")
                for suffix in (MESH, FACTS)
            ],
            "scan": source.digest(),
            "truth": truth and truth.digest(),
            "labels": {name: hashlib.sha256(mask.tobytes()) for name, mask in self.labels.items()},
            "options": {**asdict(self.options), "labels": None},
            "reading": asdict(self.reading),
            "resolution": self.meshing.resolution,
            "unit": self.meshing.unit,
            "seed": self.fit.seed,
            "poisson": self.options.baselines and not self.without_poisson,
        }
        text = json.dumps(content, sort_keys=True, default=lambda digest: digest.hexdigest())
        return hashlib.sha256(text.encode()).hexdigest()

    def card(self, item: Reconstruction, source: AnySource) -> Card:
        """Measure one reconstruction, with lengths in metres if the space is in metres."""
        # The scale of a frame is in file units per stored unit, which is the metre here.
        per_metre = item.facts["scale"] if self.metric else 1.0
        surfaces = self._surfaces(item.name, source, per_metre)
        found = scores_of(
            item.name,
            _in_metres(item.mesh, per_metre),
            surfaces.targets,
            num_samples=self.options.num_samples,
            thresholds=self.thresholds,
            seed=self.fit.seed,
            group=group_of(item.name, self.options.group_end),
            regions=surfaces.regions,
        )
        parts: dict[str, Part] = dict(found.parts)
        if "mesh_seconds" in item.facts:
            parts["seconds"] = {"mesh": item.facts["mesh_seconds"], **parts["seconds"]}
        parts["seconds"] = {"fit": item.facts["seconds"], **parts["seconds"]}
        parts["fit"] = {key: item.facts[key] for key in FIT if item.facts.get(key) is not None}
        if self.options.baselines:
            start = time.perf_counter()
            meshes = self._nearest_and_mean(item, surfaces, per_metre)
            meshes |= self._poisson(surfaces)
            for prefix, mesh in meshes.items():
                parts |= self._measured(prefix, mesh, surfaces)
            parts["seconds"] = {**parts["seconds"], "baselines": time.perf_counter() - start}
        return Card(Scores(found.name, found.group, parts), surfaces.notes)

    def _surfaces(self, name: str, source: AnySource, per_metre: float) -> _Surfaces:
        """What the reconstruction of a scan is measured to, sampled once for all opponents."""
        whole, sampled, normals = self._scan(source, per_metre)
        found = _Surfaces({}, whole, normals, {}, {})
        if name in self.truths:
            self._add_truth(found, self.truths[name])
        found.targets["scan"] = sampled
        return found

    def _scan(
        self, source: AnySource, per_metre: float
    ) -> tuple[SampledSurface, SampledSurface, str]:
        """The whole scan, a sample of it, and where its normals come from."""
        num_samples = self.options.num_samples
        if not isinstance(source, StoredScan):
            raw = source.load(self.reading)[0]
            sampled = sampled_raw(raw, per_metre, num_samples=num_samples, seed=self.fit.seed + 1)
            whole = SampledSurface(raw.vertices / per_metre, raw.normals, sampled.mesh)
            return whole, sampled, "normals of the file"
        scan = source.prepared()
        points = scan.frame.to_source(scan.points) / per_metre
        whole = SampledSurface(points, scan.trusted_normals)
        few = None if whole.normals is None else whole.normals[:num_samples]
        # The points of a store are in random order: the first ones are a random choice.
        sampled = SampledSurface(points[:num_samples], few)
        return whole, sampled, f"{scan.normals_kind} normals of the store"

    def _add_truth(self, found: _Surfaces, source: Source) -> None:
        """Add samples of a true surface, its regions, and notes on how it was read."""
        raw = source.load(self.reading)[0]
        found.notes["truth"] = raw.account
        target = sampled_raw(
            raw,
            self._per_metre(raw.vertices),
            num_samples=self.options.num_samples,
            seed=self.fit.seed + 1,
        )
        found.targets["registration"] = target
        wrong = misfit(self.labels, raw)
        if wrong:
            found.notes["labels"] = f"no columns of labelled parts: {wrong}"
        if raw.faces is not None:
            found.regions["registration"] = Regions(
                target=target,
                scan=found.scan,
                within=self.thresholds.length(self.thresholds.seen, target.diagonal),
                labels={} if wrong else labelled_triangles(self.labels, raw.faces),
            )

    def _per_metre(self, vertices: np.ndarray) -> float:
        """Units of a truth file in a metre; 1 if the space is not in metres."""
        if not self.metric:
            return 1.0
        unit = self.meshing.unit
        return PER_METRE[likely_unit(self.space, vertices) if unit == "auto" else unit]

    def _nearest_and_mean(
        self, item: Reconstruction, surfaces: _Surfaces, per_metre: float
    ) -> dict[str, trimesh.Trimesh]:
        """Prefix -> shape of the space, in the pose that was found for the reconstruction."""
        frame, pose = pose_of(item.facts)
        points = surfaces.targets["scan"].points * per_metre
        row = self.baselines.nearest_training_shape(points, frame, pose)
        surfaces.notes["nearest"] = self.space.names[row]
        meshes = {
            "nearest": self.baselines.training_mesh(row, frame, pose),
            "mean": self.baselines.mean_mesh(frame, pose),
        }
        return {prefix: _in_metres(mesh, per_metre) for prefix, mesh in meshes.items()}

    def _poisson(self, surfaces: _Surfaces) -> dict[str, trimesh.Trimesh]:
        """Prefix -> screened Poisson of the scan; a scan that has none does not stop the others."""
        if self.without_poisson:
            return {}
        scan = surfaces.scan
        try:
            meshes, said = poisson_baselines(scan.points, scan.normals, scan.mesh)
        except InputError as error:
            surfaces.notes["poisson"] = f"no screened Poisson: {error}"
            return {}
        surfaces.notes["poisson"] = f"screened Poisson of all points: {said or surfaces.normals}"
        return {f"{POISSON}{depth}": mesh for depth, mesh in meshes.items()}

    def _measured(self, prefix: str, mesh: trimesh.Trimesh, surfaces: _Surfaces) -> dict[str, Part]:
        """The parts of one baseline."""
        num_samples = self.options.num_samples
        samples = SampledSurface.of_mesh(mesh, num_samples, self.fit.seed)
        return {
            f"{prefix}_{part}": surface_distances(
                samples,
                target,
                thresholds=self.thresholds,
                num_points=num_samples,
                seed=self.fit.seed,
                regions=surfaces.regions.get(part),
            )
            for part, target in surfaces.targets.items()
        }


def _in_metres(mesh: trimesh.Trimesh, per_metre: float) -> trimesh.Trimesh:
    """The same mesh object with its vertices divided by ``per_metre``."""
    mesh.vertices = mesh.vertices / per_metre
    return mesh
