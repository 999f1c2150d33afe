import numpy as np
import pytest

from shapespace.rendering.camera import Orthographic, View
from shapespace.rendering.shading import Soup, shade

pytest.importorskip("embreex", reason="rays are cast by embreex")

LEVEL = View(azimuth=0.0, elevation=0.0)


def wall(z=0.0, colour=1.0):
    """A square of side 0.4, half a unit above the floor, that faces the viewer."""
    square = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]]) * 0.2
    vertices = np.column_stack([square[:, 0], square[:, 1] + 0.5, np.full(4, z)])
    normals = np.tile([0.0, 0.0, 1.0], (4, 1))
    return Soup(vertices, np.array([[0, 1, 2], [0, 2, 3]]), normals, np.full((4, 3), colour))


def test_pixels_cover_the_camera():
    image = shade(wall(colour=0.0), Orthographic(-0.5, 0.5, 0.0, 1.0, LEVEL), 100, 100)
    dark = image[..., 0] < 0.3
    rows, columns = np.flatnonzero(dark.any(1)), np.flatnonzero(dark.any(0))
    assert (rows[0], rows[-1], columns[0], columns[-1]) == (30, 69, 30, 69)
    assert dark.sum() == 40 * 40


def test_an_open_wall_is_lit_evenly():
    image = shade(wall(), Orthographic(-0.15, 0.15, 0.35, 0.65, LEVEL), 32, 32)
    assert image.std() < 0.02
    assert 0.5 < image.mean() < 1.1


def test_what_is_in_front_hides_and_shades():
    camera = Orthographic(-0.15, 0.15, 0.35, 0.65, LEVEL)
    front, back = wall(0.3, 0.2), wall(0.0)
    both = Soup(
        np.concatenate([front.vertices, back.vertices]),
        np.concatenate([front.faces, back.faces + 4]),
        np.concatenate([front.normals, back.normals]),
        np.concatenate([front.colours, back.colours]),
    )
    np.testing.assert_allclose(shade(both, camera, 16, 16), shade(front, camera, 16, 16), atol=0.05)


def test_nothing_is_white():
    nothing = Soup(*(np.zeros((0, 3), kind) for kind in (float, int, float, float)))
    assert np.all(shade(nothing, Orthographic(0.0, 1.0, 0.0, 1.0, View(0.0, 8.0)), 4, 5) == 1)
