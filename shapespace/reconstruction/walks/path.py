"""Paths through the space of codes: straight lines, and chains of training codes.

A chain is a shortest path over the nearest training codes, where an edge costs its length to a
power above 1. Many short hops are then cheaper than a long one, so that the chain stays where the
space was trained. Chains of several powers are tried. What a path costs is its strain: the integral
of the strain rate of the surface along it (:mod:`shapespace.bending.energy`), which is small for a
body that bends and large for one whose limbs shrink and grow elsewhere. The path of the least
strain is taken, the straight line among them. This is a shortest path in the metric of the
decoder, over few candidates: each costs seconds, all edges of a graph would cost an hour.

Letters: S training codes, L code length, K points of a path.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from scipy.sparse import coo_array
from scipy.sparse.csgraph import dijkstra
from scipy.spatial.distance import cdist
from torch import Tensor

from shapespace.bending.meshed import bending
from shapespace.config.options import WalkPath
from shapespace.decoders.base import Field
from shapespace.scan import Frame
from shapespace.space import TrainedSpace

NEAREST = 16
"""Codes to which a code is connected, at most."""
POWERS = (1.5, 2.0, 4.0)
"""Powers of the length of an edge; the larger, the shorter and the more are the hops."""
SHORT_HOPS = 2.0
"""The power of the chain that is taken where none is measured."""
PROBES = 8
"""Places of a path at which its strain is measured."""
PROBE_SAMPLES = 400
"""Samples of the surface at each."""


@dataclass(frozen=True)
class Waypoint:
    """A point on an interpolation path.

    Args:
        code: its code.
        frame: frame to which its shape is exported.
    """

    code: Float[Tensor, " L"]
    frame: Frame


@dataclass(frozen=True)
class Leg:
    """The way from one shape to the next.

    Args:
        corners: codes of the start, of what lies between, and of the end.
        through: names of the training scans between, in order; none on a straight line.
        strain: integral of the strain rate, without unit; None where it was not measured.
        straight: that of the straight line; None where it was not measured.
    """

    corners: Float[Tensor, "K L"]
    through: tuple[str, ...] = ()
    strain: float | None = None
    straight: float | None = None


class Walk(NamedTuple):
    """A walk from shape to shape.

    Args:
        shapes: names of the shapes where its legs begin and end.
        waypoints: their codes and frames.
        legs: the ways between them.
        points: the points of all legs; no waypoint is repeated.
        steps: points of a leg, both ends included.
    """

    shapes: tuple[str, ...]
    waypoints: tuple[Waypoint, ...]
    legs: tuple[Leg, ...]
    points: tuple[Waypoint, ...]
    steps: int

    def share(self, number: int) -> float:
        """How far a point is on its leg, from 0 to 1; ends of inner legs count as starts."""
        if number == len(self.points) - 1:
            return 1.0
        return number % (self.steps - 1) / (self.steps - 1)

    def direction(self, number: int) -> Float[Tensor, " L"]:
        """The change of the code from a point to the next; from the one before at the end."""
        first = min(number, len(self.points) - 2)
        return self.points[first + 1].code - self.points[first].code


def chosen_leg(
    space: TrainedSpace, start: Float[Tensor, " L"], end: Float[Tensor, " L"], path: WalkPath
) -> Leg:
    """The way from one code to another.

    Args:
        space: the space.
        start: the code where it begins.
        end: the code where it ends.
        path: straight is not measured. training takes the chain that strains least; best compares
            it with the straight line. Without training codes between, the line is straight.
    """
    line = Leg(torch.stack([start, end]))
    if path == "straight":
        return line
    codes = space.codes.table.weight.detach()
    straight = strain_of(space.decoder, line.corners, space.extent)
    found = [replace(line, strain=straight, straight=straight)]
    for chain in chains(codes, start, end):
        corners = torch.cat([start[None], codes[list(chain)], end[None]])
        names = tuple(space.names[row] for row in chain)
        cost = strain_of(space.decoder, corners, space.extent)
        found.append(Leg(corners, names, strain=cost, straight=straight))
    if path == "training" and len(found) > 1:
        found = found[1:]
    return min(found, key=lambda leg: (leg.strain, len(leg.through)))


def passing_leg(space: TrainedSpace, start: Float[Tensor, " L"], end: Float[Tensor, " L"]) -> Leg:
    """The chain of many short hops over training codes, which costs nothing to find.

    Its strain is not measured. Without training codes between, the line is straight.

    Args:
        space: the space.
        start: the code where it begins.
        end: the code where it ends.
    """
    codes = space.codes.table.weight.detach()
    (chain,) = chains(codes, start, end, powers=(SHORT_HOPS,)) or [()]
    corners = torch.cat([start[None], codes[list(chain)], end[None]])
    return Leg(corners, tuple(space.names[row] for row in chain))


def interpolate(waypoints: Sequence[Waypoint], steps: int) -> list[Waypoint]:
    """Interpolate codes and frames linearly from each waypoint to the next.

    Between two waypoints there are ``steps`` points, both ends included. k waypoints give
    (k - 1) (steps - 1) + 1 points; no waypoint is repeated.
    """
    legs = [Leg(torch.stack([start.code, end.code])) for start, end in pairwise(waypoints)]
    return points_of(waypoints, legs, steps)


def points_of(waypoints: Sequence[Waypoint], legs: Sequence[Leg], steps: int) -> list[Waypoint]:
    """Points along the legs between waypoints, evenly by length in the space of codes.

    Frames change linearly from waypoint to waypoint.

    Args:
        waypoints: ends of the legs.
        legs: one from each waypoint to the next.
        steps: points from each waypoint to the next, both included.
    """
    if len(waypoints) < 2 or steps < 2:
        raise ValueError(f"{len(waypoints)} waypoints and steps={steps}: give at least 2 of each")
    path = [waypoints[0]]
    for (start, end), leg in zip(pairwise(waypoints), legs, strict=True):
        path += [_between(start, end, leg, t) for t in np.linspace(0, 1, steps)[1:]]
    return path


def code_at(corners: Float[Tensor, "K L"], t: float) -> Float[Tensor, " L"]:
    """The code at the fraction ``t`` of the length of a chain of codes."""
    lengths = (corners[1:] - corners[:-1]).norm(dim=1).double().cpu().numpy()
    ends = np.concatenate([[0.0], np.cumsum(lengths)])
    hop = int(np.clip(np.searchsorted(ends, t * ends[-1], side="right") - 1, 0, len(lengths) - 1))
    # On a single hop t stands as it is: no rounding by the length.
    share = t if len(lengths) == 1 else (t * ends[-1] - ends[hop]) / max(lengths[hop], 1e-300)
    return (1 - share) * corners[hop] + share * corners[hop + 1]


def _between(start: Waypoint, end: Waypoint, leg: Leg, t: float) -> Waypoint:
    """The point at the fraction ``t`` of the way from ``start`` to ``end``."""
    if t == 1:  # exactly the waypoint: rounding would move it
        return end
    centre = (1 - t) * start.frame.centre + t * end.frame.centre
    scale = (1 - t) * start.frame.scale + t * end.frame.scale
    return Waypoint(code_at(leg.corners, t), Frame(centre, scale))


def strain_of(field: Field, corners: Float[Tensor, "K L"], extent: float) -> float:
    """The strain that the surface gathers along a chain of codes, without unit.

    The integral of sqrt(energy x mean of u^2) / size, by the rule of the midpoint. It is 0 for a
    rigid motion, and infinite where the surface vanishes.

    Args:
        field: the field, D = 3.
        corners: codes of the chain.
        extent: half side of the box that holds the shapes.
    """
    places = np.linspace(0, 1, PROBES + 1)
    total = 0.0
    for first, last in pairwise(places):
        change = code_at(corners, last) - code_at(corners, first)
        middle = code_at(corners, (first + last) / 2)
        found = bending(field, middle, change, extent=extent, count=PROBE_SAMPLES)
        total += found.strain_rate if len(found.speed) else np.inf
    return float(total)


def chains(
    codes: Float[Tensor, "S L"],
    start: Float[Tensor, " L"],
    end: Float[Tensor, " L"],
    powers: Sequence[float] = POWERS,
) -> list[tuple[int, ...]]:
    """Chains of training codes from one code to another, each as rows of the table of codes.

    Args:
        codes: the training codes.
        start: where chains begin; it is no row of a chain.
        end: where chains end; it is no row of a chain.
        powers: of the lengths of edges, one chain each.

    Returns:
        Different chains, none of them empty; none where no detour is shorter for any power.
    """
    table = torch.cat([codes, start[None], end[None]]).double().cpu().numpy()
    count = len(table)
    rows, columns, lengths = _links(table)
    found: list[tuple[int, ...]] = []
    for power in powers:
        graph = coo_array((lengths**power, (rows, columns)), (count, count)).tocsr()
        before = dijkstra(graph, directed=False, indices=count - 2, return_predecessors=True)[1]
        chain = [int(before[count - 1])]
        while chain[-1] not in (count - 2, -9999):
            chain.append(int(before[chain[-1]]))
        inner = tuple(row for row in reversed(chain[:-1]))
        if inner and inner not in found:
            found.append(inner)
    return found


def _links(
    table: Float[np.ndarray, "K L"],
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Edges from each code to its nearest ones, and from the last but one to the last."""
    count = len(table)
    rows, columns, lengths = [], [], []
    # Row by row: the table of all distances would be large.
    for row, code in enumerate(table):
        gap = cdist(code[None], table)[0]
        # Codes at the place of this one are the shape itself: no hop leads to them.
        gap[gap <= 1e-9 * max(gap.max(), 1e-300)] = np.inf
        near = np.argsort(gap, kind="stable")[:NEAREST]
        near = near[np.isfinite(gap[near])]
        rows.append(np.full(len(near), row))
        columns.append(near)
        lengths.append(gap[near])
    direct = float(np.linalg.norm(table[-1] - table[-2]))
    ends = (np.array([count - 2]), np.array([count - 1]), np.array([max(direct, 1e-300)]))
    parts = zip((rows, columns, lengths), ends, strict=True)
    row, column, length = (np.concatenate([*many, one]) for many, one in parts)
    # An edge that both of its codes name would count twice in a sparse matrix.
    key = np.unique(np.minimum(row, column) * count + np.maximum(row, column), return_index=True)[1]
    return row[key], column[key], length[key]
