"""LAS, LAZ and E57, by packages that may be missing."""

import sys

import numpy as np
import pytest

from shapespace.data.formats.readers import parse_raw
from shapespace.errors import InputError
from tests.data.formats.writers import e57, las, sphere

POINTS, NORMALS = sphere(500)


@pytest.mark.parametrize("compress", [False, True])
def test_las(tmp_path, compress):
    pytest.importorskip("laspy")
    if compress:
        pytest.importorskip("lazrs")
    suffix = tmp_path / ("a.laz" if compress else "a.las")
    # Metres of a map: far beyond what single precision resolves.
    far = POINTS + np.array([5e5, 5.5e6, 100.0])
    scan = parse_raw(suffix, las(far, compress))
    np.testing.assert_allclose(scan.vertices, far, atol=1e-6)
    assert scan.account == "read x y z; not used: intensity"
    names = ["NormalX", "NormalY", "NormalZ", "Amplitude"]
    more = list(zip(names, [*NORMALS.T, np.arange(500.0)], strict=True))
    scan = parse_raw(suffix, las(far, compress, more))
    np.testing.assert_allclose(scan.normals, NORMALS, atol=1e-12)
    assert scan.account == "read x y z, normals (NormalX NormalY NormalZ); " \
        "not used: intensity Amplitude"  # fmt: skip
    content = las(far, compress)
    for size in (90, 200, len(content) // 2, len(content) - 9):
        with pytest.raises(InputError, match=r"a\.la"):
            parse_raw(suffix, content[:size])


def test_false_counts_of_a_las(tmp_path):
    pytest.importorskip("laspy")
    content = bytearray(las(POINTS))
    for at in (100, 107):  # records, points
        changed = content.copy()
        changed[at : at + 4] = b"\xff\xff\xff\x7f"
        with pytest.raises(InputError, match=r"says 2147483647|2147483647 records"):
            parse_raw(tmp_path / "a.las", bytes(changed))


def test_e57(tmp_path):
    pytest.importorskip("pye57")
    path = tmp_path / "a.e57"
    single = POINTS.astype("f4").astype(float)
    scan = parse_raw(path, e57(single))
    np.testing.assert_array_equal(scan.vertices, single)
    assert scan.account == "read x y z"
    invalid = np.arange(500) % 5 == 0
    more = {"intensity": np.linspace(0, 1, 500), "cartesianInvalidState": 2 * invalid}
    scan = parse_raw(path, e57(POINTS, scans=3, translation=(10.0, -4.0, 2.0), **more))
    np.testing.assert_allclose(scan.vertices, POINTS[~invalid], atol=1e-6)
    assert scan.account == "read x y z, 3 scans; not used: intensity; " \
        "left out: 100 of 500 points, which the scanner marks as invalid"  # fmt: skip
    with pytest.raises(InputError, match=r"a\.e57"):
        parse_raw(path, e57(POINTS)[:-2000])


@pytest.mark.parametrize(
    ("suffix", "package"), [(".las", "laspy"), (".laz", "laspy"), (".e57", "pye57")]
)
def test_a_missing_package_is_named(tmp_path, monkeypatch, suffix, package):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(InputError, match=rf"{package}: pip install 'shapespace\[scanners\]'"):
        parse_raw(tmp_path / f"a{suffix}", b"x")
