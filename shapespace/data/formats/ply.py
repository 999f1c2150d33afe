"""PLY files, ASCII and binary, as the header declares them.

The header of a hostile file may declare any number of rows and any length of a list. Every count is
compared with the bytes that are left in the file before memory is taken for it.

Letters: V vertices, F faces, D dimension (2 or 3).
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float64, Int64, Shaped

from shapespace.data.formats.clouds.columns import named_cloud
from shapespace.data.formats.contents import Contents
from shapespace.data.formats.polygons import FEW, few_corners, strips, triangulate
from shapespace.data.formats.words import listed, plain_numbers, role

TYPES = {
    "char": "i1", "uchar": "u1", "short": "i2", "ushort": "u2", "int": "i4", "uint": "u4",
    "int8": "i1", "uint8": "u1", "int16": "i2", "uint16": "u2", "int32": "i4", "uint32": "u4",
    "float": "f4", "double": "f8", "float32": "f4", "float64": "f8",
}  # fmt: skip
"""NumPy types of the types of PLY, under their old and new names."""
ORDERS = {"ascii": "<", "binary_little_endian": "<", "binary_big_endian": ">"}
"""Byte order of each encoding."""
MAX_HEADER = 1 << 16
"""Bytes in which the end of the header is looked for."""
CORNERS = ("vertex_indices", "vertex_index", "vertex_indexes")
"""Names that writers give to the corners of faces and strips."""
NAMES = {"<f8": "double", "<f4": "float", "u1": "uchar"}
"""PLY types of the NumPy types that are written."""


@dataclass(frozen=True)
class Property:
    """A column of an element: one number a row, or a list of numbers a row.

    Args:
        name: name of the column.
        item: type of a number.
        length: type of the count that precedes each list; None for a column without lists.
    """

    name: str
    item: np.dtype
    length: np.dtype | None


@dataclass(frozen=True)
class Element:
    """A table of the file.

    Args:
        name: name of the table, as "vertex" or "face".
        count: number of rows, as the header declares it.
        properties: the columns, in the order of the file.
    """

    name: str
    count: int
    properties: list[Property]

    def row(self, lengths: list[int]) -> np.dtype:
        """Return the type of a row whose i-th list has ``lengths[i]`` items.

        Column i of the element has the field "i", and field "ni" is the count of its list.
        """
        columns: list[Any] = []
        left = iter(lengths)
        for i, column in enumerate(self.properties):
            if column.length is None:
                columns.append((f"{i}", column.item))
            else:
                columns += [(f"n{i}", column.length), (f"{i}", column.item, (next(left),))]
        return np.dtype(columns)

    @property
    def lists(self) -> list[int]:
        """Indices of the columns that hold lists."""
        return [i for i, column in enumerate(self.properties) if column.length is not None]


def read_ply(content: bytes) -> Contents:
    """Read vertices, faces and normals; name all other columns and elements.

    Polygons are cut into fans, and strips of triangles (``tristrips``) into triangles.
    """
    encoding, elements, at = _header(content)
    size = 1
    if encoding == "ascii":
        # As float64, which holds all 32-bit integers exactly, the numbers of an ASCII body are a
        # binary body in which every type is a double: one decoder serves all encodings.
        content = np.array(plain_numbers(content[at:]).split(), np.float64).tobytes()
        at = 0
        size = 8
    found: dict[str, dict[str, Any]] = {}
    for element in elements:
        found[element.name], at = _decode(content, at, element)
    cloud = _cloud(found.get("vertex", {}))
    unused = [*cloud.unused]
    triangles = []
    num_lines = 0
    for element in elements:
        columns = found[element.name]
        cut = {"face": triangulate, "tristrips": strips}.get(element.name)
        names = [name for name in columns if not (cut and name in CORNERS)]
        if cut and columns:
            corners = _corners(element.name, columns)
            num_lines += few_corners(corners) if cut is triangulate else 0
            triangles.append(cut(corners))
        if columns and element.name != "vertex" and names:
            words = listed(names)
            unused.append(f"{element.name} {words}" if cut else f"element {element.name}")
    if num_lines:
        unused.append(f"{num_lines} {FEW}")
    left = (len(content) - at) // size
    if left and content[at:].strip():
        what = "numbers" if encoding == "ascii" else "bytes"
        unused.append(f"{left} {what} after the last element")
    faces = np.concatenate(triangles) if triangles else None
    return replace(cloud, faces=faces, unused=tuple(unused))


def write_ply(
    path: Path,
    vertices: Float64[np.ndarray, "V 3"],
    faces: Int64[np.ndarray, "F 3"],
    more: Mapping[str, Shaped[np.ndarray, " V"]] | None = None,
) -> None:
    """Write a triangle mesh as little-endian PLY.

    Args:
        path: the file, which is replaced if it exists.
        vertices: written in double precision.
        faces: zero-based vertex indices.
        more: further columns of the vertices, by name. uint8 is written as bytes, every other type
            in single precision.
    """
    columns: dict[str, np.ndarray] = dict(zip("xyz", vertices.T, strict=True)) | dict(more or {})
    # Single precision is too coarse for vertices far from the origin: 0.5 m at a map coordinate of
    # 4,200 km.
    kinds = {"x": "<f8", "y": "<f8", "z": "<f8"}
    for name, column in (more or {}).items():
        kinds[name] = "u1" if column.dtype == np.uint8 else "<f4"
    table = np.empty(len(vertices), list(kinds.items()))
    for name, column in columns.items():
        table[name] = column
    properties = "".join(f"property {NAMES[kind]} {name}\n" for name, kind in kinds.items())
    header = (
        f"ply\nformat binary_little_endian 1.0\nelement vertex {len(vertices)}\n{properties}"
        f"element face {len(faces)}\nproperty list uchar int vertex_indices\nend_header\n"
    )
    rows = np.empty(len(faces), [("count", "u1"), ("corners", "<i4", 3)])
    rows["count"] = 3
    rows["corners"] = faces
    path.write_bytes(header.encode() + table.tobytes() + rows.tobytes())


def _cloud(vertex: dict[str, Any]) -> Contents:
    """Points and normals of the columns of the vertices."""
    numbers = [(name, column) for name, column in vertex.items() if _is_flat(column)]
    lists = [name for name, column in vertex.items() if not _is_flat(column)]
    for name in lists:
        if role(name) is not None:
            raise ValueError(f"the vertices have a list called {name}; one number is needed")
    if not numbers:
        raise ValueError("no vertices with x and y")
    contents = named_cloud(numbers)
    return replace(contents, unused=(*contents.unused, *((listed(lists),) if lists else ())))


def _is_flat(column: Any) -> bool:
    """True for a column of numbers, False for one of lists."""
    return isinstance(column, np.ndarray) and column.ndim == 1


def _corners(element: str, columns: dict[str, Any]) -> Any:
    """The lists of corners of faces or strips; ValueError if there are none."""
    for name in CORNERS:
        if name in columns and not _is_flat(columns[name]):
            rows = columns[name]
            if not all((np.asarray(row) == np.floor(row)).all() for row in _tables(rows)):
                raise ValueError(f"element {element} has corners that are no whole numbers")
            return rows
    raise ValueError(f"element {element} without vertex_indices, only {listed(list(columns))}")


def _tables(rows: Any) -> Any:
    """Arrays that hold all numbers of lists: the table of lists of one length, or each list."""
    return [rows] if isinstance(rows, np.ndarray) else rows


def _check_twice(elements: list[Element]) -> None:
    """Raise ValueError if two tables, or two columns that are used, have one name."""
    names = [element.name for element in elements]
    for element in elements:
        if names.count(element.name) > 1:
            raise ValueError(f"two elements are called {element.name}; one is needed")
        columns = [each.name for each in element.properties]
        for name in columns:
            if columns.count(name) > 1 and (role(name) or name in CORNERS):
                raise ValueError(f"two properties of {element.name} are called {name}")


def _header(content: bytes) -> tuple[str, list[Element], int]:
    """Parse the header; returns the encoding, the elements and the offset of the body."""
    end = content.find(b"end_header", 0, MAX_HEADER)
    if content[:3] != b"ply" or end < 0:
        raise ValueError("not a PLY file: no header from 'ply' to 'end_header'")
    # latin-1 maps every byte to a character, so comments in any encoding pass.
    lines = [line.split() for line in content[:end].decode("latin-1").splitlines()]
    encoding = next((words[1] for words in lines if words[:1] == ["format"]), "unknown")
    if encoding not in ORDERS:
        raise ValueError(f"unknown PLY format {encoding!r}; one of {' '.join(ORDERS)}")
    elements: list[Element] = []
    for words in lines:
        if words[:1] == ["element"]:
            elements.append(Element(words[1], int(words[2]), []))
        elif words[:1] == ["property"]:
            elements[-1].properties.append(_property(words, encoding))
    _check_twice(elements)
    # The body begins right after one line end, which is one byte or two; a binary body may begin
    # with any byte, so no further blanks are skipped.
    after = end + len(b"end_header")
    return encoding, elements, after + (2 if content[after : after + 2] == b"\r\n" else 1)


def _property(words: list[str], encoding: str) -> Property:
    """Parse "property TYPE NAME" or "property list LENGTH_TYPE ITEM_TYPE NAME"."""
    kinds = [word for word in words[1:-1] if word != "list"]
    if not kinds or not set(kinds) <= TYPES.keys():
        raise ValueError(f"unknown PLY type in {' '.join(words)!r}")
    as_text = encoding == "ascii"
    types = [np.dtype("<f8" if as_text else ORDERS[encoding] + TYPES[kind]) for kind in kinds]
    return Property(name=words[-1], item=types[-1], length=types[0] if words[1] == "list" else None)


def _decode(content: bytes, at: int, element: Element) -> tuple[dict[str, Any], int]:
    """Read an element that begins at the byte ``at``.

    Returns its columns by name, arrays or lists of rows, and the offset of the next element.
    """
    lists = element.lists
    # A row takes at least the bytes of its numbers and of the counts of its lists. A row without
    # columns takes none: there, one byte a row bounds the number of rows all the same.
    least = element.row([0] * len(lists)).itemsize
    if not 0 <= element.count * max(least, 1) <= len(content) - at:
        raise ValueError(f"the header says {element.count} {element.name} rows, the file has fewer")
    if element.count == 0:
        return {}, at
    # In most files all lists have the length of the first row's (all faces are triangles). Then
    # the element is one NumPy table and is taken in one step. Whether this is so shows in the
    # counts of the table itself; if it is not so, the rows are read one by one.
    first, _ = _ragged(content, at, element, count=1)
    layout = element.row([len(first[i][0]) for i in lists])
    stop = at + element.count * layout.itemsize
    if stop <= len(content):
        rows = np.frombuffer(content, layout, count=element.count, offset=at)
        if all((rows[f"n{i}"] == len(first[i][0])).all() for i in lists):
            return {p.name: rows[f"{i}"] for i, p in enumerate(element.properties)}, stop
    columns, stop = _ragged(content, at, element, count=element.count)
    return {
        p.name: np.concatenate(rows) if p.length is None else rows
        for p, rows in zip(element.properties, columns, strict=True)
    }, stop


def _ragged(
    content: bytes, at: int, element: Element, count: int
) -> tuple[list[list[np.ndarray]], int]:
    """Read ``count`` rows one by one; returns the rows of each column and the offset after them."""
    columns: list[list[np.ndarray]] = [[] for _ in element.properties]
    for _ in range(count):
        for column, rows in zip(element.properties, columns, strict=True):
            size = 1
            if column.length is not None:
                size = int(np.frombuffer(content, column.length, count=1, offset=at)[0])
                at += column.length.itemsize
            # The length of a list is as little to be trusted as the counts of the header.
            if not 0 <= size * column.item.itemsize <= len(content) - at:
                raise ValueError(f"the file ends inside the {element.name} rows")
            rows.append(np.frombuffer(content, column.item, count=size, offset=at))
            at += size * column.item.itemsize
    return columns, at
