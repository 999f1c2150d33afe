"""The map of the codes: a dot for each training shape, along the first two principal axes.

Unit: half a side of the map, so that all dots lie in [-1, 1].
Letters: S training shapes, A axes, L code length.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, UInt8

from shapespace.data.names import group_names
from shapespace.rendering.charts import COLOURS
from shapespace.report.code_statistics import PrincipalAxes

SHADE = 0.6
"""Brightness of the dots, as a share of that of charts."""
ROOM = 0.85
"""The dot that is farthest from the middle lies so far out."""


class Mark(NamedTuple):
    """What is marked on the map.

    Args:
        place: where the shape that is shown lies.
        name: the training shape whose code it is, or "".
        ends: names of the shapes between which a walk goes; None for no walk.
    """

    place: tuple[float, float]
    name: str = ""
    ends: tuple[str, str] | None = None


@dataclass(frozen=True)
class CodeMap:
    """Where each training shape lies on the map.

    Args:
        names: of the training shapes.
        dots: their places.
        colours: sRGB of each, one for each person or group.
        scale: from coordinates along the principal axes to places on the map.
    """

    names: tuple[str, ...]
    dots: Float[np.ndarray, "S 2"]
    colours: UInt8[np.ndarray, "S 3"]
    scale: float

    def place(self, coordinates: Float[np.ndarray, " A"]) -> tuple[float, float]:
        """The place of a code on the map; at its edge for a code beyond it.

        Args:
            coordinates: of the code, along the principal axes; the third and further do not count.
        """
        across, up = self.scale * np.array([*coordinates, 0.0, 0.0][:2])
        return float(np.clip(across, -1, 1)), float(np.clip(up, -1, 1))

    def nearest(self, place: Float[np.ndarray, "2"]) -> str:
        """The name of the dot that is nearest to a place."""
        return self.names[int(np.linalg.norm(self.dots - place, axis=1).argmin())]


def code_map(names: Sequence[str], codes: Float[np.ndarray, "S L"], axes: PrincipalAxes) -> CodeMap:
    """The map of the codes of a space; codes may have length 0 or 1, or be equal.

    Args:
        names: of the training shapes.
        codes: their codes.
        axes: the principal axes of the codes.
    """
    found = np.zeros((len(names), 2))
    coordinates = axes.coordinates(codes)[:, :2]
    found[:, : coordinates.shape[1]] = coordinates
    farthest = np.abs(found).max(initial=0.0)
    scale = ROOM / farthest if farthest else 0.0
    groups = group_names(names)
    colours = {
        group: COLOURS[row % len(COLOURS)] for row, group in enumerate(dict.fromkeys(groups))
    }
    # Darker than on paper: the lights of a scene wash them out.
    shades = SHADE * np.array([list(bytes.fromhex(colours[group][1:])) for group in groups])
    shades = shades.reshape(-1, 3)
    dots = scale * found
    return CodeMap(tuple(names), dots, shades.astype(np.uint8), scale)
