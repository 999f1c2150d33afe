"""What the shapes of a walk are like: parts, volume, genus, bending, and where limbs vanish.

Volume and area are in the unit of the source, to the powers three and two. Letters: S training
codes, L code length.
"""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import trimesh
from jaxtyping import Float
from torch import Tensor

from shapespace.bending.meshed import bending
from shapespace.geometry.components import components
from shapespace.reconstruction.walks.path import Leg
from shapespace.space import TrainedSpace
from shapespace.utils.text import significant

OFF_LINE = 0.05
"""Share of volume or area, on the line between both ends, from which a shape is off the line.

A forearm that shrinks to a stump has so little volume that only the area shows it.
"""
CRUMBS = 0.05
"""Share of the area below which all parts but the largest are crumbs."""


@dataclass(frozen=True)
class ShapeFacts:
    """Facts of one shape of a walk.

    Args:
        file: its mesh.
        t: how far it is on its leg, from 0 to 1.
        parts: connected components.
        loose_share: share of the area that is not in the largest one.
        dropped: components that the mesh in the file lacks.
        closed: whether the surface has no border.
        euler: V - E + F of all components.
        genus: handles of all components, parts - euler / 2; None if it is not closed.
        volume: enclosed, in the unit of the source cubed; None if it is not closed.
        area: in the unit of the source squared.
        volume_off: by how much the volume leaves the line between both ends of the leg, as a share
            of the line; None if one of them has no volume.
        area_off: the same of the area; None if one of both ends has none.
        bending: bending energy along the path (:mod:`shapespace.bending.energy`), without unit;
            None without a surface.
        nearest: name of the training scan with the nearest code.
        nearest_distance: distance to that code, in units of the mean distance from each training
            code to its nearest one; None if there is one code only.
    """

    file: str
    t: float
    parts: int
    loose_share: float
    dropped: int
    closed: bool
    euler: int
    genus: int | None
    volume: float | None
    area: float
    volume_off: float | None
    area_off: float | None
    bending: float | None
    nearest: str
    nearest_distance: float | None

    def at(self, t: float) -> "ShapeFacts":
        """The same shape at another place of a leg."""
        return replace(self, t=t)


@dataclass(frozen=True)
class LegFacts:
    """Facts of a leg of a walk.

    Args:
        start: the shape where it begins.
        end: the shape where it ends.
        path: straight, or through training codes.
        through: names of the training scans between.
        strain: what the surface is strained on this path; None where it was not measured.
        strain_of_straight_line: the same of the straight line.
        shapes: of the leg, both ends included.
        warnings: what is wrong with them, one sentence each.
    """

    start: str
    end: str
    path: str
    through: tuple[str, ...]
    strain: float | None
    strain_of_straight_line: float | None
    shapes: tuple[ShapeFacts, ...]
    warnings: tuple[str, ...]

    def plain(self) -> dict[str, Any]:
        """The facts as data that JSON can hold."""
        return asdict(self)

    def lines(self, unit: str) -> list[str]:
        """One line on the leg, and one for each warning.

        Args:
            unit: name of the unit of the source.
        """
        parts = [float(shape.parts) for shape in self.shapes]
        volumes = [shape.volume for shape in self.shapes if shape.volume is not None]
        costs = [shape.bending for shape in self.shapes if shape.bending is not None]
        said = [f"{_range(parts)} part{'s' if max(parts) != 1 else ''}"]
        if volumes:
            said.append(f"volume {_range(volumes)} {unit}^3")
        for quantity in ("volume", "area"):
            shares = [getattr(shape, f"{quantity}_off") for shape in self.shapes]
            off = [abs(share) for share in shares if share is not None]
            if off:
                said.append(f"{quantity} off the line by {100 * max(off):.0f} %")
        if costs:
            said.append(f"bending {significant(float(np.median(costs)))}, at most ")
            said[-1] += significant(max(costs))
        head = f"{self.start} -> {self.end}, {self._way()}: " + ", ".join(said)
        return [head, *(f"warning: {warning}" for warning in self.warnings)]

    def _way(self) -> str:
        """The path in words."""
        straight = self.strain_of_straight_line
        if self.strain is None or straight is None:
            measured = ""
        elif self.through:
            measured = f", strain {significant(self.strain)} for {significant(straight)} straight"
        else:
            measured = f", strain {significant(self.strain)}, the least that was found"
        if not self.through:
            return "straight" + measured
        count = len(self.through)
        return f"through {count} training code{'s' if count > 1 else ''}{measured}"


def shape_facts(
    mesh: trimesh.Trimesh,
    *,
    file: str,
    t: float,
    dropped: int,
    cost: float,
    nearest: tuple[str, float],
) -> ShapeFacts:
    """The facts of one shape, but for those of the line between both ends of its leg.

    Args:
        mesh: the whole zero set in the frame of the source, all components.
        file: name of its file.
        t: how far it is on its leg.
        dropped: components that the file lacks.
        cost: its bending energy; NaN without a surface.
        nearest: name of the nearest training scan and the distance to it; NaN if unknown.
    """
    count, label = components(mesh) if len(mesh.faces) else (0, np.zeros(0, np.int64))
    areas = np.bincount(label, weights=mesh.area_faces, minlength=count)
    area = float(areas.sum())
    closed = bool(len(mesh.faces)) and bool(mesh.is_watertight)
    euler = int(mesh.euler_number) if len(mesh.faces) else 0
    return ShapeFacts(
        file=file,
        t=t,
        parts=count,
        loose_share=float(1 - areas.max() / area) if area > 0 else 0.0,
        dropped=dropped,
        closed=closed,
        euler=euler,
        genus=count - euler // 2 if closed else None,
        volume=float(mesh.volume) if closed else None,
        area=area,
        volume_off=None,
        area_off=None,
        bending=cost if math.isfinite(cost) else None,
        nearest=nearest[0],
        nearest_distance=nearest[1] if math.isfinite(nearest[1]) else None,
    )


def leg_facts(shapes: Sequence[ShapeFacts], leg: Leg, *, start: str, end: str) -> LegFacts:
    """The facts of a leg, with what is wrong with its shapes.

    Args:
        shapes: of the leg, both ends included.
        leg: the path.
        start: the shape where it begins.
        end: the shape where it ends.
    """
    measured = tuple(_with_line(shape, shapes[0], shapes[-1]) for shape in shapes)
    return LegFacts(
        start=start,
        end=end,
        path="training" if leg.through else "straight",
        through=leg.through,
        strain=_finite(leg.strain),
        strain_of_straight_line=_finite(leg.straight),
        shapes=measured,
        warnings=tuple(_warnings(measured)),
    )


def bending_along(
    space: TrainedSpace,
    code: Float[Tensor, " L"],
    direction: Float[Tensor, " L"],
    mesh: trimesh.Trimesh,
) -> float:
    """The bending energy of a shape along a direction of codes; NaN without a surface.

    Args:
        space: the space.
        code: of the shape.
        direction: of the codes.
        mesh: the whole zero set in the frame of the space.
    """
    return bending(space.decoder, code, direction, extent=space.extent, mesh=mesh).energy


class NearestTraining:
    """Finds the training shape whose code is nearest.

    Args:
        space: the space.
    """

    def __init__(self, space: TrainedSpace) -> None:
        self.names = space.names
        self.table = space.codes.table.weight.detach().double().cpu().numpy()
        self.spacing = _mean_gap(self.table)

    def __call__(self, code: Float[Tensor, " L"]) -> tuple[str, float]:
        """Its name, and the distance in units of the mean distance between nearest codes."""
        gap = np.linalg.norm(self.table - code.double().cpu().numpy(), axis=1)
        row = int(gap.argmin())
        return self.names[row], float(gap[row] / self.spacing) if self.spacing > 0 else math.nan


def _mean_gap(table: Float[np.ndarray, "S L"]) -> float:
    """The mean distance from each code to the nearest other one; 0 if there is one code."""
    gaps = []
    for row, code in enumerate(table):
        others = np.linalg.norm(np.delete(table, row, axis=0) - code, axis=1)
        gaps.append(others.min(initial=np.inf))
    return float(np.mean(gaps)) if len(table) > 1 else 0.0


def _with_line(shape: ShapeFacts, first: ShapeFacts, last: ShapeFacts) -> ShapeFacts:
    """The facts with the distances of volume and area from the line between both ends."""
    return replace(
        shape,
        volume_off=_off(shape.t, shape.volume, (first.volume, last.volume)),
        area_off=_off(shape.t, shape.area, (first.area, last.area)),
    )


def _off(t: float, value: float | None, ends: tuple[float | None, float | None]) -> float | None:
    """By how much a value leaves the line between both ends, as a share of the line."""
    first, last = ends
    if value is None or first is None or last is None:
        return None
    line = (1 - t) * first + t * last
    return value / line - 1 if line > 0 else None


def _warnings(shapes: Sequence[ShapeFacts]) -> list[str]:
    """What is wrong with the shapes of a leg, one sentence each."""
    found = []
    empty = [shape.file for shape in shapes if shape.parts == 0]
    if empty:
        found.append(f"{', '.join(empty)}: no surface")
    most = max(shapes[0].parts, shapes[-1].parts, 1)
    torn = [shape for shape in shapes if shape.parts > most or 0 < shape.loose_share < CRUMBS]
    if torn:
        worst = max(torn, key=lambda shape: shape.parts)
        found.append(
            f"{len(torn)} of {len(shapes)} shapes have crumbs or more parts than both ends, "
            f"{worst.file} has {worst.parts} parts"
        )
    for quantity in ("volume", "area"):
        shares = [getattr(shape, f"{quantity}_off") or 0.0 for shape in shapes]
        off = [row for row, share in enumerate(shares) if abs(share) > OFF_LINE]
        if off:
            worst = max(off, key=lambda row: abs(shares[row]))
            found.append(
                f"the {quantity} of {len(off)} of {len(shapes)} shapes is more than "
                f"{100 * OFF_LINE:.0f} % off the line between both ends, {shapes[worst].file} by "
                f"{100 * shares[worst]:+.0f} %: a limb may have vanished"
            )
    return found


def _finite(value: float | None) -> float | None:
    """The value, and None for one that JSON cannot hold."""
    return value if value is not None and math.isfinite(value) else None


def _range(values: Sequence[float]) -> str:
    """The smallest and the largest of some numbers, once if they are one."""
    low, high = significant(min(values)), significant(max(values))
    return low if low == high else f"{low} to {high}"
