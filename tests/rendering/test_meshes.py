import numpy as np
import pytest
import trimesh

from shapespace.errors import InputError
from shapespace.rendering.meshes import (
    GREY,
    Figure,
    colour_map,
    render_grid,
    render_row,
    save_image,
)

pytest.importorskip("embreex", reason="rays are cast by embreex")
Image = pytest.importorskip("PIL.Image", reason="labels and files need Pillow")
RED, GREEN = (0.9, 0.1, 0.1), (0.1, 0.8, 0.1)


def ball(radius=0.5):
    return trimesh.creation.icosphere(subdivisions=3, radius=radius)


def painted(image):
    """[H,W] pixels that are neither floor nor shadow, which are grey."""
    return np.ptp(image.astype(int), axis=-1) > 12


def test_a_ball_is_round_and_lit_from_above():
    image = render_row([Figure(ball(), RED)], height=120)
    mask = painted(image)
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    tall, wide = np.ptp(rows) + 1, np.ptp(columns) + 1
    assert tall == pytest.approx(wide, abs=2)
    assert mask.sum() == pytest.approx(np.pi / 4 * tall * wide, rel=0.02)
    middle = int(columns.mean())
    assert image[rows[len(rows) // 4], middle].sum() > image[rows[-4], middle].sum() + 60


def test_the_floor_is_white_and_shadowed_at_the_foot():
    image = render_row([Figure(ball(), RED)], height=120)
    assert np.all(image[0] >= 250)
    floor = image[~painted(image)]
    assert floor.min() < 215


def test_any_unit_gives_the_same_picture():
    metres = render_row([Figure(ball())], height=60)
    millimetres = render_row([Figure(ball(500.0))], height=60)
    assert np.abs(metres.astype(int) - millimetres).mean() < 0.5
    assert np.array_equal(metres, render_row([Figure(ball())], height=60))


@pytest.mark.parametrize("up", ["x", "y", "z"])
def test_up_axis(up):
    column = trimesh.creation.box([1 + (axis == up) for axis in "xyz"])
    heavy = column.copy()
    heavy.vertices[heavy.vertices[:, "xyz".index(up)] > 0] *= 0.3
    mask = painted(render_row([Figure(heavy, RED)], height=80, up=up))
    rows = np.flatnonzero(mask.any(1))
    assert mask[rows[-len(rows) // 4]].sum() > mask[rows[len(rows) // 8]].sum() + 5


def test_figures_stand_in_order_with_their_colours():
    image = render_row([Figure(ball(), RED), Figure(ball(0.3), GREEN)], height=80)
    half = image.shape[1] // 2
    colours = [part[painted(part)].mean(0) for part in (image[:, :half], image[:, half:])]
    assert colours[0].argmax() == 0 and colours[1].argmax() == 1


def test_grid_aligns_columns_and_adds_labels():
    rows = [[Figure(ball(), RED)] * 3, [Figure(ball(0.2), GREEN, "a")] * 2]
    image = render_grid(rows, height=60)
    strip = render_grid(rows[:1], height=60)
    assert image.shape[1] == strip.shape[1]
    assert image.shape[0] == 60 + 60 + 22
    assert image[120:].min() < 120


def test_vertex_colours():
    mesh = ball()
    left = mesh.vertices[:, :1] < 0
    figure = Figure(mesh, vertex_colors=np.where(left, RED, GREEN))
    colours = render_row([figure], height=80, azimuth=0.0)
    mask = painted(colours)
    middle = int(np.flatnonzero(mask.any(0)).mean())
    assert colours[:, :middle][mask[:, :middle]].mean(0).argmax() == 0
    assert colours[:, middle:][mask[:, middle:]].mean(0).argmax() == 1


def test_points_are_drawn():
    points = ball().sample(3000, seed=0)
    of_mesh = painted(render_row([Figure(ball(), RED)], height=100)).mean()
    of_points = painted(render_row([Figure(np.asarray(points), RED)], height=100)).mean()
    no_faces = trimesh.Trimesh(points, np.zeros((0, 3), int), process=False)
    of_vertices = painted(render_row([Figure(no_faces, RED)], height=100)).mean()
    assert of_points == of_vertices == pytest.approx(of_mesh, rel=0.3)


@pytest.mark.parametrize(
    "shape",
    [
        trimesh.Trimesh(),
        np.zeros((0, 3)),
        np.zeros((1, 3)),
        np.zeros((5, 3)),
        np.full((4, 3), np.nan),
        trimesh.Trimesh([[0, 0, 0], [1e-9, 0, 0], [0, 1e-9, 0]], [[0, 1, 2]], process=False),
        trimesh.Trimesh([[0, 0, 0], [1, 0, 0], [2, 0, 0]], [[0, 1, 2]], process=False),
    ],
    ids=["empty", "no points", "a point", "equal points", "nan", "tiny", "flat"],
)
def test_degenerate_shapes_do_not_stop_a_picture(shape):
    assert render_row([Figure(shape, RED)], height=40).shape[0] == 40
    beside = render_row([Figure(ball(), RED), Figure(shape)], height=40)
    assert painted(beside).any()


def test_no_figures():
    assert np.all(render_row([], height=30) == 255)


def test_a_corner_at_nan_is_left_out():
    mesh = ball()
    vertices = mesh.vertices.copy()
    vertices[0] = np.nan
    broken = trimesh.Trimesh(vertices, mesh.faces, process=False)
    assert painted(render_row([Figure(broken, RED)], height=60)).mean() > 0.1


def test_unknown_up():
    with pytest.raises(InputError, match="up 'w'"):
        render_row([], up="w")


def test_save_image(tmp_path):
    image = np.random.default_rng(0).integers(0, 255, (8, 9, 3)).astype(np.uint8)
    save_image(image, tmp_path / "a.png")
    assert np.array_equal(np.asarray(Image.open(tmp_path / "a.png")), image)
    assert [path.name for path in tmp_path.iterdir()] == ["a.png"]


def test_colour_map():
    colours = colour_map(np.array([-1.0, 0.0, 2.0, 3.0, np.nan]), 0.0, 2.0)
    assert np.array_equal(colours[0], colours[1]) and np.array_equal(colours[2], colours[3])
    assert colours[1] != pytest.approx(colours[2])
    assert tuple(colours[4]) == GREY
