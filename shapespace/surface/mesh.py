"""The zero set of a field as a triangle mesh.

The field is positive outside, and faces wind outward. Letters: L code length.
"""

from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
import trimesh
from jaxtyping import Float
from torch import Tensor
from tqdm import tqdm

from shapespace.decoders.base import Field
from shapespace.errors import positive
from shapespace.geometry.components import largest_component
from shapespace.scan import Frame
from shapespace.surface.grid import LEAF, FieldFunction, Grid
from shapespace.surface.level_set import LevelSet, dense_zero_set, zero_set
from shapespace.surface.octree import Octree
from shapespace.surface.projection import outward_normals, project
from shapespace.surface.query import field_values
from shapespace.utils.progress import progress

DELAY = 5.0
"""Seconds before a progress bar is shown."""
COARSE_CELLS = 128
"""Cells along a side of the coarse grid, which finds the bounding box of the zero set."""
AROUND = 2
"""Cells added around the vertices of the coarse grid, where the octree is of no use.

A vertex tells where the zero set is on a coarse edge only; between the edges it may reach further.
"""


@dataclass(frozen=True)
class Bounds:
    """A bounding box of the zero set, and the slope of the field in it.

    Args:
        low: the corner with the smallest coordinates.
        high: the corner with the largest coordinates.
        slope: the octree's estimate of the largest |grad f|.
    """

    low: Float[np.ndarray, " 3"]
    high: Float[np.ndarray, " 3"]
    slope: float


def extract_mesh(
    field: Field,
    latent: Float[Tensor, " L"],
    resolution: int = 128,
    extent: float = 1.8,
    frame: Frame | None = None,
    largest_only: bool = True,
    *,
    cell: float | None = None,
    newton_steps: int = 0,
    normals: bool = False,
    bar: bool = False,
    bounds: Bounds | None = None,
) -> trimesh.Trimesh:
    """The zero set of ``field(., latent)`` inside the box [-extent, extent]^3.

    A coarse grid finds the bounding box of the zero set. A grid of cubic cells inside that box
    gives the mesh (marching cubes, Lorensen and Cline 1987). The field is evaluated near the zero
    set only: :mod:`shapespace.surface.octree` says why that is possible, and
    :mod:`shapespace.surface.level_set` what is guaranteed. A field that is no distance is evaluated
    on the whole grid, with a warning.

    Args:
        field: as :data:`shapespace.decoders.Field`, D = 3.
        latent: one code; may be of length 0.
        resolution: nodes along the longest side of the grid, at least 2.
        extent: half side of the box that is searched, in the field's unit.
        frame: the source's frame, into which the mesh is placed; None leaves the mesh in the
            field's frame.
        largest_only: keep the component of the largest area and drop the others (IGR's rule).
        cell: side of a cell in the source's unit, in place of ``resolution``. With a frame in
            metres, 0.002 is two millimetres.
        newton_steps: number of Newton steps that move each vertex along grad f to the zero set.
            They remove the error of linear interpolation.
        normals: use grad f, normalised, as the normals of the vertices. By default they are the
            mean of the normals of the faces.
        bar: show a progress bar where meshing takes long.
        bounds: of the zero set where they are known from a shape that is nearly the same; the
            coarse grid is left out then. A zero set that reaches out of them is meshed whole, if
            any of it is inside.

    Returns:
        A mesh, without vertices where the field has no zero in the box. Its metadata hold what
        :func:`shapespace.geometry.components.largest_component` dropped.

    Raises:
        ValueError: where ``resolution`` is below 2.
        InputError: where ``cell`` is not positive, or where the grid would be too large.
    """
    if resolution < 2:
        raise ValueError(f"resolution={resolution}: at least 2 grid nodes are needed")
    if cell is not None:
        positive(cell=cell)
    evaluate = evaluator(field, latent)
    bounds = zero_set_bounds(evaluate, extent) if bounds is None else bounds
    if bounds is None:
        return trimesh.Trimesh()
    longest = float((bounds.high - bounds.low).max())
    side = longest / (resolution - 1) if cell is None else cell / (frame.scale if frame else 1.0)
    level_set = _level_set(evaluate, bounds, extent=extent, cell=side, shown=bar)
    vertices, faces = level_set.mesh()
    # trimesh's processing would merge and reorder vertices.
    mesh = trimesh.Trimesh(vertices, faces, process=False)
    mesh = largest_component(mesh) if largest_only else mesh
    # The projection follows, so that components to be dropped cost no evaluations. A step of more
    # than a cell could carry a vertex to another part of the surface.
    vertices = project(field, latent, points=mesh.vertices, steps=newton_steps, reach=side)
    return trimesh.Trimesh(
        vertices if frame is None else frame.to_source(vertices),
        mesh.faces,
        vertex_normals=outward_normals(field, latent, vertices) if normals else None,
        metadata=dict(mesh.metadata),
        process=False,
    )


def _level_set(
    evaluate: FieldFunction, bounds: Bounds, extent: float, cell: float, shown: bool
) -> LevelSet:
    """The zero set in the bounding box, or in the whole of [-extent, extent]^3."""
    # The bounding box comes from coarse samples. Where the zero set on the fine grid leaves the
    # box, the box was too small, and the whole is meshed.
    low = bounds.low
    high = bounds.high
    while True:
        with progress(desc="meshing", total=0, unit="", shown=shown, delay=DELAY) as bar:
            grid = Grid.fitted(low, high, cell)
            found = zero_set(evaluate, grid, slope=bounds.slope, on_blocks=partial(_advance, bar))
        # Only sides within the searched box count: at its border a surface may be open.
        inside = np.stack([low > -extent, high < extent])
        if not (found.reaches() & inside).any():
            return found
        low = np.full(3, -extent)
        high = np.full(3, extent)


def _advance(bar: tqdm, blocks: int, total: int) -> None:
    bar.total = total
    bar.update(blocks)


def zero_set_bounds(evaluate: FieldFunction, extent: float) -> Bounds | None:
    """A bounding box of the zero set in [-extent, extent]^3; None if the field has no zero there.

    The box contains all blocks of the coarse grid that can contain the zero set. Where the octree
    cannot be trusted, the box contains the zero set on the whole coarse grid.
    """
    cell = 2 * extent / COARSE_CELLS
    grid = Grid(np.full(3, -float(extent)), cell, np.full(3, COARSE_CELLS + 1))
    octree = Octree(evaluate, grid)
    low = LEAF * octree.open()
    high = low + LEAF
    if octree.hopeless:
        places = np.concatenate([*dense_zero_set(evaluate, grid).places, np.zeros((0, 3))])
        low = places - AROUND
        high = places + AROUND
    if len(low) == 0:
        return None
    corners = [grid.low + cell * low.min(0), grid.low + cell * high.max(0)]
    low, high = np.clip(corners, -extent, extent)
    return Bounds(low, high, octree.slope)


def evaluator(field: Field, latent: Float[Tensor, " L"]) -> FieldFunction:
    """The field of one code as a function of NumPy points, on the device of the code."""

    def values(points: np.ndarray) -> np.ndarray:
        return field_values(field, latent, torch.from_numpy(points).to(latent)).cpu().numpy()

    return values
