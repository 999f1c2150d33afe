"""A picture of a fit: the scan, the reconstruction, how far it is from the scan, how sure it is."""

from pathlib import Path

import numpy as np
import trimesh
from jaxtyping import Float
from scipy.spatial import KDTree

from shapespace.rendering.meshes import GREY, Figure, colour_map, render_row, save_image
from shapespace.scan import PreparedScan

WORST = 0.02
"""Error and deviation, in the longest side of the mesh, that are drawn brightest."""
MOST_POINTS = 20_000


def fit_picture(
    path: Path,
    scan: PreparedScan,
    mesh: trimesh.Trimesh,
    deviation: Float[np.ndarray, " V"] | None = None,
    up: str = "y",
) -> Path:
    """Write the picture; what is not known is grey.

    From dark, none, to bright, a fiftieth of the longest side: the distance of the nearest point of
    the scan, and the standard deviation of the surface. InputError where a library is missing.
    """
    points = scan.frame.to_source(scan.points[:MOST_POINTS])
    vertices = np.asarray(mesh.vertices)
    longest = float(np.ptp(vertices, axis=0).max()) if len(vertices) else 1.0
    unit = f"{100 * WORST:.0f} %"
    figures = [Figure(points, GREY, "scan"), Figure(mesh, label="reconstruction")]
    if len(vertices):
        far = KDTree(points).query(vertices)[0]
        sure = np.full(len(vertices), np.nan) if deviation is None else deviation
        for values, label in ((far, f"to the scan, 0 to {unit}"), (sure, f"unsure, 0 to {unit}")):
            colours = colour_map(values, 0.0, WORST * longest)
            figures.append(Figure(mesh, label=label, vertex_colors=colours))
    save_image(render_row(figures, 360, up), path)
    return path
