"""The zero set of a field as a triangle mesh.

The field is positive outside and so are the normals: faces wind outward. The mesh comes back in
the source frame of ``frame``. Letters: F faces, L code length.
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
"""Seconds after which a bar is worth its line."""
COARSE_CELLS = 128
"""Cells along a side of the coarse grid."""
AROUND = 2
"""Cells added around what the whole coarse grid shows, where blocks cannot be left out."""


@dataclass(frozen=True)
class Bounds:
    """A box, and how steep the field in it is taken to be, at least."""

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
) -> trimesh.Trimesh:
    """The zero set of ``field(., latent)`` inside the box [-extent, extent]^3.

    A coarse grid finds the bounding box of the zero set, a grid of cubic cells inside it gives the
    mesh (marching cubes, Lorensen and Cline 1987). The field is evaluated only near the zero set;
    ``surface/octree.py`` says on what ground, ``surface/level_set.py`` what is certain.
    A field that is no distance is evaluated on the whole grid, with a warning.

    Args:
        field: as :data:`shapespace.decoders.Field`, D = 3.
        latent: one code; may be of length 0.
        resolution: nodes along the longest side of the grid, at least 2.
        extent: half side of the box that is searched, in the field's unit.
        frame: where to put the mesh; None leaves it in the field's frame.
        largest_only: keep the component of the largest area and drop the others (IGR's rule).
        cell: side of a cell in the source's unit, in place of ``resolution``: with a frame in
            metres, 0.002 is two millimetres.
        newton_steps: how often each vertex is moved to the zero set along grad f, which takes away
            the error of the linear interpolation.
        normals: give the vertices grad f as normals, unit and outward, in place of the faces'.
        bar: show how far a mesh is that takes long.

    Returns:
        A mesh, without vertices if the field has no zero set in the box.
    """
    if resolution < 2:
        raise ValueError(f"resolution={resolution}: at least 2 grid nodes are needed")
    if cell is not None:
        positive(cell=cell)
    evaluate = evaluator(field, latent)
    bounds = zero_set_bounds(evaluate, extent)
    if bounds is None:
        return trimesh.Trimesh()
    longest = float((bounds.high - bounds.low).max())
    side = longest / (resolution - 1) if cell is None else cell / (frame.scale if frame else 1.0)
    vertices, faces = _level_set(evaluate, bounds, extent, side, bar).mesh()
    mesh = trimesh.Trimesh(vertices, faces, process=False)
    mesh = largest_component(mesh) if largest_only else mesh
    vertices = project(field, latent, mesh.vertices, newton_steps, side)
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
    """The zero set in the box, or in the whole of [-extent, extent]^3 if it leaves the box."""
    low, high = bounds.low, bounds.high
    while True:
        with progress(desc="meshing", total=0, unit="block", shown=shown, delay=DELAY) as bar:
            grid = Grid.fitted(low, high, cell)
            found = zero_set(evaluate, grid, bounds.slope, partial(_advance, bar))
        inside = np.stack([low > -extent, high < extent])
        if not (found.reaches() & inside).any():
            return found
        low, high = np.full((2, 3), extent) * [[-1], [1]]


def _advance(bar: tqdm, blocks: int, total: int) -> None:
    bar.total = total
    bar.update(blocks)


def zero_set_bounds(evaluate: FieldFunction, extent: float) -> Bounds | None:
    """A box around the zero set in [-extent, extent]^3; None if there is none.

    It holds all the blocks of the coarse grid that can hold the zero set; or, where the octree
    cannot be trusted, what the whole of that grid shows.
    """
    cell = 2 * extent / COARSE_CELLS
    grid = Grid(np.full(3, -float(extent)), cell, np.full(3, COARSE_CELLS + 1))
    octree = Octree(evaluate, grid)
    low = LEAF * octree.open()
    high = low + LEAF
    if octree.hopeless:
        places = np.concatenate([*dense_zero_set(evaluate, grid).places, np.zeros((0, 3))])
        low, high = places - AROUND, places + AROUND
    if len(low) == 0:
        return None
    corners = [grid.low + cell * low.min(0), grid.low + cell * high.max(0)]
    low, high = np.clip(corners, -extent, extent)
    return Bounds(low, high, octree.slope)


def evaluator(field: Field, latent: Float[Tensor, " L"]) -> FieldFunction:
    """The field of one code on numpy points, a bounded number at a time."""

    def values(points: np.ndarray) -> np.ndarray:
        return field_values(field, latent, torch.from_numpy(points).to(latent)).cpu().numpy()

    return values
