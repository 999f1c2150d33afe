"""OFF files.

The reader takes the bytes of a file. A ``ValueError`` states the reason; ``readers.py`` adds the
name of the file.
"""

import numpy as np

from shapespace.data.formats.polygons import Arrays, three_words, triangulate


def read_off(content: bytes) -> Arrays:
    """Read vertices and faces; colours and normals that follow the coordinates are dropped."""
    text = content.decode("utf-8", "replace")
    split_lines = (line.split("#")[0].split() for line in text.splitlines())
    lines = [words for words in split_lines if words]
    if not lines or not lines[0][0].endswith("OFF"):
        raise ValueError("not an OFF file: the first word must be OFF")
    # The counts stand on the first line after the word OFF, or on the next line.
    lines = [lines[0][1:], *lines[1:]] if len(lines[0]) > 1 else lines[1:]
    num_vertices, num_faces = (int(word) for word in lines[0][:2])
    # Checked before the rows are taken: each vertex and each face fills a line.
    if num_vertices < 0 or num_faces < 0 or len(lines) - 1 < num_vertices + num_faces:
        raise ValueError(
            f"the header says {num_vertices} vertices and {num_faces} faces, "
            f"the file has {len(lines) - 1} rows"
        )
    vertices = [three_words(words, " ".join(words)) for words in lines[1 : 1 + num_vertices]]
    rows = lines[1 + num_vertices : 1 + num_vertices + num_faces]
    polygons = [[int(word) for word in words[1 : 1 + int(words[0])]] for words in rows]
    if any(len(polygon) != int(words[0]) for polygon, words in zip(polygons, rows, strict=True)):
        raise ValueError("a face has fewer indices than it says")
    return np.array(vertices, np.float64), triangulate(polygons) if polygons else None, None
