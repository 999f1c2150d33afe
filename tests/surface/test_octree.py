import numpy as np
import pytest
import torch

from shapespace.surface.grid import LEAF, Grid
from shapespace.surface.marching_cubes import CORNERS
from shapespace.surface.mesh import evaluator
from shapespace.surface.octree import Octree, steepest_slopes
from tests import exact

NONE = torch.zeros(0)
GRID = Grid(np.full(3, -1.0), 2 / 96, np.full(3, 97))


def test_the_steepest_slope_is_between_088_and_1_of_a_linear_fields():
    for direction in np.random.default_rng(0).normal(size=(50, 3)):
        direction /= np.linalg.norm(direction)
        slope = steepest_slopes((0.3 * CORNERS @ direction)[None], 0.3)[0]
        assert 0.88 <= slope <= 1 + 1e-12


@pytest.mark.parametrize("factor", [0.3, 1.0, 4.0])
def test_the_blocks_hold_all_of_the_zero_set_and_little_else(factor):
    field = exact.torus(0.6, 0.2)
    octree = Octree(evaluator(lambda x, z: factor * field(x, z), NONE), GRID)
    blocks = octree.open()
    assert not octree.hopeless
    angle, ring = np.random.default_rng(0).uniform(0, 2 * np.pi, (2, 2000))
    points = np.stack(
        [
            (0.6 + 0.2 * np.cos(ring)) * np.cos(angle),
            (0.6 + 0.2 * np.cos(ring)) * np.sin(angle),
            0.2 * np.sin(ring),
        ],
        1,
    )
    holding = np.floor((points - GRID.low) / GRID.cell / LEAF).astype(int)
    kept = set(map(tuple, blocks.tolist()))
    assert all(tuple(block) in kept for block in holding.tolist())
    if factor >= 1:
        assert octree.slope >= factor * 0.85
        assert len(blocks) < 0.35 * np.prod(GRID.blocks(LEAF))
    assert len(kept) == len(blocks)


def test_blocks_are_handed_out_once():
    octree = Octree(evaluator(exact.sphere(), NONE), GRID)
    assert len(octree.open()) > 0
    assert len(octree.open()) == 0


def test_a_steeper_slope_opens_what_was_left_out():
    octree = Octree(evaluator(exact.sphere(), NONE), GRID)
    first = octree.open()
    octree.observe(2 * octree.slope)
    more = octree.open()
    assert len(more) > 0
    assert not set(map(tuple, first.tolist())) & set(map(tuple, more.tolist()))


def test_noise_is_hopeless():
    def noise(points, latent):
        return torch.sin(4000 * points.sum(-1)) + 1.5

    octree = Octree(evaluator(noise, NONE), GRID)
    octree.open()
    assert octree.hopeless


def test_a_steep_place_far_from_the_surface_does_not_make_a_distance_flat():
    def field(points, latent):
        far = (points - torch.tensor([0.8, 0.8, 0.8])).norm(dim=-1)
        return exact.sphere(0.4)(points, latent) * (1 + torch.exp(-4 * far.square()))

    octree = Octree(evaluator(field, NONE), GRID)
    octree.open()
    assert octree.slope > 2.2 and not octree.hopeless
    assert len(octree.known()[0]) < 0.2 * GRID.num_nodes
