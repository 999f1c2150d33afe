import numpy as np
import pytest

from shapespace.rendering.charts import COLOURS, colour_bar, plot_bars, plot_histogram, plot_map
from shapespace.rendering.meshes import Figure, colour_map, render_row
from shapespace.rendering.plots import plot_curves

Image = pytest.importorskip("PIL.Image", reason="plots need matplotlib")


def pixels(path):
    return np.asarray(Image.open(path).convert("RGB")).astype(int)


def test_a_colour_bar_has_the_colours_of_the_map(tmp_path):
    colour_bar(0.0, 5.0, "mm", tmp_path / "bar.png")
    image = pixels(tmp_path / "bar.png").reshape(-1, 3)
    for colour in 255 * colour_map(np.array([0.0, 1.3, 2.5, 5.0]), 0.0, 5.0):
        assert np.abs(image - colour).max(axis=1).min() <= 3


def test_points_of_each_group_have_a_colour_of_their_own(tmp_path):
    places = np.array([[0.0, 0], [1, 0], [0, 1], [1, 1]])
    plot_map(places, ["a", "b", "a", "c"], tmp_path / "map.png", ("x", "y"), {0: "first"})
    image = pixels(tmp_path / "map.png").reshape(-1, 3)
    for colour, many in zip(COLOURS[:4], (True, True, True, False), strict=True):
        wanted = [int(colour[i : i + 2], 16) for i in (1, 3, 5)]
        assert ((image == wanted).all(axis=1).sum() > 30) == many


def test_any_name_stands_in_a_map_as_it_is_written(tmp_path):
    matplotlib = pytest.importorskip("matplotlib")
    names = ["_under", "a$b_1$", "$", "_$x^$"]
    places = np.random.default_rng(0).normal(size=(4, 2))
    with matplotlib.rc_context({"svg.fonttype": "none"}):
        plot_map(places, names, tmp_path / "map.svg", ("x", "y"), {2: "$\\oops$"})
    text = (tmp_path / "map.svg").read_text("utf-8")
    assert all(f">{name}</text>" in text for name in names)


@pytest.mark.parametrize("values", [np.zeros(0), np.zeros(3), np.array([2.0]), np.arange(50.0)])
def test_any_number_of_values_is_drawn(values, tmp_path):
    plot_histogram(values, tmp_path / "histogram.svg", "length")
    plot_bars(values, tmp_path / "bars.svg", "share", {"rank": 1.5})
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bars.svg", "histogram.svg"]


def test_a_name_may_hold_any_character(tmp_path):
    odd = [
        "$\\frac$",
        "\ud800",
        "a\0b",
        "\u202e\u0627\x1b[31m\n",
        "_" + "x" * 2000,
        "\U000e0000\u05edR\u0212\u06a7\u0673\u05cd\u026d\u0660",
    ]
    places = np.arange(12.0).reshape(6, 2) ** 2
    plot_map(places, odd, tmp_path / "map.svg", ("x", "y"), dict(enumerate(odd)))
    plot_curves([{"step": 1, **dict.fromkeys(odd, 2)}], tmp_path / "curves.svg")
    figures = [Figure(np.eye(3), label=name) for name in odd]
    render_row(figures, height=20)
