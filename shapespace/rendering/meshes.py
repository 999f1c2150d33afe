"""Pictures of meshes and point clouds without a screen.

Frame and unit: those of the shapes; ``up`` names the axis that points up. The shapes of a picture
stand side by side in one scene, at one scale, on one floor; the floor is at the lowest point of all
shapes. Images are sRGB.

Rendering needs embreex; files, labels and colour maps need matplotlib and Pillow
(``pip install 'shapespace[report]'``).

Letters: H x W pixels, K points or values, V vertices.
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

from shapespace.errors import InputError, printable
from shapespace.rendering.camera import Orthographic, View, turned
from shapespace.rendering.shading import Soup, shade, to_linear, to_srgb
from shapespace.utils.files import replacing

BLUE = (0.45, 0.64, 0.88)
ORANGE = (0.94, 0.62, 0.42)
GREY = (0.78, 0.78, 0.80)
MARGIN = 0.07
"""White margin around each shape, as a share of the longest side of the largest shape."""
MAX_POINTS = 30_000
"""A larger point cloud is drawn as a random subset."""


@dataclass(frozen=True)
class Figure:
    """One shape of a picture.

    Args:
        shape: a mesh, or points [K,3]. A mesh without faces is drawn as its vertices.
        color: sRGB colour of the whole shape, 0 to 1.
        label: text below the shape.
        vertex_colors: sRGB colours [K,3] of the vertices or points, in place of ``color``.
    """

    shape: trimesh.Trimesh | np.ndarray
    color: tuple[float, float, float] = BLUE
    label: str = ""
    vertex_colors: np.ndarray | None = None


def render_row(
    figures: Sequence[Figure],
    height: int = 480,
    up: str = "y",
    azimuth: float = 20.0,
    elevation: float = 8.0,
) -> UInt8[np.ndarray, "H W 3"]:
    """Draw figures side by side in one scene.

    Args:
        figures: the shapes from left to right; an empty shape leaves an empty column.
        height: image rows, without those of the labels.
        up: the axis of the shapes that points up: x, y or z.
        azimuth: degrees by which the shapes turn to the right of the viewer.
        elevation: degrees by which the camera looks down.

    Returns:
        The image, as wide as the figures need.

    Raises:
        InputError: for an unknown ``up``, or where embreex, matplotlib or Pillow is not installed.
    """
    return render_grid([figures], height=height, up=up, azimuth=azimuth, elevation=elevation)


def render_grid(
    rows: Sequence[Sequence[Figure]],
    height: int = 320,
    up: str = "y",
    azimuth: float = 20.0,
    elevation: float = 8.0,
) -> UInt8[np.ndarray, "H W 3"]:
    """Draw rows of figures with aligned columns, all at one scale.

    Args:
        rows: the rows from top to bottom; a row may be shorter than others.
        height: image rows of each row of figures, without those of its labels.
        up: the axis of the shapes that points up: x, y or z.
        azimuth: degrees by which the shapes turn to the right of the viewer.
        elevation: degrees by which the camera looks down.

    Returns:
        The image.

    Raises:
        InputError: for an unknown ``up``, or where embreex, matplotlib or Pillow is not installed.
    """
    rotation = turned(up, azimuth)
    soups = _normalised([[_soup(figure, rotation) for figure in row] for row in rows])
    widths = _column_widths(soups)
    camera = _camera(soups, float(sum(widths)), elevation)
    width = max(1, round(height * (camera.right - camera.left) / (camera.top - camera.bottom)))
    bands = []
    for row, figures in zip(soups, rows, strict=True):
        centres = np.cumsum(widths) - np.array(widths) / 2
        placed = [_moved(soup, np.array([x, 0, 0])) for soup, x in zip(row, centres, strict=False)]
        linear = shade(_joined(placed), camera, height=height, width=width)
        bands.append(to_srgb(linear))
        if any(figure.label for figure in figures):
            pixels = list(np.array(widths) / sum(widths) * width)
            texts = [figure.label for figure in figures]
            bands.append(_label_band(texts, pixels, width=width, height=height))
    return np.concatenate(bands)


def save_image(image: UInt8[np.ndarray, "H W *rgb"], path: str | Path) -> None:
    """Write a PNG file, in colour or grey; an interruption leaves the old file or none.

    Raises InputError where Pillow is not installed.
    """
    picture = pillow_modules().Image.fromarray(image)
    with replacing(path) as part:
        picture.save(part, format="PNG", optimize=True)


def colour_map(
    values: Float[np.ndarray, " K"], low: float, high: float, name: str = "viridis"
) -> Float[np.ndarray, "K 3"]:
    """Colours of numbers.

    Args:
        values: the numbers; those outside ``low`` to ``high`` are clipped, NaN becomes grey.
        low: the number that gets the first colour of the map.
        high: the number that gets the last colour.
        name: a colour map of matplotlib.

    Returns:
        SRGB colours, 0 to 1.

    Raises:
        InputError: where matplotlib is not installed.
    """
    # The floor of the denominator serves low = high.
    colours = _matplotlib().colormaps[name](
        np.clip((values - low) / max(high - low, 1e-300), 0, 1)
    )[:, :3]
    return np.where(np.isnan(values)[:, None], GREY, colours)


def blue_to_orange(share: Float[np.ndarray, " K"]) -> Float[np.ndarray, "K 3"]:
    """Colours from sure to unsure: ``BLUE`` at 0 and below, ``ORANGE`` at 1 and above, sRGB."""
    share = np.clip(share, 0, 1)[:, None]
    return (1 - share) * np.array(BLUE) + share * np.array(ORANGE)


def _soup(figure: Figure, rotation: np.ndarray) -> Soup:
    """The rotated triangles of a figure, without those that have a corner at NaN."""
    shape = figure.shape
    if isinstance(shape, np.ndarray) or not len(shape.faces):
        points = shape if isinstance(shape, np.ndarray) else shape.vertices
        return _balls(points, figure, rotation)
    vertices = np.asarray(shape.vertices, float) @ rotation.T
    finite = np.all(np.isfinite(vertices), axis=1)
    return Soup(
        vertices=np.where(finite[:, None], vertices, 0),
        faces=np.asarray(shape.faces)[finite[shape.faces].all(axis=1)],
        normals=np.nan_to_num(shape.vertex_normals @ rotation.T),
        colours=_linear_colours(figure, len(vertices)),
    )


def _balls(points: np.ndarray, figure: Figure, rotation: np.ndarray) -> Soup:
    """A small ball at each point: an icosahedron with the normals of a sphere."""
    colours = _linear_colours(figure, len(points))
    kept = np.flatnonzero(np.all(np.isfinite(points), axis=1))
    if len(kept) > MAX_POINTS:
        kept = np.sort(np.random.default_rng(0).choice(kept, MAX_POINTS, replace=False))
    points = np.asarray(points, float)[kept] @ rotation.T
    colours = colours[kept]
    if not len(points):
        return Soup(vertices=points, faces=np.zeros((0, 3), int), normals=points, colours=colours)
    ball = trimesh.creation.icosahedron()
    # The distance to the sixth neighbour, the point itself not counted, follows the density of the
    # cloud: balls about that size close its surface. Equal points would give radius 0.
    gaps = KDTree(points).query(points, k=min(7, len(points)))[0].reshape(len(points), -1)
    radius = 0.6 * float(np.median(gaps[:, -1])) or 1.0
    directions = ball.vertices / np.linalg.norm(ball.vertices, axis=1, keepdims=True)
    num = len(directions)
    first = num * np.arange(len(points))
    return Soup(
        vertices=(points[:, None] + radius * directions).reshape(-1, 3),
        faces=(first[:, None, None] + ball.faces).reshape(-1, 3),
        normals=np.tile(directions, (len(points), 1)),
        colours=colours.repeat(num, axis=0),
    )


def _linear_colours(figure: Figure, num: int) -> Float[np.ndarray, "V 3"]:
    """Linear colours of the ``num`` vertices of a figure."""
    colours = (
        np.tile(figure.color, (num, 1)) if figure.vertex_colors is None else figure.vertex_colors
    )
    return to_linear(np.asarray(colours))


def _box(soup: Soup) -> Float[np.ndarray, "2 3"]:
    """Lowest and highest corner of the bounding box of the triangles; zeros if there are none."""
    used = soup.drawn
    return np.stack([used.min(axis=0), used.max(axis=0)]) if len(used) else np.zeros((2, 3))


def _moved(soup: Soup, shift: np.ndarray, scale: float = 1.0) -> Soup:
    return Soup(
        vertices=scale * soup.vertices + shift,
        faces=soup.faces,
        normals=soup.normals,
        colours=soup.colours,
    )


def _normalised(rows: list[list[Soup]]) -> list[list[Soup]]:
    """The soups at one scale, on the floor y = 0, each centred about x = z = 0."""
    # The longest side of the largest bounding box becomes 1, the scale that shading is made for.
    boxes = [_box(soup) for row in rows for soup in row if len(soup.faces)]
    scale = 1 / max((float((high - low).max()) for low, high in boxes), default=1.0)
    floor = min((float(low[1]) for low, _ in boxes), default=0.0)

    def normalised(soup: Soup) -> Soup:
        middle = _box(soup).mean(axis=0)
        return _moved(soup, -scale * np.array([middle[0], floor, middle[2]]), scale)

    return [[normalised(soup) for soup in row] for row in rows]


def _column_widths(rows: list[list[Soup]]) -> list[float]:
    """Width of each column: that of its widest figure, with a margin on both sides."""
    widths = [[float(np.ptp(_box(soup)[:, 0])) for soup in row] for row in rows]
    num = max((len(row) for row in rows), default=0)
    return [max(row[i] for row in widths if i < len(row)) + 2 * MARGIN for i in range(num)] or [1.0]


def _camera(rows: list[list[Soup]], width: float, elevation: float) -> Orthographic:
    """A camera that sees every row of figures, ``width`` wide, with a margin above and below."""
    # The figures are turned upright and by the azimuth already.
    view = View(azimuth=0.0, elevation=elevation)
    heights = [soup.drawn @ view.axes[1] for row in rows for soup in row]
    low = min((float(each.min()) for each in heights if len(each)), default=0.0)
    high = max((float(each.max()) for each in heights if len(each)), default=1.0)
    return Orthographic(
        left=0.0,
        right=width,
        bottom=low - MARGIN,
        top=high + MARGIN,
        view=view,
        distance=10.0,
    )


def _joined(soups: list[Soup]) -> Soup:
    """All soups as one."""
    # A vertex that no triangle uses stands in front, so that no soup at all has arrays too.
    offsets = np.cumsum([1, *(len(soup.vertices) for soup in soups)])
    unused = np.zeros((1, 3))
    faces = [soup.faces + offset for soup, offset in zip(soups, offsets, strict=False)]
    return Soup(
        vertices=np.concatenate([unused, *(soup.vertices for soup in soups)]),
        faces=np.concatenate([np.zeros((0, 3), int), *faces]),
        normals=np.concatenate([unused, *(soup.normals for soup in soups)]),
        colours=np.concatenate([unused, *(soup.colours for soup in soups)]),
    )


def colour_scale(
    low: str, high: str, width: int, height: int, name: str = "viridis"
) -> UInt8[np.ndarray, "h W 3"]:
    """A white band with the colours of :func:`colour_map` and what they mean at both ends.

    Args:
        low: what the first colour means.
        high: what the last colour means.
        width: columns of the band.
        height: rows of the picture above, which sets the size of the letters.
        name: a colour map of matplotlib.

    Raises:
        InputError: where matplotlib or Pillow is not installed.
    """
    pillow = pillow_modules()
    font, size = _font(height)
    rows = 2 * size
    band = np.full((rows, width, 3), 255, np.uint8)
    left, right = int(0.35 * width), int(0.65 * width)
    shades = colour_map(np.linspace(0, 1, right - left), 0.0, 1.0, name)
    band[size // 2 : rows - size // 2, left:right] = np.rint(255 * shades)
    image = pillow.Image.fromarray(band)
    draw = pillow.ImageDraw.Draw(image)
    style: dict[str, Any] = {"fill": (60, 60, 60), "font": font}
    draw.text((left - size // 2, size), low, anchor="rm", **style)
    draw.text((right + size // 2, size), high, anchor="lm", **style)
    return np.asarray(image)


def _font(height: int) -> tuple[Any, int]:
    """The font of labels, and its size, for a picture of so many rows."""
    size = max(11, height // 24)
    file = Path(_matplotlib().get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf"
    return pillow_modules().ImageFont.truetype(str(file), size), size


def _label_band(
    texts: list[str], widths: list[float], width: int, height: int
) -> UInt8[np.ndarray, "h W 3"]:
    """A white band with a text in the middle of each column, on as many lines as needed.

    ``widths`` are those of the columns in pixels; ``height`` is that of the picture above, which
    sets the size of the letters.
    """
    pillow = pillow_modules()
    font, size = _font(height)
    wrapped = [
        _wrapped(text, lambda part, column=column: font.getlength(part) <= column)
        for text, column in zip(map(printable, texts), widths, strict=False)
    ]
    band_height = round((0.7 + 1.3 * max(len(lines) for lines in wrapped)) * size)
    band = pillow.Image.new("RGB", (width, band_height), "white")
    draw = pillow.ImageDraw.Draw(band)
    edges = np.cumsum([0.0, *widths])
    style: dict[str, Any] = {"fill": (60, 60, 60), "font": font, "anchor": "ma", "align": "center"}
    for lines, left, right in zip(wrapped, edges[:-1], edges[1:], strict=False):
        draw.text(((left + right) / 2, 0.5 * size), "\n".join(lines), **style)
    return np.asarray(band)


def _wrapped(text: str, fits: Callable[[str], bool]) -> list[str]:
    """Lines of ``text``, broken at spaces and after "_" where a line does not fit."""
    lines = [""]
    for part in re.split(r"(?<=_)|(?<= )", text):
        if lines[-1] and not fits((lines[-1] + part).rstrip()):
            lines.append("")
        lines[-1] += part
    return [line.strip() for line in lines]


def _matplotlib() -> Any:
    """Matplotlib, which brings the font of the labels. InputError where not installed."""
    try:
        import matplotlib
    except ImportError:
        raise InputError(
            "matplotlib, which draws plots and labels, is missing: pip install 'shapespace[report]'"
        ) from None
    return matplotlib


def pillow_modules() -> Any:
    """Pillow with its modules Image, ImageDraw and ImageFont. InputError where not installed."""
    try:
        import PIL
        import PIL.Image
        import PIL.ImageDraw
        import PIL.ImageFont
    except ImportError:
        raise InputError(
            "Pillow, which writes images and labels, is missing: pip install 'shapespace[report]'"
        ) from None
    return PIL
