"""Colours of the shape that is shown: how it bends, how sure it is, how far it is from a scan.

Frame and unit: those of the space. Letters: V vertices, N points, L code length.
"""

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import trimesh
from jaxtyping import Float, UInt8
from scipy.spatial import KDTree
from torch import Tensor

from shapespace.bending.meshed import bending
from shapespace.rendering.meshes import GREY, blue_to_orange
from shapespace.space import TrainedSpace
from shapespace.viewer.scene.meshes import Picture

Colours = Literal["plain", "bending", "uncertainty", "distance to the scan"]
COLOURS: tuple[Colours, ...] = ("plain", "bending", "uncertainty", "distance to the scan")
WORST = 0.02
"""Distance and deviation that are orange, as a share of the longest side of the mesh."""
STRETCHED = 0.5
"""Strain that is orange: an edge that becomes half as long again."""


@dataclass(frozen=True)
class Way:
    """A change of the code, along which a shape bends.

    Args:
        change: of the code.
        name: what it is, for the legend.
    """

    change: Float[Tensor, " L"]
    name: str


def bent(picture: Picture, space: TrainedSpace, code: Float[Tensor, " L"], way: Way) -> Picture:
    """A picture coloured by how much the surface must stretch as its code moves along a way.

    Args:
        picture: the whole surface.
        space: whose surface it is.
        code: of the shape.
        way: the change of the code.
    """
    if not bool(way.change.any()):
        return replace(picture, legend="bending: move a slider or begin a walk first")
    strain = strain_at(picture.mesh, space, code, way.change)
    shown, legend = blended(strain, STRETCHED, 100.0, "%")
    return replace(picture, colours=shown, legend=f"strain along {way.name}: {legend}")


def strain_at(
    mesh: trimesh.Trimesh,
    space: TrainedSpace,
    code: Float[Tensor, " L"],
    change: Float[Tensor, " L"],
) -> Float[np.ndarray, " V"]:
    """The local strain at each vertex, to first order, as the code changes; NaN where unknown.

    It is that of the least strained motion of the surface (:mod:`shapespace.bending.meshed`),
    taken from the nearest sample.

    Args:
        mesh: the whole surface of the code, in the frame of the space.
        space: the space.
        code: of the surface.
        change: of the code.
    """
    found = bending(space.decoder, code, change, extent=space.extent, mesh=mesh)
    if not len(found.speed):
        return np.full(len(mesh.vertices), np.nan)
    strain = found.graph.local_strain(found.velocity)
    return strain[KDTree(found.samples.points).query(np.asarray(mesh.vertices))[1]]


def blended(
    values: Float[np.ndarray, " V"], worst: float, per_unit: float = 1000.0, unit: str = "mm"
) -> tuple[UInt8[np.ndarray, "V 3"], str]:
    """Colours from blue at 0 to orange at ``worst``, grey for NaN, and their legend.

    Args:
        values: of the vertices.
        worst: the value that is orange, with all above it.
        per_unit: factor from the unit of the values to that of the legend.
        unit: of the legend.
    """
    colours = blue_to_orange(np.nan_to_num(values) / max(worst, 1e-300))
    colours[np.isnan(values)] = GREY
    known = values[np.isfinite(values)]
    middle = f"; median {np.median(known) * per_unit:.3g} {unit}" if len(known) else ""
    legend = f"blue is 0, orange {worst * per_unit:.3g} {unit} and more{middle}"
    return np.round(255 * colours).astype(np.uint8), legend
