"""PLY files, ASCII and binary, as the header declares them.

Nothing is allocated for a count that the file cannot hold. An ASCII body is turned into rows of
float64, so one decoder serves all three encodings.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float64, Int64, Shaped

from shapespace.data.formats.polygons import Arrays, triangulate

TYPES = {
    "char": "i1", "uchar": "u1", "short": "i2", "ushort": "u2", "int": "i4", "uint": "u4",
    "int8": "i1", "uint8": "u1", "int16": "i2", "uint16": "u2", "int32": "i4", "uint32": "u4",
    "float": "f4", "double": "f8", "float32": "f4", "float64": "f8",
}  # fmt: skip
ORDERS = {"ascii": "<", "binary_little_endian": "<", "binary_big_endian": ">"}
MAX_HEADER = 1 << 16


@dataclass(frozen=True)
class Property:
    """A column of an element: one ``item`` a row, or a list of as many as its ``length`` says."""

    name: str
    item: np.dtype
    length: np.dtype | None


@dataclass(frozen=True)
class Element:
    """``count`` rows of ``properties``."""

    name: str
    count: int
    properties: list[Property]

    def row(self, lengths: list[int]) -> np.dtype:
        """Lay out a row whose i-th list has ``lengths[i]`` items."""
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
        """The positions of the list properties."""
        return [i for i, column in enumerate(self.properties) if column.length is not None]


def read_ply(content: bytes) -> Arrays:
    """Vertices [V,2 or 3], faces (polygons cut into fans) and normals of a PLY file."""
    encoding, elements, at = _header(content)
    if encoding == "ascii":
        content, at = np.array(content[at:].split(), np.float64).tobytes(), 0
    found: dict[str, dict[str, Any]] = {}
    for element in elements:
        found[element.name], at = _decode(content, at, element)
    vertex, face = found.get("vertex", {}), found.get("face", {})
    if "x" not in vertex or "y" not in vertex:
        raise ValueError("no vertices with x and y")
    polygons = face.get("vertex_indices", face.get("vertex_index", []))
    faces = triangulate(polygons) if len(polygons) else None
    return _columns(vertex, "xyz"), faces, _normals(vertex)


PLY_NAMES = {"<f8": "double", "<f4": "float", "u1": "uchar"}


def write_ply(
    path: Path,
    vertices: Float64[np.ndarray, "V 3"],
    faces: Int64[np.ndarray, "F 3"],
    more: Mapping[str, Shaped[np.ndarray, " V"]] | None = None,
) -> None:
    """A triangle mesh as little-endian PLY, its vertices in double precision.

    more: further properties of the vertices by their names, bytes or numbers in single precision.
    """
    kinds = {name: "u1" if part.dtype == np.uint8 else "<f4" for name, part in (more or {}).items()}
    kinds = {"x": "<f8", "y": "<f8", "z": "<f8"} | kinds
    table = np.empty(len(vertices), list(kinds.items()))
    for name, column in {**dict(zip("xyz", vertices.T, strict=True)), **(more or {})}.items():
        table[name] = column
    properties = "".join(f"property {PLY_NAMES[kind]} {name}\n" for name, kind in kinds.items())
    header = (
        f"ply\nformat binary_little_endian 1.0\nelement vertex {len(vertices)}\n{properties}"
        f"element face {len(faces)}\nproperty list uchar int vertex_indices\nend_header\n"
    )
    rows = np.empty(len(faces), [("count", "u1"), ("corners", "<i4", 3)])
    rows["count"], rows["corners"] = 3, faces
    path.write_bytes(header.encode() + table.tobytes() + rows.tobytes())


def _columns(vertex: dict[str, Any], names: str | list[str]) -> Float64[np.ndarray, "V D"]:
    return np.stack([np.asarray(vertex[k], np.float64) for k in names if k in vertex], axis=1)


def _normals(vertex: dict[str, Any]) -> Float64[np.ndarray, "V D"] | None:
    names = ["nx", "ny", "nz"][: 3 if "z" in vertex else 2]
    return _columns(vertex, names) if all(name in vertex for name in names) else None


def _header(content: bytes) -> tuple[str, list[Element], int]:
    end = content.find(b"end_header", 0, MAX_HEADER)
    if content[:3] != b"ply" or end < 0:
        raise ValueError("not a PLY file: no header from 'ply' to 'end_header'")
    lines = [line.split() for line in content[:end].decode("latin-1").splitlines()]
    encoding = next((words[1] for words in lines if words[:1] == ["format"]), "unknown")
    if encoding not in ORDERS:
        raise ValueError(f"unknown PLY format {encoding!r}")
    elements: list[Element] = []
    for words in lines:
        if words[:1] == ["element"]:
            elements.append(Element(words[1], int(words[2]), []))
        elif words[:1] == ["property"]:
            elements[-1].properties.append(_property(words, encoding))
    after = end + len(b"end_header")
    return encoding, elements, after + (2 if content[after : after + 2] == b"\r\n" else 1)


def _property(words: list[str], encoding: str) -> Property:
    kinds = [word for word in words[1:-1] if word != "list"]
    if not kinds or not set(kinds) <= TYPES.keys():
        raise ValueError(f"unknown PLY type in {' '.join(words)!r}")
    as_text = encoding == "ascii"
    types = [np.dtype("<f8" if as_text else ORDERS[encoding] + TYPES[kind]) for kind in kinds]
    return Property(words[-1], types[-1], types[0] if words[1] == "list" else None)


def _decode(content: bytes, at: int, element: Element) -> tuple[dict[str, Any], int]:
    lists = element.lists
    least = element.row([0] * len(lists)).itemsize
    if not 0 <= element.count * max(least, 1) <= len(content) - at:
        raise ValueError(f"the header says {element.count} {element.name} rows, the file has fewer")
    if element.count == 0:
        return {}, at
    first, _ = _ragged(content, at, element, 1)
    layout = element.row([len(first[i][0]) for i in lists])
    stop = at + element.count * layout.itemsize
    if stop <= len(content):
        rows = np.frombuffer(content, layout, element.count, at)
        if all((rows[f"n{i}"] == len(first[i][0])).all() for i in lists):
            return {p.name: rows[f"{i}"] for i, p in enumerate(element.properties)}, stop
    columns, stop = _ragged(content, at, element, element.count)
    return {p.name: columns[i] for i, p in enumerate(element.properties)}, stop


def _ragged(
    content: bytes, at: int, element: Element, count: int
) -> tuple[list[list[np.ndarray]], int]:
    columns: list[list[np.ndarray]] = [[] for _ in element.properties]
    for _ in range(count):
        for column, rows in zip(element.properties, columns, strict=True):
            size = 1
            if column.length is not None:
                size = int(np.frombuffer(content, column.length, 1, at)[0])
                at += column.length.itemsize
            if not 0 <= size * column.item.itemsize <= len(content) - at:
                raise ValueError(f"the file ends inside the {element.name} rows")
            rows.append(np.frombuffer(content, column.item, size, at))
            at += size * column.item.itemsize
    return columns, at
