"""Depth maps and masks in files.

A depth is measured along the axis of the camera (z), as depth cameras give it; 0 and NaN stand for
no measurement. PNG files of 16 bits hold whole numbers, usually of millimetres; NPY and EXR files
hold any numbers, usually of metres. Rows go from the top down.

Letters: H x W pixels.
"""

import io
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float

from shapespace.data.formats.readers import read_bytes
from shapespace.errors import InputError, one_line
from shapespace.rendering.meshes import pillow_modules
from shapespace.utils.files import replacing

DEPTH_SUFFIXES = (".png", ".npy", ".exr")
MOST_WHOLE = 65535
"""Largest number of a PNG of 16 bits."""


def read_depth(path: str | Path) -> Float[np.ndarray, "H W"]:
    """The depth map of a file, in the file's unit; 0 where nothing was measured.

    Raises:
        InputError: the file cannot be read, or is no depth map.
    """
    path = Path(path)
    suffix = path.suffix.lower()
    if suffix not in DEPTH_SUFFIXES:
        raise InputError(
            f"{one_line(path)}: unknown suffix of a depth map; one of {' '.join(DEPTH_SUFFIXES)}"
        )
    depth = {".png": _read_png, ".npy": _read_npy, ".exr": _read_exr}[suffix](path)
    if depth.ndim == 3 and depth.shape[2] == 1:
        depth = depth[..., 0]
    if depth.ndim != 2 or not depth.size or depth.dtype.kind not in "fiu":
        raise InputError(
            f"{one_line(path)}: is an array of shape {depth.shape} and type {depth.dtype}; one "
            "number a pixel is needed"
        )
    if suffix == ".png" and depth.dtype.itemsize < 2:
        raise InputError(
            f"{one_line(path)}: has 8 bits a pixel, a picture of depth rather than depth; give a "
            "PNG of 16 bits or an NPY"
        )
    depth = depth.astype(np.float64)
    return np.where(np.isfinite(depth) & (depth > 0), depth, 0.0)


def read_mask(path: str | Path) -> Bool[np.ndarray, "H W"]:
    """The mask of a file, True on the shape: a picture that is not black there, or an NPY.

    Raises:
        InputError: the file cannot be read, or no pixel of it belongs to the shape.
    """
    path = Path(path)
    mask = _read_npy(path) if path.suffix.lower() == ".npy" else _read_png(path)
    if mask.ndim == 3:
        # Of grey and alpha, or of colours and alpha, alpha is the mask.
        mask = mask[..., -1] if mask.shape[2] in (2, 4) else mask.max(-1)
    if mask.ndim != 2 or mask.dtype.kind not in "biuf":
        raise InputError(f"{one_line(path)}: is an array of shape {mask.shape}; a mask is needed")
    inside = mask > (0.5 * mask.max() if mask.dtype.kind != "b" and mask.size else 0)
    if not inside.any():
        raise InputError(
            f"{one_line(path)}: the mask is empty, no pixel belongs to the shape; leave the view "
            "out, or mark the shape in white"
        )
    return inside


def write_depth(
    path: str | Path, depth: Float[np.ndarray, "H W"], per_unit: float = 1000.0
) -> Path:
    """Write a depth map, whole or not at all.

    Args:
        path: the file; a PNG of 16 bits or an NPY by its suffix.
        depth: along the axis of the camera; 0 where nothing was measured.
        per_unit: steps of a PNG in one unit of ``depth``, 1000 for metres as millimetres. An NPY
            holds the numbers as they are.

    Raises:
        InputError: a depth is too large for 16 bits.
    """
    path = Path(path)
    with replacing(path) as part:
        if path.suffix.lower() == ".npy":
            with part.open("wb") as file:
                np.save(file, depth.astype(np.float32))
            return path
        whole = np.rint(depth * per_unit)
        if whole.max(initial=0) > MOST_WHOLE:
            raise InputError(
                f"{one_line(path)}: a depth of {depth.max():.4g} does not fit into 16 bits; write "
                "NPY files"
            )
        image = pillow_modules().Image.fromarray(whole.astype(np.uint16))
        image.save(part, format="PNG")
    return path


def _read_png(path: Path) -> np.ndarray:
    content = read_bytes(path)
    try:
        with pillow_modules().Image.open(io.BytesIO(content)) as image:
            # A palette says nothing about a mask; its colours do.
            return np.asarray(image.convert("RGB") if image.mode == "P" else image)
    except InputError:
        raise
    except Exception as error:
        raise InputError(f"{one_line(path)}: is no picture ({one_line(error)})") from error


def _read_npy(path: Path) -> np.ndarray:
    try:
        return np.load(io.BytesIO(read_bytes(path)), allow_pickle=False)
    except InputError:
        raise
    except Exception as error:
        raise InputError(f"{one_line(path)}: is no NPY file ({one_line(error)})") from error


def _read_exr(path: Path) -> np.ndarray:
    """The first channel of depth in an EXR: Z, or the only or first one."""
    read_bytes(path)
    try:
        import OpenEXR  # pyright: ignore[reportMissingImports]
    except ImportError:
        raise InputError(
            f"{one_line(path)}: OpenEXR, which reads EXR files, is missing: pip install OpenEXR, "
            "or give PNG files of 16 bits or NPY files"
        ) from None
    try:
        with OpenEXR.File(str(path), separate_channels=True) as file:
            channels = file.channels()
            name = next((n for n in ("Z", "V", "Y", "R") if n in channels), min(channels))
            return np.array(channels[name].pixels)
    except Exception as error:
        raise InputError(f"{one_line(path)}: is no EXR file ({one_line(error)})") from error
