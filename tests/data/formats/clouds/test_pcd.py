"""PCD files: every encoding, type and order of fields; false headers are refused."""

import itertools

import numpy as np
import pytest

from shapespace.data.formats.clouds.pcd import decompressed, read_pcd
from shapespace.data.formats.repairs import repaired
from tests.data.formats.writers import lzf, pcd, sphere

POINTS, NORMALS = (array.astype("f4").astype(float) for array in sphere(300))
ENCODINGS = ("ascii", "binary", "binary_compressed")
SETS = [
    (["x", "y", "z"], "f4"), (["x", "y", "z", "rgb"], "f4"), (["x", "y", "z", "intensity"], "f8"),
    (["normal_x", "normal_y", "normal_z", "curvature", "x", "y", "z"], "f4"),
    (["label", "z", "y", "x", "nz", "ny", "nx"], "f8"), (["x", "y"], "f8"),
    (["X", "Y", "Z", "NormalX", "NormalY", "NormalZ"], "f4"),
]  # fmt: skip


def test_encodings_types_and_orders():
    known = dict(zip("xyz", POINTS.T, strict=True))
    known |= dict(zip(("nx", "ny", "nz"), NORMALS.T, strict=True))
    for (names, kind), encoding, end in itertools.product(SETS, ENCODINGS, ["\n", "\r\n"]):
        plain = [n.lower().replace("normal_", "n").replace("normal", "n") for n in names]
        rows = np.stack([known.get(name, np.arange(300.0)) for name in plain], axis=1)
        found = read_pcd(pcd([(name, kind) for name in names], rows, encoding, newline=end))
        dimension = 3 if "z" in plain else 2
        np.testing.assert_array_equal(found.vertices, POINTS[:, :dimension])
        assert (found.normals is not None) == ("nx" in plain)
        if found.normals is not None:
            np.testing.assert_array_equal(found.normals, NORMALS)
        others = [name for name, word in zip(names, plain, strict=True) if word not in known]
        assert found.unused == tuple(others)


def test_fields_of_several_numbers_padding_integers_and_viewpoints():
    fields = [("_", "u1"), ("x", "i2"), ("vfh", "f4"), ("y", "i4"), ("z", "u2"), ("rgba", "u4")]
    rows = np.hstack([np.ones((9, 2)), np.arange(99).reshape(9, 11), np.full((9, 1), 2**31)])
    for encoding in ENCODINGS:
        content = pcd(fields, rows, encoding, [2, 1, 8, 1, 1, 1], "1 0 0 1 0 0 0")
        if encoding == "ascii":
            content = content.replace(b".0", b"")
        found = read_pcd(content)
        np.testing.assert_array_equal(found.vertices, rows[:, [2, 11, 12]])
        assert found.unused == ("vfh (8 numbers) rgba", "VIEWPOINT 1 0 0 1 0 0 0")


def test_nan_of_an_organised_cloud_is_left_out():
    rows = POINTS.copy()
    rows[::3] = np.nan
    for encoding in ENCODINGS:
        content = pcd([(axis, "f4") for axis in "xyz"], rows, encoding)
        content = content.replace(b"WIDTH 300\nHEIGHT 1", b"WIDTH 30\nHEIGHT 10")
        found = repaired(read_pcd(content))
        np.testing.assert_array_equal(found.vertices, POINTS[np.isfinite(rows[:, 0])])
        assert found.repaired == ("left out: 100 of 300 points (33%), NaN or infinite",)


@pytest.mark.parametrize("data", [b"", b"a", bytes(5000), bytes(range(256)) * 40, b"ab" * 999])
def test_lzf(data):
    assert decompressed(lzf(data), len(data)) == data


@pytest.mark.parametrize(
    ("packed", "size"),
    [(b"\x20\x00", 3), (b"\x05ab", 6), (b"\x00a\x20", 4), (b"\x00a", 9), (b"\x00a\x20\x05", 4)],
)
def test_damaged_lzf(packed, size):
    with pytest.raises(ValueError, match="packed body"):
        decompressed(packed, size)


def test_false_headers():
    for encoding in ENCODINGS:
        good = pcd([(axis, "f4") for axis in "xyz"], POINTS, encoding)
        for old, new in (
            (b"POINTS 300", b"POINTS 4000000000"), (b"POINTS 300", b"POINTS -3"),
            (b"POINTS 300", b"POINTS many"), (b"POINTS 300", b"POINTS"),
            (b"SIZE 4 4 4", b"SIZE 4 4"), (b"SIZE 4 4 4", b"SIZE 4 4 3"),
            (b"TYPE F F F", b"TYPE F F X"), (b"COUNT 1 1 1", b"COUNT 1 1 0"),
            (b"COUNT 1 1 1", b"COUNT 1 1 99999999"), (b"DATA " + encoding.encode(), b"DATA zip"),
            (b"DATA " + encoding.encode(), b"DATA"), (b"FIELDS x y z", b"FIELDS a b c"),
            (b"FIELDS x y z", b""), (b"SIZE 4 4 4", b"SIZE 1 1 1"), (good[-40:], b""),
        ):  # fmt: skip
            assert old in good
            with pytest.raises((ValueError, TypeError)):
                read_pcd(good.replace(old, new))
