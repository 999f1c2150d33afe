"""``shapespace surface`` on single objects, measured and drawn.

    python experiments/surfaces/run.py OBJECTS OUT [--steps 3000] [NAME ...]

OBJECTS holds a folder for each NAME with scan.ply and, where there is a ground truth, gt.ply.
Without one the distances are to the points of the scan.
"""

import argparse
import csv
import time
from pathlib import Path

import numpy as np
import trimesh

from shapespace.data.readers import read_raw
from shapespace.evaluate import RELATIVE, card_of, sampled_raw
from shapespace.render import GREY, Figure, render_grid, save_image
from shapespace.surface import reconstruct_surface


def load(path):
    raw = read_raw(path)
    faces = raw.faces if raw.faces is not None else []
    return trimesh.Trimesh(raw.vertices, faces, vertex_normals=raw.normals, process=False)


def diagonal_of(shape):
    """Of the box of all vertices; trimesh's own scale needs faces."""
    return float(np.linalg.norm(np.ptp(shape.vertices, axis=0)))


def measure(mesh, folder):
    truth = folder / "gt.ply"
    path = truth if truth.exists() else folder / "scan.ply"
    reference = sampled_raw(read_raw(path), seed=1)
    found = card_of(path.parent.name, mesh, {"target": reference}, thresholds=RELATIVE).parts
    chamfer = found["target"]["chamfer_half_unsquared"]
    return {
        "reference": path.name,
        "diagonal": diagonal_of(load(path)),
        "chamfer": chamfer,
        "chamfer_percent_of_diagonal": 100 * chamfer / diagonal_of(load(path)),
        "hausdorff": found["target"]["hausdorff"],
        "reference_to_mesh_exact": found["target"]["completeness_exact"],
        "mesh_to_reference_exact": found["target"].get("accuracy_exact", ""),
        "watertight": found["mesh"]["watertight"],
        "faces": found["mesh"]["faces"],
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("objects", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("names", nargs="*", default=["gargoyle_real", "anchor_sim"])
    parser.add_argument("--steps", type=int, default=3000)
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    rows, figures = [], []
    for name in args.names:
        path = args.out / f"{name}.ply"
        start = time.perf_counter()
        print(reconstruct_surface(args.objects / name / "scan.ply", path, steps=args.steps))
        seconds = time.perf_counter() - start
        mesh, scan = load(path), load(args.objects / name / "scan.ply")
        rows.append(
            {"object": name, **measure(mesh, args.objects / name), "seconds": round(seconds)}
        )
        size = 1 / diagonal_of(scan)
        for shape in (scan, mesh):
            shape.apply_scale(size)
        figures.append([Figure(scan, GREY, f"{name}: scan"), Figure(mesh, label="surface")])
        print(rows[-1])
    with (args.out / "results.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    save_image(render_grid(figures, height=420), args.out / "surfaces.png")


if __name__ == "__main__":
    main()
