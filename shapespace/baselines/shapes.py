"""What any reconstruction must beat: the nearest training shape, and the mean shape.

Both are placed in the pose that was found for the reconstruction. Letters: N points, L code
length, S training shapes.
"""

from functools import cached_property
from typing import Any

import numpy as np
import torch
import trimesh
from jaxtyping import Float
from torch import Tensor

from shapespace.fitting.pose import Pose
from shapespace.fitting.residuals import State, distances
from shapespace.scan import Frame
from shapespace.space import TrainedSpace, placed

NEAREST_SHARE = 0.9
"""Share of the points, the nearest, whose mean distance counts; the others may be clutter."""
FEW, MANY, KEPT = 128, 2000, 32
"""Points at which all training shapes are compared, and at which the best so many of them are."""
AT_ONCE = 65_536
"""Points that the decoder sees in a call."""


class Baselines:
    """Shapes of a space that know little or nothing of a scan. resolution: of their meshes."""

    def __init__(self, space: TrainedSpace, resolution: int) -> None:
        self.space, self.resolution = space, resolution

    def nearest(self, points: Float[np.ndarray, "N 3"], frame: Frame, pose: Pose) -> int:
        """Row of the training shape nearest to the points of a scan, in the scan's unit.

        The mean of |f| over the nearest nine tenths of at most ``MANY`` points, drawn evenly along
        the scan's own order, decides; only the ``KEPT`` best at ``FEW`` points are looked at so.
        """
        all_rows = torch.arange(len(self.space.codes))
        local = torch.from_numpy(frame.to_store(points))
        best = self.distances(_thinned(local, FEW), all_rows, pose).argsort(stable=True)[:KEPT]
        exact = self.distances(_thinned(local, MANY), best, pose)
        return int(best[exact.argmin()])

    def distances(
        self, points: Float[Tensor, "N 3"], rows: Tensor, pose: Pose
    ) -> Float[Tensor, " S"]:
        """Mean |f| of points of the scan's frame, by the codes of some training shapes."""
        codes = self.space.codes.table.weight
        size = max(1, AT_ONCE // max(1, len(points)))
        found = [self._distances(points.to(codes), codes[part], pose) for part in rows.split(size)]
        return torch.cat(found).cpu()

    def _distances(
        self, points: Float[Tensor, "N 3"], codes: Float[Tensor, "S L"], pose: Pose
    ) -> Float[Tensor, " S"]:
        one = Pose(*(part.to(codes) for part in pose))
        state = State(codes, one.rows(torch.zeros(len(codes), dtype=torch.long)))
        with torch.no_grad():
            off = distances(self.space.decoder, points.expand(len(codes), -1, -1), state)
        return off.sort(dim=1).values[:, : max(1, int(NEAREST_SHARE * len(points)))].mean(1)

    def nearest_mesh(self, row: int, frame: Frame, pose: Pose) -> trimesh.Trimesh:
        """A training shape in the frame of a scan."""
        code = self.space.codes.table.weight[row]
        return self.space.mesh(code, frame, self.resolution, pose=pose)

    def mean_mesh(self, frame: Frame, pose: Pose) -> trimesh.Trimesh:
        """The shape of the mean training code in the frame of a scan; empty if it has none."""
        return placed(self._mean, frame, pose)

    @cached_property
    def _mean(self) -> trimesh.Trimesh:
        """In the frame of the space."""
        mean = self.space.codes.table.weight.mean(0)
        return self.space.mesh(mean, resolution=self.resolution)


def pose_of(facts: dict[str, Any]) -> tuple[Frame, Pose]:
    """Where a reconstruction lies, by its .json."""
    found = facts["pose"]
    parts = (torch.tensor([found[name]]).double() for name in ("rotation", "shift", "scale"))
    return Frame(np.array(facts["centre"]), facts["scale"]), Pose(*parts)


def _thinned(points: Float[Tensor, "N 3"], count: int) -> Float[Tensor, "M 3"]:
    rows = torch.linspace(0, len(points) - 1, min(count, len(points))).round().long()
    return points[rows]
