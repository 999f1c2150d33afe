"""Coarse synthetic people, clean and with one planted fault each."""

import numpy as np
import trimesh

from shapespace.synthetic.bodies import body, body_mesh
from shapespace.synthetic.dataset import SUBJECTS

POSES = (
    ("hips", 0.0),
    ("jumping_jacks", 0.5),
    ("knees", 0.25),
    ("punching", 0.3),
    ("shake_arms", 0.6),
    ("shake_hips", 0.8),
    ("jumping_jacks", 0.1),
    ("punching", 0.8),
)
UP = np.array([[1, 0, 0], [0, 0, -1], [0, 1, 0]])
"""Takes y, which is up, to z."""


def clean_meshes():
    """Name and mesh of people in several poses, y up, metres.

    So coarse a mesh falls apart at wrists and fingers; only the largest part is kept.
    """
    for i, (motion, phase) in enumerate(POSES):
        yield f"clean{i}", largest(body_mesh(body(SUBJECTS[i % 4], motion, phase), 0.04))


def largest(mesh):
    """The part of the largest area."""
    return max(mesh.split(only_watertight=False), key=lambda part: part.area)


def cloud(mesh, count=8000, seed=0):
    """[count,6]: points of the surface and their normals."""
    points, faces = trimesh.sample.sample_surface(mesh, count, seed=seed)
    return np.hstack([points, mesh.face_normals[faces]])


def write_clean(folder, meshes):
    folder.mkdir(parents=True)
    for name, mesh in meshes.items():
        mesh.export(folder / f"{name}.ply")
    return folder


def write_faults(folder, meshes):
    """Files with one fault each, and {name: kind of finding that must name it}."""
    names = iter([*meshes] * 3)

    def mesh():
        return meshes[next(names)].copy()

    def save(name, vertices, faces):
        trimesh.Trimesh(vertices, faces, process=False).export(folder / f"{name}.ply")

    rng = np.random.default_rng(0)
    m = mesh()
    save("millimetres", m.vertices * 1000, m.faces)
    m = mesh()
    save("z_up", m.vertices @ UP.T, m.faces)
    m = mesh()
    save("upside_down", m.vertices * [1, -1, -1], m.faces)
    m = mesh()
    save("inward", m.vertices, m.faces[:, ::-1])
    m = mesh()
    some = rng.random(len(m.faces)) < 0.5
    save("mixed_winding", m.vertices, np.where(some[:, None], m.faces[:, ::-1], m.faces))
    m = mesh()
    front = m.triangles_center[:, 2] > np.median(m.vertices[:, 2])
    save("front_flipped", m.vertices, np.where(front[:, None], m.faces[:, ::-1], m.faces))
    m = mesh()
    balls = [trimesh.creation.icosphere(1, 0.03).apply_translation(x) for x in ([0.9, 1, 0.3],)]
    both = trimesh.util.concatenate([m, *balls])
    save("clutter", both.vertices, both.faces)
    m = mesh()
    one_sided = m.face_normals[:, 2] > 0.2
    save("one_sided", m.vertices, m.faces[one_sided])
    m = mesh()
    save("far_away", np.add(m.vertices, [0, 0, 5000.0]), m.faces)
    rows = cloud(mesh())
    half = rng.random(len(rows)) < 0.5
    np.save(folder / "half_flipped.npy", rows * np.where(half[:, None], [1, 1, 1, -1, -1, -1], 1))
    rows = cloud(mesh())
    left = rows[:, 0] > np.median(rows[:, 0])
    np.save(folder / "left_flipped.npy", rows * np.where(left[:, None], [1, 1, 1, -1, -1, -1], 1))
    rows = cloud(mesh())
    rows[3, 1] = np.nan
    np.save(folder / "nan.npy", rows)
    rows = cloud(mesh())
    np.save(folder / "plane.npy", rows[:, :3] * [1, 1, 0])
    rows = cloud(mesh())
    rows[:20, :3] += rng.normal(size=(20, 3))
    np.save(folder / "stray_points.npy", rows)
    rows = cloud(mesh())
    rows[:2000, 3:] = 0
    np.save(folder / "unknown_normals.npy", rows)
    np.save(folder / "bare.npy", cloud(mesh())[:, :3])
    np.save(folder / "few_points.npy", cloud(mesh(), 300))
    (folder / "empty.ply").write_bytes(b"")
    (folder / "clean0_again.ply").write_bytes((folder / "clean0.ply").read_bytes())
    m = meshes["clean1"]
    order = rng.permutation(len(m.vertices))
    save("clean1_moved", m.vertices[order] + [2.0, 0, 1], np.argsort(order)[m.faces])
    return dict(FAULTS)


FAULTS = {
    "millimetres": "scale",
    "z_up": "turned",
    "upside_down": "turned",
    "inward": "flipped",
    "mixed_winding": "inconsistent normals",
    "front_flipped": "inconsistent normals",
    "half_flipped": "inconsistent normals",
    "left_flipped": "inconsistent normals",
    "clutter": "clutter",
    "stray_points": "clutter",
    "one_sided": "holes",
    "far_away": "origin",
    "nan": "left out",
    "empty": "unreadable",
    "plane": "flat",
    "unknown_normals": "unknown normals",
    "bare": "no normals",
    "few_points": "sparse",
    "clean0_again": "duplicate",
    "clean1_moved": "duplicate",
}
ERRORS = {"scale", "turned", "flipped", "inconsistent normals", "unreadable", "flat"}
