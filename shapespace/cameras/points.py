"""Points with normals from a depth map; grazing pixels and edges are left out, and counted.

On a plane n . X = d the inverse depth 1/z = n . (x, y, 1) / d is linear in the slopes x and y of
the rays. A normal is therefore a least-squares fit of 1/z over a small window, without pixels
across an edge.

Letters: H x W pixels, K points.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

from shapespace.cameras.pinhole import Pinhole
from shapespace.errors import positive

WINDOW = 2
"""Pixels to each side of the window over which a normal is fitted."""
FEWEST = 6
"""Pixels of a window, at least, that a normal is fitted to."""
OF_NOISE = 6.0
"""Jumps of depth up to so many times the noise of the depth map are no edges."""


@dataclass(frozen=True)
class DepthPoints:
    """What one depth map says.

    Args:
        points: in the world.
        normals: unit, toward the camera's side of the surface.
        num_pixels: pixels with a depth.
        num_edges: pixels beside a jump of the depth, which may float between two surfaces.
        num_grazing: pixels whose surface is seen at a grazing angle.
        num_lonely: pixels with too few neighbours for a normal.
    """

    points: Float[np.ndarray, "K 3"]
    normals: Float[np.ndarray, "K 3"]
    num_pixels: int
    num_edges: int
    num_grazing: int
    num_lonely: int


def points_of_depth(
    depth: Float[np.ndarray, "H W"],
    camera: Pinhole,
    *,
    mask: Bool[np.ndarray, "H W"] | None = None,
    grazing: float = 0.2,
    jump: float = 6.0,
) -> DepthPoints:
    """Points and normals of a depth map.

    Args:
        depth: along the axis of the camera, in the unit of its position; 0 for none.
        camera: of the same size as the depth map.
        mask: True on the shape; None takes all pixels with a depth.
        grazing: smallest cosine between ray and normal at which a pixel is used.
        jump: a neighbour is across an edge if its depth differs by more than so many widths of a
            pixel at that depth, or by more than the noise allows.
    """
    positive(grazing=grazing, jump=jump)
    known = depth > 0 if mask is None else (depth > 0) & mask
    z = np.where(known, depth, 1.0)
    slopes = camera.slopes()
    width = z / min(camera.focal)
    doubt = OF_NOISE * noise_of(depth, known)
    allowed = jump * width + doubt
    edge = np.zeros_like(known)
    steep = np.zeros_like(z)
    for row, column in ((0, 1), (1, 0), (1, 1), (1, -1)):
        here, there = _shifted(known.shape, row, column)
        step = np.where(known[here] & known[there], np.abs(z[here] - z[there]), 0)
        steep[here] = np.maximum(steep[here], step)
        steep[there] = np.maximum(steep[there], step)
        apart = step > np.minimum(allowed[here], allowed[there])
        edge[here] |= apart
        edge[there] |= apart
    normal, count = _normals(z, known, slopes, allowed)
    along = slopes / np.linalg.norm(slopes, axis=-1, keepdims=True)
    # At the rim of a limb the window is one-sided and its plane too little inclined; the step to
    # the next pixel is not.
    rise = np.maximum(steep - doubt, 0) / width
    cosine = np.minimum(-(normal * along).sum(-1), 1 / np.sqrt(1 + rise**2))
    edge &= known
    lonely = known & ~edge & (count < FEWEST)
    grazed = known & ~edge & ~lonely & (cosine < grazing)
    kept = known & ~edge & ~lonely & ~grazed
    local = slopes[kept] * depth[kept][:, None]
    return DepthPoints(
        points=camera.position + local @ camera.rotation.T,
        normals=normal[kept] @ camera.rotation.T,
        num_pixels=int(known.sum()),
        num_edges=int(edge.sum()),
        num_grazing=int(grazed.sum()),
        num_lonely=int(lonely.sum()),
    )


def noise_of(depth: Float[np.ndarray, "H W"], known: Bool[np.ndarray, "H W"]) -> float:
    """Robust standard deviation of the noise of a depth map; 0 where it cannot be told.

    Args:
        depth: the depth map.
        known: pixels that have a depth.
    """
    whole = known[:, :-2] & known[:, 1:-1] & known[:, 2:]
    second = (depth[:, :-2] - 2 * depth[:, 1:-1] + depth[:, 2:])[whole]
    # A slope has no second difference. Noise of variance v gives one of variance 6 v.
    return 1.4826 * float(np.median(np.abs(second))) / 6**0.5 if len(second) else 0.0


def _shifted(
    shape: tuple[int, ...], row: int, column: int
) -> tuple[tuple[slice, slice], tuple[slice, slice]]:
    """Slices of an image and of the same image moved by a number of rows and columns."""

    def pair(by: int, size: int) -> tuple[slice, slice]:
        low, high = max(0, -by), max(min(size, size - by), max(0, -by))
        return slice(low, high), slice(low + by, high + by)

    (rows, rows_there), (columns, columns_there) = pair(row, shape[0]), pair(column, shape[1])
    return (rows, columns), (rows_there, columns_there)


def _normals(
    z: Float[np.ndarray, "H W"],
    known: Bool[np.ndarray, "H W"],
    slopes: Float[np.ndarray, "H W 3"],
    allowed: Float[np.ndarray, "H W"],
) -> tuple[Float[np.ndarray, "H W 3"], np.ndarray]:
    """Unit normals toward the camera, in its axes, and the pixels [H,W] that each was fitted to."""
    shape = z.shape
    count = np.zeros(shape, int)
    system = np.zeros((*shape, 3, 3))
    right = np.zeros((*shape, 3))
    for row in range(-WINDOW, WINDOW + 1):
        for column in range(-WINDOW, WINDOW + 1):
            if abs(row) >= shape[0] or abs(column) >= shape[1]:
                continue
            here, there = _shifted(shape, row, column)
            reach = max(abs(row), abs(column), 1)
            same = np.abs(z[here] - z[there]) <= reach * allowed[here]
            used = (known[here] & known[there] & same).astype(float)
            # Slopes are taken from the middle of the window, or the sums would lose their digits.
            arm = slopes[there] - slopes[here]
            arm[..., 2] = 1
            count[here] += used.astype(int)
            system[here] += used[..., None, None] * arm[..., :, None] * arm[..., None, :]
            right[here] += (used / z[there])[..., None] * arm
    # A window of one row determines no plane: a little of the identity gives it some, and the
    # count, or its angle, drops it.
    scale = system[..., 0, 0] + system[..., 1, 1] + 1e-30
    system[..., [0, 1], [0, 1]] += 1e-9 * scale[..., None]
    system[..., 2, 2] += 1e-12
    a, b, c = np.moveaxis(np.linalg.solve(system, right[..., None])[..., 0], -1, 0)
    # 1/z = a (x - x0) + b (y - y0) + c = n . (x, y, 1) / d, and n points back to the camera.
    plane = -np.stack([a, b, c - a * slopes[..., 0] - b * slopes[..., 1]], -1)
    length = np.linalg.norm(plane, axis=-1, keepdims=True)
    return plane / np.maximum(length, 1e-12), count
