"""The zero set of a field as a triangle mesh.

The field is positive outside and so are the normals: faces wind outward. The mesh comes back in
the source frame of ``frame``. Letters: K points, F faces, L code length.
"""

from collections.abc import Callable

import numpy as np
import torch
import trimesh
from jaxtyping import Float, Int
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from torch import Tensor

from shapespace.decoders import Field
from shapespace.scan import Frame

POINTS_PER_CALL = 32768
COARSE_NODES = 40
BLOCK = 4
"""Nodes along a side of the blocks that are left out or evaluated as a whole."""
SAFETY = 1.5
"""How far |grad f| may exceed 1 before a part of the surface could be overlooked."""

Evaluate = Callable[[Float[np.ndarray, "K 3"]], Float[np.ndarray, " K"]]


def extract_mesh(
    field: Field,
    latent: Float[Tensor, " L"],
    resolution: int = 128,
    extent: float = 1.8,
    frame: Frame | None = None,
    largest_only: bool = True,
) -> trimesh.Trimesh:
    """The zero set of ``field(., latent)`` inside the box [-extent, extent]^3.

    A coarse grid finds the bounding box of the zero set, a grid of cubic cells inside it, with
    ``resolution`` nodes along its longest side, gives the mesh (marching cubes, Lorensen and
    Cline 1987).

    Args:
        field: as :data:`shapespace.decoders.Field`, D = 3.
        latent: one code; may be of length 0.
        resolution: at least 2.
        extent: half side of the box that is searched, in the field's unit.
        frame: where to put the mesh; None leaves it in the field's frame.
        largest_only: keep the component of the largest area and drop the others (IGR's rule).

    Returns:
        A mesh, without vertices if the field has no zero set in the box.
    """
    if resolution < 2:
        raise ValueError(f"resolution={resolution}: at least 2 grid nodes are needed")
    evaluate = evaluator(field, latent)
    box = zero_set_bounds(evaluate, extent)
    if box is None:
        return trimesh.Trimesh()
    cell = float((box[1] - box[0]).max()) / (resolution - 1)
    vertices, faces = _marching_cubes(evaluate, box[0], box[1], cell)
    mesh = trimesh.Trimesh(vertices, faces, process=False)
    mesh = largest_component(mesh) if largest_only else mesh
    if frame is not None:
        mesh.vertices = frame.to_source(mesh.vertices)
    return mesh


def evaluator(field: Field, latent: Float[Tensor, " L"]) -> Evaluate:
    """The field of one code on numpy points, a bounded number at a time."""

    def evaluate(points: np.ndarray) -> np.ndarray:
        values = [np.zeros(0, np.float32)]
        with torch.no_grad():
            for start in range(0, len(points), POINTS_PER_CALL):
                chunk = torch.from_numpy(points[start : start + POINTS_PER_CALL]).to(latent)
                values.append(field(chunk[None], latent[None])[0].cpu().numpy())
        return np.concatenate(values)

    return evaluate


def zero_set_bounds(
    evaluate: Evaluate, extent: float
) -> tuple[Float[np.ndarray, " 3"], Float[np.ndarray, " 3"]] | None:
    """Corners of a box that holds the zero set, from a coarse grid; None if there is none.

    No surface point is farther than half a cell's diagonal from a node, so that a node with |f|
    above ``SAFETY`` times that has no surface in its reach.
    """
    axis = np.linspace(-extent, extent, COARSE_NODES)
    cell = axis[1] - axis[0]
    nodes = _grid(axis, axis, axis)
    near = np.abs(evaluate(nodes)) <= SAFETY * cell * np.sqrt(3) / 2
    if not near.any():
        return None
    reach = nodes[near]
    low, high = reach.min(0) - cell, reach.max(0) + cell
    return np.maximum(low, -extent), np.minimum(high, extent)


def components(mesh: trimesh.Trimesh) -> tuple[int, Int[np.ndarray, " F"]]:
    """How many connected components a mesh has, and which one each face belongs to."""
    edges = mesh.faces[:, [0, 1, 1, 2]].reshape(-1, 2)
    size = len(mesh.vertices)
    links = coo_array((np.ones(len(edges), bool), (edges[:, 0], edges[:, 1])), (size, size))
    label = connected_components(links, directed=False)[1][mesh.faces[:, 0]]
    found, label = np.unique(label, return_inverse=True)
    return len(found), label


def largest_component(mesh: trimesh.Trimesh) -> trimesh.Trimesh:
    """The connected component of the largest area, the whole mesh if it has only one."""
    if len(mesh.faces) == 0:
        return mesh
    count, label = components(mesh)
    largest = np.bincount(label, weights=mesh.area_faces, minlength=count).argmax()
    used, faces = np.unique(mesh.faces[label == largest], return_inverse=True)
    return trimesh.Trimesh(mesh.vertices[used], faces.reshape(-1, 3), process=False)


def _marching_cubes(
    evaluate: Evaluate, low: np.ndarray, high: np.ndarray, cell: float
) -> tuple[np.ndarray, np.ndarray]:
    import mcubes

    counts = np.ceil((high - low) / cell).astype(int) + 1
    volume = _sampled(evaluate, low, cell, counts)
    vertices, faces = mcubes.marching_cubes(volume, 0.0)
    # PyMCubes winds inward for a field that is positive outside.
    return low + cell * vertices, faces[:, ::-1].astype(np.int64)


def _sampled(
    evaluate: Evaluate, low: np.ndarray, cell: float, counts: np.ndarray
) -> Float[np.ndarray, "X Y Z"]:
    """The field at ``counts`` nodes from ``low``; far from the zero set only its sign is exact.

    A block of nodes takes the value at its centre where that is so large that neither a node of the
    block nor one beside it can have the other sign.
    """
    blocks = -(-counts // BLOCK)
    starts = _grid(*(BLOCK * np.arange(count) for count in blocks)).astype(int)
    centres = evaluate((low + cell * (starts + (BLOCK - 1) / 2)).astype(np.float32))
    volume = centres.reshape(blocks)
    for axis in range(3):
        volume = volume.repeat(BLOCK, axis)
    reach = cell * ((BLOCK - 1) / 2 * np.sqrt(3) + 1)
    near = starts[np.abs(centres) <= SAFETY * reach]
    nodes = (near[:, None] + _grid(*3 * [np.arange(BLOCK)]).astype(int)).reshape(-1, 3)
    volume[tuple(nodes.T)] = evaluate((low + cell * nodes).astype(np.float32))
    return volume[: counts[0], : counts[1], : counts[2]]


def _grid(*axes: np.ndarray) -> Float[np.ndarray, "K 3"]:
    """All nodes, the last axis running fastest, as float32."""
    nodes = np.meshgrid(*axes, indexing="ij")
    return np.stack([node.reshape(-1) for node in nodes], 1).astype(np.float32)
