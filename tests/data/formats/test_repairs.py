"""Everyday defects are mended and counted; --strict refuses them."""

import numpy as np
import pytest
import trimesh

from shapespace.data.formats.contents import Contents, grouped_accounts
from shapespace.data.formats.repairs import repaired
from shapespace.errors import InputError
from tests.data.formats.writers import sphere

POINTS, NORMALS = sphere(200)
BALL = trimesh.creation.icosphere(2)


def mended(points, normals=None, faces=None):
    return repaired(Contents(points, faces, normals))


def test_points_that_stand_for_nothing_are_left_out_and_counted():
    for bad in (np.nan, np.inf, -np.inf):
        points = POINTS.copy()
        points[::4, 1] = bad
        found = mended(points, NORMALS)
        np.testing.assert_array_equal(found.vertices, POINTS[np.arange(200) % 4 > 0])
        np.testing.assert_array_equal(found.normals, NORMALS[np.arange(200) % 4 > 0])
        assert found.repaired == ("left out: 50 of 200 points (25%), NaN or infinite",)
        with pytest.raises(InputError, match=r"50 of 200 points \(25%\) are NaN.*--strict"):
            repaired(Contents(points), strict=True)
    points = POINTS.copy()
    points[:30] = 0.0
    points[40] = np.nan
    found = mended(points)
    assert len(found.vertices) == 169
    assert found.repaired == (
        "left out: 1 of 200 points (under 1%), NaN or infinite, "
        "0 0 0 repeated 30 times, 15% of 200 points",
    )
    with pytest.raises(InputError, match="0 0 0 is there 30 times"):
        repaired(Contents(points), strict=True)


def test_one_point_at_the_origin_is_a_point():
    points = POINTS.copy()
    points[5] = 0.0
    assert mended(points).vertices is points and mended(points).repaired == ()
    faces = np.array([[0, 1, 2], [3, 4, 5]])
    assert len(mended(np.zeros((6, 3)) * POINTS[:6], faces=faces).vertices) == 6
    flat = np.vstack([POINTS[:, :2], [[0, 0], [0, 0]]])
    assert len(mended(flat).vertices) == 200


def test_what_would_leave_nothing_is_left_for_the_rules():
    for points in (np.zeros((9, 3)), np.full((9, 3), np.nan), np.zeros((0, 3)), np.zeros(3)):
        assert mended(points).vertices is points


def test_a_mesh_loses_the_faces_of_its_nan_vertices():
    vertices = np.asarray(BALL.vertices).copy()
    vertices[[3, 70]] = np.nan
    normals = np.asarray(BALL.vertex_normals).copy()
    found = repaired(Contents(vertices, np.asarray(BALL.faces), normals))
    lost = np.isin(BALL.faces, [3, 70]).any(axis=1)
    want = BALL.triangles[~lost]
    np.testing.assert_array_equal(found.vertices[found.faces], want)
    np.testing.assert_array_equal(found.normals[found.faces], normals[BALL.faces[~lost]])
    assert found.repaired == (
        f"left out: 2 of {len(vertices)} vertices (1%), NaN or infinite, "
        f"with {lost.sum()} of {len(lost)} faces",
    )
    with pytest.raises(InputError, match="2 of 162 vertices"):
        repaired(Contents(vertices, np.asarray(BALL.faces)), strict=True)
    # Vertices of no face cost no face.
    extra = np.vstack([BALL.vertices, [[np.nan] * 3]])
    found = repaired(Contents(extra, np.asarray(BALL.faces)))
    assert len(found.faces) == len(BALL.faces)
    assert found.repaired == ("left out: 1 of 163 vertices (under 1%), NaN or infinite",)


def test_normals_are_counted():
    normals = NORMALS.copy()
    normals[:20] = np.nan
    normals[20:30] = 0.0
    normals[30:90] *= 7
    assert mended(POINTS, normals).repaired == (
        "normals unknown: 30 of 200 points (15%)",
        "normals scaled to length 1: 60 of 200",
    )
    assert mended(POINTS, NORMALS).repaired == ()
    found = mended(POINTS, 0 * NORMALS)
    assert found.normals is None and found.unused == ("normals (all 0 or NaN)",)
    with pytest.raises(ValueError, match="normals of shape"):
        mended(POINTS, NORMALS[:4])


def test_accounts_are_grouped_and_only_the_unusual_is_said():
    said = grouped_accounts(
        [
            ("a", "read x y z"), ("b", "read x y z, normals (nx ny nz)"), ("c", ""),
            ("m", "read x y z, faces"), ("n", "read x y z, normals"),
            ("d", "read x y z; not used: r"), ("e", "read x y z; not used: r"),
            ("f", "read x y (2-D)"), ("g", "read x y z, faces, 1 of 2 meshes"),
            ("h", "read x y z; left out: 3 of 90 points (3%), NaN or infinite"),
            ("i", "read x y z; left out: 4 of 80 points (5%), NaN or infinite"),
        ]
    )  # fmt: skip
    assert said == [
        "2 scans: read x y z; not used: r",
        "f: read x y (2-D)",
        "g: read x y z, faces, 1 of 2 meshes",
        "2 scans, as h: read x y z; left out: 3 of 90 points (3%), NaN or infinite",
    ]
