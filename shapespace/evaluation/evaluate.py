"""Scans that a space was not trained on: reconstructed, and measured beside what must be beaten."""

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import trimesh

from shapespace.baselines.shapes import Baselines, pose_of
from shapespace.data.sources import AnySource, Source, StoredScan, find_sources
from shapespace.data.units import PER_METRE
from shapespace.errors import InputError, at_least
from shapespace.evaluation.compare import RELATIVE, sampled_raw, scores_of
from shapespace.evaluation.definitions import Thresholds
from shapespace.evaluation.distances import surface_distances
from shapespace.evaluation.metrics import NUM_SAMPLES, SampledSurface
from shapespace.evaluation.scores import (
    SCORES,
    SHAPES,
    Part,
    Scores,
    group_of,
    write_csv,
    write_json,
)
from shapespace.evaluation.tables import LengthUnit, scores_text
from shapespace.reconstruction.inputs import likely_unit, space_of_meshes
from shapespace.reconstruction.method import FitOptions
from shapespace.reconstruction.reconstruct import Reconstruction, Reconstructions, reconstruct_files
from shapespace.utils.files import output_folder, replacing
from shapespace.utils.progress import progress

OF_FIT = ("steps", "converged", "outliers", "strangeness", "share_without_points")


@dataclass(frozen=True)
class Protocol:
    """How scans are measured.

    unit: of scan and truth files, "auto" as in ``prepare_for``; baselines: measure
    the nearest training shape and the mean shape too; group_end: as in ``group_of``;
    seed: of samples and bootstrap.
    """

    num_samples: int = NUM_SAMPLES
    resolution: int = 256
    unit: str = "auto"
    baselines: bool = False
    group_end: str = "_"
    seed: int = 0

    def __post_init__(self) -> None:
        at_least(1, num_samples=self.num_samples)
        at_least(0, seed=self.seed)


@dataclass
class Evaluation:
    """Scores of the measured scans, facts of the run, (name, reason) of each skipped scan."""

    unit: LengthUnit
    all_scores: list[Scores] = field(default_factory=list)
    facts: dict[str, Any] = field(default_factory=dict)
    skipped: list[tuple[str, str]] = field(default_factory=list)

    def write(self, folder: Path, seed: int) -> None:
        """scores.csv, scores.json and scores.txt."""
        write_csv(self.all_scores, folder / "scores.csv")
        write_json(self.all_scores, self.facts, folder / SCORES, seed)
        with replacing(folder / "scores.txt") as part:
            text = [scores_text(self.all_scores, self.unit, seed), "", *self.remarks()]
            part.write_text("\n".join(text).rstrip() + "\n", "utf-8")

    def remarks(self) -> list[str]:
        """What a reader has to know beside the numbers, a line each."""
        count = self.facts["protocol"]["num_samples"]
        lines = [f"{count} samples of each mesh, clouds of no more points"]
        lines += [f"skipped {name}: {reason}" for name, reason in self.skipped]
        known, bare = (self.facts[name] for name in ("trained_on", "without_registration"))
        if known:
            lines.append(f"NOT UNSEEN: {_some(known)} is the name of a training shape too")
        if bare and len(bare) < len(self.all_scores):
            lines.append(f"without truth: {_some(bare)}")
        if self.facts["groups"] < 2 <= len(self.all_scores):
            lines.append(
                "no intervals: by their names all scans are of one person; --group-end '' draws "
                "each scan by itself"
            )
        return lines


def evaluate_scans(
    checkpoint: str | Path,
    sources: Sequence[AnySource],
    out: str | Path,
    truth: str | Path | None = None,
    fit: FitOptions | None = None,
    protocol: Protocol | None = None,
    batch: int = 8,
) -> Evaluation:
    """Reconstruct ``sources`` into ``out/shapes``, measure each, write the scores to ``out``.

    Each is measured to its own scan and, where ``truth`` has a surface of its name, to that
    ("registration"). Reconstructions that are there already are kept, as by
    ``reconstruct_files``. A scan that cannot be used is skipped and listed.
    InputError if ``truth`` has none of the names, or no scan is left.
    """
    protocol = protocol or Protocol()
    folder = output_folder(out)
    truths = _truths(truth, [source.name for source in sources])
    options = {"resolution": protocol.resolution, "batch": batch, "unit": protocol.unit}
    done = reconstruct_files(checkpoint, sources, folder / SHAPES, fit, **options)
    work = _Work(checkpoint, truths, protocol)
    by_name = {source.name: source for source in sources}
    found = Evaluation(work.unit, skipped=list(done.skipped))
    for item in progress(done.done, "measuring", unit="scan"):
        try:
            found.all_scores.append(work.score(item, by_name[item.name]))
        except InputError as error:
            found.skipped.append((item.name, str(error)))
    if not found.all_scores:
        raise InputError("; ".join(reason for _, reason in found.skipped[:3]))
    found.facts = work.facts(done, fit or FitOptions(), found)
    found.facts["truth"] = None if truth is None else str(Path(truth).resolve())
    found.write(folder, protocol.seed)
    return found


def _truths(truth: str | Path | None, names: Sequence[str]) -> dict[str, Source]:
    if truth is None:
        return {}
    sources = {source.name: source for source in find_sources(Path(truth))}
    found = {name: sources[name] for name in names if name in sources}
    if not found:
        some = f"it has {next(iter(sources))!r}, the scans are such as {names[0]!r}"
        raise InputError(f"{truth}: has no surface with the name of a scan: {some}")
    return found


def _some(names: Sequence[str], most: int = 5) -> str:
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


class _Work:
    """One space, and what its reconstructions are measured against."""

    def __init__(
        self, checkpoint: str | Path, truths: dict[str, Source], protocol: Protocol
    ) -> None:
        self.space = space_of_meshes(checkpoint)
        self.truths, self.protocol = truths, protocol
        self.metric = self.space.unit == "m"
        self.unit: LengthUnit = "m" if self.metric else "none"
        self.thresholds = Thresholds() if self.metric else RELATIVE
        self.baselines = Baselines(self.space, protocol.resolution)
        self.nearest_names: dict[str, str] = {}

    def score(self, item: Reconstruction, source: AnySource) -> Scores:
        """Of one scan, in metres if the space is."""
        per_metre = item.facts["scale"] if self.metric else 1.0
        targets = self._targets(item.name, source, per_metre)
        options = self.protocol.num_samples, self.thresholds, self.protocol.seed
        group = group_of(item.name, self.protocol.group_end)
        found = scores_of(item.name, _in_metres(item.mesh, per_metre), targets, *options, group)
        parts: dict[str, Part] = dict(found.parts)
        if "mesh_seconds" in item.facts:
            parts["seconds"] = {"mesh": item.facts["mesh_seconds"], **parts["seconds"]}
        parts["seconds"] = {"fit": item.facts["seconds"], **parts["seconds"]}
        parts["fit"] = {key: item.facts[key] for key in OF_FIT if item.facts.get(key) is not None}
        if self.protocol.baselines:
            start = time.perf_counter()
            parts |= self._baselines(item, targets, per_metre)
            parts["seconds"] = {**parts["seconds"], "baselines": time.perf_counter() - start}
        return Scores(found.name, found.group, parts)

    def facts(self, done: Reconstructions, fit: FitOptions, found: Evaluation) -> dict[str, Any]:
        """What was done, on what, and what is missing."""
        without = [scores.name for scores in found.all_scores if scores.name not in self.truths]
        return {
            "checkpoint": str(self.space.path),
            "space": self.space.digest,
            "training_shapes": len(self.space.codes),
            "unit": self.unit,
            "fit": asdict(fit),
            "protocol": asdict(self.protocol),
            "scans": len(found.all_scores),
            "groups": len({scores.group for scores in found.all_scores}),
            "kept": len(done.kept),
            "skipped": [{"name": name, "reason": reason} for name, reason in found.skipped],
            "without_registration": without,
            "trained_on": self.trained_on([scores.name for scores in found.all_scores]),
            "nearest_training_shape": self.nearest_names,
        }

    def trained_on(self, names: Sequence[str]) -> list[str]:
        """Those of the scans whose name is that of a training shape: they are not unseen."""
        return sorted(set(names) & set(self.space.names))

    def _targets(self, name: str, source: AnySource, per_metre: float) -> dict[str, SampledSurface]:
        """Truth, if there is one, and scan; sampled once for the space and the baselines."""
        options = self.protocol.num_samples, self.protocol.seed + 1
        found = {}
        if name in self.truths:
            raw = self.truths[name].load()[0]
            found["registration"] = sampled_raw(raw, self._per_metre(raw.vertices), *options)
        if isinstance(source, StoredScan):
            scan = source.prepared()
            points = scan.frame.to_source(scan.points)[: self.protocol.num_samples] / per_metre
            normals = scan.trusted_normals
            found["scan"] = SampledSurface(
                points, None if normals is None else normals[: len(points)]
            )
        else:
            found["scan"] = sampled_raw(source.load()[0], per_metre, *options)
        return found

    def _per_metre(self, vertices: Any) -> float:
        if not self.metric:
            return 1.0
        unit = self.protocol.unit
        return PER_METRE[likely_unit(self.space, vertices) if unit == "auto" else unit]

    def _baselines(
        self, item: Reconstruction, targets: dict[str, SampledSurface], per_metre: float
    ) -> dict[str, Part]:
        frame, pose = pose_of(item.facts)
        row = self.baselines.nearest_training_shape(targets["scan"].points * per_metre, frame, pose)
        self.nearest_names[item.name] = self.space.names[row]
        meshes = {
            "nearest": self.baselines.training_mesh(row, frame, pose),
            "mean": self.baselines.mean_mesh(frame, pose),
        }
        found: dict[str, Part] = {}
        count, seed = self.protocol.num_samples, self.protocol.seed
        for prefix, mesh in meshes.items():
            mine = SampledSurface.of_mesh(_in_metres(mesh, per_metre), count, seed)
            for part, target in targets.items():
                found[f"{prefix}_{part}"] = surface_distances(
                    mine, target, self.thresholds, count, seed
                )
        return found


def _in_metres(mesh: trimesh.Trimesh, per_metre: float) -> trimesh.Trimesh:
    mesh.vertices = mesh.vertices / per_metre
    return mesh
