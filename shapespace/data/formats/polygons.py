"""Parts that the readers of mesh files share.

Letters: F faces, k corners of a polygon.
"""

from typing import Any

import numpy as np

FEW = "faces of fewer than three corners"
"""What is said of polygons that :func:`triangulate` drops, behind their number."""


def few_corners(polygons: Any) -> int:
    """Count the polygons of fewer than three corners, in what :func:`triangulate` takes."""
    if isinstance(polygons, np.ndarray):
        return len(polygons) if polygons.shape[1] < 3 else 0
    return sum(len(row) < 3 for row in polygons)


def triangulate(polygons: Any) -> np.ndarray:
    """Cut polygons into fans of triangles.

    Args:
        polygons: vertex indices, an [F,k] array or a list of rows of any lengths; rows of fewer
            than three are dropped.

    Returns:
        Triangles [., 3], int64. From a list, polygons of fewer corners come first.
    """
    if isinstance(polygons, np.ndarray):
        groups = [polygons]
    else:
        sizes = sorted({len(row) for row in polygons})
        groups = [np.array([row for row in polygons if len(row) == k]) for k in sizes]
    fans = [_fans(rows) for rows in groups if rows.shape[1] > 2]
    return np.concatenate(fans).astype(np.int64) if fans else np.zeros((0, 3), np.int64)


def _fans(rows: np.ndarray) -> np.ndarray:
    """Triangles of polygons [F,k]: the first triangle of every polygon, then the second, and on."""
    first = np.broadcast_to(rows[:, :1], rows[:, 2:].shape)
    return np.stack([first, rows[:, 1:-1], rows[:, 2:]], axis=2).swapaxes(0, 1).reshape(-1, 3)


def three_words(words: list[str], line: str) -> list[str]:
    """Return the first three words; a ``ValueError`` quotes ``line`` if there are fewer."""
    if len(words) < 3:
        raise ValueError(f"three numbers are needed in {line!r}")
    return words[:3]


def strips(rows: Any) -> np.ndarray:
    """Cut strips of triangles: each vertex makes a triangle with the two before it.

    Every other triangle of a strip is turned over, so that all have the same side outside. -1 ends
    a strip. Triangles with a corner twice only lead from one part of a strip to the next.

    Args:
        rows: vertex indices, an [S,k] array or a list of S rows of any lengths.

    Returns:
        Triangles [., 3], int64.
    """
    found = [np.zeros((0, 3), np.int64)]
    for row in rows:
        strip = np.asarray(row).astype(np.int64)
        last = len(strip) - 2
        if last < 1:
            continue
        # Place of each vertex in its strip, counted from the last -1.
        places = np.arange(len(strip))
        begins = np.maximum.accumulate(np.where(strip == -1, places + 1, 0))
        odd = (places - begins)[:last] % 2 == 1
        a, b, c = strip[:last], strip[1 : last + 1], strip[2 : last + 2]
        triangles = np.stack([np.where(odd, b, a), np.where(odd, a, b), c], axis=1)
        whole = (triangles != -1).all(axis=1) & (a != b) & (b != c) & (c != a)
        found.append(triangles[whole])
    return np.concatenate(found)
