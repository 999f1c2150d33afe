"""A picture of a reconstruction: the scan, the mesh, its distance to the scan, its uncertainty."""

from pathlib import Path

import numpy as np
import trimesh
from jaxtyping import Float
from scipy.spatial import KDTree

from shapespace.rendering.meshes import GREY, Figure, colour_map, render_row, save_image
from shapespace.scan import PreparedScan

WORST = 0.02
"""Distance and deviation, in the longest side of the mesh, that are drawn brightest."""
MOST_POINTS = 20_000
"""Points of a scan that are drawn and measured to."""


def fit_picture(
    path: Path,
    scan: PreparedScan,
    mesh: trimesh.Trimesh,
    deviation: Float[np.ndarray, " V"] | None = None,
    up: str = "y",
) -> Path:
    """Draw a reconstruction beside its scan.

    Colours go from dark at 0 to bright at ``WORST``. They show the distance of each vertex to the
    nearest point of the scan, and the standard deviation of the surface; unknown values are grey.

    Args:
        path: PNG file to write.
        scan: the scan.
        mesh: its reconstruction, in the frame of the source.
        deviation: standard deviation at each vertex, in the unit of the source; None if unknown.
        up: axis that points up in the picture.

    Returns:
        ``path``.

    Raises:
        InputError: a library for pictures is missing, or the file cannot be written.
    """
    points = scan.frame.to_source(scan.points[:MOST_POINTS])
    vertices = np.asarray(mesh.vertices)
    longest = float(np.ptp(vertices, axis=0).max()) if len(vertices) else 1.0
    unit = f"{100 * WORST:.0f} %"
    figures = [Figure(points, GREY, "scan"), Figure(mesh, label="reconstruction")]
    if len(vertices):
        far = KDTree(points).query(vertices)[0]
        sure = np.full(len(vertices), np.nan) if deviation is None else deviation
        shown = {f"to the scan, 0 to {unit}": far, f"deviation, 0 to {unit}": sure}
        for label, values in shown.items():
            colours = colour_map(values, 0.0, WORST * longest)
            figures.append(Figure(mesh, label=label, vertex_colors=colours))
    save_image(render_row(figures, 360, up), path)
    return path
