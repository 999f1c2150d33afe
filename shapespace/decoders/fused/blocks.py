"""The layers of a softplus perceptron with the code folded into their biases, and blocks of points.

Letters: B scans, N points a scan, R rows (points of a block), D dimension, I and O input and output
widths of a layer.
"""

import itertools
from collections.abc import Iterator
from typing import NamedTuple

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

BLOCK_ELEMENTS = 1 << 19
"""Numbers of one activation that a CPU works on at a time, as many as its cache holds."""


class Layer(NamedTuple):
    """One affine map: ``hidden @ W^T + x @ X^T + bias``.

    The columns of a code have become part of the bias. They see the same code at every point of a
    scan: their product is computed once a scan. Once a point, as published, would cost 17 % more
    arithmetic (8x512, L = 256).

    Args:
        hidden: W [O,I]; None at the first layer.
        points: X [O,D]; None where the layer does not see x.
        bias: [O], or [B,1,O] where the code of each scan is folded in.
    """

    hidden: Tensor | None
    points: Tensor | None
    bias: Tensor

    def __call__(
        self, hidden: Float[Tensor, "B N I"] | None, points: Float[Tensor, "B N D"]
    ) -> Float[Tensor, "B N O"]:
        """The map itself by ordinary operations, which autograd can differentiate."""
        if self.hidden is None or hidden is None:
            assert self.points is not None
            return points @ self.points.mT + self.bias
        if self.points is None:
            return F.linear(hidden, self.hidden, self.bias)
        return F.linear(hidden, self.hidden) + points @ self.points.mT + self.bias

    @property
    def width(self) -> int:
        """O, the neurons of this layer."""
        return self.bias.shape[-1]

    @property
    def by_scan(self) -> bool:
        """True if each scan has a bias of its own."""
        return self.bias.dim() > 1


class Block(NamedTuple):
    """Points that are worked on together: some points of one scan, or the same of several scans.

    Args:
        scans: the scans.
        points: the points of each of these scans.
        value: f is wanted at these points.
        slope: grad f is wanted at these points.
    """

    scans: slice
    points: slice
    value: bool
    slope: bool

    def rows(self, of: Float[Tensor, "B N D"]) -> Float[Tensor, "R D"]:
        """The part of ``of`` that lies in this block, one row a point."""
        return of[self.scans, self.points].reshape(-1, of.shape[-1])

    def put(self, into: Float[Tensor, "B N *rest"], rows: Float[Tensor, "R *rest"]) -> None:
        """Write the rows of this block to its part of ``into``."""
        part = into[self.scans, self.points]
        part.copy_(rows.view(part.shape))


def blocks(
    points: Float[Tensor, "B N D"], width: int, *, gradient_from: int, value_until: int
) -> Iterator[Block]:
    """Cut all points into blocks, each of which wants the same of all its points.

    f is wanted at ``points[:, :value_until]``, grad f at ``points[:, gradient_from:]``. Points of
    which nothing is wanted are left out. On a CPU a block fits the cache. On a GPU blocks are as
    few as possible, because each costs the launches of its kernels.

    Args:
        points: of each scan.
        width: of a hidden layer, neurons.
        gradient_from: the first point whose gradient is wanted.
        value_until: the first point whose value is not wanted any more.
    """
    num_scans, num_points = points.shape[:2]
    wanted = (min(cut, num_points) for cut in (gradient_from, value_until))
    cuts = sorted({0, *wanted, num_points})
    fitting = BLOCK_ELEMENTS // width if points.device.type == "cpu" else num_scans * num_points
    for start, stop in itertools.pairwise(cuts):
        value = start < value_until
        slope = start >= gradient_from
        if not value and not slope:
            continue
        for scans, part in _pieces(num_scans, stop - start, max(fitting, 1)):
            rows = slice(start + part.start, start + part.stop)
            yield Block(scans=scans, points=rows, value=value, slope=slope)


def _pieces(num_scans: int, num_points: int, size: int) -> Iterator[tuple[slice, slice]]:
    """Cut ``num_scans`` scans of ``num_points`` points into pieces of at most ``size`` points.

    A piece holds several whole scans, or a part of one scan. The parts of a scan are about equal.
    """
    if num_points < size:
        step = size // num_points
        for start in range(0, num_scans, step):
            yield slice(start, start + step), slice(0, num_points)
    else:
        num_parts = -(-num_points // size)
        step = -(-num_points // num_parts)
        for scan in range(num_scans):
            for start in range(0, num_points, step):
                yield slice(scan, scan + 1), slice(start, min(start + step, num_points))
