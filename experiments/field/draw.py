"""The pictures of the table, from the meshes that surfaces.py and spaces.py keep.

python experiments/field/draw.py surfaces OBJECTS OUT anchor_sim surfaces.png
python experiments/field/draw.py spaces DATA OUT SCAN spaces.png
"""

import csv
import sys
from pathlib import Path

import numpy as np
import trimesh

from shapespace.rendering.meshes import GREY, Figure, colour_map, render_grid, save_image

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "surfaces"))
import bodies
from measure import diagonal_of, load, nearest

COLUMNS = 6
PERCENT = 1.0
"""Of the diagonal, where the colour of an error ends."""
MILLIMETRES = 30.0


def coloured(mesh, truth, worst, label):
    """A mesh, pale where it is right, red where it is off by ``worst`` and more."""
    if not len(mesh.faces):
        return Figure(truth, GREY, f"{label}: no surface")
    off = nearest(mesh.vertices, truth)[0]
    return Figure(mesh, label=label, vertex_colors=colour_map(off, 0.0, worst, "YlOrRd"))


def moved(shape, centre, scale):
    shape = shape.copy()
    shape.vertices = (np.asarray(shape.vertices) - centre) * scale
    return shape


def of_surfaces(objects, out, name):
    scan, truth = load(objects / name / "scan.ply"), load(objects / name / "gt.ply")
    centre, scale = scan.vertices.mean(0), 1 / diagonal_of(scan)
    truth = moved(truth, centre, scale)
    yield Figure(moved(scan, centre, scale), GREY, "scan")
    yield Figure(truth, label="truth")
    with (out / "surfaces.csv").open() as file:
        rows = [r for r in csv.DictReader(file) if r["object"] == name and r["seed"] == "0"]
    for row in rows:
        method, sees = row["method"], row["sees"]
        path = out / name / f"{method}_{sees}_0.ply"
        mesh = moved(trimesh.load(path, process=False), centre, scale)
        yield coloured(mesh, truth, PERCENT / 100, f"{method}, {sees}: {row['exact_chamfer']} %")


def of_spaces(data, out, name):
    (row,) = [row for row in bodies.read_frames(data) if row["name"] == name]
    truth = bodies.registration(row)
    yield Figure(bodies.raw_scan(row, data), GREY, "scan")
    yield Figure(truth, label="truth")
    with (out / "spaces.csv").open() as file:
        rows = [r for r in csv.DictReader(file) if r["scan"] == name]
    for found in rows:
        path = out / f"{found['method'].replace(' ', '_')}_{name}.ply"
        mesh = trimesh.load(path, process=False)
        label = f"{found['method']}: {found['exact_chamfer_mm']} mm"
        yield coloured(mesh, truth, MILLIMETRES / 1000, label)


def main():
    kind, data, out, name, path = sys.argv[1:]
    figures = list(
        {"surfaces": of_surfaces, "spaces": of_spaces}[kind](Path(data), Path(out), name)
    )
    rows = [figures[i : i + COLUMNS] for i in range(0, len(figures), COLUMNS)]
    save_image(render_grid(rows, height=260), Path(path))


if __name__ == "__main__":
    main()
