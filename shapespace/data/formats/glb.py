"""GLB files (binary glTF), read through trimesh.

The reader takes the bytes of a file. A ``ValueError`` states the reason; ``readers.py`` adds the
name of the file.

Letters: V vertices, F faces.
"""

import io
import json
from typing import Any

import numpy as np

from shapespace.data.formats.polygons import Arrays


def read_glb(content: bytes) -> Arrays:
    """Read all meshes of the scene as one mesh, each moved by the transform of its node."""
    import trimesh

    _check_glb(content)
    # process=True would merge and reorder vertices.
    scene = trimesh.load_scene(io.BytesIO(content), file_type="glb", process=False)
    vertices: list[np.ndarray] = []
    faces: list[np.ndarray] = []
    for node in scene.graph.nodes_geometry:
        transform, name = scene.graph[node]
        # trimesh turns the faces over where a transform mirrors, so that normals stay outward.
        part = scene.geometry[name].copy().apply_transform(transform)
        if isinstance(part, trimesh.Trimesh):
            faces.append(np.asarray(part.faces, np.int64) + sum(map(len, vertices)))
        vertices.append(np.asarray(part.vertices, np.float64))
    if not vertices:
        raise ValueError("no mesh in the scene")
    return np.concatenate(vertices), np.concatenate(faces) if faces else None, None


def _check_glb(content: bytes) -> None:
    """Refuse a file whose header promises more than its bytes can hold.

    trimesh takes memory for the count of an accessor as declared. An item of an accessor is at
    least one byte, so a count beyond the size of the file is false.
    """
    # 12 bytes of file header, then length and kind of the first chunk, which is the JSON.
    if content[:4] != b"glTF" or content[16:20] != b"JSON":
        raise ValueError("not a binary glTF file")
    size = int.from_bytes(content[12:16], "little")
    tree: dict[str, Any] = json.loads(content[20 : 20 + size])
    claimed = max((int(item["count"]) for item in tree.get("accessors", [])), default=0)
    if claimed > len(content):
        raise ValueError(f"an accessor says {claimed} items, the file has {len(content)} bytes")
