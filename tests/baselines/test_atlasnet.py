"""AtlasNet: the loss against all pairs, a space of two ellipsoids, meshes of both primitives."""

import numpy as np
import pytest
import torch
import trimesh

from shapespace.baselines.atlasnet import (
    AtlasNet,
    AtlasNetOptions,
    chamfer_squared,
    train_atlasnet,
)
from shapespace.errors import InputError
from tests.meshes import compared

SMALL = {"latent_size": 4, "width": 32, "depth": 1, "num_points": 250, "batch_size": 2}


def ellipsoid(axes, count=1500, seed=0):
    directions = np.random.default_rng(seed).normal(size=(count, 3))
    return directions / np.linalg.norm(directions, axis=1, keepdims=True) * axes


def distances(mesh, axes):
    """The distance of each vertex from an ellipsoid, to first order."""
    scaled = mesh.vertices / axes
    size = np.linalg.norm(scaled, axis=1)
    return np.abs(size - 1) / np.linalg.norm(scaled / axes / size[:, None], axis=1)


def test_the_loss_is_that_of_all_pairs():
    torch.manual_seed(0)
    found, wanted = torch.randn(40, 3).requires_grad_(), torch.randn(30, 3)
    square = (found[:, None] - wanted[None]).square().sum(-1)
    exact = square.min(1).values.mean() + square.min(0).values.mean()
    fast = chamfer_squared(found, wanted)
    torch.testing.assert_close(fast, exact)
    torch.testing.assert_close(
        *(torch.autograd.grad(loss, found, retain_graph=True)[0] for loss in (fast, exact))
    )


def test_the_network_is_that_of_the_formula_for_each_scan_and_primitive_alone():
    torch.manual_seed(0)
    options = AtlasNetOptions(primitive="squares", **SMALL)
    network = AtlasNet(options)
    places = network.draw(2, 250, torch.Generator().manual_seed(0))
    codes = torch.randn(2, 4)
    assert places.shape == (2, 25, 10, 2)
    found = network(codes, places)
    patch = 7
    hidden = places[1, patch] @ network.weights[0][patch] + network.biases[0][patch]
    hidden = hidden + codes[1] @ network.code[patch]
    for weight, bias in zip(network.weights[1:], network.biases[1:], strict=True):
        hidden = hidden.clamp(min=0) @ weight[patch] + bias[patch]
    torch.testing.assert_close(found[1, patch], hidden)
    torch.testing.assert_close(network(codes[1:], places[1:]), found[1:])


def test_a_space_of_two_ellipsoids_is_learnt_and_an_unseen_scan_is_fitted(tmp_path):
    shapes = [np.array([1.0, 0.6, 0.6]), np.array([0.6, 0.6, 1.0])]
    scans = [ellipsoid(axes, seed=row) for row, axes in enumerate(shapes)]
    options = AtlasNetOptions(epochs=250, lr=5e-3, **SMALL)
    space = train_atlasnet(scans, options)
    for code, axes in zip(space.codes, shapes, strict=True):
        mesh = space.mesh(code, resolution=3)
        assert mesh.is_watertight
        assert distances(mesh, axes).mean() < 0.04
    code = space.fit(ellipsoid(shapes[0], seed=9), steps=60)
    assert distances(space.mesh(code, 3), shapes[0]).mean() < 0.06
    truth = trimesh.creation.icosphere(4)
    truth.apply_scale(shapes[0])
    measured = compared(space.mesh(code, 3), truth, tmp_path)
    assert measured["point_to_mesh"] == pytest.approx(
        distances(space.mesh(code, 3), shapes[0]).mean(), abs=0.03
    )
    again = train_atlasnet(scans, AtlasNetOptions(epochs=3, **SMALL))
    same = train_atlasnet(scans, AtlasNetOptions(epochs=3, **SMALL))
    assert torch.equal(again.codes, same.codes), "the seed decides all"


def test_squares_make_25_sheets():
    scans = [ellipsoid(np.ones(3))]
    space = train_atlasnet(scans, AtlasNetOptions(primitive="squares", epochs=60, lr=5e-3, **SMALL))
    mesh = space.mesh(space.codes[0], resolution=4)
    assert len(mesh.faces) == 25 * 4 * 4 * 2
    assert len(mesh.split(only_watertight=False)) == 25
    assert distances(mesh, np.ones(3)).mean() < 0.1


def test_wrong_input_is_one_line():
    for build, named in (
        (lambda: train_atlasnet([]), "no scan"),
        (lambda: train_atlasnet([np.empty((0, 3))]), "scan 0 has no points"),
        (lambda: AtlasNetOptions(num_points=3), "num_points=3"),
        (lambda: AtlasNetOptions(lr=0.0), "lr=0"),
    ):
        with pytest.raises(InputError, match=named):
            build()
