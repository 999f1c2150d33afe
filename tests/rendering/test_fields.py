import numpy as np
import torch

from shapespace.rendering.camera import Orthographic, View
from shapespace.rendering.fields import find_view
from shapespace.surface.sphere_tracing import trace
from tests import exact

NONE = torch.zeros(0)
SIZE = (90, 90)
CAMERA = Orthographic(-1.0, 1.0, -1.0, 1.0, distance=3.6)
RED = (1.0, 0.0, 0.0)


def painted(field):
    portrait = find_view(field, NONE, 1.8, fringe=0.03)
    return portrait, portrait.paint(CAMERA, *SIZE, RED)


def test_what_is_painted_is_what_single_rays_hit():
    for field in (exact.torus(), exact.two_spheres(), exact.box()):
        image = painted(field)[1]
        hit = trace(field, NONE, *CAMERA.rays(*SIZE)).hit.reshape(SIZE).numpy()
        assert (np.ptp(image, axis=-1)[hit] > 0.02).all()
        shown = image.min(-1) < 0.999
        grown = np.zeros_like(hit)
        for i in (-1, 0, 1):
            for j in (-1, 0, 1):
                grown |= np.roll(hit, (i, j), (0, 1))
        assert (shown & ~grown).sum() <= 0.02 * hit.sum()


def test_the_silhouette_is_soft():
    image = painted(exact.sphere(0.6))[1]
    edge = image[45][:, 1]
    assert ((edge > 0.35) & (edge < 0.99)).sum() >= 2
    assert edge[0] == edge[-1] == 1.0


def test_bounds_hold_the_shape_closely():
    bounds = find_view(exact.sphere(0.6), NONE, 1.8).bounds
    assert bounds is not None
    np.testing.assert_allclose(bounds, [-0.6, 0.6, -0.6, 0.6], atol=0.05)
    assert bounds[0] <= -0.6 and bounds[1] >= 0.6 and bounds[2] <= -0.6 and bounds[3] >= 0.6


def test_light_comes_from_the_upper_left():
    image = painted(exact.sphere(0.6))[1][..., 0]
    assert image[30, 35] > image[60, 55] + 0.2


def test_hollows_are_darker():
    def pair(points, latent):
        shift = torch.tensor([0.4, 0.0, 0.0])
        return torch.minimum(left(points, latent), (points - shift).norm(dim=-1) - 0.38)

    def left(points, latent):
        return (points + torch.tensor([0.4, 0.0, 0.0])).norm(dim=-1) - 0.38

    front = Orthographic(-1.0, 1.0, -1.0, 1.0, View(0.0, 0.0), distance=3.6)
    alone, beside = (
        find_view(field, NONE, 1.8, front.pose).paint(front, *SIZE, RED)[45, 42]
        for field in (left, pair)
    )
    assert (alone < 1).any() and (beside < 0.9 * alone).all()


def test_nothing_is_white():
    def field(points, latent):
        return points.norm(dim=-1) + 1

    portrait, image = painted(field)
    assert portrait.bounds is None and (image == 1).all()
