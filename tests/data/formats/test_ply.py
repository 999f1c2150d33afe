"""PLY as many programs write it: names, types, orders, strips of triangles, what else is in it."""

import itertools

import numpy as np
import pytest

from shapespace.data.formats.ply import read_ply
from shapespace.data.formats.polygons import strips
from tests.data.formats.writers import sphere

POINTS, NORMALS = sphere(40)
FACES = np.array([[0, 1, 2], [2, 1, 3], [4, 5, 6], [7, 8, 9]])
STRIP = [4, 5, 6, 7, 8, 8, 9, 9, 10, 11, 12, -1, 20, 21, 22, -1, 30, 31, -1, 33, 34, 35, 36, -1]
TYPES = {"double": "f8", "float64": "f8", "float": "f4", "float32": "f4"}
NAMES = [
    ("nx", "ny", "nz"), ("Nx", "Ny", "Nz"), ("NX", "NY", "NZ"), ("n_x", "n_y", "n_z"),
    ("normal_x", "normal_y", "normal_z"), ("normalx", "normaly", "normalz"),
    ("NormalX", "NormalY", "NormalZ"), ("scalar_Nx", "scalar_Ny", "scalar_Nz"),
    ("scalar_nx", "scalar_ny", "scalar_nz"), ("normal.x", "normal.y", "normal.z"),
]  # fmt: skip


def written(encoding, elements, newline="\n"):
    """A PLY: each element is its name and its columns; a column is a name, a type and its rows.

    A column of rows that are lists is a list of such numbers, its counts of the type "uchar".
    """
    lines = ["ply", f"format {encoding} 1.0", "comment by a test", "obj_info none"]
    for name, columns in elements:
        lines.append(f"element {name} {len(columns[0][2])}")
        for column, kind, rows in columns:
            is_list = isinstance(rows[0], list)
            lines.append(f"property {'list uchar ' if is_list else ''}{kind} {column}")
    head = newline.join([*lines, "end_header", ""]).encode()
    order = ">" if "big" in encoding else "<"
    kinds = TYPES | {"int": "i4", "uchar": "u1", "short": "i2"}
    body = b""
    for _, columns in elements:
        for row in zip(*(rows for _, _, rows in columns), strict=True):
            words = []
            for (_, kind, _), value in zip(columns, row, strict=True):
                values = value if isinstance(value, list) else [value]
                count = [len(value)] if isinstance(value, list) else []
                if encoding == "ascii":
                    words += [*map(str, count), *map(repr, np.array(values).tolist())]
                else:
                    body += bytes(count) + np.array(values, order + kinds[kind]).tobytes()
            if encoding == "ascii":
                body += (" ".join(words) + newline).encode()
    return head + body


def vertices(kind, names=(), more=()):
    columns = [(axis, kind, POINTS[:, i].tolist()) for i, axis in enumerate("xyz")]
    columns += [(name, kind, NORMALS[:, i].tolist()) for i, name in enumerate(names)]
    return [*columns, *more]


def test_names_types_encodings_and_line_ends():
    encodings = ["ascii", "binary_little_endian", "binary_big_endian"]
    for names, (kind, dtype), encoding in itertools.product(NAMES, TYPES.items(), encodings):
        newline = "\r\n" if names[0] == "Nx" else "\n"
        more = [("red", "uchar", [7] * 40), ("quality", "short", list(range(40)))]
        found = read_ply(written(encoding, [("vertex", vertices(kind, names, more))], newline))
        exact = np.float64 if encoding == "ascii" else dtype
        np.testing.assert_array_equal(found.vertices, POINTS.astype(exact))
        np.testing.assert_array_equal(found.normals, NORMALS.astype(exact))
        assert (found.normals_from, found.unused) == (" ".join(names), ("red quality",))


def test_elements_in_any_order_and_lists_before_the_coordinates():
    lists = [("ids", "int", [list(range(i % 3)) for i in range(40)])]
    even = [("pairs", "float", [[1.0, 2.0]] * 40)]
    faces = [("vertex_index", "int", FACES.tolist()), ("flags", "int", [1] * 4)]
    cameras = [("view", "float", [1.0])]
    edges = [("vertex1", "int", [0, 1]), ("vertex2", "int", [1, 2])]
    for encoding in ("ascii", "binary_little_endian", "binary_big_endian"):
        for lead in (lists, even, lists + even):
            names = " ".join(name for name, _, _ in lead)
            parts = [("camera", cameras), ("face", faces), ("edge", edges)]
            for place in range(4):
                vertex = ("vertex", [*lead, *vertices("double")])
                found = read_ply(written(encoding, [*parts[:place], vertex, *parts[place:]]))
                np.testing.assert_array_equal(found.vertices, POINTS)
                np.testing.assert_array_equal(found.faces, FACES)
                assert found.unused == (names, "element camera", "face flags", "element edge")


def slow_strips(row):
    """Triangles of a strip, one at a time."""
    found, at = [], 0
    for i in range(len(row)):
        if row[i] == -1:
            at = i + 1
        elif i - at >= 2:
            a, b, c = row[i - 2 : i + 1]
            if len({a, b, c}) == 3:
                found.append((a, b, c) if (i - at) % 2 == 0 else (b, a, c))
    return found


def test_strips():
    assert sorted(map(tuple, strips([STRIP]).tolist())) == sorted(slow_strips(STRIP))
    rng = np.random.default_rng(0)
    for _ in range(30):
        row = rng.integers(-1, 12, size=rng.integers(0, 40)).tolist()
        assert strips([row]).tolist() == [list(face) for face in slow_strips(row)]
    # All triangles of a strip that is flat look to the same side.
    flat = np.array([[i // 2, i % 2, 0.0] for i in range(12)])
    faces = strips([list(range(12))])
    a, b, c = (flat[faces[:, i]] for i in range(3))
    assert len(faces) == 10 and len(set(np.cross(b - a, c - a)[:, 2])) == 1


@pytest.mark.parametrize("encoding", ["ascii", "binary_little_endian", "binary_big_endian"])
def test_tristrips(encoding):
    rows = [STRIP, [0, 1, 2, 3]]
    strip = ("tristrips", [("vertex_indices", "int", rows)])
    for elements in (
        [strip, ("vertex", vertices("double"))],
        [("vertex", vertices("double")), strip],
    ):
        found = read_ply(written(encoding, elements))
        assert found.faces.tolist() == strips(rows).tolist() and found.unused == ()
    faces = ("face", [("vertex_indices", "int", FACES.tolist())])
    found = read_ply(written(encoding, [("vertex", vertices("double")), faces, strip]))
    assert len(found.faces) == len(FACES) + len(strips(rows))


def test_what_is_refused_or_said():
    points = vertices("float")
    listed = [("x", "float", [[1.0]] * 40), *points[1:]]
    with pytest.raises(ValueError, match="a list called x"):
        read_ply(written("ascii", [("vertex", listed)]))
    with pytest.raises(ValueError, match="no columns x and y, only a y z"):
        read_ply(written("ascii", [("vertex", [("a", "float", [0.0] * 40), *points[1:]])]))
    other = ("face", [("loops", "int", FACES.tolist())])
    with pytest.raises(ValueError, match="element face without vertex_indices, only loops"):
        read_ply(written("ascii", [("vertex", points), other]))
    for encoding in ("ascii", "binary_little_endian"):
        longer = written(encoding, [("vertex", points)]).replace(b"vertex 40", b"vertex 39")
        found = read_ply(longer)
        left = "3 numbers" if encoding == "ascii" else "12 bytes"
        assert found.unused == (f"{left} after the last element",)
    partial = [*points, ("nx", "float", [0.0] * 40), ("ny", "float", [0.0] * 40)]
    assert read_ply(written("ascii", [("vertex", partial)])).account() == \
        "read x y z; not used: nx ny"  # fmt: skip
