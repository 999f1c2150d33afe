"""Targets for a training: windows of those of a store, or distances measured as it goes.

A store that was prepared with targets has distances that are exact and, for closed meshes, signed.
Where it has none, unsigned distances to the points of a scan are measured (``distances.py``).

Letters: K targets of a visit.
"""

import os
import shlex
from collections import OrderedDict
from collections.abc import Callable, Sequence, Set
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from shapespace.data.distances import SearchTree, nearest, points_around, rows_of_both_sides
from shapespace.data.store.store import ScanStore
from shapespace.errors import InputError, one_line
from shapespace.scan import OF_TARGETS, Need, TargetSamples

MOST_POINTS = 4_000_000
"""Points of the scans whose search trees a process keeps, about 50 bytes each."""
MOST_SOURCES = 1000
"""Files of a store that are looked at to name its folder."""
NUM_TARGETS = 100_000
"""Targets of each scan that messages advise to prepare."""


class TargetWindows:
    """One window of targets for each visit of a scan; drawn and measured where there are none.

    Targets lie in random order in the store, so a window is a random subset. A window that reaches
    the end continues at the beginning. What is drawn depends on seed, scan and visit alone.

    Args:
        store: store of the scans.
        num_targets: K.
        needs: of the objective.
        stored: read the targets of the store; False measures distances to the stored points.
        seed: of windows and draws.
    """

    def __init__(
        self, store: ScanStore, num_targets: int, *, needs: Set[Need], stored: bool, seed: int
    ) -> None:
        self.store = store
        self.num_targets = num_targets
        self.signed = "signed" in needs
        self.both_sides = "both_sides" in needs
        self.with_gradient = "distance_gradient" in needs
        self.stored = stored
        self.seed = seed
        self._trees: OrderedDict[str, SearchTree] = OrderedDict()

    def read(self, names: Sequence[str], visits: Sequence[tuple[int, int]]) -> TargetSamples:
        """Targets of all visits.

        Args:
            names: the scan of each visit.
            visits: index of each scan and number of the visit.
        """
        size = (len(names), self.num_targets)
        points = np.empty((*size, self.store.dimension), np.float32)
        distance = np.empty(size, np.float32)
        gradient = np.empty(points.shape, np.float32) if self.with_gradient else None
        for row, (name, visit) in enumerate(zip(names, visits, strict=True)):
            # The last key keeps these draws apart from those of the windows of points.
            rng = np.random.default_rng((self.seed, *visit, 1))
            if self.stored:
                start = int(rng.integers(self.store.num_targets(name)))
                if self.both_sides:
                    points[row], distance[row] = self._of_both_sides(name, start)
                else:
                    self.store.read_targets_into(name, start, points[row], distance[row])
            else:
                tree = self._tree(name)
                points[row] = points_around(tree, self.num_targets, rng)
            if not self.stored or gradient is not None:
                found = nearest(self._tree(name), points[row])
                distance[row] = distance[row] if self.stored else found.distance
                if gradient is not None:
                    side = np.where(distance[row] < 0, -1.0, 1.0)
                    gradient[row] = found.direction * side[:, None]
        read = TargetSamples(
            points=torch.from_numpy(points),
            distance=torch.from_numpy(distance),
            gradient=None if gradient is None else torch.from_numpy(gradient),
            signed=self.stored,
        )
        return read if self.signed else read.unsigned()

    def _of_both_sides(self, name: str, start: int) -> tuple[np.ndarray, np.ndarray]:
        """Points and distances, half of them inside; all targets of the scan are read for it."""
        own = self.store.read_targets(name)
        try:
            rows = rows_of_both_sides(own.distance, self.num_targets, start)
        except InputError as error:
            raise InputError(f"{self.store.path}: scan {one_line(name)!r}: {error}") from error
        return own.points[rows], own.distance[rows]

    def __getstate__(self) -> dict[str, Any]:
        # Worker processes make trees of the scans that they read.
        return {**self.__dict__, "_trees": OrderedDict()}

    def _tree(self, name: str) -> SearchTree:
        """The search tree of a scan's points; those used last are kept."""
        if name not in self._trees:
            points, _, sigma = self.store.read(name)
            self._trees[name] = SearchTree.of(points, sigma)
            while len(self._trees) > 1 and self._num_kept() > MOST_POINTS:
                self._trees.popitem(last=False)
        self._trees.move_to_end(name)
        return self._trees[name]

    def _num_kept(self) -> int:
        """Points of all trees that are kept."""
        return sum(tree.points.n for tree in self._trees.values())


def target_windows(
    store: ScanStore,
    names: Sequence[str],
    needs: Set[Need],
    *,
    num_targets: int | None,
    num_points: int,
    seed: int,
    reader: str,
) -> TargetWindows | None:
    """The targets that an objective needs; None if it needs none.

    Args:
        store: store of the scans.
        names: of the scans in use.
        needs: of the objective.
        num_targets: K; None takes ``num_points``, or all targets of the scan that has fewest.
        num_points: surface points of a window.
        seed: of windows and draws.
        reader: the objective, for messages.

    Raises:
        InputError: the store lacks something that is needed. The message has the command that adds
            it.
    """
    if "normals" in needs:
        _check_each(names, store.has_trusted_normals, partial(_without_normals, store, reader))
    if not needs & OF_TARGETS:
        if num_targets is not None:
            raise InputError(
                f"data.num_targets={num_targets}: {reader} reads no targets; leave it out"
            )
        return None
    counts = [store.num_targets(name) for name in names]
    stored = any(counts)
    if not stored and "signed" not in needs:
        count = num_points if num_targets is None else num_targets
        return TargetWindows(store, count, needs=needs, stored=False, seed=seed)
    _check_each(
        names, lambda name: store.num_targets(name) > 0, partial(_without_targets, store, reader)
    )
    count = min(num_points, *counts) if num_targets is None else num_targets
    if count > min(counts):
        raise InputError(
            f"data.num_targets={count}: a scan of {store.path} holds {min(counts)}; lower it, or "
            f"{prepare_again(store, f'--targets {count}')}"
        )
    if "signed" in needs:
        _check_each(names, store.has_signed_targets, partial(_unsigned, store, reader))
    return TargetWindows(store, count, needs=needs, stored=True, seed=seed)


def prepare_again(store: ScanStore, options: str) -> str:
    """The command that prepares a store again with more options, as the end of a message."""
    # Enough of them to see the folder that holds all.
    files = [store.source(name).partition("[:, :")[0] for name in store.names[:MOST_SOURCES]]
    folder = os.path.commonpath([Path(file).parent for file in files]) if files[1:] else files[0]
    source = shlex.quote(folder or ".")
    return (
        f"run, with the options of the first time and {options}: "
        f"shapespace prepare {source} {shlex.quote(str(store.path))} {options}"
    )


def _without_normals(store: ScanStore, reader: str, name: str) -> str:
    return (
        f"{store.path}: scan {one_line(name)!r} has {store.normals_kind(name)} normals, and "
        f"{reader} reads normals whose side is known; "
        f"{prepare_again(store, '--normals estimate')}, or leave the scan out of data.scans"
    )


def _without_targets(store: ScanStore, reader: str, name: str) -> str:
    return (
        f"{store.path}: scan {one_line(name)!r} holds no distances around it, which {reader} "
        f"reads; {prepare_again(store, f'--targets {NUM_TARGETS}')}"
    )


def _unsigned(store: ScanStore, reader: str, name: str) -> str:
    return (
        f"{store.path}: scan {one_line(name)!r} has unsigned distances, because its source is no "
        f"closed mesh, and {reader} reads signed ones: close the mesh, leave the scan out of "
        "data.scans, or take an objective of unsigned distances"
    )


def _check_each(
    names: Sequence[str], holds: Callable[[str], bool], fault: Callable[[str], str]
) -> None:
    """Raise InputError for the first scan of which something does not hold."""
    for name in names:
        if not holds(name):
            raise InputError(fault(name))
