"""Pictures of latent codes: surfaces side by side in 3-D, level sets in 2-D.

A 3-D code is meshed on a coarse grid and drawn by :mod:`shapespace.rendering.meshes`.
Letters: K codes, L code length.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
import trimesh
from jaxtyping import Float
from torch import Tensor

from shapespace.decoders.base import Decoder
from shapespace.rendering.meshes import BLUE, ORANGE, Figure, render_row, save_image
from shapespace.rendering.plots import plot_slice
from shapespace.surface.mesh import extract_mesh
from shapespace.surface.query import field_values

SLICE_NODES = 129
"""Nodes along each axis of a slice of a 2-D field."""
MESH_NODES = 64
"""Nodes along the longest side of the grid of a preview's mesh.

Facets are not seen at 280 pixels: a cell is about 4 pixels and the shading interpolates normals.
"""


def draw_row(
    meshes: Sequence[trimesh.Trimesh], path: Path, labels: Sequence[str] = (), height: int = 480
) -> Path:
    """Draw all meshes side by side, coloured from blue to orange.

    Args:
        meshes: the shapes from left to right; an empty mesh leaves an empty column.
        path: the PNG file to write.
        labels: texts below the first meshes; the others have none.
        height: height of the picture in pixels, without the labels.

    Returns:
        ``path``.

    Raises:
        InputError: where embreex, matplotlib or Pillow is not installed.
    """
    texts = [*labels, *[""] * (len(meshes) - len(labels))]
    shares = np.linspace(0, 1, len(meshes))
    figures = [
        Figure(mesh, _blend(share), text)
        for mesh, share, text in zip(meshes, shares, texts, strict=True)
    ]
    save_image(render_row(figures, height), path)
    return path


def draw_codes(
    decoder: Decoder,
    codes: Float[Tensor, "K L"],
    names: Sequence[str],
    extent: float,
    height: int,
    path: Path,
) -> Path:
    """Draw the shapes of K codes in the store's frame; in 2-D the level sets of the first code.

    Args:
        decoder: the field of a 3-D or 2-D space; positive outside.
        codes: the latent codes of the shapes.
        names: labels of the shapes, one a code.
        extent: half side of the box that is drawn, in the field's unit.
        height: height of a picture of 3-D shapes in pixels, without the labels.
        path: the PNG file to write.

    Returns:
        ``path``.

    Raises:
        InputError: where embreex, matplotlib or Pillow is not installed, or where a 2-D field is
            not finite.
    """
    if decoder.dimension == 3:
        # A preview shows spurious components too: they are what a look at a training is for.
        meshes = [
            extract_mesh(decoder, code, MESH_NODES, extent=extent, largest_only=False)
            for code in codes
        ]
        return draw_row(meshes, path, labels=names, height=height)
    axis = torch.linspace(-extent, extent, SLICE_NODES)
    nodes = torch.cartesian_prod(axis, axis).flip(-1).to(codes)
    values = field_values(decoder, codes[0], nodes).reshape(SLICE_NODES, SLICE_NODES).cpu().numpy()
    plot_slice(values, (-extent, extent, -extent, extent), path)
    return path


def _blend(share: float) -> tuple[float, float, float]:
    """The sRGB colour that lies ``share`` of the way from blue to orange."""
    red, green, blue = (1 - share) * np.array(BLUE) + share * np.array(ORANGE)
    return float(red), float(green), float(blue)
