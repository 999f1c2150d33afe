"""AtlasNet as an auto-decoder: a space of shapes without a field (Groueix et al. 2018).

A shape is the image of a sphere, or of 25 squares, under a network that also sees the code of the
shape. The images carry a mesh, but nothing keeps patches from overlapping or from leaving gaps.

The published codes come from a PointNet encoder. Here they are a table, as in the spaces that
AtlasNet is compared with, and the code of an unseen scan is found by the same loss.

Letters: S training scans, B scans of a step, N points of a scan, P primitives, K samples of a
primitive, U coordinates of a primitive (3 on a sphere, 2 on a square), L code length, H width.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import numpy as np
import torch
import trimesh
from jaxtyping import Float, Int
from scipy.spatial import KDTree
from torch import Tensor, nn

from shapespace.errors import InputError, at_least, positive

Primitive = Literal["sphere", "squares"]
PATCHES = 25
"""Squares of a shape, as published."""
DROPS = (0.8, 0.93, 0.97)
"""Shares of a training after which the rate falls to a tenth: epochs 120, 140 and 145 of 150."""


@dataclass(frozen=True)
class AtlasNetOptions:
    """Sizes and constants of a training; defaults are published, but for a network scaled to CPUs.

    Args:
        primitive: one "sphere", or 25 "squares".
        latent_size: L; 1024 is published.
        width: H, neurons of a layer; 512 is published.
        depth: hidden layers after the first; 2 is published.
        num_points: sampled of a scan, and of a shape, in a step; 2500 is published.
        epochs: visits of each scan; 150 is published.
        batch_size: B; 32 is published.
        lr: rate of Adam, a tenth of it after each of ``DROPS``; 1e-3 is published.
        seed: of the weights and of all draws.
    """

    primitive: Primitive = "sphere"
    latent_size: int = 64
    width: int = 128
    depth: int = 2
    num_points: int = 2500
    epochs: int = 150
    batch_size: int = 32
    lr: float = 1e-3
    seed: int = 0

    def __post_init__(self) -> None:
        """Raise InputError for a size below 1, or a rate that is not positive."""
        at_least(0, latent_size=self.latent_size, depth=self.depth)
        at_least(1, width=self.width, epochs=self.epochs, batch_size=self.batch_size)
        at_least(PATCHES, num_points=self.num_points)
        positive(lr=self.lr)


class AtlasNet(nn.Module):
    """Points of a shape from its code and from points of the primitives.

    Each primitive has a network of its own: x = W0 u + z, then ``depth`` + 1 layers of ReLU, then
    the point. The published layers are followed by batch norm, which would let the scans of a batch
    influence each other; it is left out.

    Args:
        options: sizes of the network.
    """

    def __init__(self, options: AtlasNetOptions) -> None:
        super().__init__()
        self.options = options
        primitives = PATCHES if options.primitive == "squares" else 1
        coordinates = 2 if options.primitive == "squares" else 3
        latent, width = options.latent_size, options.width
        sizes = [coordinates, width, *[width] * (options.depth + 1), 3]
        self.weights = nn.ParameterList(
            _uniform(primitives, a, b, fan=a) for a, b in pairwise(sizes)
        )
        self.biases = nn.ParameterList(
            _uniform(primitives, 1, b, fan=a) for a, b in pairwise(sizes)
        )
        # The published first layer is as wide as the code, which is added to it.
        self.code = _uniform(primitives, latent, width, fan=max(latent, 1))

    def forward(
        self, latent: Float[Tensor, "B L"], places: Float[Tensor, "B P K U"]
    ) -> Float[Tensor, "B P K 3"]:
        """The points of each shape at ``places`` of its primitives."""
        hidden = places @ self.weights[0] + self.biases[0]
        hidden = hidden + (latent[:, None, None] @ self.code)
        for weight, bias in zip(self.weights[1:], self.biases[1:], strict=True):
            hidden = torch.relu(hidden) @ weight + bias
        return hidden

    def draw(self, scans: int, count: int, generator: torch.Generator) -> Float[Tensor, "B P K U"]:
        """Random places, uniform on the primitives, ``count`` of each scan in all.

        Args:
            scans: B.
            count: of all primitives of a scan; it is rounded down to a multiple of P.
            generator: of the draws.
        """
        if self.options.primitive == "squares":
            return torch.rand(scans, PATCHES, count // PATCHES, 2, generator=generator)
        return nn.functional.normalize(torch.randn(scans, 1, count, 3, generator=generator), dim=-1)


class AtlasNetSpace:
    """A trained space of shapes: their codes, the code of an unseen scan, meshes.

    Args:
        network: the trained network.
        codes: one row for each training scan.
    """

    def __init__(self, network: AtlasNet, codes: Float[Tensor, "S L"]) -> None:
        self.network = network.requires_grad_(False)
        self.codes = codes

    def fit(
        self, points: Float[np.ndarray, "N 3"], steps: int = 400, lr: float = 1e-2, seed: int = 0
    ) -> Float[Tensor, " L"]:
        """The code of an unseen scan, from the mean code, by Adam on the loss of the training.

        Args:
            points: of the scan, in the frame and unit of the training scans.
            steps: of Adam; the rate is a tenth in the second half.
            lr: the first rate.
            seed: of the draws.
        """
        _check(points, "the scan")
        generator = torch.Generator().manual_seed(seed)
        code = self.codes.mean(0, keepdim=True).clone().requires_grad_()
        optimiser = torch.optim.Adam([code], lr)
        for step in range(steps):
            for group in optimiser.param_groups:
                group["lr"] = lr * (0.1 if 2 * step >= steps else 1.0)
            optimiser.zero_grad()
            _loss(self.network, code, [points], generator).backward()
            optimiser.step()
        return code.detach()[0]

    @torch.no_grad()
    def mesh(self, code: Float[Tensor, " L"], resolution: int = 6) -> trimesh.Trimesh:
        """The image of the primitives: of an icosphere, or of 25 grids that are not joined.

        Args:
            code: of the shape.
            resolution: subdivisions of the icosphere, 4^r x 20 faces; a square has 2^(r - 2) cells
                along a side.
        """
        if self.network.options.primitive == "sphere":
            ball = trimesh.creation.icosphere(resolution)
            places = torch.as_tensor(ball.vertices, dtype=torch.float32)[None, None]
            points = self.network(code[None], places)[0, 0]
            return trimesh.Trimesh(points.numpy(), ball.faces, process=False)
        side, faces = _grid(2 ** max(resolution - 2, 0))
        places = side.expand(1, PATCHES, *side.shape)
        points = self.network(code[None], places)[0]
        every = np.concatenate([faces + patch * len(side) for patch in range(PATCHES)])
        return trimesh.Trimesh(points.reshape(-1, 3).numpy(), every, process=False)


def train_atlasnet(
    scans: Sequence[Float[np.ndarray, "N 3"]], options: AtlasNetOptions | None = None
) -> AtlasNetSpace:
    """Train a space of the scans.

    The loss of a scan is the mean squared distance from the points of the shape to the scan, and
    from the scan to the points of the shape, at ``num_points`` random points of both.

    Args:
        scans: points of each scan, in one frame and unit.
        options: sizes and constants.

    Raises:
        InputError: if there is no scan, or one has no points.
    """
    options = options or AtlasNetOptions()
    if not scans:
        raise InputError("AtlasNet: there is no scan to train on; give at least one")
    for row, points in enumerate(scans):
        _check(points, f"scan {row}")
    generator = torch.Generator().manual_seed(options.seed)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(options.seed)
        network = AtlasNet(options)
    codes = nn.Parameter(torch.zeros(len(scans), options.latent_size))
    optimiser = torch.optim.Adam([*network.parameters(), codes], options.lr)
    for epoch in range(options.epochs):
        drops = sum(epoch >= share * options.epochs for share in DROPS)
        for group in optimiser.param_groups:
            group["lr"] = options.lr * 0.1**drops
        for rows in torch.randperm(len(scans), generator=generator).split(options.batch_size):
            optimiser.zero_grad()
            _loss(network, codes[rows], [scans[row] for row in rows.tolist()], generator).backward()
            optimiser.step()
    return AtlasNetSpace(network, codes.detach())


def chamfer_squared(found: Float[Tensor, "K 3"], wanted: Float[Tensor, "N 3"]) -> Float[Tensor, ""]:
    """mean squared distance to the nearest point, one way and the other, added."""
    a, b = (points.detach().numpy() for points in (found, wanted))
    there = torch.as_tensor(KDTree(b).query(a)[1])
    back = torch.as_tensor(KDTree(a).query(b)[1])
    one = (found - wanted[there]).square().sum(-1).mean()
    return one + (found[back] - wanted).square().sum(-1).mean()


def _loss(
    network: AtlasNet,
    codes: Float[Tensor, "B L"],
    scans: Sequence[np.ndarray],
    generator: torch.Generator,
) -> Float[Tensor, ""]:
    """The mean over scans of the Chamfer loss at random points.

    Args:
        network: makes the shapes.
        codes: of the shapes.
        scans: all points of each scan.
        generator: of the draws.
    """
    count = network.options.num_points
    shapes = network(codes, network.draw(len(codes), count, generator)).flatten(1, 2)
    losses = []
    for shape, points in zip(shapes, scans, strict=True):
        rows = torch.randint(len(points), (count,), generator=generator).numpy()
        losses.append(chamfer_squared(shape, torch.as_tensor(points[rows], dtype=torch.float32)))
    return torch.stack(losses).mean()


def _uniform(*shape: int, fan: int) -> nn.Parameter:
    """torch's start of an affine layer with ``fan`` inputs."""
    bound = 1 / math.sqrt(fan)
    return nn.Parameter(torch.empty(shape).uniform_(-bound, bound))


def _grid(cells: int) -> tuple[Float[Tensor, "K 2"], Int[np.ndarray, "F 3"]]:
    """Corners of a unit square with ``cells`` cells along a side, and two triangles a cell."""
    line = torch.linspace(0, 1, cells + 1)
    corners = torch.cartesian_prod(line, line)
    index = np.arange((cells + 1) ** 2).reshape(cells + 1, cells + 1)
    a, b, c, d = index[:-1, :-1], index[1:, :-1], index[1:, 1:], index[:-1, 1:]
    faces = [np.stack(each, -1).reshape(-1, 3) for each in ((a, b, c), (a, c, d))]
    return corners, np.concatenate(faces)


def _check(points: np.ndarray, what: str) -> None:
    """Raise InputError unless there are finite points."""
    if not len(points) or not np.isfinite(points).all():
        raise InputError(f"AtlasNet: {what} has no points, or some that are no finite numbers")
