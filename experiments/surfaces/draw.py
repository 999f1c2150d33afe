"""Scans, surfaces and where they are wrong, a row for each object."""

from dataclasses import replace

import numpy as np
from measure import diagonal_of, load, nearest

from shapespace.evaluation.sampled_surface import nearest_distances
from shapespace.rendering.meshes import GREY, Figure, colour_map, render_grid, save_image

SHOWN = {"ours": "shapespace", "poisson 9": "Poisson, depth 9"}
WORST = {True: 0.1, False: 1.0}
"""Percent of the diagonal at which the colour of an error ends, with a ground truth and without."""
UPSIDE_DOWN = ("gargoyle_real",)


def errors(mesh, folder, scan):
    """Of each vertex, in percent of the diagonal: to the ground truth, or to the scan's points."""
    truth = folder / "gt.ply"
    if truth.exists():
        return 100 * nearest(mesh.vertices, load(truth))[0] / diagonal_of(scan)
    return 100 * nearest_distances(mesh.vertices, scan.vertices) / diagonal_of(scan)


def row_of(folder, meshes):
    scan = load(folder / "scan.ply")
    half_turn = [1, -1, -1] if folder.name in UPSIDE_DOWN else [1, 1, 1]
    scale, centre = np.array(half_turn) / diagonal_of(scan), scan.vertices.mean(axis=0)
    worst = WORST[(folder / "gt.ply").exists()]
    name = folder.name.rpartition("_")[0]
    figures = [Figure(scan, GREY, f"{name}: scan")]
    pairs = [(title, load(meshes[method])) for method, title in SHOWN.items()]
    figures += [Figure(mesh, label=title) for title, mesh in pairs]
    for title, mesh in pairs:
        colours = colour_map(errors(mesh, folder, scan), 0.0, worst, "YlOrRd")
        figures.append(Figure(mesh, label=f"{title}: error to {worst:g} %", vertex_colors=colours))
    return [replace(figure, shape=moved(figure.shape, centre, scale)) for figure in figures]


def moved(shape, centre, scale):
    shape = shape.copy()
    shape.vertices = (np.asarray(shape.vertices) - centre) * scale
    return shape


def draw(objects, meshes, path):
    """meshes: {object: {method: file}}."""
    rows = [row_of(objects / name, of_methods) for name, of_methods in meshes.items()]
    save_image(render_grid(rows, height=300), path)
