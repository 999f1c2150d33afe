import sys

import numpy as np
import pytest
import torch
import trimesh

from shapespace.decoders import Decoder, SkipMLP
from shapespace.errors import InputError
from shapespace.rendering.previews import draw_codes, draw_row

pytest.importorskip("matplotlib", reason="pictures need shapespace[report]")
PIL_Image = pytest.importorskip("PIL.Image")


class Ball(Decoder):
    """A ball whose radius is its code."""

    dimension, latent_size = 3, 1

    def forward(self, points, latent):
        return torch.linalg.vector_norm(points, dim=-1) - latent[:, :1]


def drawn(path, radii, names=(), height=60):
    """The picture of balls."""
    pytest.importorskip("embreex", reason="meshes are drawn by embreex")
    texts = [*names, *[""] * (len(radii) - len(names))]
    draw_codes(Ball(), torch.tensor(radii)[:, None], texts, 1.8, height, path)
    return np.asarray(PIL_Image.open(path)).astype(int)


def columns(image):
    """Runs of columns with something coloured in them: [left, right) of each."""
    full = np.diff((np.ptp(image, axis=-1) > 12).any(0).astype(int), prepend=0, append=0)
    return list(zip(np.flatnonzero(full == 1), np.flatnonzero(full == -1), strict=True))


@pytest.mark.parametrize("dimension", [2, 3])
def test_codes_become_a_picture(tmp_path, dimension):
    if dimension == 3:
        pytest.importorskip("embreex", reason="meshes are drawn by embreex")
    torch.manual_seed(0)
    decoder = SkipMLP(4, dimension, width=64, depth=3, skip=0)
    codes = torch.zeros(3, 4)
    path = draw_codes(decoder, codes, ["a", "b", "c"], 1.8, 40, tmp_path / "p.png")
    width, height = PIL_Image.open(path).size
    assert width > 100 and height > 50


@pytest.mark.parametrize("library", ["embreex.mesh_construction", "matplotlib", "PIL"])
def test_a_missing_library_is_named_and_leaves_no_file(tmp_path, monkeypatch, library):
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(InputError, match=r"is missing: pip install 'shapespace\[report\]'"):
        draw_codes(Ball(), torch.tensor([[0.5]]), ["a"], 1.8, 40, tmp_path / "p.png")
    assert list(tmp_path.iterdir()) == []


def test_level_sets_of_2d_shapes_need_no_embree(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "embreex", None)
    monkeypatch.setitem(sys.modules, "embreex.mesh_construction", None)
    decoder = SkipMLP(4, 2, width=64, depth=3, skip=0)
    assert draw_codes(decoder, torch.zeros(1, 4), ["a"], 1.8, 40, tmp_path / "p.png").exists()


def test_shapes_stand_side_by_side_at_one_scale(tmp_path):
    image = drawn(tmp_path / "p.png", [0.6, 0.3], height=280)
    assert image.shape[0] == 280
    large, small = (right - left for left, right in columns(image))
    assert large == pytest.approx(280 / 1.14, rel=0.06)
    assert small == pytest.approx(large / 2, abs=5)


def test_labels_are_below(tmp_path):
    bare = drawn(tmp_path / "bare.png", [0.6, 0.3])
    labelled = drawn(tmp_path / "labelled.png", [0.6, 0.3], ["a", "b"])
    assert np.array_equal(labelled[:60], bare)
    assert labelled[60:].min() < 150


def test_a_code_without_a_surface_leaves_its_place_empty(tmp_path):
    image = drawn(tmp_path / "three.png", [0.6, -1.0, 0.6])
    (_, first), (second, _) = columns(image)
    assert second - first > 10
    nothing = drawn(tmp_path / "nothing.png", [-1.0])
    assert nothing.shape[0] == 60 and nothing.min() == 255


def test_a_coarse_mesh_shows_every_component(tmp_path):
    class Pair(Ball):
        def forward(self, points, latent):
            apart = torch.tensor([0.8, 0.0, 0.0])
            one, other = (super(Pair, self).forward(points + s * apart, latent) for s in (-1, 1))
            return torch.minimum(one, other + 0.1)

    pytest.importorskip("embreex", reason="meshes are drawn by embreex")
    path = draw_codes(Pair(), torch.tensor([[0.4]]), ["a"], 1.8, 120, tmp_path / "p.png")
    assert len(columns(np.asarray(PIL_Image.open(path)).astype(int)[:120])) == 2


def test_empty_meshes_are_drawn_as_nothing(tmp_path):
    pytest.importorskip("embreex", reason="pictures need shapespace[report]")
    path = draw_row([trimesh.Trimesh(), trimesh.creation.icosphere()], tmp_path / "p.png")
    assert path.exists()
