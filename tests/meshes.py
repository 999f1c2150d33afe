"""Meshes that are one up to the order of vertices and faces, and meshes that are measured."""

import json

import numpy as np
from scipy.spatial import KDTree

from shapespace.cli.main import main


def same_mesh(one, other, tolerance):
    """Assert as many vertices and faces, all at the same places within ``tolerance``."""
    assert one[0].shape == other[0].shape and one[1].shape == other[1].shape
    places = np.unique(other[0], axis=0)
    faces = [in_order(*mesh, places, tolerance) for mesh in (one, other)]
    np.testing.assert_array_equal(*faces)


def in_order(vertices, faces, places, tolerance):
    """Faces as rows of ``places``, the lowest first, in lexical order."""
    if len(faces) == 0:
        return faces
    distance, row = KDTree(places).query(vertices)
    assert distance.max() <= tolerance
    faces = row[faces]
    faces = np.take_along_axis(faces, (faces.argmin(1)[:, None] + np.arange(3)) % 3, 1)
    return faces[np.lexsort(faces.T[::-1])]


def compared(mesh, truth, folder):
    """What ``shapespace compare`` measures of a mesh against the true one, by name."""
    files = [str(folder / "mesh.ply"), str(folder / "truth.ply")]
    mesh.export(files[0])
    truth.export(files[1])
    assert main(["compare", *files, "--num-samples=2000", f"--out={folder / 'found.json'}"]) == 0
    return json.loads((folder / "found.json").read_text())["shapes"][0]["target"]
