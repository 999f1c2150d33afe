"""Light on triangles: an orthographic ray caster for still pictures on the CPU.

Frame: y up, z toward the viewer. The floor is the plane y = 0 and shapes are about 1 tall. Colours
are linear, 0 to 1, unless a docstring says sRGB.

Two lights shine: a white sky over the hemisphere, and a key light from the upper left. A pixel is a
square of SUPER x SUPER camera rays. A ray that hits a surface casts only a few rays toward the
lights; their directions differ within every tile of 4 x 4 camera rays, and the mean over the tile
takes away most of the noise (interleaved sampling, Keller and Heidrich 2001).

Letters: V vertices, U used vertices, T triangles, H x W pixels, R x C camera rays, K camera rays
that hit, P places of a tile, N vectors.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int, UInt8
from scipy.ndimage import gaussian_filter, zoom

from shapespace.geometry.rays import RayScene
from shapespace.rendering.camera import Orthographic

KEY_LIGHT = np.array([-0.55, 0.95, 0.85]) / np.linalg.norm([-0.55, 0.95, 0.85])
"""Unit vector toward the middle of the key light."""
KEY_SIZE = 0.14
"""Radius of the key light, seen as a ball at distance 1: its shadows have soft borders."""
GAMMA = 2.2
"""An sRGB value is taken to be the linear value to the power of 1 / GAMMA."""
SUPER = 2
"""Camera rays along each side of a pixel."""
TILE = 4
"""Camera rays along each side of a tile of light directions."""
SKY_RAYS = 3
"""Rays toward the sky for each camera ray that hits."""
KEY_RAYS = 2
"""Rays toward the key light for each camera ray that hits."""
FLOOR_RAYS = 24
"""Rays toward the key light for each shaded point of the floor."""
FLOOR_STRIDE = 4
"""The floor, whose shadows are soft, is shaded at every such camera ray along each axis."""
LIFT = 2e-3
"""Light rays start so far above the surface: Embree's single precision would else find the triangle
from which the ray starts."""


@dataclass(frozen=True)
class Soup:
    """Triangles with smooth normals and a colour at every vertex.

    Args:
        vertices: positions.
        faces: rows of ``vertices``.
        normals: unit normals of the vertices; either side of a surface may be seen.
        colours: linear colours of the vertices.
    """

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


def to_srgb(linear: Float[np.ndarray, "H W 3"]) -> UInt8[np.ndarray, "H W 3"]:
    """Linear colours, 0 to 1, as the sRGB bytes of an image file."""
    return np.round(255 * np.clip(linear, 0, 1) ** (1 / GAMMA)).astype(np.uint8)


def to_linear(srgb: Float[np.ndarray, "*shape 3"]) -> Float[np.ndarray, "*shape 3"]:
    """SRGB colours, 0 to 1, as linear colours."""
    return np.clip(np.asarray(srgb, float), 0, 1) ** GAMMA


def shade(soup: Soup, camera: Orthographic, height: int, width: int) -> Float[np.ndarray, "H W 3"]:
    """Draw triangles on a white floor.

    Args:
        soup: the triangles, in the frame of this module.
        camera: the camera; its rays must start in front of all triangles.
        height: image rows.
        width: image columns.

    Returns:
        Linear colours.

    Raises:
        InputError: where embreex is not installed.
    """
    scene = RayScene(soup.vertices, soup.faces)
    rows = SUPER * height
    columns = SUPER * width
    image = _floor(scene, soup, camera, (rows, columns))[..., None] * np.ones(3)
    origins = camera.origins(rows, columns).reshape(-1, 3)
    face = scene.first(origins, np.broadcast_to(camera.direction, origins.shape))
    hit = np.flatnonzero(face >= 0)
    if len(hit):
        image.reshape(-1, 3)[hit] = _lit(
            scene,
            soup,
            origins=origins[hit],
            forward=camera.direction,
            face=face[hit],
            ray=hit,
            shape=(rows, columns),
        )
    return image.reshape(height, SUPER, width, SUPER, 3).mean((1, 3))


def _lit(
    scene: RayScene,
    soup: Soup,
    origins: Float[np.ndarray, "K 3"],
    forward: Float[np.ndarray, " 3"],
    face: Int[np.ndarray, " K"],
    ray: Int[np.ndarray, " K"],
    shape: tuple[int, int],
) -> Float[np.ndarray, "K 3"]:
    """Colours that the rays see which hit triangle ``face``; ``ray`` numbers them row by row."""
    points, depth, weights = _hit_points(soup, origins, forward=forward, face=face)
    corners = soup.faces[face]
    normals = np.einsum("kc,kci->ki", weights, soup.normals[corners])
    normals /= np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-12)
    # An open surface may show its inner side: the normal is turned toward the viewer.
    normals *= np.where(normals @ forward > 0, -1, 1)[:, None]
    colour = np.einsum("kc,kci->ki", weights, soup.colours[corners])
    row, column = np.divmod(ray, shape[1])
    in_tile = row % TILE * TILE + column % TILE
    light = _smoothed(
        _light(scene, points, normals=normals, in_tile=in_tile),
        depth=depth,
        normals=normals,
        row=row,
        column=column,
        shape=shape,
    )
    # A highlight (Blinn 1977) outside the key light's shadow, and a rim at grazing angles that sets
    # a shape off from the shapes behind.
    half = (KEY_LIGHT - forward) / np.linalg.norm(KEY_LIGHT - forward)
    gloss = 0.10 * np.clip(normals @ half, 0, 1) ** 30 * (light[:, 1] > 0.02)
    rim = 0.10 * (1 - np.clip(-normals @ forward, 0, 1)) ** 3 * light[:, 0]
    return colour * (0.44 * light[:, :1] + 0.88 * light[:, 1:]) + (gloss + rim)[:, None]


def _hit_points(
    soup: Soup, origins: np.ndarray, forward: np.ndarray, face: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Points [K,3], depths [K] and barycentric weights [K,3] of the hits."""
    # Embree tells the triangle only. The rest is computed here in double precision; the floors of
    # the denominators keep degenerate triangles finite.
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
    scene: RayScene, points: np.ndarray, normals: np.ndarray, in_tile: np.ndarray
) -> Float[np.ndarray, "K 2"]:
    """Light of the sky and of the key light at points; ``in_tile`` picks the directions."""
    start = points + LIFT * normals
    light = np.zeros((len(points), 2))
    sky = _tile_vectors(SKY_RAYS)
    key = _tile_vectors(KEY_RAYS)
    for i in range(SKY_RAYS):
        # A unit normal plus a random unit vector has a cosine-weighted direction. The factor keeps
        # the sum of opposite vectors from being zero.
        toward = _unit(normals + 0.999 * sky[in_tile, i])
        # The sky is brighter above than at the horizon.
        light[:, 0] += (0.6 + 0.4 * toward[:, 1]) * ~scene.occluded(start, toward) / SKY_RAYS
    for i in range(KEY_RAYS):
        toward = _unit(KEY_LIGHT + KEY_SIZE * key[in_tile, i])
        cosine = np.clip(np.einsum("ki,ki->k", normals, toward), 0, 1)
        light[:, 1] += cosine * ~scene.occluded(start, toward) / KEY_RAYS
    return light


def _tile_vectors(num: int) -> Float[np.ndarray, "P N 3"]:
    """``num`` unit vectors for each place of a tile, spread evenly over the sphere."""
    # The additive sequence of the plastic number in two dimensions (R2, Roberts 2018). A fixed
    # shuffle keeps neighbours in the tile from having neighbouring vectors.
    order = np.random.default_rng(0).permutation(TILE * TILE * num)
    u, v = (0.5 + np.outer([0.7548776662, 0.5698402910], order)) % 1
    z = 2 * u - 1
    angle = 2 * np.pi * v
    radius = np.sqrt(1 - z * z)
    vectors = np.stack([radius * np.cos(angle), radius * np.sin(angle), z], -1)
    return vectors.reshape(TILE * TILE, num, 3)


def _smoothed(
    light: np.ndarray,
    depth: np.ndarray,
    normals: np.ndarray,
    row: np.ndarray,
    column: np.ndarray,
    shape: tuple[int, int],
) -> np.ndarray:
    """The mean of ``light`` over the TILE x TILE rays about each ray, on the same surface only."""
    # Every such square holds each place of the tile once, so that all light directions take part.
    # The hit at each ray of the picture, -1 for none, with half a tile of border on each side.
    number = np.full((shape[0] + TILE, shape[1] + TILE), -1, np.int32)
    number[row + TILE // 2, column + TILE // 2] = np.arange(len(row))
    total = np.zeros_like(light)
    count = np.zeros(len(light))
    for i in range(TILE):
        for j in range(TILE):
            other = number[row + i, column + j]
            same = (np.abs(depth - depth[other]) < 0.02) & (other >= 0)
            same &= np.einsum("ki,ki->k", normals, normals[other]) > 0.8
            total += np.where(same[:, None], light[other], 0)
            count += same
    return total / np.maximum(count, 1)[:, None]


def _floor(
    scene: RayScene, soup: Soup, camera: Orthographic, shape: tuple[int, int]
) -> Float[np.ndarray, "R C"]:
    """Grey of the floor behind each camera ray: white, darker in the shadow of the shapes."""
    rows, columns = shape
    # Seen from the side or from below there is no floor.
    if not len(soup.faces) or camera.view.elevation <= 0:
        return np.ones((rows, columns))
    forward = camera.direction
    coarse = camera.origins(-(-rows // FLOOR_STRIDE), -(-columns // FLOOR_STRIDE))
    points = coarse + (coarse[..., 1] / -forward[1])[..., None] * forward
    # Shadows fade out with the distance from the bounding box of the shapes, so that they end
    # within the picture. Only points where a shadow would be seen are shaded.
    low = soup.drawn.min(axis=0)
    high = soup.drawn.max(axis=0)
    gap = np.maximum(np.maximum(low - points, points - high)[..., [0, 2]], 0)
    fade = np.exp(-((np.linalg.norm(gap, axis=-1) / 0.35) ** 2))
    near = fade > 0.01
    shaded = points[near]
    upward = np.tile([0.0, 1.0, 0.0], (len(shaded), 1))
    light = np.zeros((len(shaded), 2))
    # A point of the floor takes the directions of twelve places of the tile, from a start that
    # differs between neighbours: there is no mean over a tile afterwards.
    start = np.arange(len(shaded)) * 7 % TILE**2
    rounds = FLOOR_RAYS // KEY_RAYS
    for i in range(rounds):
        in_tile = (start + i) % TILE**2
        light += _light(scene, shaded, normals=upward, in_tile=in_tile) / rounds
    dark = np.zeros(fade.shape)
    # The light of a floor without shapes: about the mean of the sky, and the key light's cosine.
    full = np.array([0.85, KEY_LIGHT[1]])
    dark[near] = 1 - np.clip(light / full, 0, 1) @ [0.45, 0.55]
    dark = gaussian_filter(dark, 0.8) * fade
    fine = np.asarray(zoom(dark, FLOOR_STRIDE, order=1, grid_mode=True, mode="nearest"))
    return 1 - 0.75 * fine[:rows, :columns]


def _unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)
