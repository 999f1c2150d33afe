"""The zero set of a field as a triangle mesh.

The field is positive outside and so are the normals: faces wind outward. The mesh comes back in
the source frame of ``frame``. Letters: F faces, L code length.
"""

from functools import partial

import numpy as np
import trimesh
from jaxtyping import Float, Int
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from torch import Tensor
from tqdm import tqdm

from shapespace.bounds import Bounds, zero_set_bounds
from shapespace.decoders import Field
from shapespace.errors import positive
from shapespace.grid import Evaluate, Grid, evaluator
from shapespace.level_set import LevelSet, zero_set
from shapespace.newton import outward_normals, project
from shapespace.progress import progress
from shapespace.scan import Frame

DELAY = 5.0
"""Seconds after which a bar is worth its line."""


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
    :mod:`shapespace.octree` says on what ground, :mod:`shapespace.level_set` what is certain.
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
    evaluate: Evaluate, bounds: Bounds, extent: float, cell: float, shown: bool
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


def components(mesh: trimesh.Trimesh) -> tuple[int, Int[np.ndarray, " F"]]:
    """How many connected components a mesh has, and which one each face belongs to."""
    edges = mesh.faces[:, [0, 1, 1, 2]].reshape(-1, 2)
    size = len(mesh.vertices)
    links = coo_array((np.ones(len(edges), bool), (edges[:, 0], edges[:, 1])), (size, size))
    label = connected_components(links, directed=False)[1][mesh.faces[:, 0]]
    found, label = np.unique(label, return_inverse=True)
    return len(found), label


def largest_component(mesh: trimesh.Trimesh) -> trimesh.Trimesh:
    """The connected component of the largest area, the whole mesh if it has only one.

    Its metadata ``dropped_components`` and ``dropped_area_share`` (of the whole) count the others.
    """
    if len(mesh.faces) == 0:
        return mesh
    count, label = components(mesh)
    area = np.bincount(label, weights=mesh.area_faces, minlength=count)
    used, faces = np.unique(mesh.faces[label == area.argmax()], return_inverse=True)
    share = 1 - area.max() / area.sum() if count > 1 else 0.0
    dropped = {"dropped_components": count - 1, "dropped_area_share": float(share)}
    vertices = mesh.vertices[used]
    return trimesh.Trimesh(vertices, faces.reshape(-1, 3), metadata=dropped, process=False)
