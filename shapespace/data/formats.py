"""Mesh and point files other than PLY: from their bytes to arrays.

Each reader takes the bytes of a file and returns vertices, faces or None, normals or None;
a ``ValueError`` gives the reason without the file's name, which :mod:`.readers` adds.
"""

import io
import json
import re
import warnings
from typing import Any

import numpy as np

from shapespace.data.ply import Arrays, triangulate

COLUMNS = {2: (2, 2), 3: (3, 3), 4: (2, 4), 6: (3, 6)}
"""Columns of a cloud: end of the points, end of the normals."""


def read_obj(content: bytes) -> Arrays:
    """OBJ: ``v``, ``f`` (1-based or relative indices) and, for a cloud, one ``vn`` a vertex."""
    vertices: list[list[str]] = []
    normals: list[list[str]] = []
    polygons: list[list[int]] = []
    for line in content.decode("utf-8", "replace").replace("\\\n", " ").splitlines():
        key, *words = line.split() or [""]
        if key == "v":
            vertices.append(_three(words, line))
        elif key == "vn":
            normals.append(_three(words, line))
        elif key == "f":
            polygons.append([_obj_index(word, len(vertices)) for word in words])
    if not vertices:
        raise ValueError("no vertices; is it an OBJ file?")
    known = not polygons and len(normals) == len(vertices)
    return (
        np.array(vertices, np.float64),
        triangulate(polygons) if polygons else None,
        np.array(normals, np.float64) if known else None,
    )


def read_off(content: bytes) -> Arrays:
    """OFF, with or without colours and normals after the coordinates, which are not kept."""
    text = content.decode("utf-8", "replace")
    lines = [words for line in text.splitlines() if (words := line.split("#")[0].split())]
    if not lines or not lines[0][0].endswith("OFF"):
        raise ValueError("not an OFF file: the first word must be OFF")
    lines = [lines[0][1:], *lines[1:]] if len(lines[0]) > 1 else lines[1:]
    num_vertices, num_faces = (int(word) for word in lines[0][:2])
    if num_vertices < 0 or num_faces < 0 or len(lines) - 1 < num_vertices + num_faces:
        raise ValueError(
            f"the header says {num_vertices} vertices and {num_faces} faces, "
            f"the file has {len(lines) - 1} rows"
        )
    vertices = [_three(words, " ".join(words)) for words in lines[1 : 1 + num_vertices]]
    rows = lines[1 + num_vertices : 1 + num_vertices + num_faces]
    polygons = [[int(word) for word in words[1 : 1 + int(words[0])]] for words in rows]
    if any(len(polygon) != int(words[0]) for polygon, words in zip(polygons, rows, strict=True)):
        raise ValueError("a face has fewer indices than it says")
    return np.array(vertices, np.float64), triangulate(polygons) if polygons else None, None


def read_stl(content: bytes) -> Arrays:
    """STL, binary or ASCII: a soup of triangles that share no vertex."""
    num_faces = int.from_bytes(content[80:84], "little")
    size = 84 + 50 * num_faces
    if content[:5] == b"solid" and b"facet" in content and len(content) != size:
        found = re.findall(rb"vertex\s+(\S+)\s+(\S+)\s+(\S+)", content)
        if len(found) != 3 * content.count(b"endfacet"):
            raise ValueError("a facet has not three vertices; is the file truncated?")
        vertices = np.array(found, dtype="S").astype(np.float64).reshape(-1, 3)
    elif len(content) < size:
        raise ValueError(f"the header says {num_faces} triangles, {size} bytes; it is shorter")
    else:
        row = np.dtype([("normal", "<f4", 3), ("corners", "<f4", (3, 3)), ("attribute", "<u2")])
        corners = np.frombuffer(content, row, num_faces, 84)["corners"]
        vertices = corners.reshape(-1, 3).astype(np.float64)
    return vertices, np.arange(len(vertices), dtype=np.int64).reshape(-1, 3), None


def read_glb(content: bytes) -> Arrays:
    """Binary glTF: every mesh of the scene, moved by its node, in one list."""
    import trimesh

    _check_glb(content)
    scene = trimesh.load_scene(io.BytesIO(content), file_type="glb", process=False)
    vertices: list[np.ndarray] = []
    faces: list[np.ndarray] = []
    for node in scene.graph.nodes_geometry:
        transform, name = scene.graph[node]
        part = scene.geometry[name].copy().apply_transform(transform)
        if isinstance(part, trimesh.Trimesh):
            faces.append(np.asarray(part.faces, np.int64) + sum(map(len, vertices)))
        vertices.append(np.asarray(part.vertices, np.float64))
    if not vertices:
        raise ValueError("no mesh in the scene")
    return np.concatenate(vertices), np.concatenate(faces) if faces else None, None


def read_npz(content: bytes) -> Arrays:
    """NPZ with ``points`` or ``vertices`` and, optionally, ``faces`` and ``normals``."""
    with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
        key = next((key for key in ("points", "vertices") if key in arrays), None)
        if key is None:
            raise ValueError(f"no array 'points' or 'vertices', only {sorted(arrays)}")
        faces = _numbers(arrays["faces"], "iu") if "faces" in arrays else None
        normals = _numbers(arrays["normals"]) if "normals" in arrays else None
        return _numbers(arrays[key]), faces, normals


def read_npy(content: bytes) -> Arrays:
    """NPY: one row a point, its columns as in :func:`cloud`."""
    return cloud(_numbers(np.load(io.BytesIO(content), allow_pickle=False)))


def read_text(content: bytes) -> Arrays:
    """Whitespace-separated columns, ``#`` starts a comment, as in :func:`cloud`."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)
            rows = np.loadtxt(io.BytesIO(content), np.float64, ndmin=2)
    except ValueError as error:
        reason = str(error).split(";")[0].rstrip(".")
        raise ValueError(
            f"{reason}: rows of as many numbers, decimal points, blanks between"
        ) from error
    return cloud(rows)


def cloud(rows: np.ndarray) -> Arrays:
    """Points of 2 or 3 columns, or 2-D points and normals of 4, or 3-D ones of 6."""
    if rows.ndim != 2 or rows.shape[1] not in COLUMNS:
        raise ValueError(f"an array of shape {rows.shape}; a cloud has 2, 3, 4 or 6 columns")
    points, end = COLUMNS[rows.shape[1]]
    return rows[:, :points], None, rows[:, points:end] if end > points else None


def _numbers(array: np.ndarray, kinds: str = "fiu") -> np.ndarray:
    if array.dtype.kind not in kinds:
        raise ValueError(f"an array of type {array.dtype}; numbers are needed")
    return array.astype(np.float64 if kinds == "fiu" else np.int64)


def _three(words: list[str], line: str) -> list[str]:
    if len(words) < 3:
        raise ValueError(f"three numbers are needed in {line!r}")
    return words[:3]


def _obj_index(word: str, num_vertices: int) -> int:
    index = int(word.split("/")[0])
    if index == 0 or index < -num_vertices:
        raise ValueError(f"face index {index}: OBJ indices start at 1, or at -1 from the end")
    return index - 1 if index > 0 else num_vertices + index


def _check_glb(content: bytes) -> None:
    if content[:4] != b"glTF" or content[16:20] != b"JSON":
        raise ValueError("not a binary glTF file")
    size = int.from_bytes(content[12:16], "little")
    tree: dict[str, Any] = json.loads(content[20 : 20 + size])
    claimed = max((int(item["count"]) for item in tree.get("accessors", [])), default=0)
    if claimed > len(content):
        raise ValueError(f"an accessor says {claimed} items, the file has {len(content)} bytes")
