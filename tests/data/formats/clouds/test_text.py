"""Text files of columns as other programs write them."""

import itertools

import numpy as np
import pytest

from shapespace.config.options import ReadOptions
from shapespace.data.formats.clouds.text import is_cloud, read_text
from shapespace.data.formats.readers import read_positions, read_raw
from shapespace.data.sources import discover
from shapespace.errors import InputError
from tests.data.formats.writers import sphere

POINTS, NORMALS = sphere(60)
RGB = np.random.default_rng(1).integers(0, 256, size=(60, 3))
ROWS = np.hstack([POINTS, RGB, NORMALS])
QUOTED = "{0}".join(f'"{name}"' for name in "x y z r g b n_x n_y n_z".split())
HEADERS = [
    "",
    "//X Y Z R G B Nx Ny Nz\n60\n",
    "x{0}y{0}z{0}r{0}g{0}b{0}nx{0}ny{0}nz\n",
    "# x y z r g b nx ny nz\n",
    QUOTED + "\n",
    "# made by a scanner\n\n60\n",
    "# a note\n// x y z red green blue normal_x normal_y normal_z\n",
]


def text(rows, separator=" ", end="\n", form=repr):
    return end.join([*(separator.join(map(form, row)) for row in rows.tolist()), ""])


def test_separators_headers_and_line_ends():
    ends = ["\n", "\r\n", "\r"]
    for separator, header, end in itertools.product(
        [" ", ",", ";", "\t", "  ", ", "], HEADERS, ends
    ):
        content = (header.format(separator) + text(ROWS, separator)).replace("\n", end)
        for encoding in ("utf-8", "utf-8-sig", "utf-16"):
            found = read_text(content.encode(encoding))
            np.testing.assert_array_equal(found.vertices, POINTS)
            np.testing.assert_array_equal(found.normals, NORMALS)
            assert len(found.unused) == 1, header


def test_columns_in_any_order_by_their_header():
    columns = dict(zip("x y z r g b nx ny nz".split(), ROWS.T, strict=True))
    for order in itertools.islice(itertools.permutations(columns), 0, None, 19_000):
        rows = np.stack([columns[name] for name in order], axis=1)
        found = read_text((",".join(order).upper() + "\n" + text(rows, ",")).encode())
        np.testing.assert_array_equal(found.vertices, POINTS)
        np.testing.assert_array_equal(found.normals, NORMALS)
        assert found.unused == (" ".join(n.upper() for n in order if n in "rgb"),)


def test_numbers_that_are_unknown():
    for word in (
        "nan",
        "NaN",
        "-nan",
        "-nan(ind)",
        "nan(0x8000)",
        "1.#QNAN",
        "-1.#IND",
        "1.#IND00",
    ):
        lines = text(np.hstack([POINTS, NORMALS])).split("\n")
        lines[7] = " ".join([*lines[7].split()[:3], word, word, word])
        found = read_text("\n".join(lines).encode())
        assert np.isnan(found.normals).all(axis=1).nonzero()[0].tolist() == [7], word
    assert np.isinf(read_text(b"1.#INF 0 0\n1 2 -1.#INF\n").vertices).sum() == 2
    # Tables leave unknown numbers out.
    found = read_text(b"x,y,z,nx,ny,nz\n0,0,1,,,\n0,1,0,0,1,0\n,,,0,0,1\n")
    assert np.isnan(found.vertices[2]).all() and np.isnan(found.normals[0]).all()
    found = read_text(b"x\ty\tz\tlabel\n0\t0\t1\t\n0\t1\t0\t2\n")
    assert found.unused == ("label",)


def test_decimal_commas_are_read_where_they_are_certain_or_refused_by_name():
    for separator in (";", "\t", "; "):
        content = text(POINTS, separator).replace(".", ",")
        np.testing.assert_array_equal(read_text(content.encode()).vertices, POINTS)
    for content in (
        text(POINTS).replace(".", ","),
        text(POINTS.round(5), ",", form=lambda x: f"{x:.5f}").replace(".", ","),
        text(POINTS, ", ").replace(".", ","),
        "0,5 0,1 0,2\n1,5 1 2\n",
        "1 2 0,2\n1,5 1 2\n",
    ):
        with pytest.raises(InputError, match="decimal commas"):
            read_text(content.encode())


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("60\n0 0 1\n0 1 0\n", "first line says 60 points, the file has 2"),
        ("lat,lon,alt\n50,8,100\n51,8,90\n", "names of columns; .*--columns"),
        ("x y z nx ny\n0 0 1 0 0 1\n", "names 5 columns, a row has 6; .*--columns"),
        ("3\nmolecule of water\nO 0 0 0\nH 0 0 1\nH 0 1 0\n", "names of columns"),
        ("0 0 1\n0 1\n", "columns changed"),
        ("0 0 1\n0 a 1\n", "could not convert"),
        ("# nothing\n\n", "no row of numbers"),
        ("x y z\n", "no row of numbers|names 3 columns"),
    ],
)
def test_what_cannot_be_read_is_refused_by_name(content, reason):
    with pytest.raises(ValueError, match=reason):
        read_text(content.encode())


def test_columns_decide_over_header_and_numbers(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("lat,lon,alt,t\n" + text(np.hstack([POINTS, POINTS[:, :1]]), ","))
    scan = read_raw(path, ReadOptions("y,x,z,_"))
    np.testing.assert_array_equal(scan.vertices, POINTS[:, [1, 0, 2]])
    assert scan.account == "read x y z"


def test_notes_and_tables_are_no_clouds(tmp_path):
    cloud = {"a.txt": "0 0 1\n", "b.csv": "x,y,z\n0,0,1\n", "c.pts": "1\n0 0 1 5\n",
             "d.txt": "//X Y Z\n0 0 1\n", "e.asc": "0,5;1,5;2,5\n", "f.txt": "1 2\n1 2 3\n",
             "g.xyz": "hello\n", "h.csv": "﻿x;y;z\n0;0;1\n", "i.txt": "x y z\n0 0\n"}  # fmt: skip
    other = {"n.txt": "Licence: none\n", "o.csv": "subject,frame\n1,2\n", "p.pts": "version: 1\n",
             "q.txt": "50002_hips\n50002_jacks\n", "r.asc": "ncols 4\nnrows 4\n1 2 3 4\n",
             "s.json": "{}", ".hidden": "", "README": "", "t.JPG": "x"}  # fmt: skip
    for name, content in (cloud | other).items():
        (tmp_path / name).write_text(content)
        if name.rpartition(".")[2] in ("txt", "csv", "pts", "asc"):
            assert is_cloud(content.encode()) == (name in cloud), name
    found, others = discover(tmp_path)
    assert sorted(source.path.name for source in found) == sorted(cloud)
    assert others == {".txt": 2, ".csv": 1, ".pts": 1, ".asc": 1, ".json": 1, "hidden": 1,
                      "without suffix": 1, ".jpg": 1}  # fmt: skip


def test_positions_have_no_other_columns(tmp_path):
    path = tmp_path / "cameras.txt"
    path.write_text("x,y,z\n0,0,1\n0,1,0\n")
    np.testing.assert_array_equal(read_positions(path), [[0, 0, 1], [0, 1, 0]])
    path.write_text("0 0 1 7\n0 1 0 8\n")
    with pytest.raises(InputError, match="each line needs x y z"):
        read_positions(path)
