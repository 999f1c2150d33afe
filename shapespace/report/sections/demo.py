"""Sections of the page of ``shapespace demo``: scans that were not trained on, best and worst.

Frame and unit: the metres of the demo. Letters: V vertices, P vertices of a scan.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import trimesh
from jaxtyping import Bool, Float
from scipy.spatial import KDTree

from shapespace.geometry.proximity import point_to_mesh
from shapespace.rendering.charts import colour_bar
from shapespace.rendering.meshes import GREY, Figure, colour_map, render_grid, save_image
from shapespace.report import html

LARGEST_ERROR = 0.03
"""Error, in metres, at the bright end of the error map."""
MOST_SHOWN = 8
"""Number of unseen scans in the picture. All unseen scans are measured."""
SEEN = 0.02
"""A place of the surface is seen if the scan has a point so near, in metres."""
HEIGHT = 360
"""Height of each row of the picture of best and worst, in pixels."""


@dataclass(frozen=True)
class DemoCase:
    """An unseen scan, its reconstruction and the surface that was scanned.

    Args:
        name: of the scan.
        scan: the raw scan, with its holes.
        mesh: the reconstruction.
        truth: the surface that was scanned.
    """

    name: str
    scan: trimesh.Trimesh
    mesh: trimesh.Trimesh
    truth: trimesh.Trimesh

    @cached_property
    def on_mesh(self) -> Float[np.ndarray, " V"]:
        """The distance of each vertex of the reconstruction to the true surface."""
        return point_to_mesh(np.asarray(self.mesh.vertices), self.truth)

    @cached_property
    def on_scan(self) -> Float[np.ndarray, " P"]:
        """The distance of each vertex of the scan to the reconstruction."""
        return point_to_mesh(np.asarray(self.scan.vertices), self.mesh)

    @cached_property
    def seen(self) -> Bool[np.ndarray, " V"]:
        """Whether the scan has points near each vertex of the reconstruction."""
        tree = KDTree(np.asarray(self.scan.vertices))
        return tree.query(np.asarray(self.mesh.vertices))[0] < SEEN

    def line(self) -> str:
        """How far it is off where the scan has points and where it has none."""
        parts = [
            f"{_mean_mm(self.on_mesh[chosen])} {where}"
            for where, chosen in (
                ("where the scan has points", self.seen),
                (f"on the {1 - self.seen.mean():.0%} where it has none", ~self.seen),
            )
            if chosen.any()
        ]
        return f"{self.name}: {_mean_mm(self.on_mesh)} on average, {', '.join(parts)}"


def gallery(page: html.Page, cases: Sequence[DemoCase], path: Path) -> None:
    """Add scans, reconstructions and errors: three rows, a column for each scan.

    Args:
        page: that is added to.
        cases: all unseen scans, at least one; some of them, evenly spaced, are shown.
        path: of the picture.
    """
    rows: list[list[Figure]] = [[], [], []]
    # The quotient rounded up.
    every = max(1, -(-len(cases) // MOST_SHOWN))
    shown = cases[::every]
    for case in shown:
        rows[0].append(Figure(case.scan, GREY))
        rows[1].append(Figure(case.mesh))
        rows[2].append(_painted(case.mesh, case.on_mesh, case.name))
    save_image(render_grid(rows), path)
    page.section(
        "Unseen scans, reconstructed",
        "Each of these scans belongs to a sequence that was not trained on. From top to bottom: "
        "the raw scan with its holes, the reconstruction from its code alone, and its distance to "
        "the true surface.",
        html.picture(path, "scan, reconstruction and error of unseen scans"),
        _bar(path.with_name("errors.svg")),
        html.note(
            f"{len(shown)} of {len(cases)}, evenly spaced and not chosen. The people are made from "
            "formulas and the scanner is virtual: scans of real people are harder."
        ),
    )


def best_and_worst(page: html.Page, cases: Sequence[DemoCase], path: Path) -> None:
    """Add the best and the worst case, with the error on the scan and on the mesh.

    Args:
        page: that is added to.
        cases: all unseen scans, at least one; those without a surface are left out.
        path: of the picture.
    """
    having = sorted((case for case in cases if len(case.mesh.faces)), key=_mean_error)
    if not having:
        return
    ends = list(dict.fromkeys((0, len(having) - 1)))
    rows = [_case_row(having[end]) for end in ends]
    save_image(render_grid(rows, HEIGHT), path)
    empty = len(cases) - len(having)
    page.section(
        "The best and the worst",
        f"Of {len(having)} unseen scans the one whose reconstruction is nearest to the true "
        "surface on average, above, and the one that is farthest, below. From left to right: the "
        "scan; its reconstruction; on the scan, the distance of its points to the reconstruction; "
        "on the reconstruction, the distance to the true surface.",
        html.picture(path, "best and worst reconstruction, with errors"),
        _bar(path.with_name("errors.svg")),
        html.bullets([having[end].line() for end in ends]),
        html.note(
            "A scan that is matched well can be wrong where it has no points: only the last column "
            "shows that, and only because the true surface is known here."
            + (f" {empty} more have no surface at all." if empty else "")
        ),
    )


def _case_row(case: DemoCase) -> list[Figure]:
    return [
        Figure(case.scan, GREY, case.name),
        Figure(case.mesh, label="reconstruction"),
        _painted(case.scan, case.on_scan, "error on the scan"),
        _painted(case.mesh, case.on_mesh, "error on the mesh"),
    ]


def _painted(shape: trimesh.Trimesh, error: Float[np.ndarray, " V"], label: str) -> Figure:
    return Figure(shape, label=label, vertex_colors=colour_map(error, 0.0, LARGEST_ERROR))


def _bar(path: Path) -> str:
    colour_bar(0.0, 1000 * LARGEST_ERROR, "mm; brighter is further off", path)
    return html.picture(path, "colours of the errors, in mm")


def _mean_error(case: DemoCase) -> float:
    return float(case.on_mesh.mean())


def _mean_mm(error: Float[np.ndarray, " V"]) -> str:
    return f"{1000 * error.mean():.1f} mm"
