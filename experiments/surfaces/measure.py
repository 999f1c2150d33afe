"""How far a surface is from what is known of the object."""

from dataclasses import dataclass

import igl
import numpy as np
import trimesh

from shapespace.config.options import NUM_SAMPLES
from shapespace.data.formats.readers import read_raw
from shapespace.evaluation.metrics import chamfer
from shapespace.evaluation.sampled_surface import SampledSurface, nearest_distances
from shapespace.geometry.components import components

SEEN = 0.8
"""Fraction of a scan that the methods see where there is no ground truth."""


def load(path):
    raw = read_raw(path)
    faces = raw.faces if raw.faces is not None else []
    return trimesh.Trimesh(raw.vertices, faces, vertex_normals=raw.normals, process=False)


def diagonal_of(shape):
    """Of the box of all vertices; trimesh's own scale needs faces."""
    return float(np.linalg.norm(np.ptp(shape.vertices, axis=0)))


@dataclass(frozen=True)
class Reference:
    """Points and normals that say where the surface is; mesh: the ground truth, or None."""

    name: str
    points: np.ndarray
    normals: np.ndarray
    mesh: trimesh.Trimesh | None
    diagonal: float

    @classmethod
    def of_mesh(cls, mesh):
        points, faces = trimesh.sample.sample_surface(mesh, NUM_SAMPLES, seed=1)
        normals = mesh.face_normals[faces]
        return cls("ground truth", np.asarray(points), normals, mesh, diagonal_of(mesh))

    @classmethod
    def of_scan(cls, scan, rows):
        normals = scan.vertex_normals[rows]
        return cls("held-out points", scan.vertices[rows], normals, None, diagonal_of(scan))


def seen_and_hidden(scan):
    """Rows of a scan that the methods see, and those that they are measured against."""
    rows = np.random.default_rng(0).permutation(len(scan.vertices))
    cut = round(SEEN * len(rows))
    return np.sort(rows[:cut]), np.sort(rows[cut:])


def nearest(points, mesh):
    """Distance of each point to a mesh, and the normal of the face that is nearest."""
    vertices = np.ascontiguousarray(mesh.vertices, np.float64)
    faces = np.ascontiguousarray(mesh.faces, np.int64)
    squared, face, _ = igl.point_mesh_squared_distance(np.asarray(points), vertices, faces)
    return np.sqrt(squared), mesh.face_normals[face]


def measure(mesh, reference):
    """A row of the table; lengths in percent of the diagonal of the reference."""
    percent = 100 / reference.diagonal
    samples, faces = trimesh.sample.sample_surface(mesh, NUM_SAMPLES, seed=0)
    there = nearest_distances(np.asarray(samples), reference.points)
    back = nearest_distances(reference.points, np.asarray(samples))
    missed, normals = nearest(reference.points, mesh)
    cosines = (normals * reference.normals).sum(axis=1)
    row = {
        "reference": reference.name,
        "chamfer": percent * 0.5 * float(there.mean() + back.mean()),
        "hausdorff": percent * float(max(there.max(), back.max())),
        "reference_to_mesh": percent * float(missed.mean()),
        "reference_to_mesh_95": percent * float(np.quantile(missed, 0.95)),
    }
    if reference.mesh is None:
        exact = {"mesh_to_reference": "", "exact_chamfer": ""}
    else:
        off, normals = nearest(samples, reference.mesh)
        cosines = np.append(cosines, (normals * mesh.face_normals[faces]).sum(axis=1))
        exact = {
            "mesh_to_reference": percent * float(off.mean()),
            "exact_chamfer": percent * 0.5 * float(off.mean() + missed.mean()),
        }
    return {
        **row,
        **exact,
        "normal_consistency": float(cosines.mean()),
        "watertight": bool(mesh.is_watertight),
        "components": components(mesh)[0],
        "faces": len(mesh.faces),
    }


def floor(reference):
    """The sampled Chamfer distance between two samples of the ground truth, in percent."""
    if reference.mesh is None:
        return ""
    again = SampledSurface.of_mesh(reference.mesh, NUM_SAMPLES, 2).points
    return 100 / reference.diagonal * chamfer(again, reference.points)
