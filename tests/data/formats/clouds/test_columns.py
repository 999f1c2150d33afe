"""Columns without names are told apart by their numbers, or refused with the remedy."""

import numpy as np
import pytest

from shapespace.config.options import ReadOptions
from shapespace.data.formats.clouds.columns import cloud, named_cloud, roles_of
from shapespace.data.formats.words import role
from shapespace.errors import InputError
from tests.data.formats.writers import sphere

POINTS, NORMALS = sphere(400)
RNG = np.random.default_rng(1)
RGB = RNG.integers(0, 256, size=(400, 3))
GREY = RNG.uniform(0, 1, size=(400, 3))
ONE = RNG.uniform(0, 1, size=(400, 1))
SIGNED = RNG.normal(size=(400, 1))
CIRCLE = NORMALS[:, :2] / np.linalg.norm(NORMALS[:, :2], axis=1, keepdims=True)
UNKNOWN = np.where(np.arange(400)[:, None] % 5 == 0, 0.0, NORMALS)
NAN = np.where(np.arange(400)[:, None] % 5 == 0, np.nan, NORMALS)
PLANE = np.hstack([POINTS[:, :2], np.full((400, 1), 2.5)])
UP = np.tile([0.0, 0.0, 1.0], (400, 1))
CAP = NORMALS[(NORMALS > 0).all(axis=1)]
NUMBER = np.arange(400)[:, None]

KNOWN = [
    ([POINTS], None, ()),
    ([POINTS, ONE], None, ("intensity (column 4)",)),
    ([POINTS, SIGNED], None, ("column 4",)),
    ([POINTS, RGB], None, ("r g b (columns 4 to 6)",)),
    ([POINTS, GREY], None, ("r g b (columns 4 to 6)",)),
    ([POINTS, NORMALS], NORMALS, ()),
    ([POINTS, NORMALS.round(2)], NORMALS.round(2), ()),
    ([POINTS, UNKNOWN], UNKNOWN, ()),
    ([POINTS, NAN], NAN, ()),
    ([PLANE, UP], UP, ()),
    ([CAP, CAP], CAP, ()),
    ([POINTS, NORMALS, ONE], NORMALS, ("column 7",)),
    ([POINTS, ONE, NORMALS], NORMALS, ("column 4",)),
    ([POINTS, RGB, NORMALS], NORMALS, ("r g b (columns 4 to 6)",)),
    ([POINTS, NORMALS, RGB], NORMALS, ("r g b (columns 7 to 9)",)),
    ([POINTS, SIGNED * 2000, RGB], None, ("column 4", "r g b (columns 5 to 7)")),
    ([POINTS, RGB, ONE], None, ("r g b (columns 4 to 6)", "column 7")),
    ([POINTS, RGB, ONE, NORMALS], NORMALS, ("r g b (columns 4 to 6)", "column 7")),
    ([POINTS, NORMALS, ONE, RGB], NORMALS, ("column 7", "r g b (columns 8 to 10)")),
    ([NUMBER, POINTS, NORMALS], NORMALS, ("row number (column 1)",)),
    ([NUMBER + 1, POINTS], None, ("row number (column 1)",)),
    ([POINTS, NORMALS, ONE, RGB, ONE, ONE], NORMALS, None),
]
"""Parts of the columns, the normals among them, and what is said not to be used."""


@pytest.mark.parametrize("case", range(len(KNOWN)))
def test_columns_that_numbers_tell_apart(case):
    parts, normals, unused = KNOWN[case]
    found = cloud(np.hstack(parts).astype(float))
    points = parts[1] if parts[0] is NUMBER or "row" in str(unused) else parts[0]
    np.testing.assert_array_equal(found.vertices, points)
    if normals is None:
        assert found.normals is None
    else:
        np.testing.assert_array_equal(found.normals, normals)
    assert unused is None or found.unused == unused


def test_flat_clouds():
    flat = POINTS[:, :2]
    assert cloud(flat).account() == "read x y (2-D)"
    found = cloud(np.hstack([flat, CIRCLE]))
    np.testing.assert_array_equal(found.normals, CIRCLE)
    assert found.account() == "read x y (2-D), normals (columns 3 to 4)"


RED = np.tile([1.0, 0.0, 0.0], (400, 1))
LABELS = np.eye(3)[RNG.integers(0, 3, size=400)]
TIME = np.cumsum(ONE)[:, None] + 1.6e9

DOUBTFUL = [
    ([POINTS, 3 * NORMALS], "neither colours nor normals"),
    ([POINTS, RED], "normals or a few colours"),
    ([POINTS, LABELS], "normals or a few colours"),
    ([POINTS, ONE, 3 * NORMALS], "neither colours nor normals"),
    ([POINTS, NORMALS, NORMALS[::-1]], "columns 4 to 6 and columns 7 to 9 could be the normals"),
    ([TIME, POINTS], "grows in every row, as a time does"),
    ([POINTS, *[ONE] * 10], "2 to 12 columns"),
    ([POINTS.T], "rows seem to be the columns"),
    ([ONE], "2 to 12 columns"),
]


@pytest.mark.parametrize("case", range(len(DOUBTFUL)))
def test_columns_in_doubt_are_refused_with_the_remedy(case):
    parts, reason = DOUBTFUL[case]
    with pytest.raises(InputError, match=f"{reason}.*--columns x,y,z,nx,ny,nz") as caught:
        cloud(np.hstack(parts).astype(float))
    assert "\n" not in str(caught.value)


def test_the_user_decides():
    rows = np.hstack([ONE, POINTS, 3 * NORMALS, RGB])
    chosen = ReadOptions("t, X,y,z,nx,ny,nz,_,_,blue").names
    found = cloud(rows, names=["a"] * 10, chosen=chosen)
    np.testing.assert_array_equal(found.vertices, POINTS)
    np.testing.assert_array_equal(found.normals, 3 * NORMALS)
    assert found.account() == "read x y z, normals (nx ny nz); not used: t blue"
    with pytest.raises(InputError, match="names 3 columns, the file has 10"):
        cloud(rows, chosen=("x", "y", "z"))
    for wrong in ("x,z", "x,y,z,nx,ny", "x,y,x", "x,y,nx,ny,nz", "", "a,b,c", "x,y,z,z"):
        with pytest.raises(InputError, match="columns="):
            ReadOptions(wrong)


NAMES = {
    "x": "x", "X": "x", "Y": "y", " z ": "z", "Points:0": "x", "points_2": "z", "position_x": "x",
    "x (m)": "x", "X[mm]": "x", "PositionY": "y", "coord_z": "z",
    "nx": "nx", "NX": "nx", "Ny": "ny", "n_z": "nz", "normal_x": "nx", "normalx": "nx",
    "NormalY": "ny", "norm_z": "nz", "scalar_Nx": "nx", "scalar_nz": "nz", "Normals:1": "ny",
    "Normals_2": "nz", "nor:normalX": "nx", "normal.x": "nx", "normals_x": "nx",
    "vx": None, "scale_0": None, "rot_1": None, "f_dc_0": None, "red": None, "texture_u": None,
    "xx": None, "n": None, "": None, "scalar_x": None, "nxx": None, "intensity": None, "0": None,
}  # fmt: skip


def test_names_of_others():
    assert {name: role(name) for name in NAMES} == NAMES
    # The plainest name counts, and normals only where all are there.
    assert roles_of(["scalar_Nx", "Nx", "nx", "x", "y", "z", "ny", "nz"])["nx"] == 2
    assert "nx" not in roles_of(["x", "y", "z", "nx", "ny"])
    assert roles_of(["x", "y", "nx", "ny", "nz"]).keys() == {"x", "y", "nx", "ny"}
    with pytest.raises(ValueError, match="no columns x and y, only a b c"):
        named_cloud([("a", ONE), ("b", ONE), ("c", ONE)])
