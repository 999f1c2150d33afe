import numpy as np
import pytest
import torch

from shapespace.errors import InputError
from shapespace.rendering.camera import Orthographic, View, turned
from shapespace.surface.sphere_tracing import trace
from tests.rays import camera_rays

NONE = torch.zeros(0)


def bump(points, latent):
    """A ball with another one on its upper right front, so that no turn looks like another."""
    at = torch.tensor([0.25, 0.45, 0.3])
    small = torch.linalg.vector_norm(points - at, dim=-1) - 0.15
    return torch.minimum(torch.linalg.vector_norm(points, dim=-1) - 0.5, small)


@pytest.mark.parametrize("view", [(20.0, 8.0, "y"), (-60.0, 30.0, "z"), (110.0, 0.0, "x")])
def test_traced_and_meshed_pictures_show_the_same_view(view):
    pytest.importorskip("embreex", reason="meshes are drawn by embreex")
    from shapespace.rendering.meshes import Figure, render_row
    from shapespace.surface.mesh import extract_mesh

    azimuth, elevation, up = view
    mesh = extract_mesh(bump, NONE, 64)
    drawn = render_row([Figure(mesh, (0.9, 0.1, 0.1))], 96, up, azimuth, elevation)
    meshed = np.ptp(drawn.astype(int), axis=-1) > 12
    corners = mesh.vertices @ View(*view).axes[:2].T
    (left, low), (right, high) = corners.min(0), corners.max(0)
    camera = Orthographic(float(left), float(right), float(low), float(high), View(*view))
    rows, columns = (np.flatnonzero(meshed.any(axis)) for axis in (1, 0))
    crop = meshed[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    hit = trace(bump, NONE, *camera_rays(camera, *crop.shape)).hit.reshape(crop.shape).numpy()
    assert (hit != crop).mean() < 0.03


@pytest.mark.parametrize("up", ["x", "y", "z"])
def test_axes_are_a_frame_and_up_is_up(up):
    right, upward, forward = View(33.0, 12.0, up).axes
    np.testing.assert_allclose(np.cross(right, upward), -forward, atol=1e-12)
    assert upward["xyz".index(up)] == pytest.approx(np.cos(np.radians(12)))
    assert forward["xyz".index(up)] == pytest.approx(-np.sin(np.radians(12)))


def test_pixels_are_rows_from_the_top_left():
    camera = Orthographic(-2.0, 2.0, -1.0, 1.0, View(0.0, 0.0), 3.0)
    origins, directions = camera_rays(camera, 2, 4)
    np.testing.assert_allclose(origins[0], [-1.5, 0.5, 3])
    np.testing.assert_allclose(origins[-1], [1.5, -0.5, 3])
    np.testing.assert_allclose(directions, np.tile([0, 0, -1], (8, 1)), atol=1e-7)


def test_unknown_up():
    with pytest.raises(InputError, match="up 'w'"):
        turned("w", 0.0)
