"""Light on triangles: an orthographic ray caster for still pictures on the CPU.

Frame: x to the right, y up, z toward the viewer; the floor is y = 0, things are about 1 tall. The
camera is tilted downwards. Colours are linear, 0 to 1. A pixel is a square of SUPER x SUPER rays;
each ray that hits casts a few rays for the sky and the key light, in a pattern of 4 x 4, and the
average over that pattern, within one surface, takes the noise away.

Letters: V vertices, T triangles, H x W pixels, K rays that hit.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int
from scipy.ndimage import gaussian_filter, zoom

from shapespace.geometry.rays import RayScene
from shapespace.rendering.camera import KEY_LIGHT

SUPER = 2
_TILE, _STRIDE = 4, 4
_SKY_RAYS, _KEY_RAYS, _FLOOR_RAYS = 3, 2, 24
_KEY_SIZE, _LIFT = 0.14, 2e-3


@dataclass(frozen=True)
class Soup:
    """Triangles with smooth normals and a colour at every vertex."""

    vertices: Float[np.ndarray, "V 3"]
    faces: Int[np.ndarray, "T 3"]
    normals: Float[np.ndarray, "V 3"]
    colours: Float[np.ndarray, "V 3"]

    @property
    def drawn(self) -> Float[np.ndarray, "U 3"]:
        """The vertices that a triangle uses."""
        used = np.zeros(len(self.vertices), bool)
        used[self.faces] = True
        return self.vertices[used]


@dataclass(frozen=True)
class Window:
    """What is seen of the image plane: left, right, bottom, top, and the tilt in degrees."""

    left: float
    right: float
    bottom: float
    top: float
    tilt: float

    @property
    def axes(self) -> tuple[np.ndarray, np.ndarray]:
        """Upward axis of the image and viewing direction."""
        c, s = np.cos(np.radians(self.tilt)), np.sin(np.radians(self.tilt))
        return np.array([0, c, -s]), np.array([0, -s, -c])

    def origins(self, height: int, width: int) -> Float[np.ndarray, "H W 3"]:
        """Start of the ray through every pixel, in front of everything."""
        up, forward = self.axes
        x = self.left + (np.arange(width) + 0.5) / width * (self.right - self.left)
        y = self.top - (np.arange(height) + 0.5) / height * (self.top - self.bottom)
        return x[None, :, None] * [1, 0, 0] + y[:, None, None] * up - 10 * forward


def shade(soup: Soup, window: Window, height: int, width: int) -> Float[np.ndarray, "H W 3"]:
    """The picture of ``soup`` on a white floor, linear colours."""
    scene = RayScene(soup.vertices, soup.faces)
    rows, columns = SUPER * height, SUPER * width
    image = _floor(scene, soup, window, rows, columns)[..., None] * np.ones(3)
    forward = window.axes[1]
    origins = window.origins(rows, columns).reshape(-1, 3)
    face = scene.first(origins, np.broadcast_to(forward, origins.shape))
    pixel = np.flatnonzero(face >= 0)
    if len(pixel):
        image.reshape(-1, 3)[pixel] = _lit(
            scene, soup, origins[pixel], forward, face[pixel], pixel, (rows, columns)
        )
    return image.reshape(height, SUPER, width, SUPER, 3).mean((1, 3))


def _lit(
    scene: RayScene,
    soup: Soup,
    origins: Float[np.ndarray, "K 3"],
    forward: Float[np.ndarray, " 3"],
    face: Int[np.ndarray, " K"],
    pixel: Int[np.ndarray, " K"],
    shape: tuple[int, int],
) -> Float[np.ndarray, "K 3"]:
    """Colour of the rays that hit."""
    points, depth, weights = _hits(soup, origins, forward, face)
    corners = soup.faces[face]
    normals = np.einsum("kc,kci->ki", weights, soup.normals[corners])
    normals /= np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-12)
    normals *= np.where(normals @ forward > 0, -1, 1)[:, None]
    colour = np.einsum("kc,kci->ki", weights, soup.colours[corners])
    row, column = np.divmod(pixel, shape[1])
    cell = row % _TILE * _TILE + column % _TILE
    light = _smoothed(_light(scene, points, normals, cell), depth, normals, row, column, shape)
    half = (KEY_LIGHT - forward) / np.linalg.norm(KEY_LIGHT - forward)
    gloss = 0.10 * np.clip(normals @ half, 0, 1) ** 30 * (light[:, 1] > 0.02)
    rim = 0.10 * (1 - np.clip(-normals @ forward, 0, 1)) ** 3 * light[:, 0]
    return colour * (0.44 * light[:, :1] + 0.88 * light[:, 1:]) + (gloss + rim)[:, None]


def _hits(
    soup: Soup, origins: np.ndarray, forward: np.ndarray, face: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Points, distances along the ray and barycentric weights of the hits."""
    a, b, c = soup.vertices[soup.faces[face]].transpose(1, 0, 2)
    normal = np.cross(b - a, c - a)
    squared = np.maximum(np.einsum("ki,ki->k", normal, normal), 1e-30)
    slope = normal @ forward
    steep = np.where(np.abs(slope) > 1e-15, slope, 1e-15)
    depth = np.einsum("ki,ki->k", a - origins, normal) / steep
    points = origins + depth[:, None] * forward
    v = np.einsum("ki,ki->k", np.cross(points - a, c - a), normal) / squared
    w = np.einsum("ki,ki->k", np.cross(b - a, points - a), normal) / squared
    return points, depth, np.clip(np.stack([1 - v - w, v, w], -1), 0, 1)


def _light(
    scene: RayScene, points: np.ndarray, normals: np.ndarray, cell: np.ndarray
) -> Float[np.ndarray, "K 2"]:
    """Light of the sky and of the key at points, by the pattern of ``cell``."""
    start = points + _LIFT * normals
    light = np.zeros((len(points), 2))
    sky, key = _pattern(_SKY_RAYS), _pattern(_KEY_RAYS)
    for i in range(_SKY_RAYS):
        toward = _unit(normals + 0.999 * sky[cell, i])
        light[:, 0] += (0.6 + 0.4 * toward[:, 1]) * ~scene.hidden(start, toward) / _SKY_RAYS
    for i in range(_KEY_RAYS):
        toward = _unit(KEY_LIGHT + _KEY_SIZE * key[cell, i])
        facing = np.clip(np.einsum("ki,ki->k", normals, toward), 0, 1)
        light[:, 1] += facing * ~scene.hidden(start, toward) / _KEY_RAYS
    return light


def _pattern(num: int) -> Float[np.ndarray, "C N 3"]:
    """Evenly spread unit vectors for every cell of the tile: a plastic-number sequence."""
    order = np.random.default_rng(0).permutation(_TILE * _TILE * num)
    u, v = (0.5 + np.outer([0.7548776662, 0.5698402910], order)) % 1
    z, turn = 2 * u - 1, 2 * np.pi * v
    flat = np.sqrt(1 - z * z)
    vectors = np.stack([flat * np.cos(turn), flat * np.sin(turn), z], -1)
    return vectors.reshape(_TILE * _TILE, num, 3)


def _smoothed(
    light: np.ndarray,
    depth: np.ndarray,
    normals: np.ndarray,
    row: np.ndarray,
    column: np.ndarray,
    shape: tuple[int, int],
) -> np.ndarray:
    """The average over the tile around every ray, of those that hit the same surface."""
    number = np.full((shape[0] + _TILE, shape[1] + _TILE), -1, np.int32)
    number[row + _TILE // 2, column + _TILE // 2] = np.arange(len(row))
    total, count = np.zeros_like(light), np.zeros(len(light))
    for i in range(_TILE):
        for j in range(_TILE):
            other = number[row + i, column + j]
            same = (np.abs(depth - depth[other]) < 0.02) & (other >= 0)
            same &= np.einsum("ki,ki->k", normals, normals[other]) > 0.8
            total += np.where(same[:, None], light[other], 0)
            count += same
    return total / np.maximum(count, 1)[:, None]


def _floor(
    scene: RayScene, soup: Soup, window: Window, rows: int, columns: int
) -> Float[np.ndarray, "R C"]:
    """Grey of the floor behind every ray: white, shadowed near what stands on it."""
    if not len(soup.faces) or window.tilt <= 0:
        return np.ones((rows, columns))
    forward = window.axes[1]
    coarse = window.origins(-(-rows // _STRIDE), -(-columns // _STRIDE))
    points = coarse + (coarse[..., 1] / -forward[1])[..., None] * forward
    low, high = soup.drawn.min(axis=0), soup.drawn.max(axis=0)
    gap = np.maximum(np.maximum(low - points, points - high)[..., [0, 2]], 0)
    fade = np.exp(-((np.linalg.norm(gap, axis=-1) / 0.35) ** 2))
    near = fade > 0.01
    at = points[near]
    level = np.tile([0.0, 1.0, 0.0], (len(at), 1))
    light = np.zeros((len(at), 2))
    cell = np.arange(len(at)) * 7 % _TILE**2
    rounds = _FLOOR_RAYS // _KEY_RAYS
    for i in range(rounds):
        light += _light(scene, at, level, (cell + i) % _TILE**2) / rounds
    dark = np.zeros(fade.shape)
    full = np.array([0.85, KEY_LIGHT[1]])
    dark[near] = 1 - np.clip(light / full, 0, 1) @ [0.45, 0.55]
    dark = gaussian_filter(dark, 0.8) * fade
    fine = np.asarray(zoom(dark, _STRIDE, order=1, grid_mode=True, mode="nearest"))
    return 1 - 0.75 * fine[:rows, :columns]


def _unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)
