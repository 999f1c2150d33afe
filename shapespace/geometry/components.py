"""Connected components of triangle meshes, and the graph of their edges. Letters: F faces."""

import numpy as np
import trimesh
from jaxtyping import Int
from scipy.sparse import coo_array, csr_array
from scipy.sparse.csgraph import connected_components


def components(mesh: trimesh.Trimesh) -> tuple[int, Int[np.ndarray, " F"]]:
    """The number of connected components of a mesh, and the component of each face.

    Faces are connected where they share a vertex. Vertices without a face are no component.
    """
    edges = mesh.faces[:, [0, 1, 1, 2]].reshape(-1, 2)
    size = len(mesh.vertices)
    links = coo_array((np.ones(len(edges), bool), (edges[:, 0], edges[:, 1])), (size, size))
    label = connected_components(links, directed=False)[1][mesh.faces[:, 0]]
    # Vertices without a face have labels too; the labels of faces are numbered anew.
    found, label = np.unique(label, return_inverse=True)
    return len(found), label


def edge_lengths(mesh: trimesh.Trimesh) -> csr_array:
    """The edges of a mesh as a sparse symmetric matrix of their lengths, vertex by vertex."""
    edges = mesh.edges_unique
    length = np.linalg.norm(np.subtract(*np.asarray(mesh.vertices)[edges.T]), axis=1)
    # An edge of length 0 would be no edge of the sparse matrix.
    length = np.maximum(length, 1e-12)
    where = (np.r_[edges[:, 0], edges[:, 1]], np.r_[edges[:, 1], edges[:, 0]])
    size = len(mesh.vertices)
    return coo_array((np.r_[length, length], where), (size, size)).tocsr()


def largest_component(mesh: trimesh.Trimesh) -> trimesh.Trimesh:
    """The connected component of the largest area.

    Its metadata say what was dropped: ``dropped_components`` is the number of the others and
    ``dropped_area_share`` their share of the whole area. A mesh without faces is returned itself.
    """
    if len(mesh.faces) == 0:
        return mesh
    count, label = components(mesh)
    area = np.bincount(label, weights=mesh.area_faces, minlength=count)
    used, faces = np.unique(mesh.faces[label == area.argmax()], return_inverse=True)
    share = 1 - area.max() / area.sum() if count > 1 else 0.0
    dropped = {"dropped_components": count - 1, "dropped_area_share": float(share)}
    vertices = mesh.vertices[used]
    return trimesh.Trimesh(vertices, faces.reshape(-1, 3), metadata=dropped, process=False)


def joined(mesh: trimesh.Trimesh) -> trimesh.Trimesh:
    """The mesh with vertices at equal positions merged; a watertight mesh is returned itself.

    An STL file gives each triangle vertices of its own.
    """
    if mesh.is_watertight:
        return mesh
    vertices, row = np.unique(mesh.vertices, axis=0, return_inverse=True)
    return trimesh.Trimesh(vertices, row.ravel()[mesh.faces], process=False)
