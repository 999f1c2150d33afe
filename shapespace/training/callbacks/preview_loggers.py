"""Previews and meshes of a training for its loggers: Weights & Biases, TensorBoard.

A logger is known by the methods it has; one that takes neither pictures nor meshes gets none.
Frame: that of the store. Letters: V vertices, F faces.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import trimesh

from shapespace.errors import InputError, one_line
from shapespace.rendering.meshes import pillow_modules
from shapespace.training.wandb_logger import log_glb_files
from shapespace.utils.files import folder_inside

LOGGED_NODES = 48
"""Nodes along the longest side of a logged mesh: some 5000 triangles, 100 kB as GLB."""
MESHES = "previews/meshes"
"""Folder in the run for the GLB files of the last preview."""


def log_picture(loggers: Sequence[Any], path: Path, step: int) -> list[str]:
    """Send a picture to all loggers that take one.

    Args:
        loggers: of the trainer.
        path: the PNG file.
        step: of the training.

    Returns:
        Why a logger did not take it, a line each; the training goes on.
    """
    return _each(loggers, lambda logger: _picture(logger, path, step))


def log_meshes(
    loggers: Sequence[Any],
    meshes: Sequence[trimesh.Trimesh],
    *,
    names: Sequence[str],
    folder: Path,
    step: int,
) -> list[str]:
    """Send meshes to all loggers that take some, to wandb as GLB files.

    Args:
        loggers: of the trainer.
        meshes: the shapes; empty ones are left out.
        names: of the shapes.
        folder: of the run, which keeps the GLB files of the last preview.
        step: of the training.

    Returns:
        Why a logger did not take them, a line each; the training goes on.
    """
    having = [(name, mesh) for name, mesh in zip(names, meshes, strict=True) if len(mesh.faces)]
    return _each(loggers, lambda logger: _meshes(logger, having, folder, step))


def takes_meshes(loggers: Sequence[Any]) -> bool:
    """Whether any logger takes meshes, which cost some seconds to make."""
    return any(hasattr(logger, "log_image") or _add(logger, "add_mesh") for logger in loggers)


def _each(loggers: Sequence[Any], send: Any) -> list[str]:
    said = []
    for logger in loggers:
        try:
            send(logger)
        # A server that is gone must not end a training.
        except Exception as error:
            said.append(f"{type(logger).__name__}: {one_line(error, 200)}")
    return said


def _picture(logger: Any, path: Path, step: int) -> None:
    if hasattr(logger, "log_image"):
        logger.log_image("previews", [str(path)], step=step)
    elif add := _add(logger, "add_image"):
        pixels = np.asarray(pillow_modules().Image.open(path).convert("RGB"))
        add("previews", pixels, step, dataformats="HWC")


def _meshes(
    logger: Any, meshes: Sequence[tuple[str, trimesh.Trimesh]], folder: Path, step: int
) -> None:
    if hasattr(logger, "log_image"):
        log_glb_files(logger, _glb_files(meshes, folder), step)
    elif add := _add(logger, "add_mesh"):
        for name, mesh in meshes:
            vertices = np.asarray(mesh.vertices, np.float32)[None]
            add(f"meshes/{name}", vertices, faces=np.asarray(mesh.faces)[None], global_step=step)


def _glb_files(meshes: Sequence[tuple[str, trimesh.Trimesh]], folder: Path) -> dict[str, Path]:
    """Write a GLB file for each mesh: name -> file, named by number, as names may hold anything."""
    place = folder
    for part in MESHES.split("/"):
        place = folder_inside(place, part)
    found = {}
    for row, (name, mesh) in enumerate(meshes):
        found[name] = place / f"shape_{row:02d}.glb"
        content = mesh.export(file_type="glb")
        if not isinstance(content, bytes):
            raise InputError(f"{found[name]}: trimesh wrote no GLB")
        found[name].write_bytes(content)
    return found


def _add(logger: Any, method: str) -> Any:
    """A method of a TensorBoard writer; None where a logger has no such writer."""
    return getattr(getattr(logger, "experiment", None), method, None)
