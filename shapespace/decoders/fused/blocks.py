"""A softplus perceptron whose code is folded into its biases: the parts that its passes share.

Letters: B scans, N points a scan, R rows (points of a block), D dimension, I and O widths.
"""

import itertools
from collections.abc import Iterator
from typing import NamedTuple

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

BLOCK_ELEMENTS = 1 << 19
"""Numbers of one activation that are worked on at a time on a CPU: what its cache holds."""


class Layer(NamedTuple):
    """One affine map: ``hidden @ W_h^T + x @ W_x^T + bias``.

    hidden: W_h [O,I], or None at the first layer. points: W_x [O,D], or None where x is not seen.
    bias: [O], or [B,1,O] where the code of each scan is folded in.
    """

    hidden: Tensor | None
    points: Tensor | None
    bias: Tensor

    def __call__(
        self, hidden: Float[Tensor, "B N I"] | None, points: Float[Tensor, "B N D"]
    ) -> Float[Tensor, "B N O"]:
        """The map itself, by ordinary operations."""
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
        """Whether each scan has a bias of its own."""
        return self.bias.dim() > 1


class Block(NamedTuple):
    """Rows that are worked on together: some points of one scan, or the same of some scans.

    value, slope: whether f and grad f are wanted of them.
    """

    scans: slice
    points: slice
    value: bool
    slope: bool

    def rows(self, of: Float[Tensor, "B N D"]) -> Float[Tensor, "R D"]:
        """The part of this block, one row a point."""
        return of[self.scans, self.points].reshape(-1, of.shape[-1])

    def put(self, into: Float[Tensor, "B N *rest"], rows: Float[Tensor, "R *rest"]) -> None:
        """Write the rows of this block to its part of ``into``."""
        part = into[self.scans, self.points]
        part.copy_(rows.view(part.shape))


def blocks(
    points: Float[Tensor, "B N D"], width: int, *, gradient_from: int, value_until: int
) -> Iterator[Block]:
    """All points in blocks that fit the cache; on a GPU as few as there are wishes.

    F is wanted of ``points[:, :value_until]``, grad f of ``points[:, gradient_from:]``: each block
    wants the same of all its points.
    """
    num_scans, num_points = points.shape[:2]
    cuts = sorted({0, *(min(cut, num_points) for cut in (gradient_from, value_until)), num_points})
    fitting = BLOCK_ELEMENTS // width if points.device.type == "cpu" else num_scans * num_points
    for start, stop in itertools.pairwise(cuts):
        if value_until <= start < gradient_from:
            continue
        for scans, part in _pieces(num_scans, stop - start, max(fitting, 1)):
            rows = slice(start + part.start, start + part.stop)
            yield Block(scans, rows, start < value_until, start >= gradient_from)


def _pieces(num_scans: int, num_points: int, size: int) -> Iterator[tuple[slice, slice]]:
    """Scans and points of at most ``size`` points each, if a scan has as many."""
    if num_points < size:
        step = size // num_points
        for start in range(0, num_scans, step):
            yield slice(start, start + step), slice(0, num_points)
    else:
        step = -(-num_points // -(-num_points // size))
        for scan in range(num_scans):
            for start in range(0, num_points, step):
                yield slice(scan, scan + 1), slice(start, min(start + step, num_points))
