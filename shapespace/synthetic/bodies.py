"""Articulated bodies with a known signed distance, and their meshes.

Frame: y up, facing +z, floor y = 0, metres. Sign: positive outside. The distance comes from
:mod:`shapespace.synthetic.implicit`.

Letters: K points; f the signed distance of a body, d the distance to its surface.
"""

from dataclasses import dataclass, replace

import numpy as np
import trimesh
from jaxtyping import Float

from shapespace.errors import InputError
from shapespace.synthetic.anatomy import flesh, joints
from shapespace.synthetic.identity import Identity
from shapespace.synthetic.implicit import Pairs, Solid
from shapespace.synthetic.motions import MOTIONS
from shapespace.synthetic.skeleton import SkeletonPose, forward_kinematics

_LEVELS = 4
"""Times that a block of the coarsest lattice is halved along each axis to make cells."""


@dataclass(frozen=True)
class Body:
    """A posed body as a signed distance function f.

    The sign of f is exact, and |f| <= d. Outside, d - f is at most half of the largest blending
    radius, that is 0.015 statures: 27 mm on a body of 1.8 m, at any distance (median 1 mm). Inside,
    |f| may be as small as 0.3 d, near the joints.

    Args:
        solid: the body in metres.
    """

    solid: Solid

    def __call__(self, points: Float[np.ndarray, "K 3"]) -> Float[np.ndarray, " K"]:
        """Signed distance of points, in metres, positive outside."""
        return self.solid(points)

    @property
    def bounds(self) -> Float[np.ndarray, "2 3"]:
        """Lowest and highest corner of a box that holds the body, in metres."""
        # The smooth union is larger than the union of the balls by less than a blending radius.
        radii = self.solid.radii[..., None] + self.solid.blend.max()
        low = (self.solid.centres - radii).min((0, 1))
        high = (self.solid.centres + radii).max((0, 1))
        return np.stack([low, high])


def body(identity: Identity, motion: str, phase: float) -> Body:
    """Pose a person in a motion.

    Args:
        identity: the person.
        motion: name of one of MOTIONS.
        phase: time in the motion in periods; 0 and 1 are the same pose.

    Raises:
        InputError: There is no motion of that name.
    """
    if motion not in MOTIONS:
        raise InputError(f"motion '{motion}' is not known; use one of {', '.join(MOTIONS)}")
    return posed(identity, MOTIONS[motion](phase % 1.0))


def posed(identity: Identity, pose: SkeletonPose) -> Body:
    """Pose a person; the lowest point of the body is ``pose.lift`` statures above the floor."""
    motion = forward_kinematics(joints(identity), pose)
    masses = flesh(identity)
    pieces = [(piece, row) for row, mass in enumerate(masses) for piece in mass.pieces]
    centres = np.empty((len(pieces), 3, 3))
    radii = np.empty((len(pieces), 3))
    for i, (piece, _) in enumerate(pieces):
        # A piece of fewer than three balls repeats its last one.
        for j, (weights, centre, radius) in enumerate(piece + piece[-1:] * (3 - len(piece))):
            at = np.append(centre, 1.0)
            # Linear blend skinning of the centres; radii do not change.
            centres[i, j] = sum(weight * (motion[bone] @ at) for bone, weight in weights)
            radii[i, j] = radius
    solid = Solid(
        centres=centres,
        radii=radii,
        mass=np.array([row for _, row in pieces]),
        blend=np.array([mass.blend for mass in masses]),
    )
    rise = pose.lift * identity.stature - _lowest(solid)
    return Body(replace(solid, centres=centres + np.array([0, rise, 0])))


def _lowest(solid: Solid) -> float:
    """Height of the lowest point of the surface in metres, by sphere tracing upwards."""
    # The lowest point lies below one of the lowest balls, up to a blending radius.
    bottom = solid.centres[..., 1] - solid.radii
    points = solid.centres[bottom < bottom.min() + solid.blend.max()]
    points[:, 1] = bottom.min() - solid.blend.max()
    for _ in range(30):
        points[:, 1] += solid(points)
        points = points[points[:, 1] < points[:, 1].min() + solid.blend.max()]
    return float(points[:, 1].min())


def body_mesh(body: Body, resolution: float = 0.005) -> trimesh.Trimesh:
    """Extract the surface by marching cubes: a closed mesh in metres, wound outward.

    Args:
        body: the body.
        resolution: side of a cell in metres.
    """
    import mcubes

    values, origin = _grid(body, resolution)
    vertices, faces = mcubes.marching_cubes(values, 0.0)
    faces = faces[:, ::-1].astype(np.int64)  # mcubes winds inward where inside is negative
    return trimesh.Trimesh(vertices * resolution + origin, faces, process=False)


def _grid(body: Body, step: float) -> tuple[np.ndarray, np.ndarray]:
    """Evaluate the body on a lattice, from coarse blocks to cells.

    Args:
        body: the body.
        step: distance of neighbouring nodes in metres.

    Returns:
        Values, which are exact where the surface is within one step, and the position of the first
        node.
    """
    solid = body.solid
    low, high = body.bounds
    side = step * 2**_LEVELS
    corner = low - side
    values = np.empty(np.ceil((high - low) / side).astype(int) + 2, np.float32)
    index = np.indices(values.shape).reshape(3, -1).T[:, None]
    pairs = Pairs.all(len(index), len(solid.mass))
    for level in range(_LEVELS + 1):
        distance = solid.distances(corner + (index + 0.5) * side, pairs)
        value = solid.union(distance, pairs)
        # Blocks that are not refined keep the value of their centre: its sign is right.
        values[tuple(index.reshape(-1, 3).T)] = value.ravel()
        if level < _LEVELS:
            # From the centre of a block to the centre of its farthest cell.
            reach = np.sqrt(3) / 2 * (side - step)
            index, pairs = _refined(
                solid=solid,
                index=index,
                pairs=pairs,
                distance=distance,
                value=value,
                reach=reach,
                step=step,
            )
            # The lattice shrinks to the blocks that are left, with a margin.
            first = np.maximum(index.min((0, 1)) - 2, 0)
            last = np.minimum(index.max((0, 1)) + 3, 2 * np.array(values.shape))
            index = index - first
            corner = corner + first * side / 2
            values = _doubled(values, first // 2, last // 2)
            side = side / 2
    return values, corner + 0.5 * side


def _doubled(values: np.ndarray, first: np.ndarray, last: np.ndarray) -> np.ndarray:
    """Repeat the values of ``[first, last)`` twice along each axis.

    Args:
        values: values of a lattice.
        first: first index of each axis, included.
        last: last index of each axis, excluded.
    """
    crop = values[tuple(map(slice, first, last))]
    fine = np.empty([n for size in crop.shape for n in (size, 2)], values.dtype)
    fine[:] = crop[:, None, :, None, :, None]
    return fine.reshape([2 * size for size in crop.shape])


_CHILDREN = np.stack(np.meshgrid([0, 1], [0, 1], [0, 1], indexing="ij"), -1).reshape(8, 3)


def _refined(
    solid: Solid,
    index: np.ndarray,
    pairs: Pairs,
    distance: np.ndarray,
    value: np.ndarray,
    reach: float,
    step: float,
) -> tuple[np.ndarray, Pairs]:
    """Cut the blocks near the surface in eight, and drop pieces that cannot matter to a block.

    Letters as in :mod:`shapespace.synthetic.implicit`: K rows of C blocks, Q pairs.

    Args:
        solid: the body.
        index: [K,C,3] lattice index of each block.
        pairs: pieces that matter to each row of blocks.
        distance: [Q,C] distance of each piece from the centre of each block.
        value: [K,C] signed distance of the body at the centre of each block.
        reach: distance from the centre of a block to the centre of its farthest cell.
        step: side of a cell.

    Returns:
        Lattice index [K',8,3] of the new blocks, a row for each old block that is left, and their
        pairs.
    """
    # f is 1-Lipschitz: a block whose value is larger has no cell within one step of the surface.
    keep = np.abs(value) <= reach + step
    number = np.full(keep.size, -1)
    number[keep.ravel()] = np.arange(keep.sum())
    runs, run = solid.by_mass(pairs)
    blend = solid.blend[solid.mass[pairs.piece]][:, None]
    # A mass has no influence beyond value + blend, and in a mass only the nearest piece counts.
    nearest = np.minimum(np.minimum.reduceat(distance, runs)[run], value[pairs.row] + blend)
    # Over a block, two 1-Lipschitz distances change against each other by at most 2 reach.
    pair, child = np.nonzero(keep[pairs.row] & (distance <= nearest + 2 * reach))
    block = number[pairs.row[pair] * keep.shape[1] + child]
    order = np.argsort(block, kind="stable")
    children = 2 * index.reshape(-1, 1, 3)[keep.ravel()] + _CHILDREN
    return children, Pairs(block[order], pairs.piece[pair][order])
