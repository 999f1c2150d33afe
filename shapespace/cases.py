"""The shapes of an evaluation from the best to the worst: scan, reconstruction, error, neighbours.

Lengths are in millimetres, or in percent of the radius in a space without a unit.
"""

import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
import trimesh
from jaxtyping import Float
from torch import Tensor

from shapespace.data.prepare import PER_METRE
from shapespace.data.readers import RawScan
from shapespace.data.sources import find_sources
from shapespace.data.store import store_at
from shapespace.errors import InputError
from shapespace.exports import likely_unit
from shapespace.fitting import Pose
from shapespace.metrics import point_to_mesh
from shapespace.render import GREY, Figure, colour_map
from shapespace.run_record import RunRecord
from shapespace.scan import Frame

RANKED_BY = ("point_to_mesh", "chamfer_half_unsquared", "accuracy_exact", "completeness_exact")
"""Columns of a card that shapes are ranked by: the first there is."""
TARGETS = ("registration", "scan")
AROUND = 0.15
"""What is drawn of a scan: what is within this share of the shape's longest side around it."""


@dataclass(frozen=True)
class Case:
    """One reconstruction of an evaluation.

    numbers: of the card, to the surface or else the scan. facts: of its fit, empty if unknown.
    code: None if it was not kept. truth: the true surface, None if it is not known.
    """

    name: str
    numbers: dict[str, Any]
    mesh: trimesh.Trimesh
    facts: dict[str, Any]
    code: Float[np.ndarray, " L"] | None
    truth: trimesh.Trimesh | None = None

    @property
    def unit(self) -> str:
        """What errors are given in."""
        return "% of the radius" if self.facts.get("unit") == "radius" else "mm"

    @property
    def per_unit(self) -> float:
        """What a length of the scan's file is multiplied by to be in :attr:`unit`."""
        whole = 100 if self.facts.get("unit") == "radius" else 1000
        return whole / float(self.facts.get("scale", 1.0))

    @cached_property
    def scan(self) -> RawScan | None:
        """The scan, None if it is not where it was."""
        return _scan(str(self.facts.get("scan", "")))

    @cached_property
    def shown_scan(self) -> trimesh.Trimesh | None:
        """The scan without what lies far from the reconstruction, such as a floor."""
        if self.scan is None or not len(self.mesh.vertices):
            return None
        low, high = self.mesh.bounds
        margin = AROUND * float((high - low).max())
        points = self.scan.vertices
        near = ((points > low - margin) & (points < high + margin)).all(axis=1)
        if self.scan.faces is None:
            return trimesh.Trimesh(points[near], process=False)
        faces = self.scan.faces[near[self.scan.faces].all(axis=1)]
        used, faces = np.unique(faces, return_inverse=True)
        return trimesh.Trimesh(points[used], faces.reshape(-1, 3), process=False)

    @cached_property
    def errors(self) -> Float[np.ndarray, " V"] | None:
        """Exact distance at the vertices of what :meth:`error_map` draws, in :attr:`unit`.

        Of the reconstruction to the true surface; of the scan to the reconstruction where the
        surface is not known; None without either.
        """
        if not len(self.mesh.faces):
            return None
        if self.truth is not None:
            return self.per_unit * point_to_mesh(np.asarray(self.mesh.vertices), self.truth)
        if self.shown_scan is None:
            return None
        return self.per_unit * point_to_mesh(np.asarray(self.shown_scan.vertices), self.mesh)

    def error_map(self, high: float, label: str) -> Figure:
        """The shape that :attr:`errors` are of, coloured from 0 to ``high``."""
        if self.errors is None:
            return Figure(trimesh.Trimesh(), label=label)
        shape = self.mesh if self.truth is not None else self.shown_scan
        assert shape is not None
        return Figure(shape, label=label, vertex_colors=colour_map(self.errors, 0.0, high))

    def figures(self) -> tuple[Figure, Figure]:
        """The scan, and the reconstruction."""
        scan = self.shown_scan
        return Figure(trimesh.Trimesh() if scan is None else scan, GREY), Figure(self.mesh)

    def in_space(self, count: int, seed: int = 0) -> Float[Tensor, "K D"]:
        """``count`` vertices of the reconstruction in the frame of the space."""
        points = np.asarray(self.mesh.vertices, np.float64)
        chosen = np.random.default_rng(seed).permutation(len(points))[:count]
        centre = np.asarray(self.facts.get("centre", np.zeros(points.shape[1])))
        stored = Frame(centre, float(self.facts.get("scale", 1.0))).to_store(points[chosen])
        batch = torch.from_numpy(stored)[None]
        given = self.facts.get("pose")
        if given is None:
            return batch[0]
        parts = (given["rotation"], given["shift"], given["scale"])
        return Pose(*(torch.tensor(part, dtype=torch.float64)[None] for part in parts))(batch)[0]


def ranked(record: RunRecord) -> tuple[str, str, list[dict[str, Any]]]:
    """What the shapes of a card are ranked by, its column and part, and they from best to worst.

    Shapes without that number come last.
    """
    for part in TARGETS:
        for column in RANKED_BY:
            if any((shape.get(part) or {}).get(column) is not None for shape in record.shapes):
                return column, part, sorted(record.shapes, key=lambda s: _value(s, part, column))
    return "", "", list(record.shapes)


def read_case(record: RunRecord, shape: dict[str, Any], part: str) -> Case | None:
    """What lies in the files of one shape of a card; None if its mesh is not there."""
    name = str(shape["name"])
    path = record.file_of(name, ".ply")
    if path is None:
        return None
    told, code = record.file_of(name, ".json"), record.file_of(name, ".npy")
    facts = {} if told is None else json.loads(told.read_text("utf-8"))
    return Case(
        name,
        shape.get(part) or {},
        trimesh.load_mesh(path, process=False),
        facts,
        None if code is None else np.load(code, allow_pickle=False),
        _truth(record, name, float(facts.get("scale", 1.0))),
    )


def _value(shape: dict[str, Any], part: str, column: str) -> float:
    value = (shape.get(part) or {}).get(column)
    return float("inf") if value is None else float(value)


def _truth(record: RunRecord, name: str, scale: float) -> trimesh.Trimesh | None:
    """The true surface in the unit of the scan, whose ``scale`` in a metre it is given.

    None if it is not known where it lies.
    """
    if record.truth is None:
        return None
    try:
        raw = find_sources(record.truth, [name])[0].load()[0]
    except InputError:
        return None
    if raw.faces is None or raw.vertices.shape[1] != 3:
        return None
    unit = likely_unit(record.space, raw.vertices)
    times = scale / PER_METRE[unit] if record.space.unit == "m" else 1.0
    return trimesh.Trimesh(times * raw.vertices, raw.faces, process=False)


def _scan(source: str) -> RawScan | None:
    """The scan of a source as reconstructions name it: a file, or a scan of a store."""
    path = Path(source)
    try:
        if path.is_file():
            return find_sources(path)[0].load()[0]
        store = store_at(path.parent) if path.parent.is_file() else None
        if store is None:
            return None
        points, frame = store.read(path.name)[0], store.frame(path.name)
    except InputError:
        return None
    return RawScan(frame.to_source(points), None, None)
