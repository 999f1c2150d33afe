"""STL files, binary and ASCII.

The reader takes the bytes of a file. A ``ValueError`` states the reason; ``readers.py`` adds the
name of the file.
"""

import re

import numpy as np

from shapespace.data.formats.contents import Contents
from shapespace.data.formats.words import plain_numbers


def read_stl(content: bytes) -> Contents:
    """Read triangles, binary or ASCII; no two triangles share a vertex.

    Normals of the file say nothing new, since they follow from the corners.
    """
    unused: list[str] = []
    num_faces = int.from_bytes(content[80:84], "little")
    size = 84 + 50 * num_faces
    # A binary header may begin with "solid" too. The file is binary if its size is just what the
    # count in the header asks for.
    text = content.lower() if content[:5].lower() == b"solid" else b""
    if b"facet" in text and len(content) != size:
        found = re.findall(rb"vertex\s+(\S+)\s+(\S+)\s+(\S+)", plain_numbers(text))
        if len(found) != 3 * text.count(b"endfacet"):
            raise ValueError("a facet has not three vertices; is the file truncated?")
        vertices = np.array(found, dtype="S").astype(np.float64).reshape(-1, 3)
    elif len(content) < size:
        raise ValueError(
            f"the header says {num_faces} triangles, so {size} bytes; the file has {len(content)}"
        )
    else:
        row = np.dtype([("normal", "<f4", 3), ("corners", "<f4", (3, 3)), ("attribute", "<u2")])
        rows = np.frombuffer(content, row, count=num_faces, offset=84)
        vertices = rows["corners"].reshape(-1, 3).astype(np.float64)
        if rows["attribute"].any():
            unused.append("attributes (colours)")
        if len(content) > size:
            unused.append(f"{len(content) - size} bytes after the last triangle")
    faces = np.arange(len(vertices), dtype=np.int64).reshape(-1, 3)
    return Contents(vertices, faces, unused=tuple(unused))
