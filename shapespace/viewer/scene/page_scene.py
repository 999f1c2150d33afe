"""What the page shows: the shape, the scan beside it, and texts.

All texts that come from files or names are shown as text, never as markup.

Frame and unit: those of the space. Letters: N points.
"""

import html
import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import trimesh
from jaxtyping import Float

from shapespace.config.options import Axis
from shapespace.errors import one_line
from shapespace.viewer.scene.code_map import CodeMap, Mark
from shapespace.viewer.scene.map_card import MapCard
from shapespace.viewer.scene.meshes import Picture

if TYPE_CHECKING:
    import viser

COLOUR = (140, 170, 215)
SCAN_COLOUR = (225, 150, 90)
GAP = 1.3
"""Distance of the scan from the shape beside it, in widths."""
UP: dict[str, Any] = {"x": "+x", "y": "+y", "z": "+z"}
LOOK = {"x": (0.2, 0.35, -1.0), "y": (0.35, 0.2, 1.0), "z": (0.35, -1.0, 0.2)}
"""Direction from the shape to the camera, by the upright axis."""
AWAY, ASIDE = 1.9, 0.3
"""Where the camera is at first and to the right of what it looks, in longest sides of the shape.

Shape, scan and map are then in view.
"""


class Scene:
    """The three-dimensional part of the page, and the texts below the controls.

    Args:
        server: of the page.
        up: axis that points up.
    """

    def __init__(self, server: "viser.ViserServer", up: Axis) -> None:
        self._server = server
        self._up: Axis = up
        self._width = 1.0
        self._points: Float[np.ndarray, "N 3"] | None = None
        self._sliders: Sequence[Any] = ()
        self._texts: dict[str, Any] = {}
        self._lock = threading.RLock()
        self._has_camera = False
        self.map = MapCard(server, up)
        server.scene.set_up_direction(UP[up])

    def attach(self, sliders: Sequence[Any], texts: dict[str, Any]) -> None:
        """Give the sliders, and the places for texts "said", "told" and "legend"."""
        self._sliders = sliders
        self._texts = texts

    def show(self, picture: Picture) -> None:
        """Show a shape in place of the last one."""
        mesh = picture.mesh
        with self._lock, self._server.atomic():
            if not len(mesh.faces):
                self._server.scene.remove_by_name("shape")
            elif picture.colours is None:
                self._server.scene.add_mesh_simple(
                    "shape", mesh.vertices, mesh.faces, color=COLOUR, side="double"
                )
            else:
                # With normals, or the page would shade each triangle flat.
                coloured = trimesh.Trimesh(
                    mesh.vertices,
                    mesh.faces,
                    vertex_normals=mesh.vertex_normals,
                    vertex_colors=picture.colours,
                    process=False,
                )
                self._server.scene.add_mesh_trimesh("shape", coloured)
            self._write("legend", [picture.legend] if picture.legend else [])
            if picture.is_fine and len(mesh.faces):
                self._look_at(np.asarray(mesh.bounds))

    def show_scan(self, points: Float[np.ndarray, "N 3"] | None) -> None:
        """Show a scan beside the shape; None takes it away."""
        with self._lock:
            self._points = points
            if points is None:
                self._server.scene.remove_by_name("scan")
                return
            # The width of the scan itself: outliers of a scan may be far away.
            low, high = np.quantile(points, [0.01, 0.99], axis=0)
            # On the other side of the shape than the map.
            aside = -GAP * float((high - low) @ self.map.right) * self.map.right
            self._server.scene.add_point_cloud(
                "scan",
                points.astype(np.float32),
                SCAN_COLOUR,
                point_size=0.004 * float((high - low).max()),
                position=aside,
                precision="float32",
                point_shape="circle",
            )

    def show_map(self, code_map: CodeMap) -> None:
        """Show the map of the codes in place of the last one."""
        with self._lock:
            self.map.show(code_map)

    def mark(self, mark: Mark) -> None:
        """Mark a place of the map, in place of the last one."""
        with self._lock, self._server.atomic():
            self.map.mark(mark)

    def set_sliders(self, values: Sequence[float]) -> None:
        """Move the sliders to the shape that is shown."""
        for slider, value in zip(self._sliders, values, strict=True):
            slider.value = float(value)

    def say(self, text: str) -> None:
        """Show one line: what is being done, what was written, or what is wrong."""
        self._write("said", [text])

    def tell(self, lines: Sequence[str]) -> None:
        """Show what is known of the reconstruction of a scan; no lines for none."""
        self._write("told", lines)

    def _write(self, place: str, lines: Sequence[str]) -> None:
        if place in self._texts:
            self._texts[place].content = as_html(lines)

    def _look_at(self, bounds: Float[np.ndarray, "2 3"]) -> None:
        """Turn the camera of browsers to come to the first shape, and leave it alone then."""
        if self._has_camera:
            return
        self._has_camera = True
        self.map.stand_beside(bounds)
        # A little to the right: the card with the map is there, and the scan to the left.
        middle = bounds.mean(axis=0) + ASIDE * np.ptp(bounds, axis=0).max() * self.map.right
        away = np.array(LOOK[self._up])
        away *= AWAY * float(np.ptp(bounds, axis=0).max()) / np.linalg.norm(away)
        camera = self._server.initial_camera
        camera.position = middle + away
        camera.look_at = middle
        for client in self._server.get_clients().values():
            client.camera.position = middle + away
            client.camera.look_at = middle


def as_html(lines: Sequence[str]) -> str:
    """Lines as a block of text; whatever they hold stays text."""
    shown = "<br>".join(html.escape(one_line(line)) for line in lines)
    return f'<div style="padding: 0 1em; font-size: 0.85em; word-break: break-word">{shown}</div>'
