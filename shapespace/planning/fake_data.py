"""Scans that are not there yet: points of a ball for each, so that a training can be rehearsed."""

from typing import Any

import numpy as np
from jaxtyping import Int16

from shapespace.data.store.store import Points, ScanStore, Sigma
from shapespace.errors import at_least
from shapespace.scan import Frame, encoded_normals
from shapespace.training.datamodule import ScanData


class FakeStore(ScanStore):
    """A store that lies nowhere; each scan has the points that are asked for, and normals.

    Its ``dimension`` may be set until the first scan is read.
    """

    def __init__(self, num_scans: int, num_points: int) -> None:
        self.unit, self.dimension, self.shard, self.content = "m", 3, "", ""
        self.names = tuple(f"scan_{row:012d}" for row in range(num_scans))
        self._known, self._num_points = frozenset(self.names), num_points

    def frame(self, name: str) -> Frame:
        """At the origin."""
        return Frame(np.zeros(self.dimension))

    def num_points(self, name: str) -> int:
        """As many as are asked for."""
        return self._num_points

    def has_trusted_normals(self, name: str) -> bool:
        """All have normals."""
        return True

    def read_into(
        self,
        name: str,
        start: int,
        points: Points,
        sigma: Sigma,
        normals: Int16[np.ndarray, "K D"] | None = None,
    ) -> None:
        """Points of a ball of radius 0.5, the same for all."""
        unit = np.random.default_rng(0).normal(size=points.shape)
        unit /= np.linalg.norm(unit, axis=1, keepdims=True)
        points[:], sigma[:] = 0.5 * unit, 0.02
        if normals is not None:
            normals[:] = encoded_normals(unit)


class FakeScans(ScanData):
    """So many scans of an :class:`FakeStore`; ``options`` are those of ScanData."""

    def __init__(self, num_imagined: int, **options: Any) -> None:
        at_least(1, scans=num_imagined)
        self._imagined = FakeStore(num_imagined, options["num_points"])
        super().__init__(**{**options, "scans": None})

    def open_store(self, path: str) -> ScanStore:
        """Nothing is opened."""
        return self._imagined
