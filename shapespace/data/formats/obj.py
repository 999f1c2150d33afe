"""Wavefront OBJ files.

The reader takes the bytes of a file. A ``ValueError`` states the reason; ``readers.py`` adds the
name of the file.
"""

import re
from collections import Counter

import numpy as np

from shapespace.data.formats.contents import Contents
from shapespace.data.formats.polygons import FEW, few_corners, three_words, triangulate
from shapespace.data.formats.words import listed, plain_numbers

SILENT = ("v", "f", "o", "g", "s", "usemtl", "mtllib", "vt")
"""Keywords that are read, or that say nothing about the shape."""
WORD = re.compile(r"[a-zA-Z_]{1,20}")
_CORNER = re.compile(r"([-+]?[0-9]+)(?:/(?:[-+]?[0-9]+)?){0,2}")
MORE = {1: "w", 3: "r g b", 4: "r g b a"}
"""Names of the numbers that may follow the coordinates of a vertex, by their count."""


def read_obj(content: bytes) -> Contents:
    """Read vertices ``v`` and faces ``f`` and, for a cloud, normals ``vn``, one for each vertex.

    Indices of faces count from 1, or, if negative, backwards from the last vertex so far.
    """
    vertices: list[list[str]] = []
    normals: list[list[str]] = []
    polygons: list[list[int]] = []
    more: Counter[str] = Counter()
    # A line that ends in a backslash goes on in the next.
    for line in plain_numbers(content).decode("utf-8", "replace").replace("\\\n", " ").splitlines():
        key, *words = line.split() or [""]
        if key == "v":
            vertices.append(three_words(words, line))
            if len(words) > 3:
                more[MORE.get(len(words) - 3, f"{len(words) - 3} more numbers of v")] += 1
        elif key == "vn":
            normals.append(three_words(words, line))
        elif key == "f":
            polygons.append([_obj_index(word, len(vertices)) for word in words])
        elif key not in SILENT and WORD.fullmatch(key):
            more[key] += 1
    if not vertices:
        raise ValueError("no vertices; is it an OBJ file?")
    # In a mesh, a normal belongs to the corner of a face that names it, not to a vertex.
    known = not polygons and len(normals) == len(vertices)
    if normals and not known:
        more["vn"] += 1
    unused = [listed(list(more))] if more else []
    if few_corners(polygons):
        unused.append(f"{few_corners(polygons)} {FEW}")
    return Contents(
        np.array(vertices, np.float64),
        triangulate(polygons) if polygons else None,
        np.array(normals, np.float64) if known else None,
        normals_from="vn",
        unused=tuple(unused),
    )


def _obj_index(word: str, num_vertices: int) -> int:
    """Zero-based vertex of the corner ``word``: vertex, vertex/texture or vertex/texture/normal."""
    found = _CORNER.fullmatch(word)
    if found is None:
        raise ValueError(f"corner {word!r} of a face; 1, 1/2, 1//3 and 1/2/3 are the forms")
    index = int(found[1])
    if index == 0 or index < -num_vertices:
        raise ValueError(f"face index {index}: OBJ indices start at 1, or at -1 from the end")
    return index - 1 if index > 0 else num_vertices + index
