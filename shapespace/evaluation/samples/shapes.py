"""Coarse surfaces of codes, and the training shape nearest to one of them.

Frame and unit: those of the space. Letters: S training codes, R rows of some, L code length.
"""

from dataclasses import dataclass, field
from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from shapespace.evaluation.sampled_surface import SampledSurface
from shapespace.evaluation.samples.metrics import surface_distance
from shapespace.space import TrainedSpace
from shapespace.surface.mesh import extract_mesh

NODES = 64
"""Grid nodes along the longest side of a coarse mesh."""
POINTS = 1000
"""Points of a coarse mesh, from which its distance to another one is measured."""
CANDIDATES = 4
"""Training codes nearest to a code whose surfaces are looked at."""


class NearestShape(NamedTuple):
    """The training shape nearest to a shape.

    Args:
        row: of its code.
        distance: between the two surfaces.
    """

    row: int
    distance: float


@dataclass
class CoarseShapes:
    """The shapes of a space as coarse surfaces; each training shape is meshed once.

    Args:
        space: a space of 3-D shapes.
    """

    space: TrainedSpace
    _of_rows: dict[int, SampledSurface] = field(default_factory=dict)

    @property
    def codes(self) -> Float[Tensor, "S L"]:
        """The training codes."""
        return self.space.codes.table.weight.detach()

    def surface(self, code: Float[Tensor, " L"]) -> SampledSurface:
        """The coarse surface of a code; empty if the field has no zero set."""
        mesh = extract_mesh(
            self.space.decoder, code.to(self.codes), NODES, extent=self.space.extent
        )
        return SampledSurface.of_mesh(mesh, POINTS)

    def training(self, row: int) -> SampledSurface:
        """The coarse surface of a training code."""
        if row not in self._of_rows:
            self._of_rows[row] = self.surface(self.codes[row])
        return self._of_rows[row]

    def nearest(
        self,
        code: Float[Tensor, " L"],
        surface: SampledSurface,
        among: Int[Tensor, " R"] | None = None,
    ) -> NearestShape:
        """The training shape whose surface is nearest, of the four whose codes are.

        Args:
            code: of the shape.
            surface: of the shape.
            among: rows of the training shapes that count; None for all. At least one.

        Raises:
            InputError: libigl is not installed.
        """
        rows = torch.arange(len(self.codes)) if among is None else among
        off = torch.linalg.vector_norm(self.codes[rows] - code.to(self.codes), dim=1)
        near = rows[off.argsort()[:CANDIDATES].to(rows.device)].tolist()
        found = [NearestShape(row, surface_distance(surface, self.training(row))) for row in near]
        return min(found, key=lambda each: each.distance)
