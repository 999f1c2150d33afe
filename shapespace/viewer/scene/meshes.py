"""Meshes of codes while a slider moves.

Frame and unit: meshes are in the frame of the space. Letters: V vertices, L code length.
"""

from dataclasses import dataclass

import numpy as np
import trimesh
from jaxtyping import Float, UInt8
from torch import Tensor

from shapespace.space import TrainedSpace
from shapespace.surface.mesh import Bounds, evaluator, extract_mesh, zero_set_bounds
from shapespace.viewer.worker import GivenUp, Superseded

COARSE = 48
"""Nodes along the longest side of a mesh while a slider moves."""
MARGIN = 0.06
"""Room around the last mesh in which the next one is looked for, as a share of its longest side."""


@dataclass(frozen=True)
class Picture:
    """What the page shows of a shape.

    Args:
        mesh: the surface, in the frame of the space.
        colours: sRGB of each vertex; None for one colour.
        is_fine: whether it is the good mesh.
        legend: what the colours mean, or why there are none.
    """

    mesh: trimesh.Trimesh
    colours: UInt8[np.ndarray, "V 3"] | None = None
    is_fine: bool = True
    legend: str = ""


class Sketcher:
    """Meshes the codes of a space one after the other.

    A mesh is looked for around the last one, which saves the search of the whole box: neighbours
    on a slider are nearly the same. A surface that leaves these bounds is meshed whole all the same
    (:func:`~shapespace.surface.mesh.extract_mesh`).

    Args:
        space: whose shapes are meshed.
    """

    def __init__(self, space: TrainedSpace) -> None:
        self.space = space
        self._bounds: Bounds | None = None

    def mesh(
        self, code: Float[Tensor, " L"], resolution: int, superseded: Superseded = lambda: False
    ) -> trimesh.Trimesh:
        """The shape of a code; empty if it has no surface.

        Args:
            code: of the shape.
            resolution: nodes along the longest side.
            superseded: asked before each block of points.

        Raises:
            GivenUp: ``superseded`` said yes.
        """
        decoder, extent = self.space.decoder, self.space.extent

        def field(points: Tensor, latent: Tensor) -> Tensor:
            if superseded():
                raise GivenUp
            return decoder(points, latent)

        bounds = self._bounds
        mesh = trimesh.Trimesh()
        if bounds is not None:
            mesh = extract_mesh(field, code, resolution, extent=extent, bounds=bounds)
        if not len(mesh.faces):
            bounds = zero_set_bounds(evaluator(field, code), extent)
            if bounds is None:
                return mesh
            mesh = extract_mesh(field, code, resolution, extent=extent, bounds=bounds)
        self._bounds = None if bounds is None else _around(mesh, bounds.slope, extent)
        return mesh


def _around(mesh: trimesh.Trimesh, slope: float, extent: float) -> Bounds | None:
    """Bounds with some room around a mesh; None around none."""
    if not len(mesh.faces):
        return None
    low, high = np.asarray(mesh.bounds, np.float64)
    room = MARGIN * float((high - low).max())
    return Bounds(np.maximum(low - room, -extent), np.minimum(high + room, extent), slope)
