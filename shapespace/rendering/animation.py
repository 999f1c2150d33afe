"""A walk between shapes as one GLB file that plays in any viewer of glTF, and in Blender.

Shapes that share their faces are one mesh with morph targets: an animation of their weights leads
smoothly from shape to shape. Shapes that differ in their faces have no morph. Each is a node of its
own then, and an animation shows one node at a time: the scale of a node is 1 in its own time and
else 0.

Letters: T shapes, V vertices, F faces.
"""

import base64
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import trimesh
from jaxtyping import Float, Int, UInt8
from trimesh.exchange.gltf import export_glb
from trimesh.visual import ColorVisuals

from shapespace.errors import InputError
from shapespace.utils.files import replacing

RATE = 8.0
"""Shapes a second."""
WALK = "walk"
"""Name of the node of a morph."""
FLOAT = 5126
"""Number of single precision in glTF."""


def write_walk(meshes: Sequence[trimesh.Trimesh], path: Path) -> Path:
    """Write meshes as an animated GLB; empty ones leave a gap.

    Args:
        meshes: the shapes in their order, in one frame.
        path: the file.

    Raises:
        InputError: no mesh has a face, or the file cannot be written.
    """
    scene = trimesh.Scene()
    steps = [step for step, mesh in enumerate(meshes) if len(mesh.faces)]
    if not steps:
        raise InputError(f"{path}: no shape of the walk has a surface; choose other shapes")
    for step in steps:
        name = f"step{step:03d}"
        scene.add_geometry(meshes[step], node_name=name, geom_name=name)

    def animate(tree: dict[str, Any]) -> None:
        _animate(tree, steps, num_steps=len(meshes))

    with replacing(path) as part:
        part.write_bytes(export_glb(scene, include_normals=True, tree_postprocessor=animate))
    return path


def _animate(tree: dict[str, Any], steps: Sequence[int], num_steps: int) -> None:
    """Add an animation to the tree of a GLB.

    Args:
        tree: of the file, changed in place.
        steps: the steps of the walk that have a node.
        num_steps: of the walk.
    """
    nodes = {node.get("name"): row for row, node in enumerate(tree["nodes"])}
    times = np.arange(num_steps + 1, dtype="<f4") / RATE
    scales = np.zeros((len(steps), num_steps + 1, 3), "<f4")
    for row, step in enumerate(steps):
        scales[row, step] = 1.0
    scales[[row for row, step in enumerate(steps) if step == num_steps - 1], -1] = 1.0
    first = _append(tree, [times, *scales])
    samplers = [
        {"input": first, "output": first + 1 + row, "interpolation": "STEP"}
        for row in range(len(steps))
    ]
    channels = [
        {"sampler": row, "target": {"node": nodes[f"step{step:03d}"], "path": "scale"}}
        for row, step in enumerate(steps)
    ]
    tree["animations"] = [{"name": "walk", "samplers": samplers, "channels": channels}]


def write_morph(
    vertices: Float[np.ndarray, "T V 3"],
    faces: Int[np.ndarray, "F 3"],
    path: Path,
    colours: UInt8[np.ndarray, "V 3"] | None = None,
) -> Path:
    """Write shapes that share their faces as one mesh with morph targets, animated.

    The mesh is the first shape. Each further one is a target, in Blender a shape key. The animation
    goes through them linearly, ``RATE`` a second.

    Args:
        vertices: of the shapes in their order, in one frame.
        faces: of all shapes.
        path: the file.
        colours: red, green and blue of each vertex, the same in all shapes.

    Raises:
        InputError: there is no face, or the file cannot be written.
    """
    if not len(faces):
        raise InputError(f"{path}: the first shape has no surface; begin the walk at another one")
    mesh = trimesh.Trimesh(vertices[0], faces, process=False)
    if colours is not None:
        opaque = np.column_stack([colours, np.full(len(colours), 255, np.uint8)])
        mesh.visual = ColorVisuals(mesh, vertex_colors=opaque)
    normals = [_normals(shape, faces) for shape in vertices]
    scene = trimesh.Scene()
    scene.add_geometry(mesh, node_name=WALK, geom_name=WALK)

    def animate(tree: dict[str, Any]) -> None:
        shifts = [shape - vertices[0] for shape in vertices[1:]]
        turns = [normal - normals[0] for normal in normals[1:]]
        _morph(tree, shifts, turns)

    with replacing(path) as part:
        part.write_bytes(export_glb(scene, include_normals=True, tree_postprocessor=animate))
    return path


def _morph(
    tree: dict[str, Any],
    shifts: Sequence[Float[np.ndarray, "V 3"]],
    turns: Sequence[Float[np.ndarray, "V 3"]],
) -> None:
    """Add morph targets and their animation to the tree of a GLB of one mesh.

    Args:
        tree: of the file, changed in place.
        shifts: what each target adds to the vertices.
        turns: what it adds to the normals.
    """
    count = len(shifts)
    if not count:
        return
    times = np.arange(count + 1, dtype="<f4") / RATE
    # At its own time the weight of a target is 1, at all others 0; between them it is linear.
    weights = np.eye(count + 1, count, -1, dtype="<f4")
    parts = [part.astype("<f4") for pair in zip(shifts, turns, strict=True) for part in pair]
    first = _append(tree, [times, weights.ravel(), *parts])
    targets = [
        {"POSITION": first + 2 + 2 * row, "NORMAL": first + 3 + 2 * row} for row in range(count)
    ]
    (mesh,) = tree["meshes"]
    names = [f"step{row + 1:03d}" for row in range(count)]
    # The weights at rest and the names of the targets; Blender reads the names.
    mesh |= {"weights": [0.0] * count, "extras": {"targetNames": names}}
    mesh["primitives"][0]["targets"] = targets
    (node,) = (row for row, node in enumerate(tree["nodes"]) if "mesh" in node)
    sampler = {"input": first, "output": first + 1, "interpolation": "LINEAR"}
    channel = {"sampler": 0, "target": {"node": node, "path": "weights"}}
    tree["animations"] = [{"name": "walk", "samplers": [sampler], "channels": [channel]}]


def _append(tree: dict[str, Any], arrays: Sequence[np.ndarray]) -> int:
    """Add arrays of single precision to the tree of a GLB; returns the first accessor.

    Rows of three numbers become vectors, all else numbers.
    """
    content = b"".join(array.tobytes() for array in arrays)
    buffer, view, first = (len(tree[key]) for key in ("buffers", "bufferViews", "accessors"))
    uri = "data:application/octet-stream;base64," + base64.b64encode(content).decode()
    tree["buffers"].append({"byteLength": len(content), "uri": uri})
    start = 0
    for row, array in enumerate(arrays):
        place = {"buffer": buffer, "byteOffset": start, "byteLength": array.nbytes}
        tree["bufferViews"].append(place)
        start += array.nbytes
        table = array.reshape(len(array), -1)
        tree["accessors"].append(
            {
                "bufferView": view + row,
                "type": "SCALAR" if table.shape[1] == 1 else "VEC3",
                "componentType": FLOAT,
                "count": len(table),
                "min": table.min(0).tolist(),
                "max": table.max(0).tolist(),
            }
        )
    return first


def _normals(
    vertices: Float[np.ndarray, "V 3"], faces: Int[np.ndarray, "F 3"]
) -> Float[np.ndarray, "V 3"]:
    """The unit normals of the vertices of a mesh."""
    return np.asarray(trimesh.Trimesh(vertices, faces, process=False).vertex_normals)
