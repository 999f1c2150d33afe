"""Few of many points, far from each other. Letters: S points, L their coordinates."""

import numpy as np
from jaxtyping import Float


def farthest_point_sample(table: Float[np.ndarray, "S L"], count: int) -> list[int]:
    """Rows of at most ``count`` points that lie far from each other (farthest point sampling).

    The first row is the farthest from the mean. Each further row is the farthest from all chosen
    rows. A point that equals a chosen one is never taken, so the list may be shorter.
    """
    if not len(table):
        return []
    rows = [int(np.linalg.norm(table - table.mean(axis=0), axis=1).argmax())]
    gaps = np.full(len(table), np.inf)
    while len(rows) < count:
        gaps = np.minimum(gaps, np.linalg.norm(table - table[rows[-1]], axis=1))
        if not gaps.max() > 0:
            break
        rows.append(int(gaps.argmax()))
    return rows
