"""The map of the codes in the scene: a card with a dot for each training shape, which is clicked.

Frame and unit: those of the space. Places on the card are as in
:mod:`shapespace.viewer.scene.code_map`.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
import trimesh
from jaxtyping import Float

from shapespace.config.options import Axis
from shapespace.errors import one_line
from shapespace.viewer.scene.code_map import CodeMap, Mark

if TYPE_CHECKING:
    import viser

GAP = 0.3
"""Room between the shape and the card, as a share of the longest side of the shape."""
SIDE = 0.8
"""Side of the card, as a share of that longest side."""
DOT = 0.03
"""Radius of a dot, in half sides."""
MOST_NAMES = 60
"""Names that are written on the card."""
CARD, HERE, WAY = (255, 255, 255), (30, 30, 30), (90, 100, 110)
PLANES: dict[Axis, tuple[int, int, float]] = {
    "x": (1, 2, -1.0),
    "y": (0, 2, 1.0),
    "z": (0, 1, -1.0),
}
"""By the axis that points up: those that point right and to the camera, the sign of the last."""


class MapCard:
    """The card with the map of the codes.

    Args:
        server: of the page.
        up: axis that points up.
    """

    def __init__(self, server: "viser.ViserServer", up: Axis) -> None:
        self._scene = server.scene
        right, toward, sign = PLANES[up]
        self.right, self._up = np.eye(3)[right], np.eye(3)["xyz".index(up)]
        """The axis along which the card stands beside the shape."""
        self._toward = sign * np.eye(3)[toward]
        self._map: CodeMap | None = None
        self._middle, self._half = np.zeros(3), 0.0
        self._has_names = False
        self.on_pick: Callable[[str, bool], object] = lambda _name, _is_second: None
        """Called with the name of the dot that was clicked, and whether Shift was held."""

    def show(self, code_map: CodeMap) -> None:
        """Show a map in place of the last one."""
        self._map = code_map
        self._draw()

    def stand_beside(self, bounds: Float[np.ndarray, "2 3"]) -> None:
        """Put the card to the right of a shape with these bounds."""
        side = float(np.ptp(bounds, axis=0).max())
        self._half = SIDE * side / 2
        wide = float(np.abs(np.ptp(bounds, axis=0) @ self.right)) / 2
        self._middle = bounds.mean(axis=0) + (wide + GAP * side + self._half) * self.right
        self._draw()

    def show_names(self, wanted: bool) -> None:
        """Write the names of all dots on the card, or those of the marked ones alone."""
        self._has_names = wanted
        self._draw()

    def mark(self, mark: Mark) -> None:
        """Mark the place of the shape that is shown, its name, and the walk it is on."""
        if self._map is None or not self._half:
            return
        place, name, ends = mark
        self._ball("map/here", self._at(place), 1.5 * DOT, HERE)
        rows = {each: row for row, each in enumerate(self._map.names)}
        for part in ("map/name", "map/way", "map/end0", "map/end1"):
            self._scene.remove_by_name(part)
        if ends is not None and all(end in rows for end in ends):
            dots = np.stack([self._at(self._map.dots[rows[end]]) for end in ends])
            self._scene.add_line_segments(
                "map/way", dots[None].astype(np.float32), WAY, thickness=0.01 * self._half
            )
            for row, end in enumerate(ends):
                self._label(f"map/end{row}", end, dots[row])
        elif name in rows:
            self._label("map/name", name, self._at(place))

    def place_of(self, origin: Any, direction: Any) -> Float[np.ndarray, "2"]:
        """Where a ray meets the card."""
        origin, direction = np.asarray(origin, float), np.asarray(direction, float)
        distance = ((self._middle - origin) @ self._toward) / (direction @ self._toward)
        off = origin + distance * direction - self._middle
        return np.array([off @ self.right, off @ self._up]) / self._half

    def _at(self, place: Any) -> Float[np.ndarray, "3"]:
        # A little before the card, or both would flicker.
        lifted = self._middle + 0.01 * self._half * self._toward
        return lifted + self._half * (place[0] * self.right + place[1] * self._up)

    def _draw(self) -> None:
        if self._map is None or not self._half:
            return
        corners = np.array([(-1, -1), (1, -1), (1, 1), (-1, 1)]) * 1.05
        vertices = np.stack([self._at(corner) for corner in corners]) - (
            0.02 * self._half * self._toward
        )
        card = self._scene.add_mesh_simple(
            "map/card",
            vertices.astype(np.float32),
            np.array([[0, 1, 2], [0, 2, 3]]),
            color=CARD,
            side="double",
            cast_shadow=False,
            receive_shadow=False,
        )
        ball = trimesh.creation.icosphere(2, radius=DOT * self._half)
        count = len(self._map.names)
        dots = self._scene.add_batched_meshes_simple(
            "map/dots",
            np.asarray(ball.vertices, np.float32),
            np.asarray(ball.faces),
            np.tile([1.0, 0.0, 0.0, 0.0], (count, 1)),
            np.stack([self._at(dot) for dot in self._map.dots]).astype(np.float32),
            batched_colors=self._map.colours,
            cast_shadow=False,
        )
        for part in (card, dots):
            part.on_click(lambda event: self._clicked(event, False))
            part.on_click(modifier="shift")(lambda event: self._clicked(event, True))
        for row in range(min(count, MOST_NAMES)):
            part = f"map/names/{row}"
            if self._has_names:
                self._label(part, self._map.names[row], self._at(self._map.dots[row]))
            else:
                self._scene.remove_by_name(part)

    def _clicked(self, event: Any, is_second: bool) -> None:
        assert self._map is not None
        place = self.place_of(event.ray_origin, event.ray_direction)
        self.on_pick(self._map.nearest(place), is_second)

    def _ball(
        self, part: str, place: Float[np.ndarray, "3"], radius: float, colour: tuple[int, int, int]
    ) -> None:
        self._scene.add_icosphere(
            part, radius * self._half, colour, position=place, subdivisions=2, cast_shadow=False
        )

    def _label(self, part: str, text: str, place: Float[np.ndarray, "3"]) -> None:
        self._scene.add_label(
            part, one_line(text, 40), position=place, font_screen_scale=0.8, anchor="bottom-left"
        )
