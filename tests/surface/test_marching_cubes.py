import mcubes
import numpy as np
import pytest
import torch

from shapespace.surface.grid import Grid
from shapespace.surface.level_set import dense_zero_set
from shapespace.surface.marching_cubes import case_table
from shapespace.surface.mesh import evaluator
from tests.meshes import same_mesh

NONE = torch.zeros(0)


def volume_field(volume):
    """A field whose values at whole coordinates are those of ``volume``."""

    def field(points, latent):
        x, y, z = points[0].round().long().T
        return torch.from_numpy(volume)[x, y, z][None]

    return field


def grid_of(volume):
    return Grid(np.zeros(3), 1.0, np.array(volume.shape))


@pytest.mark.parametrize("shape", [(2, 2, 2), (9, 6, 7), (21, 20, 19)])
@pytest.mark.parametrize("seed", [0, 1])
def test_noise_gives_the_mesh_of_pymcubes(shape, seed):
    volume = np.random.default_rng(seed).normal(size=shape).astype(np.float32)
    grid = grid_of(volume)
    vertices, faces = dense_zero_set(evaluator(volume_field(volume), NONE), grid).mesh()
    wanted, triangles = mcubes.marching_cubes(volume, 0.0)
    same_mesh((vertices, faces), (wanted, triangles[:, ::-1].astype(int)), 1e-6)


def test_every_case_has_the_triangles_of_pymcubes_wound_outward():
    table = case_table()
    assert (table[[0, 255]] == -1).all()
    for case in range(256):
        volume = np.where(case >> np.arange(8) & 1, 1.0, -1.0).reshape(2, 2, 2).astype(np.float32)
        wanted, triangles = mcubes.marching_cubes(volume, 0.0)
        assert (table[case, :, 0] >= 0).sum() == len(triangles)
        grid = grid_of(volume)
        found = dense_zero_set(evaluator(volume_field(volume), NONE), grid).mesh()
        same_mesh(found, (wanted, triangles[:, ::-1].astype(int)), 1e-9)


def test_each_vertex_is_there_once():
    volume = np.random.default_rng(2).normal(size=(12, 12, 12)).astype(np.float32)
    vertices, faces = dense_zero_set(evaluator(volume_field(volume), NONE), grid_of(volume)).mesh()
    assert len(np.unique(vertices, axis=0)) == len(vertices) == len(np.unique(faces))
