import sys

import numpy as np
import pytest
import torch

from shapespace.decoders import SkipMLP
from shapespace.rendering.previews import draw_codes, strip, traced_strip

pytest.importorskip("matplotlib", reason="pictures need shapespace[report]")
PIL_Image = pytest.importorskip("PIL.Image")


def ball(points, latent):
    """A ball whose radius is its code."""
    return torch.linalg.vector_norm(points, dim=-1) - latent[:, :1]


def columns(image):
    """Runs of columns with something in them: [left, right) of each."""
    full = np.diff((image.min((0, 2)) < 250).astype(int), prepend=0, append=0)
    return list(zip(np.flatnonzero(full == 1), np.flatnonzero(full == -1), strict=True))


@pytest.mark.parametrize("dimension", [2, 3])
def test_codes_become_a_picture(tmp_path, dimension):
    torch.manual_seed(0)
    decoder = SkipMLP(4, dimension, width=64, depth=3, skip=0)
    codes = torch.zeros(3, 4)
    path = draw_codes(decoder, codes, ["a", "b", "c"], 1.8, 40, tmp_path / "p.png")
    width, height = PIL_Image.open(path).size
    assert width > 100 and height > 50


def test_a_preview_needs_neither_embree_nor_marching_cubes(monkeypatch):
    monkeypatch.setitem(sys.modules, "embreex", None)
    monkeypatch.setitem(sys.modules, "mcubes", None)
    assert traced_strip(ball, torch.tensor([[0.5]]), 1.8, ["a"], 40).min() < 100


def test_shapes_stand_side_by_side_at_one_scale():
    image = traced_strip(ball, torch.tensor([[0.6], [0.3]]), 1.8, height=280)
    assert image.shape[0] == 280
    large, small = (right - left for left, right in columns(image))
    assert large == pytest.approx(280 / 1.2, rel=0.06) and small == pytest.approx(large / 2, abs=3)


def test_labels_are_below():
    codes = torch.tensor([[0.6], [0.3]])
    bare, labelled = (traced_strip(ball, codes, 1.8, texts, 60) for texts in ((), ("a", "b")))
    assert np.array_equal(labelled[:60], bare)
    assert labelled[60:].min() < 150


def test_a_code_without_a_surface_leaves_its_place_empty():
    image = traced_strip(ball, torch.tensor([[0.6], [-1.0], [0.6]]), 1.8, height=60)
    (_, first), (second, _) = columns(image)
    assert second - first > 10
    nothing = traced_strip(ball, torch.tensor([[-1.0]]), 1.8, height=60)
    assert nothing.shape[0] == 60 and nothing.min() == 255


def test_empty_meshes_are_drawn_as_nothing(tmp_path):
    pytest.importorskip("embreex", reason="pictures need shapespace[report]")
    import trimesh

    path = strip([trimesh.Trimesh(), trimesh.creation.icosphere()], tmp_path / "p.png")
    assert path.exists()
