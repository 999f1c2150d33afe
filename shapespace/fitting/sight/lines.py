"""Lines of sight of a scan: rays that met nothing up to a depth, and rays of a silhouette.

A sensor that measured a point saw through the space before it: no surface is there. A distance
field is therefore not negative on the way. (It is at most the distance along the ray to the hit,
and equal to it only where the ray meets the surface at a right angle, so that 0 is the bound.) A
pixel beside the silhouette says the same of its whole ray, a pixel of the silhouette says that f
is not positive all along its ray.

Letters: K rays, C sensors, N points, B scans, V vertices.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Bool, Float
from scipy.spatial import KDTree
from torch import Tensor

from shapespace.fitting.pose import Pose
from shapespace.scan import Frame

MOST_RAYS = 2048
"""Rays of a scan that a fit uses, at most."""
ROUND_POINTS = 1.5
"""Rays are followed within a ball about the points of this many of its radii."""
ANGLES = 1.5
"""Rays pass a place if they lie within so many angles of it; the angle is that between a ray and
its sixth neighbour."""
AROUND = 4
"""Rays around a place that must all see through it."""


@dataclass(frozen=True)
class Sightlines:
    """Rays of one scan, in its source or in the store's frame.

    Args:
        origins: positions of the sensors.
        directions: unit directions.
        near: depth from which a ray counts.
        far: depth up to which it counts; not infinite.
        inside: True for a ray of a silhouette, which meets the shape; else nothing is on the ray.
    """

    origins: Float[np.ndarray, "K 3"]
    directions: Float[np.ndarray, "K 3"]
    near: Float[np.ndarray, " K"]
    far: Float[np.ndarray, " K"]
    inside: Bool[np.ndarray, " K"]

    def __len__(self) -> int:
        return len(self.origins)

    def rows(self, which: np.ndarray) -> "Sightlines":
        """Some of the rays, by their numbers or by a mask."""
        return Sightlines(
            origins=self.origins[which],
            directions=self.directions[which],
            near=self.near[which],
            far=self.far[which],
            inside=self.inside[which],
        )

    def in_store(self, frame: Frame) -> "Sightlines":
        """The rays in the store's frame of their scan."""
        return replace(
            self,
            origins=frame.to_store(self.origins),
            near=self.near / frame.scale,
            far=self.far / frame.scale,
        )

    def posed(self, pose: Pose) -> "Sightlines":
        """The rays taken by the pose of one scan, exact, to the frame of the space."""
        scale = float(pose.scale)
        return replace(
            self,
            origins=pose(torch.from_numpy(self.origins)[None])[0].numpy(),
            directions=pose.turn(torch.from_numpy(self.directions)[None])[0].numpy(),
            near=self.near * scale,
            far=self.far * scale,
        )

    def some_free(self, count: int) -> "Sightlines":
        """Random free rays, ``count`` of them at most."""
        free = np.flatnonzero(~self.inside)
        return self.rows(np.random.default_rng(0).permutation(free)[:count])

    def within(self, middle: Float[np.ndarray, " 3"], radius: float) -> "Sightlines":
        """The parts of the rays within a ball; rays that miss it, or end before it, are dropped.

        Args:
            middle: of the ball.
            radius: of the ball.
        """
        arm = middle - self.origins
        along = (arm * self.directions).sum(1)
        room = radius**2 - (arm**2).sum(1) + along**2
        half = np.sqrt(np.maximum(room, 0))
        near = np.maximum(self.near, along - half)
        far = np.minimum(self.far, along + half)
        return replace(self, near=near, far=far).rows((room > 0) & (far > near))

    @staticmethod
    def cat(parts: "Sequence[Sightlines]") -> "Sightlines":
        """All rays of some parts, at least one."""
        return Sightlines(
            origins=np.concatenate([part.origins for part in parts]),
            directions=np.concatenate([part.directions for part in parts]),
            near=np.concatenate([part.near for part in parts]),
            far=np.concatenate([part.far for part in parts]),
            inside=np.concatenate([part.inside for part in parts]),
        )

    def crossed(self, points: Float[np.ndarray, "V 3"], margin: float) -> Float[np.ndarray, " V"]:
        """How far before the hit of the ray through it each place lies; 0 where nobody saw through.

        Args:
            points: the places, in the frame of the rays.
            margin: depth before a hit that counts as the hit.
        """
        found = np.zeros(len(points))
        free = self.rows(~self.inside)
        for origin in np.unique(free.origins, axis=0):
            own = free.rows((free.origins == origin).all(1))
            tree = KDTree(own.directions)
            # Rays of a sensor are about as dense as pixels: the sixth neighbour is two pixels off.
            count = min(7, len(own))
            angle = float(np.median(tree.query(own.directions, count)[0].reshape(-1, count)[:, -1]))
            arm = points - origin
            distance = np.maximum(np.linalg.norm(arm, axis=1), 1e-12)
            near = min(AROUND, len(own))
            gap, row = (
                part.reshape(-1, near) for part in tree.query(arm / distance[:, None], near)
            )
            # At the rim of a limb the next pixel may see far behind it: all around must see
            # through.
            before = own.far[row].min(1) - margin - distance
            counts = (gap[:, -1] < ANGLES * angle) & (before > 0)
            counts &= distance > own.near[row].max(1)
            found = np.maximum(found, np.where(counts, before, 0))
        return found


def seen_from(
    sensor: Float[np.ndarray, " 3"],
    points: Float[np.ndarray, "N 3"],
    normals: Float[np.ndarray, "N 3"] | None,
) -> Sightlines:
    """The rays from a sensor to the points of a scan; not to those that face away from it.

    Args:
        sensor: its position.
        points: that it measured.
        normals: outward; a zero row, as None, is unknown and faces anywhere.
    """
    arm = points - sensor
    far = np.linalg.norm(arm, axis=1)
    seen = far > 0
    if normals is not None:
        seen &= (arm * normals).sum(1) <= 0
    count = int(seen.sum())
    return Sightlines(
        origins=np.broadcast_to(sensor, (count, 3)).copy(),
        directions=arm[seen] / far[seen, None],
        near=np.zeros(count),
        far=far[seen],
        inside=np.zeros(count, bool),
    )


@dataclass(frozen=True)
class SightBatch:
    """The same number of rays of each of B scans, in the store's frame of each.

    Args:
        origins: where the rays start.
        directions: unit directions.
        near: depth from which a ray counts.
        far: depth up to which it counts.
        side: 1 for a ray of a silhouette, -1 for a free ray, 0 for a scan without rays.
    """

    origins: Float[Tensor, "B K 3"]
    directions: Float[Tensor, "B K 3"]
    near: Float[Tensor, "B K"]
    far: Float[Tensor, "B K"]
    side: Float[Tensor, "B K"]

    def picked(self, scans: Tensor, count: int) -> "SightBatch":
        """Evenly chosen rays of some scans; a scan may be given twice.

        Args:
            scans: rows of the scans.
            count: of rays, at most.
        """
        every = max(1, self.near.shape[1] // max(count, 1))
        parts = [
            part[scans, ::every][:, :count]
            for part in (self.origins, self.directions, self.near, self.far, self.side)
        ]
        return SightBatch(*parts)


def sight_batch(
    lines: Sequence[Sightlines | None],
    points: Sequence[Float[np.ndarray, "_ 3"]],
    like: Tensor,
    margin: float,
    seed: int = 0,
) -> SightBatch | None:
    """Random rays of each scan, as many of each; None if no scan has any.

    Free rays are cut where they come near their hit, and all rays to a ball about the points.

    Args:
        lines: of each scan, in the store's frame, None for a scan without rays; or nothing.
        points: of each scan, in the store's frame.
        like: a tensor of the wanted type and device.
        margin: depth before a hit that counts as the hit, as a share of the scan's radius.
        seed: of the choice.
    """
    if not lines:
        return None
    chosen = [
        None if own is None else _near(own, at, margin, seed)
        for own, at in zip(lines, points, strict=True)
    ]
    if not any(own is not None and len(own) for own in chosen):
        return None
    empty = Sightlines(
        origins=np.zeros((MOST_RAYS, 3)),
        directions=np.tile([0.0, 0.0, 1.0], (MOST_RAYS, 1)),
        near=np.zeros(MOST_RAYS),
        far=np.zeros(MOST_RAYS),
        inside=np.zeros(MOST_RAYS, bool),
    )
    full = [empty if own is None or not len(own) else own for own in chosen]
    side = [
        np.zeros(MOST_RAYS) if own is empty else np.where(own.inside, 1.0, -1.0) for own in full
    ]

    def stacked(parts: list[np.ndarray]) -> Tensor:
        return torch.from_numpy(np.stack(parts)).to(like)

    return SightBatch(
        origins=stacked([own.origins for own in full]),
        directions=stacked([own.directions for own in full]),
        near=stacked([own.near for own in full]),
        far=stacked([own.far for own in full]),
        side=stacked(side),
    )


def _near(
    lines: Sightlines, points: Float[np.ndarray, "N 3"], margin: float, seed: int
) -> Sightlines:
    """``MOST_RAYS`` random rays near the points, drawn again where there are fewer."""
    if len(points):
        middle = np.median(points, axis=0).astype(np.float64)
        radius = float(np.quantile(np.linalg.norm(points - middle, axis=1), 0.98))
        far = np.where(lines.inside, lines.far, lines.far - margin * radius)
        lines = replace(lines, far=far).within(middle, ROUND_POINTS * radius)
    if not len(lines):
        return lines
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(lines))
    # A silhouette may be a small part of its picture: half the rays are its own.
    inner, outer = order[lines.inside[order]], order[~lines.inside[order]]
    half = min(len(inner), max(MOST_RAYS // 2, MOST_RAYS - len(outer)))
    rows = np.concatenate([inner[:half], outer[: MOST_RAYS - half]])
    again = rng.integers(len(lines), size=MOST_RAYS - len(rows))
    return lines.rows(rng.permutation(np.concatenate([rows, again])))
