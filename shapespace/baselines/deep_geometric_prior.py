"""Deep geometric prior: one scan as overlapping patches, each a network (Williams et al. 2019).

Each patch maps a square to the points of a small ball. A first stage fits each patch to its points
by optimal transport; a second makes overlapping patches agree. Dense points and normals of the
patches then go through screened Poisson, as in the paper's comparisons. Nothing but the limited
power of the networks smooths the surface.

Letters: N points of the scan, P patches, K points of a patch, M points that are sampled, H width,
J normals; J is N but in a call that is refused.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import trimesh
from jaxtyping import Float, Int
from scipy.spatial import KDTree
from scipy.stats import qmc
from torch import Tensor, nn

from shapespace.baselines.poisson import screened_poisson
from shapespace.errors import InputError, at_least, positive

WIDTHS = (2, 128, 256, 512, 512, 3)
"""Neurons of the layers of a patch, as published."""


@dataclass(frozen=True)
class PriorOptions:
    """Constants of a fit; those without a remark are those of the authors' code (@1a063a0).

    Args:
        radius: of the balls that cover the scan, as a share of the diagonal of its box. Published
            scans of 60 000 points and more have 0.01; sparser scans need more.
        padding: the patches reach this many radii; more than 1 lets them overlap.
        patch_points: K, drawn from the points of each patch; the authors take all. The work grows
            with its square.
        angle: degrees; points whose normal differs more from that of the centre are left out.
        local_steps: of Adam, each patch by itself.
        global_steps: of Adam, patches that overlap together.
        lr: rate of Adam.
        sinkhorn_steps: of the transport in each local step.
        entropy: of the transport, in squared units of a patch of radius 1.
        widen: all layers are as wide as published times this; less is faster.
        seed: of weights and draws.
    """

    radius: float = 0.05
    padding: float = 1.5
    patch_points: int = 100
    angle: float = 95.0
    local_steps: int = 512
    global_steps: int = 1024
    lr: float = 1e-3
    sinkhorn_steps: int = 32
    entropy: float = 1e-3
    widen: float = 1.0
    seed: int = 0

    def __post_init__(self) -> None:
        """Raise InputError for a size or length that is none."""
        at_least(4, patch_points=self.patch_points)
        at_least(1, local_steps=self.local_steps, sinkhorn_steps=self.sinkhorn_steps)
        at_least(0, global_steps=self.global_steps)
        positive(
            radius=self.radius,
            padding=self.padding,
            angle=self.angle,
            lr=self.lr,
            entropy=self.entropy,
            widen=self.widen,
        )


def deep_geometric_prior(
    points: Float[np.ndarray, "N 3"],
    normals: Float[np.ndarray, "J 3"],
    options: PriorOptions | None = None,
    *,
    depth: int = 8,
    density: float = 4.0,
) -> trimesh.Trimesh:
    """Reconstruct a surface from oriented points by a deep geometric prior.

    Args:
        points: points of the surface, in any frame and unit.
        normals: outward unit normal of each point; a zero row is a point of unknown normal.
        options: constants of the fit.
        depth: depth of the octree of screened Poisson.
        density: points that Poisson gets, for each point of the scan.

    Raises:
        InputError: POT or Open3D is missing, there are fewer than four points, or the number of
            normals is not that of the points.
    """
    patches = fit_patches(points, normals, options)
    dense, directions = patches.sample(max(round(density * len(points)), 1))
    return screened_poisson(dense, directions, depth)


@dataclass(frozen=True)
class Cover:
    """Overlapping patches of a scan, each in a frame of its own.

    Args:
        rows: of the scan's points that each patch has.
        centre: mean of each patch.
        scale: largest distance of a point from the mean.
        axes: rotation of each patch to its principal axes, as columns.
    """

    rows: Int[np.ndarray, "P K"]
    centre: Float[np.ndarray, "P 3"]
    scale: Float[np.ndarray, " P"]
    axes: Float[np.ndarray, "P 3 3"]

    def to_patches(self, points: Float[np.ndarray, "N 3"]) -> Float[Tensor, "P K 3"]:
        """The points of each patch in its own frame, within the unit ball."""
        own = (points[self.rows] - self.centre[:, None]) / self.scale[:, None, None]
        return torch.as_tensor(own @ self.axes, dtype=torch.float32)

    def to_scan(self, own: Float[Tensor, "P K 3"]) -> Float[Tensor, "P K 3"]:
        """Points in the frames of the patches, in that of the scan; differentiable."""
        scale, axes, centre = (
            torch.as_tensor(each, dtype=own.dtype) for each in (self.scale, self.axes, self.centre)
        )
        return own @ axes.mT * scale[:, None, None] + centre[:, None]


class Patches:
    """The fitted patches of one scan.

    Args:
        layers: the networks.
        cover: frames of the patches.
        points: of the scan.
        normals: of the scan.
    """

    def __init__(
        self,
        layers: "_Networks",
        cover: Cover,
        points: Float[np.ndarray, "N 3"],
        normals: Float[np.ndarray, "N 3"],
    ) -> None:
        self.layers = layers
        self.cover = cover
        self.points = points
        self.normals = normals

    @torch.no_grad()
    def sample(
        self, count: int, share: float = 0.8
    ) -> tuple[Float[np.ndarray, "M 3"], Float[np.ndarray, "M 3"]]:
        """About ``count`` points of the patches and their normals, in the frame of the scan.

        The sides of the normals are those of the nearest points of the scan.

        Args:
            count: M; each patch gets the same number, at least one.
            share: of the side of the square that is sampled; the rims are not bound by points.
        """
        patches = len(self.cover.rows)
        square = _spread(max(round(count / patches), 1), seed=1)
        places = (0.5 + share * (torch.as_tensor(square, dtype=torch.float32) - 0.5)).expand(
            patches, -1, -1
        )
        own, tangents = self.layers.with_tangents(places)
        across = torch.linalg.cross(tangents[..., 0, :], tangents[..., 1, :])
        axes = torch.as_tensor(self.cover.axes, dtype=own.dtype)
        directions = nn.functional.normalize(across @ axes.mT, dim=-1).reshape(-1, 3).numpy()
        # A principal frame may be a reflection, and a network may turn the square over: the scan
        # decides.
        found = self.cover.to_scan(own).reshape(-1, 3).numpy().astype(np.float64)
        nearest = self.normals[KDTree(self.points).query(found)[1]]
        side = np.where((directions * nearest).sum(1) < 0, -1.0, 1.0)
        return found, directions * side[:, None]


def fit_patches(
    points: Float[np.ndarray, "N 3"],
    normals: Float[np.ndarray, "J 3"],
    options: PriorOptions | None = None,
) -> Patches:
    """Cover a scan by patches and fit them: each to its points, then to each other.

    Args:
        points: points of the surface.
        normals: unit normal of each point; a zero row is a point of unknown normal.
        options: constants of the fit.
    """
    options = options or PriorOptions()
    if len(points) < 4 or points.shape != normals.shape:
        raise InputError(
            f"{len(points)} points and {len(normals)} normals: give at least four points, and one "
            "normal for each point"
        )
    points = np.asarray(points, np.float64)
    cover = cover_by_patches(points, normals, options)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(options.seed)
        layers = _Networks(len(cover.rows), options.widen)
    square = torch.as_tensor(_spread(options.patch_points, options.seed), dtype=torch.float32)
    places = nn.Parameter(square.repeat(len(cover.rows), 1, 1))
    targets = cover.to_patches(points)
    # As published, the places in the square are learnt too, by the same rate.
    optimiser = torch.optim.Adam([*layers.parameters(), places], options.lr)
    chosen = torch.zeros(places.shape[:2], dtype=torch.long)
    for _ in range(options.local_steps):
        optimiser.zero_grad()
        found = layers(places)
        chosen = assigned(found, targets, options)
        wanted = targets.gather(1, chosen.unsqueeze(-1).expand(-1, -1, 3))
        # The sum over patches: each network has the loss of its own patch.
        (found - wanted).square().mean((1, 2)).sum().backward()
        optimiser.step()
    rows = torch.as_tensor(cover.rows).gather(1, chosen)
    for _ in range(options.global_steps):
        optimiser.zero_grad()
        found = layers(places)
        wanted = agreed(cover, found.detach(), rows, len(points))
        (found - wanted).square().mean((1, 2)).sum().backward()
        optimiser.step()
    return Patches(layers.requires_grad_(False), cover, points, normals)


def cover_by_patches(
    points: Float[np.ndarray, "N 3"], normals: Float[np.ndarray, "J 3"], options: PriorOptions
) -> Cover:
    """Patches so that each point lies within a radius of the centre of one of them.

    Args:
        points: of the scan.
        normals: of the scan.
        options: radius, padding, angle and points of a patch.
    """
    rng = np.random.default_rng(options.seed)
    radius = options.radius * float(np.linalg.norm(np.ptp(points, axis=0)))
    tree = KDTree(points)
    least = np.cos(np.deg2rad(options.angle))
    covered = np.zeros(len(points), bool)
    rows = []
    for centre in rng.permutation(len(points)):
        if covered[centre]:
            continue
        near = np.array(tree.query_ball_point(points[centre], options.padding * radius))
        known = normals[near].any(1) & bool(normals[centre].any())
        same_side = ~known | (normals[near] @ normals[centre] > least)
        near = near[same_side]
        inner = np.linalg.norm(points[near] - points[centre], axis=1) <= radius
        covered[near[inner]] = True
        covered[centre] = True
        # All patches have the same number of points; small ones have some of theirs twice.
        few = len(near) < options.patch_points
        rows.append(rng.choice(near, options.patch_points, replace=few))
    chosen = np.stack(rows)
    centres = points[chosen].mean(1)
    moved = points[chosen] - centres[:, None]
    scale = np.maximum(np.linalg.norm(moved, axis=2).max(1), 1e-12)
    _, _, axes = np.linalg.svd(moved, full_matrices=False)
    return Cover(chosen, centres, scale, axes.transpose(0, 2, 1))


def assigned(
    found: Float[Tensor, "P K 3"], targets: Float[Tensor, "P K 3"], options: PriorOptions
) -> Int[Tensor, "P K"]:
    """The target of each found point: the largest share of its mass in the optimal transport.

    Args:
        found: points that the networks make.
        targets: points of the patches.
        options: steps and entropy of the transport.
    """
    with torch.no_grad():
        cost = torch.cdist(found, targets).square()
        plan = (
            _transport()
            .solve_batch(
                cost,
                reg=options.entropy,
                max_iter=options.sinkhorn_steps,
                tol=0.0,
                method="log_sinkhorn",
                grad="detach",
            )
            .plan
        )
        return plan.argmax(-1)


def agreed(
    cover: Cover, found: Float[Tensor, "P K 3"], rows: Int[Tensor, "P K"], num_points: int
) -> Float[Tensor, "P K 3"]:
    """Where the patches should be: at each point of the scan, the mean of all that have it.

    Args:
        cover: frames of the patches.
        found: points that the networks make, in the frames of the patches.
        rows: the point of the scan that each of them stands for.
        num_points: N.
    """
    scan = cover.to_scan(found.double()).reshape(-1, 3)
    flat = rows.flatten()
    total = torch.zeros(num_points, 3, dtype=scan.dtype).index_add_(0, flat, scan)
    count = torch.bincount(flat, minlength=num_points).clamp(min=1)
    mean = (total / count[:, None])[flat].reshape(found.shape)
    centre, axes = (torch.as_tensor(each) for each in (cover.centre, cover.axes))
    scale = torch.as_tensor(cover.scale)[:, None, None]
    return ((mean - centre[:, None]) / scale @ axes).to(found.dtype)


class _Networks(nn.Module):
    """ReLU perceptrons from squares to points, one for each patch."""

    def __init__(self, patches: int, widen: float) -> None:
        super().__init__()
        inner = [max(round(width * widen), 1) for width in WIDTHS[1:-1]]
        sizes = [WIDTHS[0], *inner, WIDTHS[-1]]
        self.weights = nn.ParameterList()
        self.biases = nn.ParameterList()
        for a, b in zip(sizes[:-1], sizes[1:], strict=True):  # noqa: RUF007
            bound = a**-0.5
            self.weights.append(torch.empty(patches, a, b).uniform_(-bound, bound))
            self.biases.append(torch.empty(patches, 1, b).uniform_(-bound, bound))

    def forward(self, places: Float[Tensor, "P K 2"]) -> Float[Tensor, "P K 3"]:
        """The points at places of each square."""
        hidden = places @ self.weights[0] + self.biases[0]
        for weight, bias in zip(self.weights[1:], self.biases[1:], strict=True):
            hidden = torch.relu(hidden) @ weight + bias
        return hidden

    def with_tangents(
        self, places: Float[Tensor, "P K 2"]
    ) -> tuple[Float[Tensor, "P K 3"], Float[Tensor, "P K 2 3"]]:
        """The points, and their derivatives along both sides of the square."""
        hidden = places @ self.weights[0] + self.biases[0]
        tangents = self.weights[0].unsqueeze(1).expand(-1, places.shape[1], -1, -1)
        for weight, bias in zip(self.weights[1:], self.biases[1:], strict=True):
            active = (hidden > 0).to(hidden.dtype)
            tangents = (tangents * active.unsqueeze(2)) @ weight.unsqueeze(1)
            hidden = (hidden * active) @ weight + bias
        return hidden, tangents


def _spread(count: int, seed: int) -> Float[np.ndarray, "K 2"]:
    """Points that cover the unit square evenly, from a Sobol sequence."""
    exponent = int(np.ceil(np.log2(max(count, 2))))
    return qmc.Sobol(2, rng=seed).random_base2(exponent)[:count]


def _transport() -> Any:
    """POT's solver of many transports at once, imported late because it is optional."""
    try:
        import ot.batch  # pyright: ignore[reportMissingImports]
    except ImportError as error:
        raise InputError("a deep geometric prior needs POT: pip install POT") from error
    return ot.batch
