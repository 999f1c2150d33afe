"""GLB files (binary glTF), read through trimesh.

The reader takes the bytes of a file. A ``ValueError`` states the reason; ``readers.py`` adds the
name of the file. What trimesh would read in part or wrongly, without a word, is refused here first.

Letters: V vertices, F faces.
"""

import io
import json
from collections.abc import Iterator
from typing import Any

import numpy as np

from shapespace.data.formats.contents import Contents
from shapespace.data.formats.words import listed
from shapespace.errors import InputError

GEOMETRY = (
    "KHR_draco_mesh_compression",
    "EXT_meshopt_compression",
    "KHR_meshopt_compression",
    "KHR_mesh_quantization",
    "EXT_mesh_gpu_instancing",
)
"""Extensions that change what the shape is, wherever they are used."""
LOOKS = ("KHR_materials_", "KHR_texture_", "EXT_texture_", "KHR_lights_", "KHR_xmp")
"""Beginnings of the names of extensions that change only how the shape looks."""
FLOAT = 5126
"""Number of the component type of single precision."""
KINDS = {0: "points", 1: "lines", 2: "lines", 3: "lines", 6: "fans of triangles"}
"""What the modes of primitives are that are not read beside meshes."""


def read_glb(content: bytes) -> Contents:
    """Read all meshes of the scene as one mesh, each moved by the transform of its node.

    Points are read where there is no mesh.
    """
    import trimesh

    tree = _tree(content)
    _check_extensions(tree)
    # process=True would merge and reorder vertices.
    scene = trimesh.load_scene(io.BytesIO(content), file_type="glb", process=False)
    nodes = [scene.graph[node] for node in scene.graph.nodes_geometry]
    meshes = [name for _, name in nodes if isinstance(scene.geometry[name], trimesh.Trimesh)]
    clouds = [name for _, name in nodes if isinstance(scene.geometry[name], trimesh.PointCloud)]
    wanted = set(meshes or clouds)
    vertices: list[np.ndarray] = []
    faces: list[np.ndarray] = []
    for transform, name in nodes:
        if name not in wanted:
            continue
        # trimesh turns the faces over where a transform mirrors, so that normals stay outward.
        part = scene.geometry[name].copy().apply_transform(transform)
        if isinstance(part, trimesh.Trimesh):
            faces.append(np.asarray(part.faces, np.int64) + sum(map(len, vertices)))
        vertices.append(np.asarray(part.vertices, np.float64))
    if not vertices:
        raise ValueError("no mesh in the scene")
    return Contents(
        np.concatenate(vertices),
        np.concatenate(faces) if faces else None,
        used=_counts(tree, len(wanted)),
        unused=_unused(tree, bool(meshes)),
    )


def _tree(content: bytes) -> dict[str, Any]:
    """The JSON of the file; refuse a header that promises more than its bytes can hold.

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
    return tree


def _primitives(tree: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """All parts of all meshes."""
    for mesh in tree.get("meshes", []):
        yield from mesh["primitives"]


def _check_extensions(tree: dict[str, Any]) -> None:
    """Refuse a file whose shape is told by an extension or a form that is not read."""
    needed = [name for name in tree.get("extensionsRequired", []) if not name.startswith(LOOKS)]
    for part in (*_primitives(tree), *tree.get("bufferViews", []), *tree.get("nodes", [])):
        needed += [name for name in part.get("extensions", {}) if name in GEOMETRY]
    accessors = tree.get("accessors", [])
    for part in _primitives(tree):
        places = [part["attributes"]["POSITION"]]
        places += [part["indices"]] if "indices" in part else []
        if accessors[places[0]]["componentType"] != FLOAT:
            needed.append("KHR_mesh_quantization")
        for accessor in (accessors[place] for place in places):
            if not needed and ("sparse" in accessor or "bufferView" not in accessor):
                needed.append("sparse accessors")
    if needed:
        names = " ".join(dict.fromkeys(needed))
        raise InputError(
            f"uses {names}, which shapespace does not read; export it without, or as PLY"
        )


def _counts(tree: dict[str, Any], num_read: int) -> tuple[str, ...]:
    """Say how many of the meshes were read, unless there is one alone."""
    total = sum(1 for _ in _primitives(tree))
    if total == num_read:
        return (f"{total} meshes",) if total > 1 else ()
    return (f"{num_read} of {total} meshes",)


def _unused(tree: dict[str, Any], has_mesh: bool) -> tuple[str, ...]:
    """Phrases for what is not used: attributes, other kinds of parts, poses."""
    attributes: dict[str, None] = {}
    others: dict[str, None] = {}
    for part in _primitives(tree):
        attributes |= dict.fromkeys(name for name in part["attributes"] if name != "POSITION")
        kind = KINDS.get(part.get("mode", 4))
        if kind and (has_mesh or kind != "points"):
            others[kind] = None
        if part.get("targets"):
            others["morph targets"] = None
    others |= dict.fromkeys(name for name in ("skins", "animations") if tree.get(name))
    return tuple(filter(None, [listed(list(attributes)), *others]))
