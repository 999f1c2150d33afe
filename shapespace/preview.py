"""Pictures of codes: strips of meshes in 3-D, level sets in 2-D."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import trimesh
from jaxtyping import Float
from torch import Tensor

from shapespace.decoders import Decoder
from shapespace.mesh import evaluator, extract_mesh
from shapespace.plots import plot_slice
from shapespace.render import BLUE, ORANGE, Figure, render_strip, save_image

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


def draw_codes(
    decoder: Decoder,
    codes: Float[Tensor, "K L"],
    names: Sequence[str],
    extent: float,
    resolution: int,
    path: Path,
) -> Path:
    """A picture of the shapes of K codes in the store's frame; of the first one's slice in 2-D."""
    if decoder.dimension == 3:
        meshes = [extract_mesh(decoder, code, resolution, extent) for code in codes]
        return strip(meshes, path, names)
    axis = np.linspace(-extent, extent, SLICE_NODES)
    nodes = np.stack(np.meshgrid(axis, axis), -1).reshape(-1, 2).astype(np.float32)
    values = evaluator(decoder, codes[0])(nodes).reshape(SLICE_NODES, SLICE_NODES)
    plot_slice(values, (-extent, extent, -extent, extent), path)
    return path


def _blend(t: float) -> tuple[float, float, float]:
    red, green, blue = (1 - t) * np.array(BLUE) + t * np.array(ORANGE)
    return float(red), float(green), float(blue)
