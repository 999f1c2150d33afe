import numpy as np
import pytest

from shapespace.errors import InputError
from shapespace.rendering.plots import plot_curves, plot_slice

Image = pytest.importorskip("PIL.Image", reason="plots need matplotlib")


def test_curves_are_drawn_from_csv_rows(tmp_path):
    rows = [{"step": str(i), "loss": str(1 / (i + 1)), "note": "x", "late": ""} for i in range(9)]
    rows[-1]["late"] = "0.5"
    plot_curves(rows, tmp_path / "curves.png")
    image = np.asarray(Image.open(tmp_path / "curves.png").convert("RGB"))
    assert image.shape[0] > 300 and (np.ptp(image.astype(int), axis=-1) > 60).sum() > 200
    assert [path.name for path in tmp_path.iterdir()] == ["curves.png"]


@pytest.mark.parametrize("rows", [[], [{"step": 1}], [{"step": 1, "loss": "nan"}]], ids=str)
def test_no_numbers(tmp_path, rows):
    with pytest.raises(InputError, match="nothing to plot"):
        plot_curves(rows, tmp_path / "curves.png")
    assert not list(tmp_path.iterdir())


def test_slice_has_a_bold_zero_set(tmp_path):
    x = np.linspace(-1, 1, 80)
    circle = np.hypot(x[:, None], x) - 0.5
    plot_slice(circle, (-1.0, 1.0, -1.0, 1.0), tmp_path / "circle.png")
    plot_slice(circle + 1, (-1.0, 1.0, -1.0, 1.0), tmp_path / "none.png")
    black = [
        (np.asarray(Image.open(tmp_path / f"{name}.png").convert("L")) < 40).sum()
        for name in ("circle", "none")
    ]
    assert black[0] > black[1] + 500


def test_a_slice_of_nan(tmp_path):
    with pytest.raises(InputError, match="NaN"):
        plot_slice(np.full((3, 3), np.nan), (0.0, 1.0, 0.0, 1.0), tmp_path / "a.png")
