"""The reconstructions of an evaluation: scan, mesh, code, true surface and error map.

Errors are in millimetres, or in percent of the radius in a space without a unit.
Letters: V vertices, L code length, K points, D dimension.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any

import numpy as np
import torch
import trimesh
from jaxtyping import Float
from torch import Tensor

from shapespace.baselines.shapes import pose_of
from shapespace.config.options import ReadOptions
from shapespace.data.formats.readers import RawScan
from shapespace.data.sources import AnySource, StoredScan
from shapespace.data.units import PER_METRE
from shapespace.errors import InputError
from shapespace.evaluation.scores import SHAPES
from shapespace.fitting.pose import Pose
from shapespace.geometry.proximity import point_to_mesh
from shapespace.reconstruction.inputs import likely_unit
from shapespace.reconstruction.results import read_code, read_facts, read_mesh
from shapespace.rendering.meshes import GREY, Figure, colour_map
from shapespace.report.run import RunRecord
from shapespace.scan import Frame

RANKED_BY = ("point_to_mesh", "chamfer_half_unsquared", "accuracy_exact", "completeness_exact")
"""Columns of the scores that may rank the shapes; the first one that exists does."""
TARGETS = ("registration", "scan")
"""Parts of the scores that may rank the shapes: to the true surface, else to the scan."""
MARGIN = 0.15
"""A picture shows the part of a scan that lies within this share of the mesh's longest side."""


@dataclass(frozen=True)
class Case:
    """One reconstruction of an evaluation.

    Args:
        name: The name of the shape.
        numbers: Its scores, to the true surface or else to the scan.
        mesh: The reconstruction in the frame and unit of the scan file.
        facts: The content of its .json file: source, unit, frame and pose; empty if missing.
        code: Its latent code, None if the code was not kept.
        surface: A function that reads the true surface, or returns None if that is unknown.
        raw: A function that reads the raw scan, or returns None if that is unknown.
    """

    name: str
    numbers: dict[str, Any]
    mesh: trimesh.Trimesh
    facts: dict[str, Any]
    code: Float[np.ndarray, " L"] | None
    surface: Callable[[], trimesh.Trimesh | None] = lambda: None
    raw: Callable[[], RawScan | None] = lambda: None

    @property
    def unit(self) -> str:
        """The unit of errors: "mm", or "% of the radius" in a space without a unit."""
        return "% of the radius" if self.facts.get("unit") == "radius" else "mm"

    @property
    def per_unit(self) -> float:
        """The factor from lengths in the scan file to errors in :attr:`unit`."""
        whole = 100 if self.facts.get("unit") == "radius" else 1000
        return whole / self.scale

    @property
    def scale(self) -> float:
        """The factor from lengths in the space to lengths in the scan file; 1 if unknown."""
        return float(self.facts.get("scale", 1.0))

    @cached_property
    def placement(self) -> tuple[Frame, Pose] | None:
        """The frame of the scan and its pose in the space; None if they are unknown."""
        return pose_of(self.facts) if self.facts else None

    @cached_property
    def truth(self) -> trimesh.Trimesh | None:
        """The true surface in the unit of the scan file; None if it is unknown."""
        return self.surface()

    @cached_property
    def scan(self) -> RawScan | None:
        """The raw scan; None if the user did not give it."""
        return self.raw()

    @cached_property
    def shown_scan(self) -> trimesh.Trimesh | None:
        """The scan near the reconstruction, without a floor or other distant parts.

        None if there is no scan or the reconstruction is empty.
        """
        if self.scan is None or not len(self.mesh.vertices):
            return None
        low, high = self.mesh.bounds
        margin = MARGIN * float((high - low).max())
        points = self.scan.vertices
        near = ((points > low - margin) & (points < high + margin)).all(axis=1)
        if self.scan.faces is None:
            return trimesh.Trimesh(points[near], process=False)
        faces = self.scan.faces[near[self.scan.faces].all(axis=1)]
        used, faces = np.unique(faces, return_inverse=True)
        return trimesh.Trimesh(points[used], faces.reshape(-1, 3), process=False)

    @cached_property
    def errors(self) -> Float[np.ndarray, " V"] | None:
        """Exact unsigned distances at the vertices that :meth:`error_map` draws.

        Where the true surface is known, these are distances from the reconstruction to the true
        surface; otherwise from the scan to the reconstruction. Unit: :attr:`unit`. None if there is
        neither surface nor scan, or the reconstruction is empty.
        """
        if not len(self.mesh.faces):
            return None
        if self.truth is not None:
            return self.per_unit * point_to_mesh(np.asarray(self.mesh.vertices), self.truth)
        if self.shown_scan is None:
            return None
        return self.per_unit * point_to_mesh(np.asarray(self.shown_scan.vertices), self.mesh)

    def error_map(self, high: float, label: str) -> Figure:
        """The reconstruction, or else the scan, coloured by :attr:`errors` from 0 to ``high``."""
        if self.errors is None:
            return Figure(trimesh.Trimesh(), label=label)
        shape = self.mesh if self.truth is not None else self.shown_scan
        assert shape is not None
        colours = colour_map(self.errors, 0.0, high)
        return Figure(self.drawn(shape), label=label, vertex_colors=colours)

    def figures(self) -> tuple[Figure, Figure]:
        """Figures of the scan and of the reconstruction."""
        scan = self.shown_scan
        grey = trimesh.Trimesh() if scan is None else self.drawn(scan)
        return Figure(grey, GREY), Figure(self.drawn(self.mesh))

    def drawn(self, shape: trimesh.Trimesh) -> trimesh.Trimesh:
        """A copy of a shape in the unit of the space.

        The scan files of one picture may differ in unit; the unit of the space is common to all.
        """
        found = shape.copy()
        found.vertices = np.asarray(shape.vertices).reshape(-1, 3) / self.scale
        return found

    def in_space(
        self, placement: tuple[Frame, Pose], count: int, seed: int = 0
    ) -> Float[Tensor, "K D"]:
        """Random vertices of the reconstruction in the frame of the space.

        Args:
            placement: :attr:`placement`, which must not be None here.
            count: K, if the reconstruction has as many vertices; otherwise K is their number.
            seed: The seed of the draw.
        """
        frame, pose = placement
        points = np.asarray(self.mesh.vertices, np.float64)
        chosen = np.random.default_rng(seed).permutation(len(points))[:count]
        return pose(torch.from_numpy(frame.to_store(points[chosen]))[None])[0]


def ranked(record: RunRecord) -> tuple[str, str, list[dict[str, Any]]]:
    """The shapes of an evaluation from the best to the worst.

    Returns:
        The column that ranks the shapes, the part of the scores that holds this column, and the
        shapes that have this number. Column and part are "" if no shape has a number to rank by;
        all shapes then follow in the order of the file.
    """
    for part in TARGETS:
        for column in RANKED_BY:
            having = [s for s in record.shapes if (s.get(part) or {}).get(column) is not None]
            if having:
                return column, part, sorted(having, key=lambda s: float(s[part][column]))
    return "", "", list(record.shapes)


def read_case(record: RunRecord, shape: dict[str, Any], part: str) -> Case | None:
    """Read the files of one reconstruction.

    Args:
        record: The run and its evaluation.
        shape: The scores of the shape, an entry of ``record.shapes``.
        part: The part of the scores that the case takes as its numbers.

    Returns:
        The reconstruction, or None if its mesh is missing.

    Raises:
        InputError: A file of the reconstruction is damaged.
    """
    name = shape["name"]
    if record.evaluation is None:
        return None
    where = (record.evaluation, SHAPES, name)
    mesh = read_mesh(*where)
    if mesh is None:
        return None
    facts = read_facts(*where) or {}
    return Case(
        name=name,
        numbers=shape.get(part) or {},
        mesh=mesh,
        facts=facts,
        code=read_code(*where),
        surface=partial(_truth, record, name, scale=float(facts.get("scale", 1.0))),
        raw=partial(_scan, record, name),
    )


def _truth(record: RunRecord, name: str, scale: float) -> trimesh.Trimesh | None:
    """The true surface of a shape in the unit of the scan file; None if unknown or without faces.

    Args:
        record: The run and its evaluation.
        name: The name of the shape.
        scale: The factor from lengths in the space to lengths in the scan file.
    """
    source = record.truths.get(name)
    raw = None if source is None else _loaded(record, lambda: source.load(record.reading)[0])
    if raw is None or raw.faces is None or raw.vertices.shape[1] != 3:
        return None
    unit = record.facts.get("protocol", {}).get("unit")
    if not isinstance(unit, str) or unit not in PER_METRE:
        unit = likely_unit(record.space, raw.vertices)
    # The file of the true surface may be in another unit than that of the scan. A space in metres
    # links the two; a space without a unit says nothing, and the two files must agree.
    factor = scale / PER_METRE[unit] if record.space.unit == "m" else 1.0
    return trimesh.Trimesh(factor * raw.vertices, raw.faces, process=False)


def _scan(record: RunRecord, name: str) -> RawScan | None:
    """The raw scan of a shape, in the frame and unit of its file; None if it is not known."""
    source = record.scans.get(name)
    return None if source is None else _loaded(record, lambda: _raw(source, record.reading))


def _raw(source: AnySource, reading: ReadOptions) -> RawScan:
    """A scan in the frame and unit of its source."""
    if not isinstance(source, StoredScan):
        return source.load(reading)[0]
    scan = source.prepared()
    return RawScan(scan.frame.to_source(scan.points), None, None)


def _loaded(record: RunRecord, load: Callable[[], RawScan]) -> RawScan | None:
    """What ``load`` reads; None, and a remark, for a file that cannot be used."""
    try:
        return load()
    except InputError as error:
        record.remarks.append(f"{error}.")
        return None
