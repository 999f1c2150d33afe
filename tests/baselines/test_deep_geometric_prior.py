"""A deep geometric prior on a sphere, its cover, its transport and its agreement."""

import sys
from dataclasses import replace

import numpy as np
import pytest
import torch
import trimesh

from shapespace.baselines.deep_geometric_prior import (
    PriorOptions,
    _Networks,
    agreed,
    assigned,
    cover_by_patches,
    deep_geometric_prior,
    fit_patches,
)
from shapespace.baselines.poisson import screened_poisson
from shapespace.errors import InputError
from tests.meshes import compared

CENTRE, RADIUS = np.array([30.0, -20.0, 7.0]), 5.0
FAST = PriorOptions(
    radius=0.15,
    patch_points=40,
    local_steps=80,
    global_steps=20,
    widen=0.25,
    lr=5e-3,
    sinkhorn_steps=16,
)


def sphere(count=500):
    directions = np.random.default_rng(0).normal(size=(count, 3))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    return CENTRE + RADIUS * directions, directions


def test_every_point_lies_in_a_patch_and_no_patch_has_both_sides():
    flat = np.random.default_rng(0).uniform(size=(400, 3)) * [1, 1, 0]
    points = np.concatenate([flat, flat + np.array([0, 0, 0.01])])
    normals = np.repeat([[0.0, 0.0, -1.0], [0.0, 0.0, 1.0]], 400, axis=0)
    cover = cover_by_patches(points, normals, PriorOptions(radius=0.1, patch_points=50))
    for rows in cover.rows:
        assert len(set(normals[rows, 2])) == 1
    own = cover.to_patches(points)
    assert own.norm(dim=-1).amax(1).numpy() == pytest.approx(1, abs=1e-5)
    assert own[..., 2].abs().max() < 1e-5, "the third axis is the normal"
    torch.testing.assert_close(
        cover.to_scan(own.double()), torch.as_tensor(points[cover.rows]), atol=1e-6, rtol=0
    )
    covered = cover_by_patches(points, normals, PriorOptions(radius=0.1, patch_points=800))
    assert len(np.unique(covered.rows)) == 800


def test_the_transport_undoes_a_permutation():
    pytest.importorskip("ot", exc_type=ImportError)
    torch.manual_seed(0)
    targets = torch.rand(3, 40, 3)
    order = torch.stack([torch.randperm(40) for _ in range(3)])
    found = targets.gather(1, order[..., None].expand(-1, -1, 3)) + 0.002 * torch.randn(3, 40, 3)
    assert torch.equal(assigned(found, targets, FAST), order)


def test_patches_agree_on_the_mean():
    points, normals = sphere(60)
    cover = cover_by_patches(points, normals, PriorOptions(radius=0.4, patch_points=20))
    torch.manual_seed(0)
    found = cover.to_patches(points).double() + 0.1 * torch.randn(*cover.rows.shape, 3).double()
    rows = torch.as_tensor(cover.rows)
    wanted = cover.to_scan(agreed(cover, found, rows, len(points)))
    placed = cover.to_scan(found)
    for row in np.unique(cover.rows):
        same = rows == row
        mean = placed[same].mean(0)
        torch.testing.assert_close(wanted[same], mean.expand(int(same.sum()), 3))


def test_tangents_are_those_of_autograd():
    torch.manual_seed(0)
    layers = _Networks(2, 0.1).double()
    places = torch.rand(2, 5, 2).double()
    found, tangents = layers.with_tangents(places)
    torch.testing.assert_close(found, layers(places))
    whole = torch.autograd.functional.jacobian(layers, places)
    for patch in range(2):
        for row in range(5):
            torch.testing.assert_close(tangents[patch, row], whole[patch, row, :, patch, row, :].T)


def test_a_sphere_is_recovered_in_its_own_frame(tmp_path):
    pytest.importorskip("ot", exc_type=ImportError)
    points, normals = sphere()
    patches = fit_patches(points, normals, FAST)
    dense, directions = patches.sample(3000)
    assert 2500 < len(dense) < 3500
    away = dense - CENTRE
    size = np.linalg.norm(away, axis=1)
    assert np.abs(size - RADIUS).mean() < 0.02 * RADIUS
    assert (directions * away / size[:, None]).sum(1).mean() > 0.95
    pytest.importorskip("open3d", exc_type=ImportError)
    mesh = screened_poisson(dense, directions, depth=5)
    assert mesh.is_watertight
    assert mesh.volume == pytest.approx(4 / 3 * np.pi * RADIUS**3, rel=0.05)
    truth = trimesh.creation.icosphere(4, RADIUS)
    truth.apply_translation(CENTRE)
    assert compared(mesh, truth, tmp_path)["point_to_mesh"] < 0.05 * RADIUS
    rough = deep_geometric_prior(points, normals, replace(FAST, local_steps=1), depth=3)
    assert len(rough.faces), "the same in one call"


def test_wrong_input_is_one_line(monkeypatch):
    points, normals = sphere(20)
    with pytest.raises(InputError, match="20 points and 19 normals"):
        fit_patches(points, normals[1:])
    with pytest.raises(InputError, match="entropy"):
        PriorOptions(entropy=0.0)
    monkeypatch.setitem(sys.modules, "ot.batch", None)
    with pytest.raises(InputError, match="pip install POT"):
        fit_patches(points, normals, FAST)
