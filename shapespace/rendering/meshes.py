"""Pictures of meshes and point clouds without a screen.

Frame: that of the shapes, in any unit, ``up`` naming the axis that points up; all shapes of a
picture share one scale and one floor, the lowest point of them all. They stand side by side in one
scene, turned a little, and their shadows fall on one floor. Images are uint8 [H,W,3], sRGB.

Needs embreex and, for files, labels and colour maps, matplotlib: ``shapespace[report]``.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import trimesh
from jaxtyping import Float, UInt8
from scipy.spatial import KDTree

from shapespace.errors import InputError
from shapespace.rendering.camera import MARGIN, light_of, picture_of, turned
from shapespace.rendering.shading import Soup, Window, shade
from shapespace.utils.files import replacing

BLUE = (0.45, 0.64, 0.88)
ORANGE = (0.94, 0.62, 0.42)
GREY = (0.78, 0.78, 0.80)
_MOST_POINTS = 30_000


@dataclass(frozen=True)
class Figure:
    """One shape of a picture.

    shape: a mesh, or points [K,3]; a mesh without faces is drawn as its vertices. color: sRGB, 0 to
    1. label: text below. vertex_colors: [K,3] sRGB colours of the vertices or points, or None.
    """

    shape: trimesh.Trimesh | np.ndarray
    color: tuple[float, float, float] = BLUE
    label: str = ""
    vertex_colors: np.ndarray | None = None


def render_strip(
    figures: Sequence[Figure],
    height: int = 480,
    up: str = "y",
    azimuth: float = 20.0,
    elevation: float = 8.0,
) -> UInt8[np.ndarray, "H W 3"]:
    """The figures side by side as one scene, ``height`` pixels tall without the labels.

    azimuth: degrees the shapes are turned to the right of the viewer. elevation: degrees the camera
    looks down. An empty shape leaves an empty place. Raises InputError where a library is missing.
    """
    return render_grid([figures], height, up, azimuth, elevation)


def render_grid(
    rows: Sequence[Sequence[Figure]],
    height: int = 320,
    up: str = "y",
    azimuth: float = 20.0,
    elevation: float = 8.0,
) -> UInt8[np.ndarray, "H W 3"]:
    """Rows of figures, columns aligned, all at one scale; each row ``height`` pixels tall.

    The other arguments are those of :func:`render_strip`.
    """
    turn = turned(up, azimuth)
    soups = _normalised([[_soup(figure, turn) for figure in row] for row in rows])
    widths = _columns(soups)
    window = _window(soups, float(sum(widths)), elevation)
    width = max(1, round(height * (window.right - window.left) / (window.top - window.bottom)))
    bands = []
    for row, figures in zip(soups, rows, strict=True):
        centres = np.cumsum(widths) - np.array(widths) / 2
        placed = [_moved(soup, np.array([x, 0, 0])) for soup, x in zip(row, centres, strict=False)]
        linear = shade(_joined(placed), window, height, width)
        bands.append(picture_of(linear))
        if any(figure.label for figure in figures):
            rooms = list(np.array(widths) / sum(widths) * width)
            bands.append(label_band([f.label for f in figures], rooms, width, height))
    return np.concatenate(bands)


def save_image(image: UInt8[np.ndarray, "H W 3"], path: str | Path) -> None:
    """Write ``image`` as PNG, whole or not at all."""
    picture = _pillow().fromarray(image)
    with replacing(path) as part:
        picture.save(part, format="PNG", optimize=True)


def colour_map(
    values: Float[np.ndarray, " K"], low: float, high: float, name: str = "viridis"
) -> Float[np.ndarray, "K 3"]:
    """SRGB colours of ``values`` from ``low`` to ``high``, clipped; NaN is grey."""
    colours = _matplotlib().colormaps[name](
        np.clip((values - low) / max(high - low, 1e-300), 0, 1)
    )[:, :3]
    return np.where(np.isnan(values)[:, None], GREY, colours)


def _soup(figure: Figure, turn: np.ndarray) -> Soup:
    """The triangles of a figure, turned upright, without those that have a NaN corner."""
    shape = figure.shape
    if isinstance(shape, np.ndarray) or not len(shape.faces):
        return _spheres(shape if isinstance(shape, np.ndarray) else shape.vertices, figure, turn)
    vertices = np.asarray(shape.vertices, float) @ turn.T
    finite = np.all(np.isfinite(vertices), axis=1)
    faces = np.asarray(shape.faces)[finite[shape.faces].all(axis=1)]
    normals = np.nan_to_num(shape.vertex_normals @ turn.T)
    return Soup(
        np.where(finite[:, None], vertices, 0), faces, normals, _linear(figure, len(vertices))
    )


def _spheres(points: np.ndarray, figure: Figure, turn: np.ndarray) -> Soup:
    """A little ball, an icosahedron shaded round, at each of at most 30 000 of the points."""
    colours = _linear(figure, len(points))
    kept = np.flatnonzero(np.all(np.isfinite(points), axis=1))
    if len(kept) > _MOST_POINTS:
        kept = np.sort(np.random.default_rng(0).choice(kept, _MOST_POINTS, replace=False))
    points, colours = np.asarray(points, float)[kept] @ turn.T, colours[kept]
    if not len(points):
        return Soup(points, np.zeros((0, 3), int), points, colours)
    ball = trimesh.creation.icosahedron()
    gaps = KDTree(points).query(points, k=min(7, len(points)))[0].reshape(len(points), -1)
    radius = 0.6 * float(np.median(gaps[:, -1])) or 1.0
    directions = ball.vertices / np.linalg.norm(ball.vertices, axis=1, keepdims=True)
    num = len(directions)
    vertices = (points[:, None] + radius * directions).reshape(-1, 3)
    faces = (num * np.arange(len(points))[:, None, None] + ball.faces).reshape(-1, 3)
    return Soup(vertices, faces, np.tile(directions, (len(points), 1)), colours.repeat(num, axis=0))


def _linear(figure: Figure, num: int) -> np.ndarray:
    """[num,3] linear colours of the vertices."""
    colours = (
        np.tile(figure.color, (num, 1)) if figure.vertex_colors is None else figure.vertex_colors
    )
    return light_of(np.asarray(colours))


def _box(soup: Soup) -> np.ndarray:
    """[2,3] lowest and highest corner of what is drawn; zeros for nothing."""
    used = soup.drawn
    return np.stack([used.min(axis=0), used.max(axis=0)]) if len(used) else np.zeros((2, 3))


def _moved(soup: Soup, by: np.ndarray, scale: float = 1.0) -> Soup:
    return Soup(scale * soup.vertices + by, soup.faces, soup.normals, soup.colours)


def _normalised(rows: list[list[Soup]]) -> list[list[Soup]]:
    """At one scale, the largest extent 1, on one floor y = 0, each about x = z = 0."""
    boxes = [_box(soup) for row in rows for soup in row if len(soup.faces)]
    scale = 1 / max((float((high - low).max()) for low, high in boxes), default=1.0)
    floor = min((float(low[1]) for low, _ in boxes), default=0.0)

    def place(soup: Soup) -> Soup:
        middle = _box(soup).mean(axis=0)
        return _moved(soup, -scale * np.array([middle[0], floor, middle[2]]), scale)

    return [[place(soup) for soup in row] for row in rows]


def _columns(rows: list[list[Soup]]) -> list[float]:
    """Width of each column: that of its widest figure, and a gap."""
    widths = [[float(np.ptp(_box(soup)[:, 0])) for soup in row] for row in rows]
    num = max((len(row) for row in rows), default=0)
    return [max(row[i] for row in widths if i < len(row)) + 2 * MARGIN for i in range(num)] or [1.0]


def _window(rows: list[list[Soup]], width: float, tilt: float) -> Window:
    """What the camera sees: all figures and a margin."""
    up = Window(0.0, 1.0, 0.0, 1.0, tilt).axes[0]
    drawn = [soup.drawn @ up for row in rows for soup in row]
    low = min((float(heights.min()) for heights in drawn if len(heights)), default=0.0)
    high = max((float(heights.max()) for heights in drawn if len(heights)), default=1.0)
    return Window(0.0, width, low - MARGIN, high + MARGIN, tilt)


def _joined(soups: list[Soup]) -> Soup:
    """All soups as one; it has a row of zeros too, so that nothing is a soup as well."""
    offsets = np.cumsum([1, *(len(soup.vertices) for soup in soups)])
    nothing = np.zeros((1, 3))
    return Soup(
        np.concatenate([nothing, *(soup.vertices for soup in soups)]),
        np.concatenate(
            [np.zeros((0, 3), int), *(s.faces + o for s, o in zip(soups, offsets, strict=False))]
        ),
        np.concatenate([nothing, *(soup.normals for soup in soups)]),
        np.concatenate([nothing, *(soup.colours for soup in soups)]),
    )


def label_band(texts: list[str], rooms: list[float], width: int, height: int) -> np.ndarray:
    """A white band with a text in the middle of each room, on as many lines as it needs."""
    from PIL import ImageDraw, ImageFont

    size = max(11, height // 24)
    file = Path(_matplotlib().get_data_path(), "fonts", "ttf", "DejaVuSans.ttf")
    font = ImageFont.truetype(str(file), size)
    wrapped = [
        _wrapped(text, lambda part, room=room: font.getlength(part) <= room)
        for text, room in zip(texts, rooms, strict=False)
    ]
    band_height = round((0.7 + 1.3 * max(len(lines) for lines in wrapped)) * size)
    band = _pillow().new("RGB", (width, band_height), "white")
    draw = ImageDraw.Draw(band)
    edges = np.cumsum([0.0, *rooms])
    style: dict[str, Any] = {"fill": (60, 60, 60), "font": font, "anchor": "ma", "align": "center"}
    for lines, left, right in zip(wrapped, edges[:-1], edges[1:], strict=False):
        draw.text(((left + right) / 2, 0.5 * size), "\n".join(lines), **style)
    return np.asarray(band)


def _wrapped(text: str, fits: Callable[[str], bool]) -> list[str]:
    """Lines of ``text``, broken after "_" and at spaces where it does not fit."""
    lines = [""]
    for part in re.split(r"(?<=_)|(?<= )", text):
        if lines[-1] and not fits((lines[-1] + part).rstrip()):
            lines.append("")
        lines[-1] += part
    return [line.strip() for line in lines]


def _matplotlib() -> Any:
    try:
        import matplotlib
    except ImportError:
        raise InputError(
            "matplotlib, which draws plots and labels, is missing: pip install 'shapespace[report]'"
        ) from None
    return matplotlib


def _pillow() -> Any:
    _matplotlib()
    from PIL import Image

    return Image
