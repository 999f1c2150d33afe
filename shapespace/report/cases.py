"""The shapes of an evaluation from the best to the worst: scan, reconstruction, error, neighbours.

Lengths are in millimetres, or in percent of the radius in a space without a unit.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
import trimesh
from jaxtyping import Float
from torch import Tensor

from shapespace.baselines.shapes import pose_of
from shapespace.data.formats.readers import RawScan
from shapespace.data.sources import find_sources
from shapespace.data.store.store import store_at
from shapespace.data.units import PER_METRE
from shapespace.errors import InputError, one_line
from shapespace.fitting.pose import Pose
from shapespace.geometry.proximity import point_to_mesh
from shapespace.reconstruction.inputs import likely_unit
from shapespace.rendering.meshes import GREY, Figure, colour_map
from shapespace.report.run import RunRecord, read_object
from shapespace.scan import Frame

RANKED_BY = ("point_to_mesh", "chamfer_half_unsquared", "accuracy_exact", "completeness_exact")
"""Columns of a card that shapes are ranked by: the first there is."""
TARGETS = ("registration", "scan")
AROUND = 0.15
"""What is drawn of a scan: what is within this share of the shape's longest side around it."""
_MAKER = "shapespace evaluate"


@dataclass(frozen=True)
class Case:
    """One reconstruction of an evaluation.

    numbers: of the card, to the surface or else the scan. facts: of its fit, empty if unknown.
    code: None if it was not kept. surface: reads the true surface, None if it is not known.
    """

    name: str
    numbers: dict[str, Any]
    mesh: trimesh.Trimesh
    facts: dict[str, Any]
    code: Float[np.ndarray, " L"] | None
    surface: Callable[[], trimesh.Trimesh | None] = lambda: None

    @property
    def unit(self) -> str:
        """What errors are given in."""
        return "% of the radius" if self.facts.get("unit") == "radius" else "mm"

    @property
    def per_unit(self) -> float:
        """What a length of the scan's file is multiplied by to be in :attr:`unit`."""
        whole = 100 if self.facts.get("unit") == "radius" else 1000
        return whole / self.scale

    @property
    def scale(self) -> float:
        """Lengths of the scan's file in one of the space's unit; 1 where it is not known."""
        return float(self.facts.get("scale", 1.0))

    @cached_property
    def place(self) -> tuple[Frame, Pose] | None:
        """Where the reconstruction lies in its space; None if it is not known."""
        return pose_of(self.facts) if self.facts else None

    @cached_property
    def truth(self) -> trimesh.Trimesh | None:
        """The true surface in the unit of the scan, None if it is not known."""
        return self.surface()

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
        colours = colour_map(self.errors, 0.0, high)
        return Figure(self.drawn(shape), label=label, vertex_colors=colours)

    def figures(self) -> tuple[Figure, Figure]:
        """The scan, and the reconstruction."""
        scan = self.shown_scan
        grey = trimesh.Trimesh() if scan is None else self.drawn(scan)
        return Figure(grey, GREY), Figure(self.drawn(self.mesh))

    def drawn(self, shape: trimesh.Trimesh) -> trimesh.Trimesh:
        """A shape in the unit of the space, as scans of one picture may differ in theirs."""
        found = shape.copy()
        found.vertices = np.asarray(shape.vertices).reshape(-1, 3) / self.scale
        return found

    def in_space(
        self, place: tuple[Frame, Pose], count: int, seed: int = 0
    ) -> Float[Tensor, "K D"]:
        """``count`` vertices of the reconstruction in the frame of the space."""
        frame, pose = place
        points = np.asarray(self.mesh.vertices, np.float64)
        chosen = np.random.default_rng(seed).permutation(len(points))[:count]
        return pose(torch.from_numpy(frame.to_store(points[chosen]))[None])[0]


def ranked(record: RunRecord) -> tuple[str, str, list[dict[str, Any]]]:
    """What the shapes of a card are ranked by, its column and part, and they from best to worst.

    Shapes without that number are left out; without any, column and part are "" and all are there.
    """
    for part in TARGETS:
        for column in RANKED_BY:
            having = [s for s in record.shapes if (s.get(part) or {}).get(column) is not None]
            if having:
                return column, part, sorted(having, key=lambda s: float(s[part][column]))
    return "", "", list(record.shapes)


def read_case(record: RunRecord, shape: dict[str, Any], part: str) -> Case | None:
    """What lies in the files of one shape of a card; None if its mesh is not there.

    InputError if one of them is damaged.
    """
    name = str(shape["name"])
    path = record.file_of(name, ".ply")
    if path is None:
        return None
    facts = _facts(path.with_suffix(".json"))
    code = record.file_of(name, ".npy")
    return Case(
        name,
        shape.get(part) or {},
        _read(path, partial(trimesh.load_mesh, process=False)),
        facts,
        None if code is None else _read(code, partial(np.load, allow_pickle=False)),
        partial(_truth, record, name, float(facts.get("scale", 1.0))),
    )


def _facts(path: Path) -> dict[str, Any]:
    """How a shape was fitted, {} if it is not told."""
    facts = read_object(path, _MAKER) or {}
    if facts:
        _read(path, lambda _: pose_of(facts))
    return facts


def _read(path: Path, reader: Callable[[Path], Any]) -> Any:
    """What a reader makes of a file; InputError if it cannot."""
    try:
        return reader(path)
    except (OSError, ValueError, KeyError, TypeError, IndexError, EOFError) as error:
        raise InputError(f"{path}: is damaged ({one_line(error)}); redo {_MAKER}") from error


def _truth(record: RunRecord, name: str, scale: float) -> trimesh.Trimesh | None:
    """The true surface in the unit of the scan, whose ``scale`` in a metre it is given.

    None if it is not known or has no faces.
    """
    if name not in record.truths:
        return None
    raw = record.truths[name].load()[0]
    if raw.faces is None or raw.vertices.shape[1] != 3:
        return None
    unit = record.facts.get("protocol", {}).get("unit", "auto")
    unit = likely_unit(record.space, raw.vertices) if unit == "auto" else unit
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
        with store:
            points, frame = store.read(path.name)[0], store.frame(path.name)
    except InputError:
        return None
    return RawScan(frame.to_source(points), None, None)
