"""The correction on exact fields: holes, bumps, wrong priors, units."""

import numpy as np
import pytest

from shapespace.elastic.correction import Correction, corrected, point_spacing
from shapespace.elastic.grid import SparseGrid

RADIUS = 0.35


def directions(count, seed=0):
    found = np.random.default_rng(seed).normal(size=(count, 3))
    return found / np.linalg.norm(found, axis=1, keepdims=True)


class Sphere:
    """The distance to a sphere, with waves on it."""

    def __init__(self, radius, centre=(0.0, 0.0, 0.0), waves=0.0):
        self.radius, self.centre, self.waves = radius, np.array(centre), waves

    def gradients(self, points):
        arm = points - self.centre
        return arm / np.maximum(np.linalg.norm(arm, axis=1), 1e-9)[:, None]

    def values_and_gradients(self, points):
        return self.values(points), self.gradients(points)

    def values(self, points):
        height = self.radius + self.waves * np.sin(20 * self.gradients(points)[:, 0])
        return np.linalg.norm(points - self.centre, axis=1) - height


def meshed(field, scale=1.0):
    return field.mesh(0.015 * scale)


def test_a_grid_keeps_the_nodes_near_its_points_and_interpolates_linear_functions():
    points = directions(300)
    grid = SparseGrid(points, 0.1, 0.25)
    distance = np.linalg.norm(grid.positions[:, None] - points, axis=2).min(1)
    assert distance.max() <= 0.25 + 0.1
    assert len(np.unique(grid.keys)) == len(grid)
    values = grid.positions @ [1.0, -2.0, 3.0] + 4
    found, whole = grid.interpolated(values, points)
    assert whole.all()
    np.testing.assert_allclose(found, points @ [1.0, -2.0, 3.0] + 4)
    value, *slopes = grid.point_rows(points, np.ones(len(points)))
    np.testing.assert_allclose(value @ values, found)
    for slope, exact in zip(slopes, (1.0, -2.0, 3.0), strict=True):
        np.testing.assert_allclose(slope @ values, exact)
    assert not grid.interpolated(values, np.array([[9.0, 0, 0], [0, 0, 0]]))[1].any()


@pytest.mark.parametrize("scale", [1.0, 1000.0])
def test_a_wrong_radius_is_corrected_and_a_hole_is_closed_by_the_prior(scale):
    rays = directions(2500)
    seen = rays[rays[:, 2] > -0.6]
    true = 1.03 * RADIUS
    prior = Sphere(RADIUS * scale)
    surface = RADIUS * scale * directions(4000, 1)
    field = corrected(prior, surface, true * scale * seen, seen)
    mesh = meshed(field, scale)
    assert mesh.is_watertight and mesh.body_count == 1
    radius = np.linalg.norm(mesh.vertices, axis=1) / scale
    near = mesh.vertices[:, 2] / scale / radius > -0.55
    assert np.abs(radius[near] - true).max() < 0.002
    # in the hole the correction fades, and never overshoots
    assert radius[~near].min() > RADIUS - 0.003 and radius[~near].max() < true + 0.002


def test_a_bump_between_the_points_is_kept():
    """The prior has detail that is finer than the points; they lie on it."""
    rays = directions(800)
    height = RADIUS + 0.01 * np.sin(20 * rays[:, 0])
    surface = directions(6000, 1)
    surface *= RADIUS + 0.01 * np.sin(20 * surface[:, :1])
    field = corrected(Sphere(RADIUS, waves=0.01), surface, height[:, None] * rays, None)
    other = directions(500, 2)
    at = (RADIUS + 0.01 * np.sin(20 * other[:, :1])) * other
    assert np.abs(field.at(at)).mean() < 0.001


def test_a_prior_that_the_points_contradict_is_overruled():
    """Points all around a sphere; the prior is one twice as large, elsewhere."""
    rays = directions(3000)
    prior = Sphere(0.5 * RADIUS, centre=(0.25, 0, 0))
    surface = 0.5 * RADIUS * directions(3000, 1) + [0.25, 0, 0]
    mesh = meshed(corrected(prior, surface, RADIUS * rays, rays))
    error = np.abs(np.linalg.norm(mesh.vertices, axis=1) - RADIUS)
    assert np.mean(error) < 0.003 and mesh.is_watertight


def test_outliers_do_not_pull_a_trusted_prior():
    rays = directions(3000)
    points = RADIUS * rays
    points[:60] *= 1.3
    surface = RADIUS * directions(4000, 1)
    mesh = meshed(corrected(Sphere(RADIUS), surface, points, rays))
    assert mesh.body_count == 1
    assert np.abs(np.linalg.norm(mesh.vertices, axis=1) - RADIUS).max() < 0.004


def test_spacing_of_an_even_sample():
    axis = np.arange(40) * 0.01
    plane = np.stack([*np.meshgrid(axis, axis), np.zeros((40, 40))], -1).reshape(-1, 3)
    assert point_spacing(plane) == pytest.approx(0.01, rel=0.15)
    assert point_spacing(1000 * plane) == pytest.approx(10, rel=0.15)


def test_the_solution_does_not_depend_on_the_order_of_the_points():
    rays = directions(500)
    surface = RADIUS * directions(1000, 1)
    options = Correction(cells=(1.6,))
    order = np.random.default_rng(0).permutation(500)
    fields = [
        corrected(Sphere(RADIUS), surface, 1.02 * RADIUS * some, some, options)
        for some in (rays, rays[order])
    ]
    np.testing.assert_allclose(fields[0].values, fields[1].values, atol=1e-4)


def test_without_confidence_the_points_alone_decide():
    """A prior that agrees with half of the points, and has a limb that nobody saw."""
    rays = directions(3000)
    prior = Sphere(0.6 * RADIUS, centre=(0.35, 0, 0))
    surface = 0.6 * RADIUS * directions(3000, 1) + [0.35, 0, 0]
    found = corrected(prior, surface, RADIUS * rays, rays, confidence=0.0)
    assert not found.trust.any()
    error = np.abs(np.linalg.norm(meshed(found).vertices, axis=1) - RADIUS)
    assert error.mean() < 0.003


def test_a_shape_that_is_not_believed_leaves_a_solid():
    """Without any trust in the prior, a hole in the points must not let the outside in."""
    rays = directions(3000)
    seen = rays[rays[:, 2] > -0.9]
    surface = RADIUS * directions(8000, 1)
    found = corrected(Sphere(RADIUS), surface, RADIUS * seen, seen, confidence=0.0)
    mesh = meshed(found)
    assert mesh.is_watertight
    np.testing.assert_allclose(mesh.volume, 4 / 3 * np.pi * RADIUS**3, rtol=0.1)
