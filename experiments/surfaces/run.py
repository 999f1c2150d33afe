"""``shapespace surface`` and screened Poisson on single objects, measured and drawn.

    python experiments/surfaces/run.py OBJECTS OUT [NAME ...] [--steps N] [--measure-only]

OBJECTS holds a folder for each NAME with scan.ply and, where there is a ground truth, gt.ply.
Without one both methods see four fifths of the scan, and the others are what they are measured
against. Meshes that are in OUT already are kept: a stopped run goes on.
"""

import argparse
import csv
import json
import time
from pathlib import Path

import numpy as np
from draw import draw
from measure import SEEN, Reference, floor, load, measure, seen_and_hidden

from shapespace.baselines.poisson import screened_poisson
from shapespace.config.options import SurfaceOptions
from shapespace.geometry.components import largest_component
from shapespace.reconstruction.single_scan import reconstruct_surface

NAMES = ["anchor_sim", "armadillo_sim", "plane_sim", "gargoyle_real"]
DEPTHS = (8, 9, 10)


def problem(folder, out):
    """The file that the methods see, and what they are measured against."""
    scan = load(folder / "scan.ply")
    if (folder / "gt.ply").exists():
        return folder / "scan.ply", Reference.of_mesh(load(folder / "gt.ply"))
    seen, hidden = seen_and_hidden(scan)
    path = out / f"{folder.name}_{SEEN:.0%}.npz".replace("%", "")
    np.savez(path, points=scan.vertices[seen], normals=scan.vertex_normals[seen])
    return path, Reference.of_scan(scan, hidden)


def ours(scan, mesh, steps):
    options = SurfaceOptions(steps=steps, run=str(mesh.with_suffix("")))
    reconstruct_surface(scan, mesh, options)


def poisson(scan, mesh, depth):
    cloud = load(scan)
    found = screened_poisson(cloud.vertices, cloud.vertex_normals, depth)
    largest_component(found).export(mesh)


def timed(mesh, method, *arguments):
    """Make the mesh file unless it is there; CPU seconds of this process, one thread or more."""
    clock = mesh.with_suffix(".json")
    if not clock.exists():
        start = time.process_time()
        method(*arguments)
        clock.write_text(json.dumps(time.process_time() - start))
    return json.loads(clock.read_text())


def rows_of(folder, out, steps):
    """A row for each method, and its mesh."""
    scan, reference = problem(folder, out)
    methods = {"ours": (ours, steps)} | {f"poisson {d}": (poisson, d) for d in DEPTHS}
    for name, (method, number) in methods.items():
        path = out / f"{folder.name}_{name.replace(' ', '_')}.ply"
        seconds = timed(path, method, scan, path, number)
        row = {"object": folder.name, "method": name, **measure(load(path), reference)}
        yield {**row, "chamfer_floor": floor(reference), "cpu_seconds": round(seconds, 1)}, path


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("objects", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("names", nargs="*", default=NAMES)
    parser.add_argument("--steps", type=int, default=2000)
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    rows, meshes = [], {}
    for name in args.names:
        for row, path in rows_of(args.objects / name, args.out, args.steps):
            print(row, flush=True)
            rows.append(row)
            meshes.setdefault(name, {})[row["method"]] = path
    with (args.out / "results.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(
            {k: f"{v:.4g}" if isinstance(v, float) else v for k, v in row.items()} for row in rows
        )
    draw(args.objects, meshes, args.out / "surfaces.png")


if __name__ == "__main__":
    main()
