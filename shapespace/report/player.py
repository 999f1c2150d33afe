"""A player of meshes inside a page: a film of 3-D shapes, turned with the mouse, without network.

WebGL as every browser has it; the script is ``player.js``. Meshes may differ in their faces from
frame to frame. Positions are rounded to a 65535th of the box of all frames, normals to 1/127.

What is sent: for each frame the positions [V,3], normals [V,3] and faces [F,3] as integers, each
column as differences to the row before, their signs in the lowest bit, the bytes of all of them
sorted by significance, deflated and in base64.
"""

import base64
import html
import json
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files

import numpy as np
import trimesh
from jaxtyping import Int

from shapespace.errors import InputError
from shapespace.rendering.camera import turned
from shapespace.rendering.meshes import BLUE, ORANGE

FRAMES_A_SECOND = 12
STEPS, NORMAL_STEPS = 65535, 127
"""What the side of the box and a normal's length are rounded to."""


@dataclass(frozen=True)
class AnimationFrame:
    """One mesh of a film: what it is called, and its colour from 0, blue, to 1, orange."""

    mesh: trimesh.Trimesh
    label: str = ""
    tint: float = 0.0


def player(frames: Sequence[AnimationFrame], up: str = "y", loop: bool = False) -> str:
    """HTML of a player of ``frames``, which shows its script's errors in the page's console.

    up: the axis that points up. loop: the first frame follows the last. An empty mesh leaves its
    frame empty. InputError without any frame.
    """
    if not frames:
        raise InputError("a film of no frames: give at least one mesh")
    low, high = _box(frames)
    size = float((high - low).max()) or 1.0
    head = {
        "frames": [_plain(frame) for frame in frames],
        "low": low.tolist(),
        "high": high.tolist(),
        "size": size,
        "upright": turned(up, 0.0).tolist(),
        "rate": FRAMES_A_SECOND,
        "loop": loop,
    }
    numbers = np.concatenate([_numbers(frame.mesh, low, size) for frame in frames])
    film = json.dumps(head).replace("<", "\\u003c")
    script = files("shapespace.report").joinpath("player.js").read_text("utf-8")
    several = "" if len(frames) > 1 else " hidden"
    return (
        '<figure class="player"><canvas tabindex="0" role="img" aria-label="'
        f'{html.escape(frames[0].label)}"></canvas><figcaption></figcaption>'
        f'<div class="controls"{several}><button type="button">Play</button>'
        f'<input type="range" min="0" max="{len(frames) - 1}" value="0" step="1" '
        'aria-label="frame"></div>'
        f'<script type="application/json">{film}</script>'
        f'<script type="text/plain">{packed(numbers)}</script>'
        f"<script>{script}</script></figure>"
    )


def packed(numbers: Int[np.ndarray, " n"]) -> str:
    """Integers below 2^31 in size as base64 of deflated bytes, see the module."""
    signs = (numbers << 1) ^ (numbers >> 63)
    planes = signs.astype("<u4").view(np.uint8).reshape(-1, 4).T
    return base64.b64encode(zlib.compress(planes.tobytes(), 9)).decode()


def _box(frames: Sequence[AnimationFrame]) -> tuple[np.ndarray, np.ndarray]:
    """Lowest and highest corner of all that is drawn."""
    bounds = [frame.mesh.bounds for frame in frames if len(frame.mesh.faces)]
    corners = np.array(bounds or [np.zeros((2, 3))])
    return corners[:, 0].min(axis=0), corners[:, 1].max(axis=0)


def _plain(frame: AnimationFrame) -> dict[str, object]:
    """What the script has to know of a frame beside its numbers."""
    faces = len(frame.mesh.faces)
    colour = (1 - frame.tint) * np.array(BLUE) + frame.tint * np.array(ORANGE)
    return {
        "vertices": len(frame.mesh.vertices) if faces else 0,
        "faces": faces,
        "label": frame.label,
        "colour": colour.round(4).tolist(),
    }


def _numbers(mesh: trimesh.Trimesh, low: np.ndarray, size: float) -> Int[np.ndarray, " n"]:
    """Positions, normals and faces as differences to the row before."""
    if not len(mesh.faces):
        return np.zeros(0, np.int64)
    parts = (
        np.round((mesh.vertices - low) / size * STEPS),
        np.round(mesh.vertex_normals * NORMAL_STEPS),
        mesh.faces,
    )
    rows = [np.asarray(part).astype(np.int64) for part in parts]
    return np.concatenate([np.diff(part, axis=0, prepend=0).ravel() for part in rows])
