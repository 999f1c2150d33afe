"""Sparse against dense: the same triangles from few points, for distances and for what is none."""

import warnings

import mcubes
import numpy as np
import pytest
import torch

from shapespace.decoders import SkipMLP
from shapespace.surface import level_set, slabs
from shapespace.surface.grid import Grid
from shapespace.surface.level_set import dense_zero_set, zero_set
from shapespace.surface.mesh import evaluator
from tests import exact
from tests.meshes import same_mesh

NONE = torch.zeros(0)


def changed(field, change):
    return lambda points, latent: change(field(points, latent))


def network(seed):
    torch.manual_seed(seed)
    decoder = SkipMLP(0, width=32, depth=4, skip=2, radius=0.6).double()
    return lambda points, latent: decoder(points.double(), latent.double())


def relu_occupancy():
    torch.manual_seed(0)
    net = torch.nn.Sequential(torch.nn.Linear(3, 32), torch.nn.ReLU(), torch.nn.Linear(32, 1))
    return lambda points, latent: torch.sigmoid(8 * net(points)[..., 0]) - 0.5


def dust(points, latent):
    """Two far specks."""
    ends = (points - 0.7).norm(dim=-1), (points + 0.6).norm(dim=-1)
    return torch.minimum(*ends) - 0.08


FIELDS = {
    "sphere": exact.sphere(),
    "torus": exact.torus(),
    "box": exact.box(),
    "capsule": exact.capsule(),
    "two spheres": exact.two_spheres(0.5),
    "two specks": dust,
    "plane": lambda points, latent: points[..., 1] - 0.013,
    "scaled by 3": changed(exact.torus(), lambda f: 3 * f),
    "scaled by 0.2": changed(exact.torus(), lambda f: 0.2 * f),
    "clamped": changed(exact.torus(), lambda f: f.clamp(-0.1, 0.1)),
    "occupancy": changed(exact.torus(), lambda f: (10 * f).clamp(-0.5, 0.5)),
    "occupancy of specks": changed(dust, lambda f: (10 * f).clamp(-0.5, 0.5)),
    "relu occupancy": relu_occupancy(),
    "network": network(0),
}


def grid_over(size, extent=1.0):
    return Grid(np.full(3, -extent), 2 * extent / (size - 1), np.full(3, size))


def counted(field):
    """The field, and a list that tells how many points each call asked for."""
    asked = []

    def counting(points, latent):
        asked.append(points.shape[1])
        return field(points, latent)

    return counting, asked


@pytest.mark.parametrize("name", FIELDS)
@pytest.mark.parametrize("size", [40, 64])
def test_the_mesh_is_that_of_the_dense_grid(name, size):
    evaluate, grid = evaluator(FIELDS[name], NONE), grid_over(size)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        sparse = zero_set(evaluate, grid).mesh()
    nodes = np.indices(grid.counts).reshape(3, -1).T
    volume = evaluate(grid.points(nodes)).reshape(grid.counts)
    vertices, faces = mcubes.marching_cubes(volume, 0.0)
    wanted = grid.low + grid.cell * vertices, faces[:, ::-1].astype(int)
    same_mesh(sparse, wanted, 1e-6)


def test_few_points_are_evaluated_and_never_many_at_once():
    field, asked = counted(exact.torus())
    grid = grid_over(257)
    assert zero_set(evaluator(field, NONE), grid).mesh()[0].shape[0] > 10_000
    assert sum(asked) < 0.035 * grid.num_nodes
    assert max(asked) < 20_000


def test_a_thin_slab_at_a_time_changes_nothing(monkeypatch):
    evaluate, grid = evaluator(exact.torus(), NONE), grid_over(50)
    whole = zero_set(evaluate, grid).mesh()
    monkeypatch.setattr(slabs, "SLAB_NODES", 1)
    thin = zero_set(evaluate, grid).mesh()
    for one, other in zip(whole, thin, strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_field_that_no_slope_bounds_is_evaluated_densely_and_says_so(monkeypatch):
    monkeypatch.setattr(level_set, "LARGE", 0)

    def noise(points, latent):
        return torch.sin(4000 * points.sum(-1)) + torch.cos(3000 * points[..., 0])

    evaluate, grid = evaluator(noise, NONE), grid_over(70)
    with pytest.warns(UserWarning, match="the field is no distance"):
        sparse = zero_set(evaluate, grid).mesh()
    same_mesh(sparse, dense_zero_set(evaluate, grid).mesh(), 0)


@pytest.mark.parametrize("sign", [1, -1])
def test_no_zero_set_is_no_triangle(sign):
    found = zero_set(
        evaluator(lambda points, latent: sign * (points.norm(dim=-1) + 1), NONE), grid_over(50)
    )
    vertices, faces = found.mesh()
    assert vertices.shape == faces.shape == (0, 3)


def test_what_is_no_number_is_outside():
    def field(points, latent):
        sdf = exact.sphere()(points, latent)
        between = (points[..., 0] - 0.15).abs() < 0.1
        return torch.where(between, torch.nan, sdf)

    for size in (20, 60):
        vertices, faces = zero_set(evaluator(field, NONE), grid_over(size)).mesh()
        assert len(faces) > 0 and np.isfinite(vertices).all()


def test_small_grids_are_dense():
    field, asked = counted(exact.sphere())
    grid = grid_over(20)
    assert grid.num_nodes < level_set.SMALL
    zero_set(evaluator(field, NONE), grid)
    assert sum(asked) == grid.num_nodes
