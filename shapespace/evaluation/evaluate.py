"""Evaluation of a trained space: reconstruct unseen scans and measure them beside the baselines."""

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import trimesh

from shapespace.baselines.shapes import Baselines, pose_of
from shapespace.config.options import EvaluationOptions, FitOptions, MeshOptions, ReadOptions
from shapespace.data.formats.contents import grouped_accounts
from shapespace.data.sources import AnySource, Source, StoredScan, find_sources
from shapespace.data.units import PER_METRE
from shapespace.errors import InputError, printable
from shapespace.evaluation.compare import RELATIVE, sampled_raw, scores_of
from shapespace.evaluation.definitions import FIT, Thresholds
from shapespace.evaluation.metrics import surface_distances
from shapespace.evaluation.sampled_surface import SampledSurface
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
from shapespace.reconstruction.reconstruct import reconstruct_files
from shapespace.reconstruction.results import Reconstruction, Reconstructions
from shapespace.space import TrainedSpace
from shapespace.utils.files import folder_inside, output_folder, replacing
from shapespace.utils.progress import progress

MOST_NAMES = 5
"""Names that a remark lists."""


@dataclass
class Evaluation:
    """Result of an evaluation.

    Args:
        unit: unit of all lengths.
        all_scores: scores of the scans that could be measured.
        facts: facts of the run: checkpoint, options, counts and names.
        skipped: (name, reason) of each scan that could not be measured.
        accounts: (name, how it was read) of each scan, and of each true surface.
    """

    unit: LengthUnit
    all_scores: list[Scores] = field(default_factory=list)
    facts: dict[str, Any] = field(default_factory=dict)
    skipped: list[tuple[str, str]] = field(default_factory=list)
    accounts: list[tuple[str, str]] = field(default_factory=list)

    def write(self, folder: Path, seed: int) -> None:
        """Write scores.csv, scores.json and scores.txt; ``seed`` is that of the bootstrap."""
        write_csv(self.all_scores, folder / "scores.csv")
        write_json(self.all_scores, self.facts, folder / SCORES, seed=seed)
        with replacing(folder / "scores.txt") as temporary:
            text = [scores_text(self.all_scores, self.unit, seed), "", *self.remarks()]
            temporary.write_text("\n".join(text).rstrip() + "\n", "utf-8")

    def remarks(self) -> list[str]:
        """Lines that a reader of the numbers has to know, such as skipped scans and seen scans."""
        count = self.facts["protocol"]["num_samples"]
        lines = [f"{count} samples of each mesh, clouds of no more points"]
        lines += grouped_accounts(self.accounts)
        lines += [f"skipped {name}: {reason}" for name, reason in self.skipped]
        seen = self.facts["trained_on"]
        without_truth = self.facts["without_registration"]
        if seen:
            lines.append(f"NOT UNSEEN: {_some(seen)} is the name of a training shape too")
        if without_truth and len(without_truth) < len(self.all_scores):
            lines.append(f"without truth: {_some(without_truth)}")
        if self.facts["groups"] < 2 <= len(self.all_scores):
            lines.append(
                "no intervals: by their names all scans are of one person; --group-end '' draws "
                "each scan by itself"
            )
        return list(map(printable, lines))


def evaluate_scans(
    checkpoint: str | Path,
    sources: Sequence[AnySource],
    out: str | Path,
    truth: str | Path | None = None,
    fit: FitOptions | None = None,
    meshing: MeshOptions | None = None,
    options: EvaluationOptions | None = None,
    *,
    strict: bool = False,
) -> Evaluation:
    """Reconstruct scans into ``out/shapes``, measure them, and write the scores to ``out``.

    Each reconstruction is measured to its own scan (part "scan") and, where ``truth`` has a surface
    of its name, to that surface (part "registration"). Reconstructions that are there already are
    kept, as by ``reconstruct_files``. A scan that cannot be used is skipped and listed.

    Args:
        checkpoint: checkpoint of the space.
        sources: the scans.
        out: folder for the results.
        truth: file or folder of true surfaces with the names of the scans; None without truth.
        fit: how codes are found. Its seed is that of the samples and of the bootstrap too.
        meshing: how scans are read and meshes are made. Its unit and its columns are those of truth
            files too.
        options: how reconstructions are measured.
        strict: raise at the first scan that cannot be used, instead of skipping it.

    Raises:
        InputError: if ``truth`` has none of the names, or no scan could be measured; or, if
            ``strict``, one scan or its truth cannot be used.
    """
    fit, meshing = fit or FitOptions(), meshing or MeshOptions()
    options = options or EvaluationOptions()
    # Mistakes are found before the reconstruction, which takes long, and before a folder is made.
    space = space_of_meshes(checkpoint)
    truths = _truths(truth, [source.name for source in sources])
    folder = output_folder(out)
    shapes = folder_inside(folder, SHAPES)
    done = reconstruct_files(checkpoint, sources, shapes, fit=fit, meshing=meshing, strict=strict)
    reading = ReadOptions(meshing.columns, strict)
    scorer = _Scorer(space, truths, fit, meshing, options, reading)
    by_name = {source.name: source for source in sources}
    found = Evaluation(scorer.unit, skipped=list(done.skipped))
    for item in progress(done.done, "measuring", unit="scan"):
        try:
            found.all_scores.append(scorer.score(item, by_name[item.name]))
        except InputError as error:
            if strict:
                raise
            found.skipped.append((item.name, str(error)))
    if not found.all_scores:
        raise InputError("; ".join(reason for _, reason in found.skipped[:3]))
    found.accounts = [(item.name, item.facts.get("account", "")) for item in done.done]
    found.accounts += scorer.accounts_of_truths
    found.facts = scorer.facts(done, found)
    found.facts["truth"] = None if truth is None else str(Path(truth).resolve())
    found.write(folder, fit.seed)
    return found


def _truths(truth: str | Path | None, names: Sequence[str]) -> dict[str, Source]:
    """Name -> true surface, for the scans that have one."""
    if truth is None:
        return {}
    sources = {source.name: source for source in find_sources(Path(truth))}
    found = {name: sources[name] for name in names if name in sources}
    if not found:
        some = f"it has {next(iter(sources))!r}, the scans are such as {names[0]!r}"
        raise InputError(f"{truth}: has no surface with the name of a scan: {some}")
    return found


def _some(names: Sequence[str], most: int = MOST_NAMES) -> str:
    """The first names as text, and how many more there are."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


class _Scorer:
    """Scores the reconstructions of one space against scans, truth and baselines."""

    def __init__(
        self,
        space: TrainedSpace,
        truths: dict[str, Source],
        fit: FitOptions,
        meshing: MeshOptions,
        options: EvaluationOptions,
        reading: ReadOptions,
    ) -> None:
        self.space = space
        self.truths = truths
        self.fit, self.meshing, self.options = fit, meshing, options
        self.reading = reading
        self.metric = self.space.unit == "m"
        self.unit: LengthUnit = "m" if self.metric else "none"
        self.thresholds = Thresholds() if self.metric else RELATIVE
        self.baselines = Baselines(self.space, meshing.resolution)
        self.nearest_names: dict[str, str] = {}
        self.accounts_of_truths: list[tuple[str, str]] = []

    def score(self, item: Reconstruction, source: AnySource) -> Scores:
        """Scores of one reconstruction, with lengths in metres if the space is in metres."""
        # The scale of a frame is in file units per stored unit, which is the metre here.
        per_metre = item.facts["scale"] if self.metric else 1.0
        targets = self._targets(item.name, source, per_metre)
        found = scores_of(
            item.name,
            _in_metres(item.mesh, per_metre),
            targets,
            num_samples=self.options.num_samples,
            thresholds=self.thresholds,
            seed=self.fit.seed,
            group=group_of(item.name, self.options.group_end),
        )
        parts: dict[str, Part] = dict(found.parts)
        if "mesh_seconds" in item.facts:
            parts["seconds"] = {"mesh": item.facts["mesh_seconds"], **parts["seconds"]}
        parts["seconds"] = {"fit": item.facts["seconds"], **parts["seconds"]}
        parts["fit"] = {key: item.facts[key] for key in FIT if item.facts.get(key) is not None}
        if self.options.baselines:
            start = time.perf_counter()
            parts |= self._baselines(item, targets, per_metre)
            parts["seconds"] = {**parts["seconds"], "baselines": time.perf_counter() - start}
        return Scores(found.name, found.group, parts)

    def facts(self, done: Reconstructions, found: Evaluation) -> dict[str, Any]:
        """Facts of the run for scores.json: inputs, options, counts, skipped and seen scans."""
        without = [scores.name for scores in found.all_scores if scores.name not in self.truths]
        return {
            "checkpoint": str(self.space.path),
            "space": self.space.digest,
            "training_shapes": len(self.space.codes),
            "unit": self.unit,
            "fit": asdict(self.fit),
            "protocol": {
                **asdict(self.options),
                "resolution": self.meshing.resolution,
                "unit": self.meshing.unit,
                "seed": self.fit.seed,
            },
            "scans": len(found.all_scores),
            "groups": len({scores.group for scores in found.all_scores}),
            "kept": len(done.kept),
            "skipped": [{"name": name, "reason": reason} for name, reason in found.skipped],
            "without_registration": without,
            "trained_on": self.trained_on([scores.name for scores in found.all_scores]),
            "nearest_training_shape": self.nearest_names,
        }

    def trained_on(self, names: Sequence[str]) -> list[str]:
        """Names of scans that are also names of training shapes, which are not unseen."""
        return sorted(set(names) & set(self.space.names))

    def _targets(self, name: str, source: AnySource, per_metre: float) -> dict[str, SampledSurface]:
        """Samples of the truth, if there is one, and of the scan, by part."""
        # Sampled once: the space and the baselines are measured to the same points.
        num_samples = self.options.num_samples
        seed = self.fit.seed + 1
        found = {}
        if name in self.truths:
            raw = self.truths[name].load(self.reading)[0]
            self.accounts_of_truths.append((f"truth of {name}", raw.account))
            found["registration"] = sampled_raw(
                raw, self._per_metre(raw.vertices), num_samples=num_samples, seed=seed
            )
        if isinstance(source, StoredScan):
            scan = source.prepared()
            # The points of a store are in random order: the first ones are a random choice.
            points = scan.frame.to_source(scan.points)[:num_samples] / per_metre
            normals = scan.trusted_normals
            found["scan"] = SampledSurface(
                points, None if normals is None else normals[: len(points)]
            )
        else:
            raw = source.load(self.reading)[0]
            found["scan"] = sampled_raw(raw, per_metre, num_samples=num_samples, seed=seed)
        return found

    def _per_metre(self, vertices: Any) -> float:
        """Units of a truth file in a metre; 1 if the space is not in metres."""
        if not self.metric:
            return 1.0
        unit = self.meshing.unit
        return PER_METRE[likely_unit(self.space, vertices) if unit == "auto" else unit]

    def _baselines(
        self, item: Reconstruction, targets: dict[str, SampledSurface], per_metre: float
    ) -> dict[str, Part]:
        """Parts of the baselines, in the pose that was found for the reconstruction."""
        frame, pose = pose_of(item.facts)
        row = self.baselines.nearest_training_shape(targets["scan"].points * per_metre, frame, pose)
        self.nearest_names[item.name] = self.space.names[row]
        meshes = {
            "nearest": self.baselines.training_mesh(row, frame, pose),
            "mean": self.baselines.mean_mesh(frame, pose),
        }
        found: dict[str, Part] = {}
        num_samples = self.options.num_samples
        seed = self.fit.seed
        for prefix, mesh in meshes.items():
            samples = SampledSurface.of_mesh(_in_metres(mesh, per_metre), num_samples, seed)
            for part, target in targets.items():
                found[f"{prefix}_{part}"] = surface_distances(
                    samples,
                    target,
                    thresholds=self.thresholds,
                    num_points=num_samples,
                    seed=seed,
                )
        return found


def _in_metres(mesh: trimesh.Trimesh, per_metre: float) -> trimesh.Trimesh:
    """The same mesh object with its vertices divided by ``per_metre``."""
    mesh.vertices = mesh.vertices / per_metre
    return mesh
