"""A player of meshes inside a page: an animation that the reader turns with the mouse.

The player needs no network and no library. It draws with WebGL; its script is ``player.js`` and its
style ``player.css``. Meshes may differ in their faces from frame to frame.

Format: positions are rounded to 1/65535 of the longest side of the box around all frames, normals
to 1/127. Each frame is sent as its positions [V,3], normals [V,3] and faces [F,3], all integers,
each row as the difference to the row before. The integers of all frames together are packed by
:func:`packed`.
"""

import base64
import html
import json
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

import numpy as np
import trimesh
from jaxtyping import Float, Int

from shapespace.errors import InputError
from shapespace.rendering.camera import turned
from shapespace.rendering.meshes import BLUE, ORANGE

FRAMES_A_SECOND = 12
POSITION_STEPS = 65535
"""Positions are rounded to this fraction of the longest side of the box; player.js knows it too."""
NORMAL_STEPS = 127
"""Normals are rounded to this fraction of their length, so that each fits into a signed byte."""


@dataclass(frozen=True)
class AnimationFrame:
    """One frame of an animation.

    Args:
        mesh: The mesh; an empty one leaves the frame empty.
        label: The text below the frame.
        tint: The colour, from 0 for blue to 1 for orange.
    """

    mesh: trimesh.Trimesh
    label: str = ""
    tint: float = 0.0


@dataclass(frozen=True)
class AxisFrames:
    """Shapes along a line of codes, which have a slider of their own.

    Args:
        name: The text beside the slider.
        frames: The shapes from one end of the slider to the other; the middle one comes first.
    """

    name: str
    frames: Sequence[AnimationFrame]


def player(
    frames: Sequence[AnimationFrame],
    up: str = "y",
    loop: bool = False,
    axes: Sequence[AxisFrames] = (),
) -> str:
    """HTML of a player of an animation.

    The script reports its errors to the console of the browser.

    Args:
        frames: The frames; a player of one frame has no controls.
        up: The axis that points up, "x", "y" or "z".
        loop: Whether the first frame follows the last.
        axes: Further sliders below the animation.

    Raises:
        InputError: There are no frames.
    """
    if not frames:
        raise InputError("an animation of no frames: give at least one mesh")
    drawn = [*frames, *(frame for axis in axes for frame in axis.frames)]
    low, high = _box(drawn)
    size = float((high - low).max()) or 1.0
    head = {
        "frames": [_frame_head(frame) for frame in drawn],
        "walk": len(frames),
        "low": low.tolist(),
        "high": high.tolist(),
        "size": size,
        "upright": turned(up, 0.0).tolist(),
        "rate": FRAMES_A_SECOND,
        "loop": loop,
    }
    numbers = np.concatenate([_numbers(frame.mesh, low, size) for frame in drawn])
    # A label with "</script>" would end the element that holds the JSON.
    animation = json.dumps(head).replace("<", "\\u003c")
    script = files("shapespace.report").joinpath("player.js").read_text("utf-8")
    hidden = "" if len(frames) > 1 else " hidden"
    return (
        '<figure class="player"><canvas tabindex="0" role="img" aria-label="'
        f'{html.escape(frames[0].label)}"></canvas><figcaption></figcaption>'
        f'<div class="controls"{hidden}><button type="button">Play</button>'
        f'<input type="range" min="0" max="{len(frames) - 1}" value="0" step="1" '
        f'aria-label="frame"></div>{"".join(map(_axis_slider, axes))}'
        f'<script type="application/json">{animation}</script>'
        f'<script type="text/plain">{packed(numbers)}</script>'
        f"<script>{script}</script></figure>"
    )


def _axis_slider(axis: AxisFrames) -> str:
    """A slider that begins at the middle of its frames."""
    last = len(axis.frames) - 1
    return (
        f'<label class="axis"><span>{html.escape(axis.name)}</span><input type="range" min="0" '
        f'max="{last}" value="{last // 2}" step="1"></label>'
    )


def packed(numbers: Int[np.ndarray, " n"]) -> str:
    """Pack integers below 2^31 in magnitude into text: base64 of deflated bytes."""
    # Zigzag: the sign moves to the lowest bit, so that small negative numbers have zero high bytes
    # as small positive ones do.
    zigzag = (numbers << 1) ^ (numbers >> 63)
    # The lowest bytes of all numbers first, then the next ones: the high bytes of differences are
    # nearly all zero, and deflate packs such runs into almost nothing.
    planes = zigzag.astype("<u4").view(np.uint8).reshape(-1, 4).T
    return base64.b64encode(zlib.compress(planes.tobytes(), 9)).decode()


def _box(
    frames: Sequence[AnimationFrame],
) -> tuple[Float[np.ndarray, "3"], Float[np.ndarray, "3"]]:
    """The lowest and the highest corner of the box around all frames; zeros if all are empty."""
    bounds = [frame.mesh.bounds for frame in frames if len(frame.mesh.faces)]
    corners = np.array(bounds or [np.zeros((2, 3))])
    return corners[:, 0].min(axis=0), corners[:, 1].max(axis=0)


def _frame_head(frame: AnimationFrame) -> dict[str, Any]:
    """Counts, label and colour of a frame, for the script."""
    num_faces = len(frame.mesh.faces)
    colour = (1 - frame.tint) * np.array(BLUE) + frame.tint * np.array(ORANGE)
    return {
        "vertices": len(frame.mesh.vertices) if num_faces else 0,
        "faces": num_faces,
        "label": frame.label,
        "colour": colour.round(4).tolist(),
    }


def _numbers(
    mesh: trimesh.Trimesh, low: Float[np.ndarray, "3"], size: float
) -> Int[np.ndarray, " n"]:
    """The integers of one frame: positions, normals and faces, as differences between rows.

    Args:
        mesh: The mesh of the frame.
        low: The lowest corner of the box around all frames.
        size: The longest side of that box.
    """
    if not len(mesh.faces):
        return np.zeros(0, np.int64)
    parts = (
        np.round((mesh.vertices - low) / size * POSITION_STEPS),
        np.round(mesh.vertex_normals * NORMAL_STEPS),
        mesh.faces,
    )
    rows = [np.asarray(part).astype(np.int64) for part in parts]
    # Most rows of an extracted mesh are near the row before, so that their differences are small.
    return np.concatenate([np.diff(part, axis=0, prepend=0).ravel() for part in rows])
