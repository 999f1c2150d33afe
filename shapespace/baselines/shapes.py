"""The nearest training shape and the mean shape: baselines that every reconstruction has to beat.

A space that merely repeats its training shapes is no better than the nearest one. A space that
ignores the scan is no better than the mean shape. Both are placed in the pose that was found for
the reconstruction, so that only the shape is compared.

Letters: N points of a scan, M some of those points, L code length, S training shapes.
"""

from functools import cached_property
from typing import Any

import numpy as np
import torch
import trimesh
from jaxtyping import Float, Int
from torch import Tensor

from shapespace.fitting.pose import Pose
from shapespace.fitting.residuals import State, distances
from shapespace.scan import Frame
from shapespace.space import TrainedSpace, placed

NEAREST_SHARE = 0.9
"""Share of the points, those with the smallest |f|, whose mean counts; the rest may be clutter."""
FEW = 128
"""Points at which all training shapes are compared."""
MANY = 2000
"""Points at which the best training shapes are compared again."""
KEPT = 32
"""Training shapes that are compared again."""
AT_ONCE = 65_536
"""Points that the decoder sees in one call."""


class Baselines:
    """Baselines of one space, as rows of its code table and as meshes in the frame of a scan.

    Args:
        space: the trained space.
        resolution: grid nodes along the longest side of a mesh.
    """

    def __init__(self, space: TrainedSpace, resolution: int) -> None:
        self.space = space
        self.resolution = resolution

    def nearest_training_shape(
        self, points: Float[np.ndarray, "N 3"], frame: Frame, pose: Pose
    ) -> int:
        """Find the training shape nearest to a scan.

        The distance of a shape is the mean |f| over the nearest nine tenths of at most ``MANY``
        points of the scan. Only the ``KEPT`` shapes that are best at ``FEW`` points are compared at
        so many points. The points are taken at equal steps along the order of the scan.

        Args:
            points: points of the scan, in the frame and unit of its file.
            frame: centre and scale of the scan.
            pose: pose found for the reconstruction, from the frame of the scan to that of the
                space.

        Returns:
            Row of the shape in the code table.
        """
        all_rows = torch.arange(len(self.space.codes))
        local = torch.from_numpy(frame.to_store(points))
        # Coarse to fine: few points rule out most of the training shapes.
        coarse = self.mean_distances(_thinned(local, FEW), all_rows, pose)
        best = coarse.argsort(stable=True)[:KEPT]
        fine = self.mean_distances(_thinned(local, MANY), best, pose)
        return int(best[fine.argmin()])

    def mean_distances(
        self, points: Float[Tensor, "M 3"], rows: Int[Tensor, " S"], pose: Pose
    ) -> Float[Tensor, " S"]:
        """Mean |f| of some training shapes over the nearest nine tenths of the points.

        Args:
            points: points in the frame of the scan.
            rows: rows of the training shapes in the code table.
            pose: pose of the scan.

        Returns:
            One mean for each row, in the unit of the points.
        """
        codes = self.space.codes.table.weight
        size = max(1, AT_ONCE // max(1, len(points)))
        local = points.to(codes)
        means = [self._mean_distances(local, codes[chunk], pose) for chunk in rows.split(size)]
        return torch.cat(means).cpu()

    def _mean_distances(
        self, points: Float[Tensor, "M 3"], codes: Float[Tensor, "S L"], pose: Pose
    ) -> Float[Tensor, " S"]:
        one = Pose(
            rotation=pose.rotation.to(codes),
            shift=pose.shift.to(codes),
            scale=pose.scale.to(codes),
        )
        state = State(codes, one.rows(torch.zeros(len(codes), dtype=torch.long)))
        with torch.no_grad():
            off = distances(self.space.metric, points.expand(len(codes), -1, -1), state)
        # A raw scan holds floor and flying pixels. Trimmed alike for all shapes, so that clutter
        # does not choose the nearest one.
        return off.sort(dim=1).values[:, : max(1, int(NEAREST_SHARE * len(points)))].mean(1)

    def training_mesh(self, row: int, frame: Frame, pose: Pose) -> trimesh.Trimesh:
        """Mesh a training shape in the frame of a scan.

        Args:
            row: row of the shape in the code table.
            frame: centre and scale of the scan.
            pose: pose found for the reconstruction of the scan.
        """
        code = self.space.codes.table.weight[row]
        return self.space.mesh(code, frame, self.resolution, pose=pose)

    def mean_mesh(self, frame: Frame, pose: Pose) -> trimesh.Trimesh:
        """The shape of the mean training code in the frame of a scan; empty without a zero set."""
        return placed(self._mean, frame, pose)

    @cached_property
    def _mean(self) -> trimesh.Trimesh:
        """The mean shape in the frame of the space, meshed once for all scans."""
        mean = self.space.codes.table.weight.mean(0)
        return self.space.mesh(mean, resolution=self.resolution)


def pose_of(facts: dict[str, Any]) -> tuple[Frame, Pose]:
    """Frame and pose of a reconstruction, as its JSON file holds them."""
    found = facts["pose"]
    pose = Pose(
        rotation=torch.tensor([found["rotation"]]).double(),
        shift=torch.tensor([found["shift"]]).double(),
        scale=torch.tensor([found["scale"]]).double(),
    )
    return Frame(np.array(facts["centre"]), facts["scale"]), pose


def _thinned(points: Float[Tensor, "N 3"], count: int) -> Float[Tensor, "M 3"]:
    """At most ``count`` points, at equal steps from the first to the last."""
    rows = torch.linspace(0, len(points) - 1, min(count, len(points))).round().long()
    return points[rows]
