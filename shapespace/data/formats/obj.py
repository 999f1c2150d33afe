"""Wavefront OBJ files.

The reader takes the bytes of a file. A ``ValueError`` states the reason; ``readers.py`` adds the
name of the file.
"""

import numpy as np

from shapespace.data.formats.polygons import Arrays, three_words, triangulate


def read_obj(content: bytes) -> Arrays:
    """Read vertices ``v`` and faces ``f`` and, for a cloud, normals ``vn``, one for each vertex.

    Indices of faces count from 1, or, if negative, backwards from the last vertex so far.
    """
    vertices: list[list[str]] = []
    normals: list[list[str]] = []
    polygons: list[list[int]] = []
    # A line that ends in a backslash goes on in the next.
    for line in content.decode("utf-8", "replace").replace("\\\n", " ").splitlines():
        key, *words = line.split() or [""]
        if key == "v":
            vertices.append(three_words(words, line))
        elif key == "vn":
            normals.append(three_words(words, line))
        elif key == "f":
            polygons.append([_obj_index(word, len(vertices)) for word in words])
    if not vertices:
        raise ValueError("no vertices; is it an OBJ file?")
    # In a mesh, a normal belongs to the corner of a face that names it, not to a vertex.
    known = not polygons and len(normals) == len(vertices)
    return (
        np.array(vertices, np.float64),
        triangulate(polygons) if polygons else None,
        np.array(normals, np.float64) if known else None,
    )


def _obj_index(word: str, num_vertices: int) -> int:
    """Zero-based vertex of the corner ``word``: vertex, vertex/texture or vertex/texture/normal."""
    index = int(word.split("/")[0])
    if index == 0 or index < -num_vertices:
        raise ValueError(f"face index {index}: OBJ indices start at 1, or at -1 from the end")
    return index - 1 if index > 0 else num_vertices + index
