"""Parts that the readers of mesh files share.

Letters: F faces, k corners of a polygon.
"""

from typing import Any

import numpy as np

Arrays = tuple[np.ndarray, np.ndarray | None, np.ndarray | None]
"""Result of every reader: vertices [V,D], faces [F,3] or None, normals [V,D] or None."""


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
