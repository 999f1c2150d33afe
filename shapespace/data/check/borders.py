"""Where a mesh ends: edges of one face only, and the loops they make.

Letters: F faces, E edges.
"""

import numpy as np
from jaxtyping import Int64
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components


def borders(faces: Int64[np.ndarray, "F 3"]) -> tuple[float, int]:
    """Share of the edges that bound one face only, and the loops (or chains) that they form."""
    start, end = faces.T.ravel(), np.roll(faces, -1, axis=1).T.ravel()
    size = int(faces.max()) + 1
    edge = np.sort(np.minimum(start, end) * size + np.maximum(start, end))
    new = np.concatenate([[True], edge[1:] != edge[:-1], [True]])
    alone = edge[new[:-1] & new[1:]]
    if not len(alone):
        return 0.0, 0
    vertex, number = np.unique(np.stack([alone // size, alone % size]), return_inverse=True)
    links = coo_matrix(
        (np.ones(len(alone), bool), number.reshape(2, -1)), shape=(len(vertex), len(vertex))
    )
    return len(alone) / int(new[:-1].sum()), int(connected_components(links, directed=False)[0])
