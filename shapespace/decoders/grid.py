"""A perceptron of x and of features that are interpolated in grids of several resolutions.

Letters: B scans, N points a scan, K points whose gradient is wanted, D dimension, L code length, E
numbers of an encoded point, F features of a level, C = 2^D corners of a cell.
"""

import itertools

import torch
from jaxtyping import Float
from torch import Tensor, nn

from shapespace.decoders.base import Precision
from shapespace.decoders.fourier import EncodedMLP
from shapespace.errors import at_least, positive


class GridMLP(EncodedMLP):
    """A small :class:`SkipMLP` of x and of learnt features at the corners of nested grids.

    The features of Instant NGP (Mueller et al. 2022), in dense grids in place of hashed ones:
    local, so that a step at one place changes nothing elsewhere. They are interpolated with the
    quintic 6 t^5 - 15 t^4 + 10 t^3 of t in each coordinate of a cell: f has continuous second
    derivatives, where linear interpolation has kinks at all cell borders.

    All shapes share the grids, and the code enters the perceptron: this is a decoder for one
    surface in fine detail, and for spaces of shapes that lie in the same place. Points outside the
    box take the features of the nearest point of the box.

    The features begin at 0, so that the field begins as the sphere of the ``SkipMLP``. It holds for
    any code with ``zero_latent_columns``, else for codes near 0.

    Args:
        latent_size: L, the code length; 0 for a single shape.
        dimension: D, 3 or 2.
        levels: number of grids.
        cells: cells of the coarsest grid along a side.
        growth: cells along a side of each grid, over those of the grid before.
        features: F, numbers at a corner of each grid.
        extent: half side of the box of the grids, in the store's unit.
        width: neurons of a hidden layer.
        depth: number of hidden layers.
        skip: the hidden layer that sees all inputs again, as of ``SkipMLP``; 0 for none.
        beta: sharpness of the softplus.
        radius: radius of the sphere that the field begins as, in the store's unit.
        precision: of the matrix products of a training step.
        zero_latent_columns: as of ``SkipMLP``.
    """

    def __init__(
        self,
        latent_size: int = 0,
        dimension: int = 3,
        levels: int = 4,
        cells: int = 8,
        growth: float = 2.0,
        features: int = 2,
        extent: float = 1.8,
        width: int = 64,
        depth: int = 3,
        skip: int = 0,
        beta: float = 100.0,
        radius: float = 1.0,
        precision: Precision = "float32",
        zero_latent_columns: bool = False,
    ) -> None:
        at_least(0, levels=levels)
        at_least(1, cells=cells, features=features)
        positive(growth=growth, extent=extent)
        super().__init__(
            latent_size,
            dimension,
            levels * features,
            width=width,
            depth=depth,
            skip=skip,
            beta=beta,
            radius=radius,
            precision=precision,
            zero_latent_columns=zero_latent_columns,
            zero_columns=False,
        )
        self.extent = extent
        self.sides = [max(1, round(cells * growth**level)) for level in range(levels)]
        self.grids = nn.ParameterList(
            torch.zeros(*[side + 1] * dimension, features) for side in self.sides
        )

    def encode(
        self, points: Float[Tensor, "B N D"]
    ) -> tuple[Float[Tensor, "B N E"], Float[Tensor, "B N S D"]]:
        """[x, features] of each point, and the gradient of each feature."""
        levels = [
            self._level(points, side, grid.flatten(0, -2))
            for side, grid in zip(self.sides, self.grids, strict=True)
        ]
        encoded = torch.cat([points, *(value for value, _ in levels)], -1)
        no_slopes = points.new_zeros(*points.shape[:2], 0, self.dimension)
        return encoded, torch.cat([no_slopes, *(slope for _, slope in levels)], -2)

    def pulled_back(
        self, gradient: Float[Tensor, "B K E"], slopes: Float[Tensor, "B K S D"]
    ) -> Float[Tensor, "B K D"]:
        """The gradient in x: that of x itself, and that of each feature times its gradient."""
        of_points, of_features = gradient.tensor_split([self.dimension], -1)
        return of_points + (of_features.unsqueeze(-1) * slopes).sum(-2)

    def bytes_per_point(self) -> int:
        """The bytes of the perceptron, and the features of all corners with their slopes."""
        features = sum(grid.shape[-1] for grid in self.grids)
        corners = 2**self.dimension
        return super().bytes_per_point() + 4 * 3 * corners * features * (1 + self.dimension)

    def _level(
        self, points: Float[Tensor, "B N D"], side: int, grid: Float[Tensor, "G F"]
    ) -> tuple[Float[Tensor, "B N F"], Float[Tensor, "B N F D"]]:
        """The features of one grid at each point, and their gradients.

        Args:
            points: of each scan.
            side: cells along a side.
            grid: features of the (side + 1)^D corners, the last coordinate fastest.
        """
        per_unit = side / (2 * self.extent)
        place = (points + self.extent) * per_unit
        inside = place.clamp(0, side)
        cell = inside.detach().floor().clamp(max=side - 1)
        t = inside - cell
        # The weight of the upper corner in each coordinate, and its slope in x.
        upper = t * t * t * (10 + t * (6 * t - 15))
        rise = 30 * per_unit * (t * (1 - t)).square() * (place == inside)
        value = 0.0
        slope = 0.0
        strides = [(side + 1) ** (self.dimension - 1 - axis) for axis in range(self.dimension)]
        first = (cell.long() * torch.tensor(strides, device=points.device)).sum(-1)
        for corner in itertools.product((0, 1), repeat=self.dimension):
            at = first + sum(step * stride for step, stride in zip(corner, strides, strict=True))
            there = grid[at]
            weights = [upper[..., k] if up else 1 - upper[..., k] for k, up in enumerate(corner)]
            value = value + there * torch.stack(weights, -1).prod(-1, keepdim=True)
            by_axis = []
            for axis, up in enumerate(corner):
                others = weights[:axis] + weights[axis + 1 :]
                others.append(rise[..., axis] if up else -rise[..., axis])
                by_axis.append(torch.stack(others, -1).prod(-1))
            slope = slope + there.unsqueeze(-1) * torch.stack(by_axis, -1).unsqueeze(-2)
        assert isinstance(value, Tensor)
        assert isinstance(slope, Tensor)
        return value, slope
