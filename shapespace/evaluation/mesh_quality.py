"""What a mesh is by itself: parts, closedness, genus, area, volume, ghost sheets.

Letters: F faces.
"""

import numpy as np
import trimesh
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from shapespace.geometry.components import components, joined

Facts = dict[str, float | int | bool]


def mesh_facts(
    mesh: trimesh.Trimesh, dropped_components: int = 0, dropped_area_share: float = 0.0
) -> Facts:
    """The columns ``definitions.MESH``; genus and volume only where they are defined.

    dropped_components, dropped_area_share: what meshing left out beside ``mesh``, and its share of
    the area of all. Equal positions count as one vertex unless the mesh is watertight without.
    """
    if not len(mesh.faces):
        return {"faces": 0, "components": 0, "watertight": False, "area": 0.0}
    whole = joined(mesh)
    count, label = components(whole)
    area = np.bincount(label, weights=whole.area_faces, minlength=count)
    kept = area.max() / area.sum() * (1 - dropped_area_share)
    found: Facts = {
        "faces": len(mesh.faces),
        "components": count + dropped_components,
        "watertight": bool(whole.is_watertight),
        "area": float(area.sum()),
        "ghost_components": count - 1 + dropped_components,
        "ghost_area_share": float(1 - kept),
    }
    if whole.is_watertight and whole.is_winding_consistent:
        found["genus"] = genus(whole)
        found["volume"] = float(whole.volume)
    return found


def genus(mesh: trimesh.Trimesh) -> int:
    """Handles of all components of a closed, consistently wound mesh: components - chi / 2.

    A vertex at which several sheets only touch counts once for each, so that chi is that of the
    surface and not of its drawing.
    """
    num_faces = len(mesh.faces)
    corners = np.arange(3 * num_faces).reshape(-1, 3)
    edges = np.sort(mesh.faces[:, [0, 1, 1, 2, 2, 0]].reshape(-1, 2), axis=1)
    ends = corners[:, [0, 1, 1, 2, 2, 0]].reshape(-1, 2)
    flipped = mesh.faces[:, [0, 1, 2]].ravel() > mesh.faces[:, [1, 2, 0]].ravel()
    ends[flipped] = ends[flipped][:, ::-1]
    order = np.lexsort(edges.T)
    pairs = ends[order].reshape(-1, 2, 2)
    links = np.concatenate([pairs[:, :, 0], pairs[:, :, 1]])
    fans = _parts(links, 3 * num_faces)
    within = np.concatenate([corners[:, [0, 1]], corners[:, [1, 2]]])
    sheets = _parts(np.concatenate([links, within]), 3 * num_faces)
    euler = fans - len(pairs) + num_faces
    return sheets - euler // 2


def _parts(links: np.ndarray, size: int) -> int:
    graph = coo_array((np.ones(len(links), bool), (links[:, 0], links[:, 1])), (size, size))
    return int(connected_components(graph, directed=False)[0])
