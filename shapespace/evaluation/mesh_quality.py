"""Facts about one mesh: components, closedness, genus, area, volume, ghost components."""

import numpy as np
import trimesh
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from shapespace.geometry.components import components, joined

Facts = dict[str, float | int | bool]
"""Column -> its value."""


def mesh_facts(
    mesh: trimesh.Trimesh, dropped_components: int = 0, dropped_area_share: float = 0.0
) -> Facts:
    """The columns of ``definitions.MESH``, in the unit of the mesh.

    Genus and volume are left out for a mesh that is open or not wound consistently. Vertices at
    equal positions count as one vertex, unless the mesh is watertight as it is.

    Args:
        mesh: the mesh.
        dropped_components: components that meshing has removed from the mesh. They count as ghosts.
        dropped_area_share: share of the removed components in the area of all components.
    """
    if not len(mesh.faces):
        return {"faces": 0, "components": 0, "watertight": False, "area": 0.0}
    whole = joined(mesh)
    count, label = components(whole)
    area = np.bincount(label, weights=whole.area_faces, minlength=count)
    # The share of the largest component refers to the area before meshing removed anything.
    largest_share = area.max() / area.sum() * (1 - dropped_area_share)
    found: Facts = {
        "faces": len(mesh.faces),
        "components": count + dropped_components,
        "watertight": bool(whole.is_watertight),
        "area": float(area.sum()),
        "ghost_components": count - 1 + dropped_components,
        "ghost_area_share": float(1 - largest_share),
    }
    if whole.is_watertight and whole.is_winding_consistent:
        found["genus"] = genus(whole)
        found["volume"] = float(whole.volume)
    return found


def genus(mesh: trimesh.Trimesh) -> int:
    """Number of handles of a closed, consistently wound mesh, summed over its components.

    The genus is the number of components minus chi / 2, where chi = V - E + F is the Euler
    characteristic. A vertex in which several sheets only touch counts once for each sheet, so that
    chi is that of the closed surfaces.
    """
    # Every corner of every face is a node of its own. Each edge is matched to just one edge of the
    # same ends, and the matching links the corners at these ends. Corners that are linked this way
    # are one vertex of the surface (a fan of faces), even where the mesh shares an index among
    # several fans.
    num_faces = len(mesh.faces)
    corners = np.arange(3 * num_faces).reshape(-1, 3)
    edges = np.sort(mesh.faces[:, [0, 1, 1, 2, 2, 0]].reshape(-1, 2), axis=1)
    ends = corners[:, [0, 1, 1, 2, 2, 0]].reshape(-1, 2)
    # The ends of an edge are listed in the order of the vertex index, for both of its faces.
    flipped = mesh.faces[:, [0, 1, 2]].ravel() > mesh.faces[:, [1, 2, 0]].ravel()
    ends[flipped] = ends[flipped][:, ::-1]
    order = np.lexsort(edges.T)
    pairs = ends[order].reshape(-1, 2, 2)
    links = np.concatenate([pairs[:, :, 0], pairs[:, :, 1]])
    num_fans = _count_connected(links, 3 * num_faces)
    # Fans of one face belong to one component.
    within = np.concatenate([corners[:, [0, 1]], corners[:, [1, 2]]])
    num_components = _count_connected(np.concatenate([links, within]), 3 * num_faces)
    euler = num_fans - len(pairs) + num_faces
    return num_components - euler // 2


def _count_connected(links: np.ndarray, size: int) -> int:
    """Connected components of a graph of ``size`` nodes with these links."""
    graph = coo_array((np.ones(len(links), bool), (links[:, 0], links[:, 1])), (size, size))
    return int(connected_components(graph, directed=False)[0])
