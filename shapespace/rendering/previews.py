"""Pictures of codes: their surfaces in 3-D, side by side, and level sets in 2-D."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
import trimesh
from jaxtyping import Float, UInt8
from torch import Tensor

from shapespace.decoders.base import Decoder, Field
from shapespace.rendering.camera import MARGIN, Orthographic, light_of, picture_of
from shapespace.rendering.fields import FieldView, find_view
from shapespace.rendering.meshes import BLUE, ORANGE, Figure, label_band, render_strip, save_image
from shapespace.rendering.plots import plot_slice
from shapespace.surface.query import field_values

SLICE_NODES = 129


def strip(
    meshes: Sequence[trimesh.Trimesh], path: Path, labels: Sequence[str] = (), height: int = 480
) -> Path:
    """One picture of all meshes side by side, from blue to orange; the file."""
    texts = [*labels, *[""] * (len(meshes) - len(labels))]
    ends = np.linspace(0, 1, len(meshes))
    figures = [
        Figure(mesh, _blend(t), text) for mesh, t, text in zip(meshes, ends, texts, strict=True)
    ]
    save_image(render_strip(figures, height), path)
    return path


def traced_strip(
    field: Field,
    codes: Float[Tensor, "K L"],
    extent: float,
    labels: Sequence[str] = (),
    height: int = 280,
) -> UInt8[np.ndarray, "H W 3"]:
    """The surfaces of K codes side by side, all at one scale, ``height`` pixels without labels.

    Traced in the box [-extent, extent]^3, y up, seen as by ``render_strip``,
    from blue to orange; without meshes, a floor or shadows. A code without a surface leaves an
    empty place.
    """
    fringe = 2 * extent / height  # about a pixel
    sights = [find_view(field, code, extent, None, fringe, height) for code in codes]
    cameras = _cameras([each.bounds for each in sights], 2 * extent)
    texts = [*labels, *[""] * (len(sights) - len(labels))]
    images = [
        _painted(each, camera, height, _blend(t))
        for each, camera, t in zip(sights, cameras, np.linspace(0, 1, len(sights)), strict=True)
    ]
    image = np.concatenate(images or [np.ones((height, height, 3))], axis=1)
    picture = picture_of(image)
    if not any(texts):
        return picture
    rooms = [float(each.shape[1]) for each in images]
    return np.concatenate([picture, label_band(texts, rooms, picture.shape[1], height)])


def draw_codes(
    decoder: Decoder,
    codes: Float[Tensor, "K L"],
    names: Sequence[str],
    extent: float,
    height: int,
    path: Path,
) -> Path:
    """A picture of the shapes of K codes in the store's frame; of the first one's slice in 2-D.

    height: pixels of the shapes, in 3-D.
    """
    if decoder.dimension == 3:
        save_image(traced_strip(decoder, codes, extent, names, height), path)
        return path
    axis = torch.linspace(-extent, extent, SLICE_NODES)
    nodes = torch.cartesian_prod(axis, axis).flip(-1).to(codes)
    values = field_values(decoder, codes[0], nodes).reshape(SLICE_NODES, SLICE_NODES).cpu().numpy()
    plot_slice(values, (-extent, extent, -extent, extent), path)
    return path


def _cameras(
    bounds: Sequence[tuple[float, float, float, float] | None], distance: float
) -> list[Orthographic]:
    """One for each shape, as tall as all of them together and as wide as its own, with a margin."""
    seen = [each for each in bounds if each] or [(0.0, 1.0, 0.0, 1.0)]
    low, high = min(each[2] for each in seen), max(each[3] for each in seen)
    margin = MARGIN * max(high - low, *(right - left for left, right, _, _ in seen))
    sides = [each[:2] if each else (0.0, 0.0) for each in bounds]
    return [
        Orthographic(left - margin, right + margin, low - margin, high + margin, distance=distance)
        for left, right in sides
    ]


def _painted(
    portrait: FieldView, camera: Orthographic, height: int, colour: tuple[float, float, float]
) -> Float[np.ndarray, "H W 3"]:
    """Linear colours, pixels as wide as tall."""
    width = max(1, round(height * (camera.right - camera.left) / (camera.top - camera.bottom)))
    red, green, blue = light_of(np.asarray(colour)).tolist()
    return portrait.paint(camera, height, width, (red, green, blue))


def _blend(t: float) -> tuple[float, float, float]:
    red, green, blue = (1 - t) * np.array(BLUE) + t * np.array(ORANGE)
    return float(red), float(green), float(blue)
