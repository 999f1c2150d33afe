"""What a session shows, and where: the page, or a recorder in its place."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
import trimesh
from jaxtyping import Float
from torch import Tensor

from shapespace.viewer.scene.code_map import CodeMap, Mark
from shapespace.viewer.scene.meshes import Picture


@runtime_checkable
class Display(Protocol):
    """Where a session shows what it found; called by the thread of the worker."""

    def show(self, picture: Picture) -> None:
        """Show a shape in place of the last one."""
        ...

    def show_scan(self, points: Float[np.ndarray, "N 3"] | None) -> None:
        """Show a scan beside the shape; None takes it away."""
        ...

    def show_map(self, code_map: CodeMap) -> None:
        """Show the map of the codes in place of the last one."""
        ...

    def mark(self, mark: Mark) -> None:
        """Mark a place of the map, in place of the last one."""
        ...

    def set_sliders(self, values: Sequence[float]) -> None:
        """Move the sliders to the shape that is shown."""
        ...

    def say(self, text: str) -> None:
        """Show one line: what is being done, what was written, or what is wrong."""
        ...

    def tell(self, lines: Sequence[str]) -> None:
        """Show what is known of the reconstruction of a scan; no lines for none."""
        ...


@dataclass(frozen=True)
class Place:
    """Where a session is in the space of codes.

    Args:
        code: of the shape.
        values: of the sliders, in standard deviations, as far as they reach.
        name: the training scan whose code it is, or "".
        mesh: a surface that is shown in place of that of the code, in the frame of the space.
    """

    code: Float[Tensor, " L"]
    values: tuple[float, ...]
    name: str = ""
    mesh: trimesh.Trimesh | None = None
