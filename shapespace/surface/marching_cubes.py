"""Marching cubes on a list of cells (Lorensen and Cline 1987), PyMCubes' triangulation.

The field is positive outside and faces wind outward. An edge of the grid is known by its key: three
times the flat index of its lower node, plus its axis; each carries at most one vertex.
Letters: K nodes, C cells, T triangles.
"""

from functools import cache

import numpy as np
from jaxtyping import Float, Int, Int8, UInt8

CORNERS = np.array([[x, y, z] for x in (0, 1) for y in (0, 1) for z in (0, 1)])
"""The corners of a cell; bit k of its case is set where corner k is outside."""
EDGES = np.array(
    [[*corner, axis] for corner in CORNERS.tolist() for axis in range(3) if corner[axis] == 0]
)
"""The twelve edges of a cell: lower corner and axis."""


@cache
def case_table() -> Int8[np.ndarray, "256 5 3"]:
    """The edges on which the triangles of each case have their corners; -1 for no triangle.

    Read off PyMCubes, which is asked for each of the 256 patterns of signs, and which winds inward
    for a field that is positive outside.
    """
    import mcubes

    middles = EDGES[:, :3] + 0.5 * np.eye(3)[EDGES[:, 3]]
    table = np.full((256, 5, 3), -1, np.int8)
    for case in range(256):
        volume = np.where(case >> np.arange(8) & 1, 1.0, -1.0).reshape(2, 2, 2)
        vertices, faces = mcubes.marching_cubes(volume, 0.0)
        edge = (vertices[:, None] == middles).all(-1).argmax(1) if len(vertices) else np.zeros(0)
        table[case, : len(faces)] = edge[faces.astype(np.int64)][:, ::-1]
    return table


def cell_cases(
    values: Float[np.ndarray, " K"], cells: Int[np.ndarray, " C"], strides: Int[np.ndarray, " 3"]
) -> UInt8[np.ndarray, " C"]:
    """Which corners of each cell are outside, as bits.

    values: at the nodes; cells: flat index of the lowest node of each; strides: of that index.
    A zero counts as inside, as in PyMCubes, and what is no number as outside.
    """
    outside = (~(values <= 0)).astype(np.uint8)
    cases = np.zeros(len(cells), np.uint8)
    for bit, corner in enumerate(CORNERS @ strides):
        cases |= outside[cells + corner] << np.uint8(bit)
    return cases


def triangles(
    cells: Int[np.ndarray, " C"], cases: UInt8[np.ndarray, " C"], strides: Int[np.ndarray, " 3"]
) -> Int[np.ndarray, "T 3"]:
    """The triangles in all cells, as keys of the edges on which their corners lie."""
    edges = case_table()[cases]
    cell, slot = np.nonzero(edges[..., 0] >= 0)
    key_of_edge = 3 * (EDGES[:, :3] @ strides) + EDGES[:, 3]
    return 3 * cells[cell, None] + key_of_edge[edges[cell, slot]]


def crossings(
    values: Float[np.ndarray, " K"],
    edges: Int[np.ndarray, " E"],
    lower: Int[np.ndarray, "E 3"],
    strides: Int[np.ndarray, " 3"],
) -> Float[np.ndarray, "E 3"]:
    """Where the linear interpolant of the ends of each edge is 0, in cells from the grid's corner.

    lower: index of the lower node of each edge. The first axis is walked from its upper end, as
    PyMCubes does, so that even the rounding is the same (but at the grid's own border).
    """
    node, axis = edges // 3, edges % 3
    down = axis == 0
    near, far = values[node], values[node + strides[axis]]
    near, far = np.where(down, far, near), np.where(down, near, far)
    with np.errstate(invalid="ignore"):
        step = (0.0 - near) / (far - near)
    # What is no number, or endless, lies outside: the crossing is at the end that is known.
    step = np.where(np.isfinite(step), step, np.where(np.isfinite(near), 0.0, 1.0))
    places = lower.astype(np.float64)
    places[np.arange(len(edges)), axis] += down
    places[np.arange(len(edges)), axis] += np.where(down, -step, step)
    return places


def open_sides(cases: UInt8[np.ndarray, " C"], axis: int, side: int) -> np.ndarray:
    """Whether the zero set passes through a face of each cell: that at ``side`` (0, 1) of an axis.

    Then it goes on in the cell beyond.
    """
    mask = np.uint8(sum(1 << bit for bit in range(8) if CORNERS[bit, axis] == side))
    return (cases & mask != 0) & (cases & mask != mask)
