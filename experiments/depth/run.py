"""Depth maps of unseen people: with and without free space, from one and from four views.

    python experiments/depth/run.py DATA CHECKPOINT --people 60002 60004 --out OUT

The registrations of some frames are seen by pinhole cameras: depth of 2 mm noise, rounded to
millimetres. Each is reconstructed from one and from four views, with and without what the cameras
saw through, and by screened Poisson of the fused points where Open3D is installed. Errors are exact
distances of points of the registration to the mesh, apart for places within 10 mm of a measured
point (seen) and others. Writes results.csv.
"""

import argparse
import csv
import sys
from pathlib import Path

import numpy as np
import torch
import trimesh

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from bodies import read_frames, registration
from scipy.spatial import KDTree

from shapespace.baselines.poisson import screened_poisson
from shapespace.cameras.files import write_cameras
from shapespace.cameras.images import write_depth
from shapespace.cameras.pinhole import ring
from shapespace.config.options import FitOptions, MeshOptions
from shapespace.errors import InputError
from shapespace.geometry.proximity import point_to_mesh
from shapespace.geometry.rays import RayScene
from shapespace.reconstruction.detail import detailed, detailed_mesh
from shapespace.reconstruction.method import fit_scans
from shapespace.reconstruction.record import facts_of_sight
from shapespace.reconstruction.views.check import prepare_seen
from shapespace.reconstruction.views.fuse import sight_of, views_of
from shapespace.space import TrainedSpace

NOISE, SIZE, SAMPLES, SEEN = 0.002, 200, 4000, 0.01


def depth_of(mesh, camera, rng):
    """The depth map of a mesh, with noise."""
    directions = camera.directions().reshape(-1, 3)
    origins = np.broadcast_to(camera.position, directions.shape)
    face = RayScene(mesh.vertices, mesh.faces).first(origins, directions)
    normal, corner = mesh.face_normals[face], mesh.triangles[face, 0]
    distance = ((corner - origins) * normal).sum(1) / (directions * normal).sum(1)
    depth = np.where(face >= 0, distance * (directions @ camera.forward), 0)
    depth += np.where(face >= 0, rng.normal(0, NOISE, len(depth)), 0)
    return depth.reshape(camera.height, camera.width)


def shot(mesh, num, folder, seed):
    """The views of a mesh, as files, read again."""
    rng = np.random.default_rng(seed)
    folder.mkdir(parents=True, exist_ok=True)
    middle = mesh.bounds.mean(0)
    radius = float(np.linalg.norm(mesh.vertices - middle, axis=1).max())
    cameras = ring(num, middle, radius, azimuth=float(rng.uniform(0, 360)), size=(SIZE, SIZE))
    files = [
        write_depth(folder / f"{camera.name}.png", depth_of(mesh, camera, rng))
        for camera in cameras
    ]
    write_cameras(folder / "transforms.json", cameras)
    return views_of(cameras, folder / "transforms.json", files, name=folder.name, axes="opengl")


def errors(mesh, true, near):
    """Median and 95 % distance in mm from points of the true surface, seen and not seen."""
    off = 1000 * point_to_mesh(true, mesh)
    found = {}
    for name, own in (("seen", near), ("unseen", ~near)):
        found[f"{name}_median"] = float(np.median(off[own])) if own.any() else np.nan
        found[f"{name}_95"] = float(np.percentile(off[own], 95)) if own.any() else np.nan
    return found


def reconstructed(space, source, detail, free):
    """The mesh of depth maps, and what it crosses, with or without free space in the fit."""
    options = FitOptions()
    scan = prepare_seen(space, source, "m", 0, num_points=20_000)
    sight = sight_of(source, scan)
    fitted = fit_scans(options, space, [scan], sight=[sight] if free else [])
    pose = fitted.poses.rows(torch.tensor([0]))
    made = None
    if detail == "full":
        raw = source.load()[0]
        made = detailed(space, fitted.codes[0], pose, scan, raw=raw, sight=sight if free else None)
    if made is None:
        mesh = space.mesh(fitted.codes[0], scan.frame, resolution=128, pose=pose)
    else:
        mesh = detailed_mesh(made, scan, pose, resolution=MeshOptions().resolution)
    return mesh, facts_of_sight(mesh, scan, sight)["free_space"]


def rows_of(space, mesh, name, num, folder, details):
    """One row for each way to reconstruct the views of a mesh."""
    source = shot(mesh, num, folder / f"{name}_{num}", seed=num)
    points = source.load()[0]
    true = np.asarray(trimesh.sample.sample_surface(mesh, SAMPLES, seed=0)[0])
    near = KDTree(points.vertices).query(true)[0] < SEEN
    same = {"name": name, "views": num}
    for detail in details:
        for free in (False, True):
            made, crossed = reconstructed(space, source, detail, free)
            how = f"detail {detail}, {'free space' if free else 'points alone'}"
            yield same | {"how": how, "crossed": crossed.get("crossed"), **errors(made, true, near)}
    try:
        poisson = screened_poisson(points.vertices, points.normals)
    except InputError as error:
        print(f"no Poisson: {error}")
        return
    yield same | {"how": "Poisson", "crossed": None, **errors(poisson, true, near)}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("--people", nargs="+", required=True)
    parser.add_argument("--frames", type=int, default=1, help="of each person")
    parser.add_argument("--details", nargs="+", default=["none"])
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args()
    space = TrainedSpace.load(given.checkpoint)
    chosen = []
    for person in given.people:
        own = [row for row in read_frames(given.data) if row["subject"] == person]
        chosen += own[:: max(1, len(own) // given.frames)][: given.frames]
    table = []
    for row in chosen:
        for num in (1, 4):
            table += rows_of(space, registration(row), row["name"], num, given.out, given.details)
            print(table[-1], flush=True)
    with (given.out / "results.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, list(table[0]))
        writer.writeheader()
        writer.writerows(table)


if __name__ == "__main__":
    main()
