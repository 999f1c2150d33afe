"""Local correction: the scan rules where it has points, the shape of the space elsewhere.

Unknown are the values of a field phi at the nodes of a sparse grid. s is the field of the space.
Minimised, as a sum over points and nodes:

    |phi(x)|^2 / noise^2 + |grad phi(x) - n|^2 / normal_noise^2        at points x with normals n
    + bending |Hess(phi - trust s)|^2 + slope |grad(phi - trust s)|^2  at nodes
    + value |phi - s|^2 where s is trusted, |phi - side|^2 where not    at nodes

The second derivatives make phi - s smooth between the points, with the detail of s kept (smooth
signed distance: Calakli and Taubin 2011; thin plates: Duchon 1977). Far from points the slopes
count more, so that phi - s fades from the edge of a hole inwards. Trust falls to 0 where the points
nearby contradict s, because they do not lie on its surface: there s has no say, and what it draws
without a point is taken away.

All lengths are in units of the spacing of the points, so that neither unit nor scale matter.

Letters: N points, C nodes, S samples of the surface of s, M any points.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import mcubes
import numpy as np
import trimesh
from jaxtyping import Bool, Float
from scipy.sparse import csr_array, diags_array, vstack
from scipy.sparse.linalg import LinearOperator, cg
from scipy.spatial import KDTree

from shapespace.elastic.grid import SparseGrid


@runtime_checkable
class PriorField(Protocol):
    """A field s, positive outside and close to a distance near its surface."""

    def values(self, points: Float[np.ndarray, "M 3"]) -> Float[np.ndarray, " M"]:
        """Values at points."""
        ...

    def values_and_gradients(
        self, points: Float[np.ndarray, "M 3"]
    ) -> tuple[Float[np.ndarray, " M"], Float[np.ndarray, "M 3"]]:
        """Values and gradients at points."""
        ...


NEIGHBOURS = 30
"""Points whose agreement with the prior decides how far it is trusted at a place."""
DISTRUST, TRUST = 0.3, 0.7
"""Agreement up to which the prior is not trusted, and from which it is trusted wholly."""
WALL = 1.0
"""Thickness, in cells to each side, of the surface of s that nothing passes."""
AXES = np.eye(3, dtype=np.int64)


@dataclass(frozen=True)
class Correction:
    """Options of a correction; lengths in units of the spacing of the points.

    Args:
        cells: sides of the cells of the grids, from coarse to fine.
        band: distance from points and prior surface up to which phi is solved for.
        noise: standard deviation of the points.
        normal_noise: standard deviation of the normals, radians.
        slope_noise: standard deviation of the slopes of s, which stand in for normals that are not
            known.
        bending: distance over which the second derivatives smooth.
        slope: distance over which slopes smooth at points.
        far_slope: the same, far from points.
        fade: distance from the points, beyond one spacing, at which ``far_slope`` is reached.
        agreement: distance of a point from the prior's surface at which it counts as contradicted.
        side: weight of the side of the nearest points where s is not trusted.
        tolerance: relative residual at which the solver ends.
    """

    cells: Sequence[float] = (1.2, 0.6)
    band: float = 1.8
    noise: float = 0.12
    normal_noise: float = 0.05
    slope_noise: float = 0.5
    bending: float = 0.4
    slope: float = 0.15
    far_slope: float = 4.0
    fade: float = 1.6
    agreement: float = 1.0
    side: float = 1.0
    tolerance: float = 1e-4


class CorrectedField:
    """A field that is corrected in a band: s plus the correction there, a signed distance beyond.

    Args:
        prior: the field s.
        grid: the nodes.
        values: phi at the nodes.
        change: phi - s at the nodes.
        trust: trust in s at the nodes.
    """

    def __init__(
        self,
        prior: PriorField,
        grid: SparseGrid,
        values: Float[np.ndarray, " C"],
        change: Float[np.ndarray, " C"],
        trust: Float[np.ndarray, " C"],
    ) -> None:
        self.prior = prior
        self.grid = grid
        self.values = values
        self.change = change
        self.trust = trust

    def at(self, points: Float[np.ndarray, "M 3"]) -> Float[np.ndarray, " M"]:
        """phi at points in the frame of the grid, positive outside."""
        change, whole = self.grid.interpolated(self.change, points)
        found = np.empty(len(points))
        if whole.any():
            # Detail of s between the nodes is kept, as far as s is trusted.
            trust, _ = self.grid.interpolated(self.trust, points[whole])
            plain, _ = self.grid.interpolated(self.values, points[whole])
            fine = self.prior.values(points[whole]) + change[whole]
            found[whole] = trust * fine + (1 - trust) * plain
        if not whole.all():
            distance, row = self.grid.tree.query(points[~whole])
            near = self.values[row]
            found[~whole] = np.where(near > 0, 1.0, -1.0) * (distance + np.abs(near))
        return found

    def mesh(self, cell: float) -> trimesh.Trimesh:
        """The zero set as a closed mesh; empty if there is none.

        Args:
            cell: side of a grid cell, in the unit of the grid.
        """
        near = self.grid.positions[np.abs(self.values) <= 1.5 * self.grid.cell]
        if not len(near):
            return trimesh.Trimesh()
        fine = SparseGrid(near, cell, max(2 * cell, 0.6 * self.grid.cell))
        volume, low = fine.volume(self.at(fine.positions))
        vertices, faces = mcubes.marching_cubes(volume, 0.0)
        # PyMCubes winds inward where the field is positive outside.
        faces = faces[:, ::-1].astype(np.int64)
        return trimesh.Trimesh(low + cell * vertices, faces, process=False)


def corrected(
    prior: PriorField,
    surface: Float[np.ndarray, "S 3"],
    points: Float[np.ndarray, "N 3"],
    normals: Float[np.ndarray, "N 3"] | None,
    options: Correction = Correction(),
    confidence: float = 1.0,
    crossed: Callable[[Float[np.ndarray, "M 3"]], Float[np.ndarray, " M"]] | None = None,
) -> CorrectedField:
    """Correct a field where there are points.

    Args:
        prior: the field s, close to a distance near its surface.
        surface: points of its surface, at most a spacing apart.
        points: points of the scan, at least eight.
        normals: outward unit normals; None where they are not known, then slopes are those of s.
        options: constants of the method.
        confidence: 0 to 1, a factor of the trust in s everywhere. With 0 the points alone decide.
        crossed: how far before a hit each place lies that a sensor saw through, 0 elsewhere. There
            the outside is firm, whatever s says.
    """
    tree = KDTree(points)
    spacing = point_spacing(points, tree)
    off, gradient = prior.values_and_gradients(points)
    agreement = _agreement(off / spacing, gradient, normals, options.agreement)
    # The mean over neighbours: one point off the surface is an outlier, many are evidence.
    nearby = agreement[tree.query(points, min(NEIGHBOURS, len(points)))[1]].mean(1)
    believed = confidence * _ramp(nearby)
    weight = believed * agreement + (1 - believed)
    directions = gradient if normals is None else normals
    before: CorrectedField | None = None
    on_surface = KDTree(surface)
    near = np.concatenate([points, surface])
    for cell in options.cells:
        grid = SparseGrid(near, cell * spacing, max(options.band, 2.5 * cell) * spacing)
        s = prior.values(grid.positions)
        gap, row = tree.query(grid.positions, min(8, len(points)))
        trust = confidence * _ramp(nearby[row].mean(1))
        # A hand that was bent into the hip is inside; its own field says outside around it.
        wall = (np.abs(s) <= WALL * grid.cell) | (on_surface.query(grid.positions)[0] <= grid.cell)
        inside = (grid.depth(wall) > 2 * WALL + 2) & (s > 0)
        firm = np.where(inside, trust, 0.0)
        trust[inside] = 0
        free = np.zeros(len(grid), bool)
        if crossed is not None:
            # Beside a point its own noise decides.
            free = (crossed(grid.positions) > 0) & (gap[:, 0] > 2 * spacing) & (s < grid.cell)
            firm[free] = 1.0
            trust[free] = 0
        # Where s is not trusted, the nearest points say which side is outside.
        arm = grid.positions[:, None] - points[row]
        side = (arm * directions[row]).sum(2).mean(1)
        system = _System(grid, spacing, options, s=s, trust=trust, gap=gap[:, 0] / spacing)
        system.add_points(points, directions, weight, known=normals is not None)
        system.add_smoothness()
        system.add_hold(side, firm, free)
        start = s
        if before is not None:
            # The coarse solution is the start of the fine one: few steps are left.
            start = s + before.grid.interpolated(before.change, grid.positions)[0]
        values = system.solved(start)
        # Around the band is outside. Where nobody says so, far from points and distrusted, the
        # solution may have drifted; the surface would run out of the band.
        rim = grid.depth(np.ones(len(grid), bool)) <= 1
        values = np.where(rim, np.maximum(values, 0.5 * grid.cell), values)
        before = CorrectedField(prior, grid, values, values - s, trust)
    assert before is not None
    return before


def point_spacing(points: Float[np.ndarray, "N 3"], tree: KDTree | None = None) -> float:
    """The usual distance between neighbouring points of a surface.

    Six neighbours at equal distances surround a point of an even sample. The sixth neighbour of a
    random sample is a third farther than that.

    Args:
        points: the points, at least two different ones.
        tree: their search tree, if there is one.
    """
    count = min(7, len(points))
    found = (tree or KDTree(points)).query(points, count)[0][:, -1]
    return 0.75 * float(np.median(found[found > 0]))


def _agreement(
    off: Float[np.ndarray, " N"],
    gradient: Float[np.ndarray, "N 3"],
    normals: Float[np.ndarray, "N 3"] | None,
    width: float,
) -> Float[np.ndarray, " N"]:
    """How well each point lies on the surface of s, and faces as it does: 0 to 1."""
    found = np.exp(-((off / width) ** 2))
    if normals is None:
        return found
    length = np.maximum(np.linalg.norm(gradient, axis=1), 1e-12)
    cosine = (gradient * normals).sum(1) / length
    # An unknown normal, a zero row, contradicts nothing.
    return found * np.where(normals.any(1), np.clip(2 * cosine, 0, 1), 1)


def _ramp(agreement: Float[np.ndarray, " C"]) -> Float[np.ndarray, " C"]:
    """Trust: 0 up to DISTRUST, 1 from TRUST."""
    return np.clip((agreement - DISTRUST) / (TRUST - DISTRUST), 0, 1)


class _System:
    """The linear equations of one grid, in units of the spacing."""

    def __init__(
        self,
        grid: SparseGrid,
        spacing: float,
        options: Correction,
        *,
        s: Float[np.ndarray, " C"],
        trust: Float[np.ndarray, " C"],
        gap: Float[np.ndarray, " C"],
    ) -> None:
        self.grid = grid
        self.spacing = spacing
        self.options = options
        self.s = s
        self.trust = trust
        self.far = np.clip((gap - 1) / options.fade, 0, 1)
        self.rows: list[csr_array] = []
        self.wanted: list[np.ndarray] = []
        # A node stands for this share of a spacing squared of surface.
        cell = grid.cell / spacing
        self.share = cell**3 / (2 * max(options.band, 2.5 * cell))
        self.precision = 1 / options.noise**2

    def add(
        self, rows: csr_array, wanted: Float[np.ndarray, " R"], weight: Float[np.ndarray, " R"]
    ) -> None:
        """Add weighted equations."""
        scale = np.sqrt(weight)
        self.rows.append(csr_array(diags_array(scale) @ rows))
        self.wanted.append(scale * wanted)

    def add_points(
        self,
        points: Float[np.ndarray, "N 3"],
        normals: Float[np.ndarray, "N 3"],
        weight: Float[np.ndarray, " N"],
        known: bool,
    ) -> None:
        """phi is 0 at the points, and its gradient is the normal.

        Args:
            points: of the scan.
            normals: measured or those of s; a zero row says nothing.
            weight: of each point.
            known: True if the normals were measured.
        """
        whole = self.grid.cells(points)[2]
        points, normals, weight = points[whole], normals[whole], weight[whole]
        value, *slopes = self.grid.point_rows(points, np.ones(len(points)))
        self.add(value, np.zeros(len(points)), weight * self.precision / self.spacing**2)
        noise = self.options.normal_noise if known else self.options.slope_noise
        weight = weight * normals.any(1) / noise**2
        for axis, slope in enumerate(slopes):
            self.add(slope, normals[:, axis], weight)

    def add_smoothness(self) -> None:
        """phi - trust s has small second derivatives, small slopes, and fades."""
        options, cell = self.options, self.grid.cell
        bending = np.full(len(self.grid), options.bending**4 * self.precision * self.share)
        # A second derivative is counted per spacing, so that it has no unit.
        bending *= self.spacing**2
        reach = options.slope + (options.far_slope - options.slope) * self.far * self.trust
        slope = reach**2 * self.precision * self.share
        for axis, one in enumerate(AXES):
            self._add_stencil([one, 0 * one, -one], [1.0, -2.0, 1.0], 1 / cell**2, bending)
            self._add_stencil([0 * one, one], [-1.0, 1.0], 1 / cell, slope)
            for other in AXES[:axis]:
                corners = [one + other, one - other, other - one, -one - other]
                self._add_stencil(corners, [1.0, -1.0, -1.0, 1.0], 0.25 / cell**2, 2 * bending)

    def add_hold(
        self,
        side: Float[np.ndarray, " C"],
        firm: Float[np.ndarray, " C"],
        free: Bool[np.ndarray, " C"],
    ) -> None:
        """Hold phi weakly: at s where that is trusted, else at the side of the nearest points.

        Args:
            side: signed distance of each node from the planes of the points nearest to it.
            firm: 0 for most nodes. Nodes where s is positive although its surface encloses them are
                held inside, as firmly as s is trusted there.
            free: nodes that a sensor saw through, which are held outside.
        """
        band = self.options.band * self.spacing
        wanted = self.trust * self.s + (1 - self.trust) * np.clip(side, -band, band)
        weak = 1e-3 * self.precision * self.share / self.spacing**2
        hold = weak * (5e-4 * self.trust + self.options.side * (1 - self.trust) * self.far)
        inside = firm > 0
        wanted[inside] = -np.maximum(self.s[inside], self.grid.cell)
        wanted[free] = self.grid.cell
        hold[inside] = firm[inside] * self.precision * self.share / self.spacing**2
        self.add(csr_array(diags_array(np.ones(len(self.grid)))), wanted, hold)

    def _add_stencil(
        self,
        offsets: Sequence[np.ndarray],
        factors: Sequence[float],
        scale: float,
        weight: Float[np.ndarray, " C"],
    ) -> None:
        """A difference quotient of phi is that of s, as far as s is trusted."""
        rows, nodes = self.grid.stencil(
            [offset.tolist() for offset in offsets], [scale * factor for factor in factors]
        )
        self.add(rows, self.trust[nodes] * (rows @ self.s), weight[nodes])

    def solved(self, start: Float[np.ndarray, " C"]) -> Float[np.ndarray, " C"]:
        """The solution, by conjugate gradients with the diagonal as preconditioner."""
        rows = vstack(self.rows).tocsr()
        matrix = (rows.T @ rows).tocsr()
        right = rows.T @ np.concatenate(self.wanted)
        scale = 1 / matrix.diagonal()
        precondition = LinearOperator(matrix.shape, lambda v: scale * v)
        tolerance = self.options.tolerance
        found, _ = cg(matrix, right, x0=start, rtol=tolerance, maxiter=400, M=precondition)
        return found
