import numpy as np
import pytest
import torch

from shapespace.errors import InputError
from shapespace.rendering.camera import Orthographic, Pinhole, View, turned
from shapespace.surface.sphere_tracing import trace

NONE = torch.zeros(0)


def bump(points, latent):
    """A ball with another one on its upper right front, so that no turn looks like another."""
    at = torch.tensor([0.25, 0.45, 0.3])
    small = torch.linalg.vector_norm(points - at, dim=-1) - 0.15
    return torch.minimum(torch.linalg.vector_norm(points, dim=-1) - 0.5, small)


@pytest.mark.parametrize("pose", [(20.0, 8.0, "y"), (-60.0, 30.0, "z"), (110.0, 0.0, "x")])
def test_traced_and_meshed_pictures_show_the_same_view(pose):
    pytest.importorskip("embreex", reason="meshes are drawn by embreex")
    from shapespace.rendering.meshes import Figure, render_strip
    from shapespace.surface.mesh import extract_mesh

    azimuth, elevation, up = pose
    mesh = extract_mesh(bump, NONE, 64)
    drawn = render_strip([Figure(mesh, (0.9, 0.1, 0.1))], 96, up, azimuth, elevation)
    meshed = np.ptp(drawn.astype(int), axis=-1) > 12
    corners = mesh.vertices @ View(*pose).axes[:2].T
    (left, low), (right, high) = corners.min(0), corners.max(0)
    camera = Orthographic(float(left), float(right), float(low), float(high), View(*pose))
    rows, columns = (np.flatnonzero(meshed.any(axis)) for axis in (1, 0))
    crop = meshed[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    hit = trace(bump, NONE, *camera.rays(*crop.shape)).hit.reshape(crop.shape).numpy()
    assert (hit != crop).mean() < 0.03


@pytest.mark.parametrize("up", ["x", "y", "z"])
def test_axes_are_a_frame_and_up_is_up(up):
    right, upward, forward = View(33.0, 12.0, up).axes
    np.testing.assert_allclose(np.cross(right, upward), -forward, atol=1e-12)
    assert upward["xyz".index(up)] == pytest.approx(np.cos(np.radians(12)))
    assert forward["xyz".index(up)] == pytest.approx(-np.sin(np.radians(12)))


def test_pixels_are_rows_from_the_top_left():
    camera = Orthographic(-2.0, 2.0, -1.0, 1.0, View(0.0, 0.0), 3.0)
    origins, directions = camera.rays(2, 4)
    np.testing.assert_allclose(origins[0], [-1.5, 0.5, 3])
    np.testing.assert_allclose(origins[-1], [1.5, -0.5, 3])
    np.testing.assert_allclose(directions, np.tile([0, 0, -1], (8, 1)), atol=1e-7)


def test_a_pinhole_looks_at_the_origin_and_opens_as_far_as_it_says():
    origins, directions = Pinhole(60.0, View(30.0, 20.0), 5.0).rays(301, 3)
    middle = directions.reshape(301, 3, 3)[:, 1]
    np.testing.assert_allclose(origins[0] + 5 * middle[150], [0, 0, 0], atol=1e-5)
    opening = np.degrees(np.arccos(float(middle[0] @ middle[-1])))
    assert opening == pytest.approx(60, abs=0.3)


def test_far_away_a_pinhole_sees_as_parallel_rays_do():
    pose, distance = View(25.0, 10.0), 400.0
    pinhole = Pinhole(float(2 * np.degrees(np.arctan(1 / distance))), pose, distance)
    far = trace(bump, NONE.double(), *pinhole.rays(40, 40)).hit
    near = trace(bump, NONE.double(), *Orthographic(-1.0, 1.0, -1.0, 1.0, pose).rays(40, 40)).hit
    assert (far != near).sum() <= 8


def test_unknown_up():
    with pytest.raises(InputError, match="up 'w'"):
        turned("w", 0.0)
