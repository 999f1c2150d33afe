"""A picture of a reconstruction: its distance to the scan, painted on both, and its uncertainty."""

from pathlib import Path

import numpy as np
import trimesh
from jaxtyping import Float
from scipy.spatial import KDTree

from shapespace.data.units import PER_METRE
from shapespace.geometry.proximity import point_to_mesh
from shapespace.rendering.meshes import (
    Figure,
    colour_map,
    colour_scale,
    render_row,
    save_image,
)
from shapespace.scan import PreparedScan

WORST = 0.01
"""Distance and deviation, in the longest side of the scan, that are drawn brightest."""
MOST_POINTS = 20_000
"""Points of a scan that are drawn and measured to."""
HEIGHT = 360


def fit_picture(
    path: Path,
    scan: PreparedScan,
    mesh: trimesh.Trimesh,
    deviation: Float[np.ndarray, " V"] | None = None,
    up: str = "y",
    *,
    unit: str = "",
    verdict: str = "",
) -> Path:
    """Draw a reconstruction beside its scan, with a scale of the colours.

    Colours go from dark at 0 to bright at ``WORST``. They show the distance of each point of the
    scan from the mesh, so that a missing limb is bright; the distance of each vertex from the
    nearest point of the scan, so that an invented limb is bright; and the standard deviation of the
    surface. Unknown values are grey.

    Args:
        path: PNG file to write.
        scan: the scan.
        mesh: its reconstruction, in the frame of the source.
        deviation: standard deviation at each vertex, in the unit of the source; None if unknown.
        up: axis that points up in the picture.
        unit: length unit of the source; any but m, cm, mm and in is shown as shares.
        verdict: FAILED or DOUBTFUL and the reason, which begins the label of the mesh; "" if none.

    Returns:
        ``path``.

    Raises:
        InputError: a library for pictures is missing, or the file cannot be written.
    """
    points = scan.frame.to_source(scan.points[:MOST_POINTS])
    longest = float(np.ptp(points, axis=0).max()) if len(points) else 1.0
    most = WORST * longest
    missed = point_to_mesh(points, mesh) if len(mesh.faces) else np.full(len(points), np.inf)
    word = verdict.partition(":")[0]
    name = f"{word}: reconstruction" if word else "reconstruction"
    figures = [
        Figure(points, label="scan, to the mesh", vertex_colors=colour_map(missed, 0.0, most)),
        Figure(mesh, label=name),
    ]
    if len(mesh.vertices):
        far = KDTree(points).query(np.asarray(mesh.vertices))[0]
        sure = np.full(len(mesh.vertices), np.nan) if deviation is None else deviation
        for label, values in (("mesh, to the scan", far), ("standard deviation", sure)):
            figures.append(Figure(mesh, label=label, vertex_colors=colour_map(values, 0.0, most)))
    picture = render_row(figures, HEIGHT, up)
    scale = colour_scale("0", _length(most, longest, unit), picture.shape[1], HEIGHT)
    save_image(np.concatenate([picture, scale]), path)
    return path


def _length(length: float, longest: float, unit: str) -> str:
    """A length in millimetres, or as a share of the longest side where the unit is unknown."""
    if unit in PER_METRE:
        return f"{1000 * length / PER_METRE[unit]:.3g} mm"
    return f"{length / longest:.1%} of the longest side"
