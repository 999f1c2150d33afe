"""The scores of one mesh or cloud: how far it is from the surfaces that it should be.

Lengths are metres, or in any other unit with relative thresholds.
"""

import time
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import trimesh

from shapespace.data.formats.readers import RawScan, read_raw
from shapespace.data.units import PER_METRE
from shapespace.errors import InputError
from shapespace.evaluation.definitions import Thresholds
from shapespace.evaluation.distances import surface_distances
from shapespace.evaluation.mesh_quality import mesh_facts
from shapespace.evaluation.metrics import NUM_SAMPLES, SampledSurface
from shapespace.evaluation.scores import Part, Scores, group_of
from shapespace.geometry.components import joined

RELATIVE = Thresholds(relative=True)
"""Shares of the target's diagonal, for surfaces without a unit."""


def scores_of(
    name: str,
    shape: trimesh.Trimesh | SampledSurface,
    targets: Mapping[str, trimesh.Trimesh | SampledSurface],
    num_samples: int = NUM_SAMPLES,
    thresholds: Thresholds | None = None,
    seed: int = 0,
    group: str | None = None,
) -> Scores:
    """Measure ``shape`` against each of ``targets``, part name -> surface, all in one frame.

    A mesh is sampled, its target with another seed; what ``extract_mesh`` dropped of it
    counts as a ghost. group: by default ``group_of`` the name. InputError for a target
    without surface.
    """
    start = time.perf_counter()
    mine = _as_sampled(shape, num_samples, seed)
    parts: dict[str, Part] = {}
    for part, target in targets.items():
        other = _as_sampled(target, num_samples, seed + 1)
        if not len(other.points):
            raise InputError(f"{name}: the {part} has no surface, so that nothing can be measured")
        parts[part] = surface_distances(mine, other, thresholds, num_samples, seed)
    if mine.mesh is not None:
        dropped = mine.mesh.metadata
        count, share = (dropped.get(key, 0) for key in ("dropped_components", "dropped_area_share"))
        parts["mesh"] = mesh_facts(mine.mesh, count, float(share))
    parts["seconds"] = {"metrics": time.perf_counter() - start}
    return Scores(name, group_of(name) if group is None else group, parts)


def sampled_raw(
    raw: RawScan, per_metre: float = 1.0, num_samples: int = NUM_SAMPLES, seed: int = 0
) -> SampledSurface:
    """A mesh or cloud as read from a file, divided by ``per_metre``.

    Of a cloud of more than ``num_samples`` points so many are drawn.
    """
    vertices = raw.vertices / per_metre
    if raw.faces is not None:
        mesh = trimesh.Trimesh(vertices, raw.faces, process=False)
        return SampledSurface.of_mesh(joined(mesh), num_samples, seed)
    count = len(vertices)
    rows = np.arange(count)
    if count > num_samples:
        rows = np.random.default_rng(seed).choice(count, num_samples, replace=False)
    return SampledSurface(vertices[rows], None if raw.normals is None else raw.normals[rows])


def compare_files(
    shapes: list[str], target: str, unit: str = "m", num_samples: int = NUM_SAMPLES, seed: int = 0
) -> list[Scores]:
    """Scores of files against one file, all in one frame and ``unit``: m, cm, mm, in, or none."""
    per_metre = PER_METRE.get(unit, 1.0)
    other = sampled_raw(read_raw(target), per_metre, num_samples, seed + 1)
    thresholds = None if unit in PER_METRE else RELATIVE
    all_scores = []
    for path, name in zip(shapes, _short_names(shapes), strict=True):
        mine = sampled_raw(read_raw(path), per_metre, num_samples, seed)
        if mine.points.shape[1] != other.points.shape[1]:
            raise InputError(f"{path}: has another dimension than {target}; compare like with like")
        all_scores.append(scores_of(name, mine, {"target": other}, num_samples, thresholds, seed))
    return all_scores


def _short_names(paths: list[str]) -> list[str]:
    """File names, or the paths where two have the same."""
    names = [Path(path).name for path in paths]
    return names if len(set(names)) == len(names) else list(paths)


def _as_sampled(
    shape: trimesh.Trimesh | SampledSurface, num_samples: int, seed: int
) -> SampledSurface:
    return (
        shape
        if isinstance(shape, SampledSurface)
        else SampledSurface.of_mesh(shape, num_samples, seed)
    )
