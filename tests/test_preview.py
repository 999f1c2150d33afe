import pytest
import torch

from shapespace.decoders import SkipMLP
from shapespace.preview import draw_codes, strip

pytest.importorskip("matplotlib", reason="pictures need shapespace[report]")
PIL_Image = pytest.importorskip("PIL.Image")


@pytest.mark.parametrize("dimension", [2, 3])
def test_codes_become_a_picture(tmp_path, dimension):
    pytest.importorskip("embreex", reason="pictures need shapespace[report]")
    torch.manual_seed(0)
    decoder = SkipMLP(4, dimension, width=64, depth=3, skip=0)
    codes = torch.zeros(3, 4)
    path = draw_codes(decoder, codes, ["a", "b", "c"], 1.8, 24, tmp_path / "p.png")
    width, height = PIL_Image.open(path).size
    assert width > 100 and height > 100


def test_empty_meshes_are_drawn_as_nothing(tmp_path):
    pytest.importorskip("embreex", reason="pictures need shapespace[report]")
    import trimesh

    path = strip([trimesh.Trimesh(), trimesh.creation.icosphere()], tmp_path / "p.png")
    assert path.exists()
