"""``prepare --clean``: leave out what is not the shape, and count it.

The rule is that of ``data check``, which calls the same things clutter: separate components that
are small and lie apart from the shape, and single points in the air. Of a mesh whole components go,
so that no hole is made; only faces at a point out of all proportion go alone.

Letters: n points, V vertices, F faces, D dimension.
"""

from dataclasses import replace

import numpy as np
from jaxtyping import Bool, Float64, Int64
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components
from scipy.spatial import KDTree

from shapespace.data.extent import FAR, extent_of
from shapespace.data.formats.readers import RawScan
from shapespace.data.prepare.neighbours import NEIGHBOUR
from shapespace.data.prepare.points import CLEANED, sample_mesh
from shapespace.data.prepare.targets import welded
from shapespace.data.spacing import GAP, LINK, Spacing, spacing_of, split_components

NUM_EXAMINED = 20_000
"""Number of points that decide what the shape is."""


def cleaned(raw: RawScan) -> RawScan:
    """Leave out what is not the shape, and say in the account of the scan what it was."""
    kept, lost = _clean_cloud(raw) if raw.faces is None else _clean_mesh(raw, raw.faces)
    said = f"{CLEANED} {lost or 'nothing'} left out"
    return replace(kept, account=f"{raw.account}; {said}" if raw.account else said)


def _clean_cloud(raw: RawScan) -> tuple[RawScan, str]:
    """Leave out points in small components, single points, and points out of all proportion."""
    points = raw.vertices
    near = _not_far(points)
    if near.sum() <= NEIGHBOUR:
        return raw, ""
    rows = np.random.default_rng(0).permutation(np.flatnonzero(near))
    keep = near.copy()
    keep[near] = _of_shape(points[rows[:NUM_EXAMINED]], points[near])
    lost = int((~keep).sum())
    if not lost:
        return raw, ""
    normals = None if raw.normals is None else raw.normals[keep]
    kept = replace(raw, vertices=points[keep], normals=normals)
    return kept, f"{lost} of {len(points)} points"


def _clean_mesh(raw: RawScan, faces: Int64[np.ndarray, "F 3"]) -> tuple[RawScan, str]:
    """Leave out small components, and faces at a point out of all proportion."""
    used = np.unique(faces)
    far = np.zeros(len(raw.vertices), bool)
    far[used] = ~_not_far(raw.vertices[used])
    near = ~far[faces].any(axis=1)
    if not near.any():
        return raw, ""
    at_far = int((~near).sum())
    some = replace(raw, faces=faces[near])
    label = _components(raw.vertices, faces[near])
    lost = 0
    if label.max() > 0:
        points, _ = sample_mesh(
            some, np.zeros(3), num_points=NUM_EXAMINED, rng=np.random.default_rng(0)
        )
        middle = raw.vertices[faces[near]].mean(axis=1)
        own = _of_shape(points, middle)
        # The greater part of its faces decides, so that a component goes or stays as a whole.
        share = np.bincount(label, own) / np.bincount(label)
        stays = share[label] >= 0.5
        if stays.any():
            lost = int((share < 0.5).sum())
            some = replace(some, faces=faces[near][stays])
    said = [f"{lost} {'part' if lost == 1 else 'parts'} apart from the shape"] * bool(lost)
    said += [f"{at_far} faces at points far beyond it"] * bool(at_far)
    return (some, " and ".join(said)) if said else (raw, "")


def _not_far(points: Float64[np.ndarray, "n D"]) -> Bool[np.ndarray, " n"]:
    """Say of each point whether it lies in proportion to the others, see ``check_not_far``."""
    step = max(len(points) // NUM_EXAMINED, 1)
    return extent_of(points[::step]).times(points) <= FAR


def _of_shape(
    some: Float64[np.ndarray, "m D"], points: Float64[np.ndarray, "n D"]
) -> Bool[np.ndarray, " n"]:
    """Say of each of ``points`` whether it lies on the shape, which the points ``some`` show."""
    near: Spacing = spacing_of(some)
    shape, _ = split_components(some, near)
    distance, nearest = KDTree(some[shape]).query(points)
    usual = float(np.median(near.spacing))
    # Where the scan is sparse, the next point of ``some`` lies further away.
    allowed = np.maximum(GAP * usual, LINK * near.spacing[shape][nearest])
    return np.asarray(distance <= allowed)


def _components(
    vertices: Float64[np.ndarray, "V 3"], faces: Int64[np.ndarray, "F 3"]
) -> Int64[np.ndarray, " F"]:
    """Number the connected component of each face; vertices at one position are one."""
    corners = welded(vertices, faces)
    size = int(corners.max()) + 1
    start = corners[:, [0, 1]].ravel()
    end = corners[:, [1, 2]].ravel()
    links = coo_matrix((np.ones(len(start), bool), (start, end)), shape=(size, size))
    label = connected_components(links, directed=False)[1]
    return np.unique(label[corners[:, 0]], return_inverse=True)[1].astype(np.int64)
