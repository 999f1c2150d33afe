"""OFF files.

The reader takes the bytes of a file. A ``ValueError`` states the reason; ``readers.py`` adds the
name of the file.
"""

import re

import numpy as np

from shapespace.data.formats.contents import Contents
from shapespace.data.formats.polygons import FEW, three_words, triangulate
from shapespace.data.formats.words import plain_numbers

# The counts may follow the word at once, as in ModelNet40: OFF642 1280 0.
_WORD = re.compile(r"(ST)?(C)?(N)?(4)?(n)?OFF(?![A-Za-z])\s*(.*)")


def read_off(content: bytes) -> Contents:
    """Read vertices and faces, and normals of an NOFF.

    Numbers that follow the coordinates, as the letters before OFF declare them, are named.
    """
    text = plain_numbers(content).decode("utf-8-sig", "replace")
    split_lines = (line.split("#")[0].split() for line in text.splitlines())
    lines = [words for words in split_lines if words]
    found = _WORD.fullmatch(" ".join(lines[0])) if lines else None
    if found is None:
        raise ValueError("not an OFF file: the first word must be OFF")
    word = " ".join(lines[0]).removesuffix(found[6]).strip()
    if found[4] or found[5] or found[6].upper().startswith("BINARY"):
        raise ValueError(f"{word} {found[6]}: an OFF in text with x y z is read".replace("  ", " "))
    lines = [found[6].split(), *lines[1:]] if found[6] else lines[1:]
    num_vertices, num_faces = _counts(lines)
    # Checked before the rows are taken: each vertex and each face fills a line.
    if num_vertices < 0 or num_faces < 0 or len(lines) - 1 < num_vertices + num_faces:
        raise ValueError(
            f"the header says {num_vertices} vertices and {num_faces} faces, "
            f"the file has {len(lines) - 1} rows"
        )
    rows = lines[1 : 1 + num_vertices]
    vertices = [three_words(words, " ".join(words)) for words in rows]
    normals = [three_words(words[3:], " ".join(words)) for words in rows] if found[3] else None
    faces = lines[1 + num_vertices : 1 + num_vertices + num_faces]
    left = len(lines) - 1 - num_vertices - num_faces
    return Contents(
        np.array(vertices, np.float64).reshape(-1, 3),
        _faces(faces),
        None if normals is None else np.array(normals, np.float64).reshape(-1, 3),
        normals_from=word,
        unused=_unused(rows, faces, first=6 if found[3] else 3, left=left),
    )


def _counts(lines: list[list[str]]) -> tuple[int, int]:
    """The numbers of vertices and faces."""
    words = lines[0][:2] if lines else []
    if len(words) < 2 or not all(re.fullmatch("-?[0-9]{1,18}", word) for word in words):
        raise ValueError("no numbers of vertices and faces after the word OFF")
    return int(words[0]), int(words[1])


def _faces(rows: list[list[str]]) -> np.ndarray | None:
    """Triangles of the rows of faces; None if there are none."""
    polygons = [[int(word) for word in words[1 : 1 + int(words[0])]] for words in rows]
    if any(len(polygon) != int(words[0]) for polygon, words in zip(polygons, rows, strict=True)):
        raise ValueError("a face has fewer indices than it says")
    return triangulate(polygons) if polygons else None


def _unused(
    rows: list[list[str]], faces: list[list[str]], first: int, left: int
) -> tuple[str, ...]:
    """Phrases for what is not used: numbers after the coordinates and the corners, further rows.

    Args:
        rows: words of the vertices.
        faces: words of the faces.
        first: numbers of a vertex that are used.
        left: rows after the last face.
    """
    phrases = []
    more = max((len(words) for words in rows), default=first) - first
    if more > 0:
        phrases.append(f"{more} more numbers of the vertices (colours)")
    if any(len(words) > 1 + int(words[0]) for words in faces):
        phrases.append("colours of the faces")
    num_lines = sum(int(words[0]) < 3 for words in faces)
    if num_lines:
        phrases.append(f"{num_lines} {FEW}")
    if left:
        phrases.append(f"{left} rows after the last face")
    return tuple(phrases)
