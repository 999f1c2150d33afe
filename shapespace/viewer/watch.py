"""A run that is training, followed: its newest checkpoint and its losses."""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float

from shapespace.checkpoint import CHECKPOINT
from shapespace.errors import InputError
from shapespace.space import TrainedSpace
from shapespace.training.statistics import METRICS, read_metrics

EVERY = 2.0
"""Seconds between two looks."""


@dataclass(frozen=True)
class Losses:
    """The losses of a run, one an epoch.

    Args:
        epochs: number of each epoch.
        values: mean loss of each epoch.
        seconds: of training so far.
    """

    epochs: Float[np.ndarray, " E"]
    values: Float[np.ndarray, " E"]
    seconds: float

    def line(self) -> str:
        """The last loss, for people to read."""
        if not len(self.values):
            return "no epoch is done yet"
        last = self.values[-1]
        return f"epoch {self.epochs[-1]:.0f}: loss {last:.4g}, after {self.seconds:.0f} s"


class RunWatch:
    """The state of a run folder when it was looked at last.

    Args:
        folder: of the run.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._seen: dict[str, tuple[int, int, int]] = {}

    def new_space(self) -> TrainedSpace | None:
        """The space of the newest checkpoint, if there is one that was not given before.

        Raises:
            InputError: it cannot be read. It is not tried again until it changes.
        """
        path = self.folder / CHECKPOINT
        if not self._has_changed(path):
            return None
        space = TrainedSpace.load(path)
        space.check_has_meshes()
        return space

    def new_losses(self) -> Losses | None:
        """The losses so far, if they changed; InputError if their table is damaged."""
        path = self.folder / METRICS
        return losses_of(path) if self._has_changed(path) else None

    def _has_changed(self, path: Path) -> bool:
        try:
            found = path.stat()
        except OSError:
            return False
        now = found.st_mtime_ns, found.st_size, found.st_ino
        changed = self._seen.get(path.name) != now
        self._seen[path.name] = now
        return changed


def losses_of(path: Path) -> Losses:
    """The losses in the metrics of a run; rows that are no numbers are left out."""
    rows = []
    for row in read_metrics(path):
        try:
            found = [float(row[key]) for key in ("epoch", "loss", "seconds")]
        except (KeyError, ValueError):
            continue
        if all(map(math.isfinite, found)):
            rows.append(found)
    table = np.array(rows, np.float64).reshape(-1, 3)
    return Losses(table[:, 0], table[:, 1], float(table[-1, 2]) if len(table) else 0.0)


def first_space(
    watch: RunWatch, say: Callable[[str], object], pause: Callable[[float], object] = time.sleep
) -> TrainedSpace:
    """Wait for the first checkpoint of a run.

    Args:
        watch: of the run.
        say: called once with a line if there is none yet.
        pause: waits some seconds.

    Raises:
        InputError: the folder is missing, or the checkpoint cannot be read.
    """
    if not watch.folder.is_dir():
        raise InputError(f"{watch.folder}: there is no such run folder; check the path")
    space = watch.new_space()
    if space is None:
        say(f"{watch.folder}: has no {CHECKPOINT} yet; waiting for the first one")
    while space is None:
        pause(EVERY)
        space = watch.new_space()
    return space
