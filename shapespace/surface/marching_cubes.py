"""Marching cubes on a list of cells (Lorensen and Cline 1987), with the triangles of PyMCubes.

The field is positive outside and faces wind outward.

Corners and edges are not numbered as in the paper, but so that their place in the grid follows by
arithmetic. Corner k of a cell is at (x, y, z) with k = 4 x + 2 y + z. An edge is given by its lower
corner and its axis. In the whole grid an edge has the key 3 n + axis, where n is the flat index of
its lower node. All cells around an edge compute the same key, which welds their triangles: an edge
carries at most one vertex.

Flat indices are of row-major arrays; ``strides`` are their steps along each axis, in nodes.
Letters: K nodes, C cells, E edges, T triangles.
"""

from functools import cache

import numpy as np
from jaxtyping import Bool, Float, Int, Int8, UInt8

CORNERS = np.array([[x, y, z] for x in (0, 1) for y in (0, 1) for z in (0, 1)])
"""Offsets of the eight corners of a cell. Bit k of a case is set where corner k is outside."""
EDGES = np.array(
    [[*corner, axis] for corner in CORNERS.tolist() for axis in range(3) if corner[axis] == 0]
)
"""The twelve edges of a cell: offset of the lower corner, and axis."""


@cache
def case_table() -> Int8[np.ndarray, "256 5 3"]:
    """For each case, up to five triangles as numbers of edges; -1 where there is no triangle.

    The table is not typed in but read off PyMCubes, which meshes a cell of each of the 256 sign
    patterns.
    """
    import mcubes

    # Values of -1 and 1 put every vertex at the middle of its edge, which tells the edge.
    middles = EDGES[:, :3] + 0.5 * np.eye(3)[EDGES[:, 3]]
    table = np.full((256, 5, 3), -1, np.int8)
    for case in range(256):
        volume = np.where(case >> np.arange(8) & 1, 1.0, -1.0).reshape(2, 2, 2)
        vertices, faces = mcubes.marching_cubes(volume, 0.0)
        edge = (vertices[:, None] == middles).all(-1).argmax(1) if len(vertices) else np.zeros(0)
        # PyMCubes winds inward where f is positive outside: the corners are reversed.
        table[case, : len(faces)] = edge[faces.astype(np.int64)][:, ::-1]
    return table


def cell_cases(
    values: Float[np.ndarray, " K"], cells: Int[np.ndarray, " C"], strides: Int[np.ndarray, " 3"]
) -> UInt8[np.ndarray, " C"]:
    """The case of each cell: bit k tells whether corner k is outside.

    A value of 0 counts as inside, as in PyMCubes, and NaN as outside.

    Args:
        values: the field at all nodes.
        cells: flat index of the lowest node of each cell.
        strides: steps of the flat index along each axis.
    """
    # Not values > 0, which would count NaN as inside.
    outside = (~(values <= 0)).astype(np.uint8)
    cases = np.zeros(len(cells), np.uint8)
    for bit, corner in enumerate(CORNERS @ strides):
        cases |= outside[cells + corner] << np.uint8(bit)
    return cases


def triangles(
    cells: Int[np.ndarray, " C"], cases: UInt8[np.ndarray, " C"], strides: Int[np.ndarray, " 3"]
) -> Int[np.ndarray, "T 3"]:
    """The triangles in all cells, as keys of the edges on which their corners lie.

    Args:
        cells: flat index of the lowest node of each cell.
        cases: the case of each cell.
        strides: steps of the flat index along each axis.
    """
    edges = case_table()[cases]
    cell, slot = np.nonzero(edges[..., 0] >= 0)
    # The key of an edge is that of the cell's lowest node plus a constant of the edge's number.
    key_of_edge = 3 * (EDGES[:, :3] @ strides) + EDGES[:, 3]
    return 3 * cells[cell, None] + key_of_edge[edges[cell, slot]]


def crossings(
    values: Float[np.ndarray, " K"],
    edges: Int[np.ndarray, " E"],
    lower: Int[np.ndarray, "E 3"],
    strides: Int[np.ndarray, " 3"],
) -> Float[np.ndarray, "E 3"]:
    """The zero of f on each edge, by linear interpolation between both ends.

    Args:
        values: the field at all nodes.
        edges: keys of edges whose ends have different signs.
        lower: index of the lower node of each edge.
        strides: steps of the flat index along each axis.

    Returns:
        Positions in cells from the grid's lowest node.
    """
    node = edges // 3
    axis = edges % 3
    at_lower = values[node]
    at_upper = values[node + strides[axis]]
    # PyMCubes interpolates from the upper end along the first axis and from the lower end along the
    # others. The same order gives the same rounding, but for edges in the border of the grid.
    from_upper = axis == 0
    near = np.where(from_upper, at_upper, at_lower)
    far = np.where(from_upper, at_lower, at_upper)
    with np.errstate(invalid="ignore"):
        step = (0.0 - near) / (far - near)
    # A NaN or infinite end counts as outside: the crossing is put at the end that is finite.
    step = np.where(np.isfinite(step), step, np.where(np.isfinite(near), 0.0, 1.0))
    positions = lower.astype(np.float64)
    rows = np.arange(len(edges))
    positions[rows, axis] += from_upper
    positions[rows, axis] += np.where(from_upper, -step, step)
    return positions


def open_sides(cases: UInt8[np.ndarray, " C"], axis: int, side: int) -> Bool[np.ndarray, " C"]:
    """Whether the zero set passes through one face of each cell, and so into the next cell.

    Args:
        cases: the case of each cell.
        axis: the axis to which the face is normal.
        side: 0 for the lower face, 1 for the upper face.
    """
    mask = np.uint8(sum(1 << bit for bit in range(8) if CORNERS[bit, axis] == side))
    # The four corners of the face have both signs.
    return (cases & mask != 0) & (cases & mask != mask)
