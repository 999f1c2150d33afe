"""What the readers of mesh files share: their result, polygons cut into triangles, coordinates."""

from typing import Any

import numpy as np

Arrays = tuple[np.ndarray, np.ndarray | None, np.ndarray | None]
"""vertices, faces or None, normals or None: what every reader of a format returns."""


def triangulate(polygons: Any) -> np.ndarray:
    """Cut polygons, an [F,k] array or a list of index rows, into fans of triangles [.,3]."""
    if isinstance(polygons, np.ndarray):
        groups = [polygons]
    else:
        sizes = sorted({len(row) for row in polygons})
        groups = [np.array([row for row in polygons if len(row) == k]) for k in sizes]
    fans = [_fans(rows) for rows in groups if rows.shape[1] > 2]
    return np.concatenate(fans).astype(np.int64) if fans else np.zeros((0, 3), np.int64)


def _fans(rows: np.ndarray) -> np.ndarray:
    """Triangles of polygons [F,k], all the first ones before all the second ones."""
    first = np.broadcast_to(rows[:, :1], rows[:, 2:].shape)
    return np.stack([first, rows[:, 1:-1], rows[:, 2:]], axis=2).swapaxes(0, 1).reshape(-1, 3)


def three_words(words: list[str], line: str) -> list[str]:
    """The first three of ``words``; ``ValueError`` that names ``line`` if there are fewer."""
    if len(words) < 3:
        raise ValueError(f"three numbers are needed in {line!r}")
    return words[:3]
