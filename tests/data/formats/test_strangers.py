"""Files as strange programs write them: read right and said, or refused by name; never by half.

Letters: N points.
"""

import bz2
import gzip
import lzma
from pathlib import Path

import numpy as np
import pytest

from shapespace.data.formats.readers import parse_raw
from shapespace.errors import InputError

RNG = np.random.default_rng(1)
UNIT = RNG.normal(size=(200, 3))
UNIT /= np.linalg.norm(UNIT, axis=1, keepdims=True)
POINTS = (UNIT * [0.5, 0.3, 0.2] + [1.7, -0.4, 0.9]).round(5)
NORMALS = UNIT.round(6)
POSITIVE = POINTS + 5
COLOURS = RNG.integers(0, 256, (200, 3))
NUMBER = np.arange(200)[:, None]


def text(*parts, sep=" ", fmt="%.6g", end="\n", head=""):
    """Rows of numbers behind a header."""
    return head + "".join(sep.join(fmt % x for x in row) + end for row in np.hstack(parts))


def commas(rows):
    return rows.replace(".", ",")


def quoted(form, points):
    """Rows of numbers in quotes, with commas between them."""
    return "".join(",".join(f'"{form.format(x)}"' for x in row) + "\n" for row in points)


def ply(header, body):
    return f"ply\nformat ascii 1.0\n{header}end_header\n{body}"


VERTICES = "element vertex 200\nproperty float x\nproperty float y\nproperty float z\n"
FACE = "element face 1\nproperty list uchar float vertex_indices\n"
LINES = text(POINTS).splitlines(keepends=True)
MANY = ",".join(["x", "y", "z", *(f"f{number}" for number in range(2000))])
READ = {
    # Excel's "Unicode text": UTF-16 with a mark, tabs, names in quotes.
    "excel.txt": (text(POINTS, sep="\t", head='"X"\t"Y"\t"Z"\r\n', end="\r\n"), ""),
    "between.xyz": ("".join([*LINES[:9], "# b\n\n% c\n  ! d\n// 5\n   \n", *LINES[9:]]), ""),
    "mac.xyz": (text(POINTS, end="\r"), ""),
    # Excel in German: a mark, semicolons, decimal commas.
    "deutsch.csv": (commas(text(POINTS, sep=";", head="\ufeffx;y;z\r\n", end="\r\n")), ""),
    # DataFrame.to_csv(), with and without index.
    "frame.csv": (
        text(NUMBER, POINTS, sep=",", head=",0,1,2\n"),
        "; not used: row number (column 1), names of columns (0 1 2)",
    ),
    "plain_frame.csv": (
        text(POINTS, sep=",", head="0,1,2\n"),
        "; not used: names of columns (0 1 2)",
    ),
    "mm.csv": (text(POINTS, sep=",", head='"X [mm]","Y [mm]","Z [mm]"\n'), ", mm by the header"),
    "m.csv": (text(POINTS, sep=",", head="X (m),Y (m),Z (m)\n"), ""),
    "wide.csv": (
        text(POINTS, np.tile(NUMBER, 2000), sep=",", head=f"{MANY}\n"),
        "; not used: f0 to f1999",
    ),
    "line.ply": (
        ply(VERTICES + FACE, f"{text(POINTS)}2 0 1\n"),
        "; not used: 1 faces of fewer than three corners",
    ),
}
"""Name -> text, and what is said of it behind "read x y z"."""
REFUSED = {
    "quotes.csv": (commas(quoted("{:.3f}", POINTS)), "numbers in quotes with a comma"),
    "thousands.csv": (quoted("{:,.2f}", 1e4 * POINTS), "numbers in quotes with a comma"),
    "one_decimal.csv": (commas(text(POSITIVE, sep=",", fmt="%.1f")), "decimal commas"),
    "normals_first.xyz": (text(NORMALS, POSITIVE), "4 to 6 are neither colours nor normals.*--col"),
    "colours_first.xyz": (text(COLOURS, POSITIVE), "4 to 6 are neither colours nor normals.*--col"),
    "normals_small.xyz": (text(NORMALS, POSITIVE / 9), "1 to 3 or 4 to 6 could be the points"),
    "colours_small.xyz": (text(COLOURS, POSITIVE / 9), "1 to 3 or 4 to 6 could be the points"),
    "twice.ply": (ply(2 * VERTICES, 2 * text(POINTS)), "two elements are called vertex"),
    "x_twice.ply": (
        ply(f"{VERTICES}property float x\n", text(POINTS, NUMBER)),
        "two properties of vertex are called x",
    ),
    "half_corner.ply": (ply(VERTICES + FACE, text(POINTS) + "3 0 1.5 2\n"), "no whole numbers"),
}
"""Name -> text, and the reason why it is refused."""


def test_what_strange_programs_write_is_read_and_said():
    for name, (content, said) in READ.items():
        for encoding in ("utf-8", "utf-16", "utf-16-le", "utf-16-be", "utf-32"):
            if encoding != "utf-8" and name.endswith(".ply"):
                continue
            raw = parse_raw(Path(name), content.removeprefix("\ufeff").encode(encoding))
            np.testing.assert_allclose(raw.vertices, POINTS, atol=1e-5, err_msg=name)
            assert raw.account == f"read x y z{said}" and raw.normals is None, name
        raw = parse_raw(Path(name), content.encode())
        np.testing.assert_allclose(raw.vertices, POINTS, atol=1e-5, err_msg=name)


def test_what_could_be_two_things_is_refused_by_name():
    for name, (content, reason) in REFUSED.items():
        with pytest.raises(InputError, match=f"{name}: .*{reason}"):
            parse_raw(Path(name), content.encode())
            pytest.fail(name)


def test_colours_of_every_range_are_no_points():
    for colours in (COLOURS, 257 * COLOURS, (COLOURS / 255).round(4)):
        raw = parse_raw(Path("a.xyz"), text(POINTS, colours).encode())
        assert raw.account == "read x y z; not used: r g b (columns 4 to 6)"


def test_a_first_point_that_counts_up_is_a_point():
    for head, fmt in (("0,1,2\n", "%d"), ("0,1,3\n", "%.6g"), ("0.0,1.0,2.0\n", "%.6g")):
        raw = parse_raw(Path("a.csv"), text(9 * POINTS, sep=",", fmt=fmt, head=head).encode())
        assert len(raw.vertices) == 201 and raw.account == "read x y z", head


def test_packed_files_are_named():
    content = text(POINTS).encode()
    for packed, by in (
        (gzip.compress(content), "gzip"),
        (bz2.compress(content), "bzip2"),
        (lzma.compress(content), "xz"),
        (b"PK\3\4" + content, "zip"),
    ):
        for name in ("a.xyz", "a.ply", "a.xyz.gz", "a.npy"):
            with pytest.raises(InputError, match=f"{name}: is packed by {by}; unpack it first"):
                parse_raw(Path(name), packed)


def test_vertices_without_a_face_are_counted():
    corners = "f 1 2 3\nf 4 5 6\n"
    vertices = "".join(f"v {line}" for line in LINES[:8])
    raw = parse_raw(Path("a.obj"), (vertices + corners).encode())
    assert raw.account == "read x y z, faces; not used: 2 of 8 vertices (25%), which no face has"


def test_an_stl_in_capitals():
    corners = "".join(f"VERTEX {x} {y} {z}\n" for x, y, z in POINTS[:3])
    one = f"FACET NORMAL 0 0 1\nOUTER LOOP\n{corners}ENDLOOP\nENDFACET\n"
    for content in (f"SOLID A\n{one}ENDSOLID A\n", f"Solid A\n{one.title()}EndSolid A\n"):
        raw = parse_raw(Path("a.stl"), content.encode())
        np.testing.assert_allclose(raw.vertices, POINTS[:3], atol=1e-5)
        assert raw.account == "read x y z, faces"
