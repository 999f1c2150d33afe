"""Scores of one mesh or point cloud against its target surfaces.

Lengths are in metres, or in any other unit if the thresholds are relative.
"""

import time
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import trimesh

from shapespace.config.options import NUM_SAMPLES, ReadOptions
from shapespace.data.formats.contents import grouped_accounts
from shapespace.data.formats.readers import RawScan, read_raw
from shapespace.data.units import PER_METRE
from shapespace.errors import InputError
from shapespace.evaluation.definitions import Thresholds
from shapespace.evaluation.mesh_quality import mesh_facts
from shapespace.evaluation.metrics import surface_distances
from shapespace.evaluation.regions import Regions
from shapespace.evaluation.sampled_surface import SampledSurface
from shapespace.evaluation.scores import Part, Scores, group_of
from shapespace.geometry.components import joined

RELATIVE = Thresholds(relative=True)
"""Thresholds as shares of the diagonal of the target, for surfaces without a known unit."""


def scores_of(
    name: str,
    shape: trimesh.Trimesh | SampledSurface,
    targets: Mapping[str, trimesh.Trimesh | SampledSurface],
    num_samples: int = NUM_SAMPLES,
    thresholds: Thresholds | None = None,
    seed: int = 0,
    group: str | None = None,
    regions: Mapping[str, Regions] | None = None,
) -> Scores:
    """Measure a shape against each of its targets, all in one frame.

    Args:
        name: name of the shape.
        shape: the shape. A mesh is sampled, and components that ``extract_mesh`` dropped from the
            mesh count as ghosts.
        targets: part name -> target surface, such as "registration" and "scan".
        num_samples: points drawn from each mesh.
        thresholds: distances of the F-scores; by default those of :class:`Thresholds`, in metres.
        seed: seed of the samples of the shape; the targets use ``seed + 1``.
        group: group of the shape in the bootstrap; by default :func:`group_of` the name.
        regions: part name -> regions of that target, by which its errors are split.

    Returns:
        The scores: a part for each target, "mesh" for a mesh, and "seconds".

    Raises:
        InputError: if a target has no surface.
    """
    start = time.perf_counter()
    # Shape and target have other seeds: with one seed, a surface compared with itself would be
    # sampled at the same points, and its Chamfer distance would be 0, below the sampling floor.
    mine = _as_sampled(shape, num_samples, seed)
    parts: dict[str, Part] = {}
    for part, target in targets.items():
        other = _as_sampled(target, num_samples, seed + 1)
        if not len(other.points):
            raise InputError(f"{name}: the {part} has no surface, so that nothing can be measured")
        parts[part] = surface_distances(
            mine,
            other,
            thresholds=thresholds,
            num_points=num_samples,
            seed=seed,
            regions=(regions or {}).get(part),
        )
    if mine.mesh is not None:
        dropped = mine.mesh.metadata
        parts["mesh"] = mesh_facts(
            mine.mesh,
            dropped_components=dropped.get("dropped_components", 0),
            dropped_area_share=float(dropped.get("dropped_area_share", 0)),
        )
    parts["seconds"] = {"metrics": time.perf_counter() - start}
    return Scores(name, group_of(name) if group is None else group, parts)


def sampled_raw(
    raw: RawScan, per_metre: float = 1.0, num_samples: int = NUM_SAMPLES, seed: int = 0
) -> SampledSurface:
    """Sample a mesh or thin a cloud that was read from a file.

    Args:
        raw: the mesh or cloud, in the unit of the file.
        per_metre: units of the file in a metre, by which all positions are divided.
        num_samples: points drawn from a mesh; a cloud of more points is thinned to as many.
        seed: seed of the draws.
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
    shapes: list[str],
    target: str,
    unit: str = "m",
    num_samples: int = NUM_SAMPLES,
    seed: int = 0,
    *,
    reading: ReadOptions = ReadOptions(),
    on_remark: Callable[[str], object] = lambda _: None,
) -> list[Scores]:
    """Score mesh and cloud files against one target file, all in one frame.

    Args:
        shapes: files to score.
        target: file of the target.
        unit: unit of all files: m, cm, mm, in, or none. With none, the thresholds are shares of the
            diagonal of the target.
        num_samples: points drawn from each mesh; a cloud of more points is thinned to as many.
        seed: seed of the samples; the target uses ``seed + 1``.
        reading: how the files are read.
        on_remark: called with each line about what of a file is not used, mended or left out.

    Returns:
        The scores of each file, with the part "target".

    Raises:
        InputError: if a file cannot be read, has no surface, or has another dimension than the
            target.
    """
    per_metre = PER_METRE.get(unit, 1.0)
    names = _short_names([*shapes, target])
    raw = read_raw(target, reading)
    accounts = [(names[-1], raw.account)]
    other = sampled_raw(raw, per_metre, num_samples=num_samples, seed=seed + 1)
    thresholds = None if unit in PER_METRE else RELATIVE
    all_scores = []
    for path, name in zip(shapes, _short_names(shapes), strict=True):
        raw = read_raw(path, reading)
        accounts.append((name, raw.account))
        mine = sampled_raw(raw, per_metre, num_samples=num_samples, seed=seed)
        if mine.points.shape[1] != other.points.shape[1]:
            raise InputError(f"{path}: has another dimension than {target}; compare like with like")
        scores = scores_of(
            name,
            mine,
            {"target": other},
            num_samples=num_samples,
            thresholds=thresholds,
            seed=seed,
        )
        all_scores.append(scores)
    for line in grouped_accounts(accounts):
        on_remark(line)
    return all_scores


def _short_names(paths: list[str]) -> list[str]:
    """File names without folders, or the full paths if two files share a name."""
    names = [Path(path).name for path in paths]
    return names if len(set(names)) == len(names) else list(paths)


def _as_sampled(
    shape: trimesh.Trimesh | SampledSurface, num_samples: int, seed: int
) -> SampledSurface:
    if isinstance(shape, SampledSurface):
        return shape
    return SampledSurface.of_mesh(shape, num_samples, seed)
