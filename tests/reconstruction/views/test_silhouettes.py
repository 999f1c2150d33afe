"""Shapes from masks alone, and with depth; silhouettes behind a camera are named."""

import json

import numpy as np
import pytest
import torch
import trimesh

from shapespace.cameras.pinhole import ring
from shapespace.config.options import FitOptions, MeshOptions, ViewOptions
from shapespace.errors import InputError
from shapespace.reconstruction.views import silhouettes
from shapespace.reconstruction.views.check import seen_sources, split_silhouettes
from shapespace.reconstruction.views.silhouettes import reconstruct_silhouettes
from shapespace.rendering.meshes import save_image
from tests.reconstruction.views.bottles import TRUE, blank, bottle_space, write_bottle

RING = ring(3, np.array([0.1, 0.0, -0.2]), 0.7, size=(56, 48))
QUICK = MeshOptions(resolution=32)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    made = tmp_path_factory.mktemp("bottle")
    write_bottle(made, RING)
    return made


@pytest.fixture(autouse=True)
def space(monkeypatch):
    made = bottle_space()
    monkeypatch.setattr(silhouettes, "space_of_meshes", lambda checkpoint: made)
    return made


def outlines(folder, rows=(0, 1, 2), **options):
    masks = [str(folder / f"mask_{row:03d}.png") for row in rows]
    given = {"masks": masks, "cameras": str(folder / "transforms.json"), **options}
    rest, views = split_silhouettes(seen_sources([], ViewOptions(**given)))
    assert not rest
    return views


def test_three_silhouettes_tell_the_shape_and_its_place(folder, tmp_path):
    found = reconstruct_silhouettes("s", outlines(folder), tmp_path, FitOptions(), QUICK)
    assert float(found.code[0]) == pytest.approx(float(TRUE[0]), abs=0.03)
    true = bottle_space().mesh(TRUE, resolution=32).bounds
    bounds = trimesh.load_mesh(found.path).bounds
    np.testing.assert_allclose(bounds, true, atol=0.03)
    assert found.facts["overlap"] > 0.93 and found.failure == ""
    facts = json.loads((tmp_path / f"{found.path.stem}.json").read_text())
    assert facts["overlap"] == found.facts["overlap"] and facts["views"] == 3
    np.testing.assert_array_equal(np.load(found.path.with_suffix(".npy")), found.code.numpy())
    assert "3 silhouettes" in found.line()


def test_one_silhouette_gives_a_shape_of_the_usual_size(folder, tmp_path):
    found = reconstruct_silhouettes("s", outlines(folder, (1,)), tmp_path, FitOptions(), QUICK)
    assert found.facts["overlap"] > 0.9
    assert abs(float(found.code[0])) < 0.35


def test_silhouettes_of_another_shape_are_doubted(folder, tmp_path):
    for row in range(3):
        image = np.zeros((48, 56), np.uint8)
        image[22:26, 4:52] = 255  # a bar
        save_image(image, tmp_path / f"mask_{row:03d}.png")
    views = outlines(tmp_path, cameras=str(folder / "transforms.json"))
    found = reconstruct_silhouettes("s", views, tmp_path / "o", FitOptions(), QUICK)
    assert found.failure.startswith("FAILED") and found.line().count("FAILED") == 1


def test_silhouettes_behind_a_camera_are_named(folder, tmp_path):
    views = outlines(folder, axes="opencv")
    with pytest.raises(InputError, match=r"behind camera .*--axes") as error:
        reconstruct_silhouettes("s", views, tmp_path, FitOptions(), QUICK)
    assert "\n" not in str(error.value)


def test_empty_masks_and_masks_of_another_size_are_named(folder, tmp_path):
    blank(tmp_path / "mask_000.png", 48, 56)
    blank(tmp_path / "mask_001.png", 20, 20, 255)
    for row, match in enumerate(["mask is empty", "is 20 x 20, camera"]):
        views = outlines(tmp_path, (row,), cameras=str(folder / "transforms.json"))
        with pytest.raises(InputError, match=match):
            reconstruct_silhouettes("s", views, tmp_path / "o", FitOptions(), QUICK)


def test_a_code_is_found_from_rays_alone_in_any_unit(folder, space, tmp_path):
    assert torch.equal(space.codes.table.weight[0], bottle_space().codes.table.weight[0])
    views = outlines(folder)
    metres = reconstruct_silhouettes("s", views, tmp_path / "m", FitOptions(), QUICK)
    again = reconstruct_silhouettes("s", views, tmp_path / "n", FitOptions(), QUICK)
    assert torch.equal(metres.code, again.code)
