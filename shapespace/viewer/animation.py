"""A walk between shapes as one GLB file that plays in any viewer of glTF.

The shapes differ in their faces, so that no morph leads from one to the next. Each is a node of its
own. An animation shows one node at a time: the scale of a node is 1 in its own time and else 0.
"""

import base64
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import trimesh
from trimesh.exchange.gltf import export_glb

from shapespace.errors import InputError
from shapespace.utils.files import replacing

RATE = 8.0
"""Shapes a second."""
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
    content = times.tobytes() + scales.tobytes()
    buffer, view, first = (len(tree[key]) for key in ("buffers", "bufferViews", "accessors"))
    uri = "data:application/octet-stream;base64," + base64.b64encode(content).decode()
    tree["buffers"].append({"byteLength": len(content), "uri": uri})
    lengths = [times.nbytes, *[each.nbytes for each in scales]]
    starts = np.cumsum([0, *lengths]).tolist()
    tree["bufferViews"] += [
        {"buffer": buffer, "byteOffset": start, "byteLength": length}
        for start, length in zip(starts, lengths, strict=False)
    ]
    count = {"componentType": FLOAT, "count": num_steps + 1}
    ends = {"min": [0.0], "max": [float(times[-1])]}
    tree["accessors"] += [{"bufferView": view, "type": "SCALAR", **count, **ends}]
    tree["accessors"] += [
        {"bufferView": view + 1 + row, "type": "VEC3", **count} for row in range(len(steps))
    ]
    samplers = [
        {"input": first, "output": first + 1 + row, "interpolation": "STEP"}
        for row in range(len(steps))
    ]
    channels = [
        {"sampler": row, "target": {"node": nodes[f"step{step:03d}"], "path": "scale"}}
        for row, step in enumerate(steps)
    ]
    tree["animations"] = [{"name": "walk", "samplers": samplers, "channels": channels}]
