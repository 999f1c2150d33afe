"""Who is visited when: the order of an epoch, cut into steps and dealt out to the ranks.

Everything follows from (seed, epoch) and the place in the epoch, not from the number of ranks: a
step of two ranks is the step of one process with a batch twice as large.
"""

from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace

import numpy as np
import torch
import torch.distributed
from torch.utils.data import Sampler

from shapespace.scan import Scan

Visit = tuple[int, int]
"""(scan index, number of the visit, from the start of the training)."""


@dataclass(frozen=True)
class Step:
    """What one rank does in one step.

    visits: of this rank, as many on each rank, at least one. weights: the share of each in the mean
    over the scans of all ranks; 0 for a visit that only fills a rank up. num_scans: scans of all
    ranks. end: visits that all ranks have done after this step, from the start of the training.
    """

    visits: tuple[Visit, ...]
    weights: tuple[float, ...]
    num_scans: int
    end: int


@dataclass(frozen=True)
class Batch:
    """The scans of one rank in one step, in the order of ``step.visits``."""

    scan: Scan
    step: Step

    def to(self, device: torch.device | str) -> "Batch":
        """The same batch with its scans on ``device``."""
        return replace(self, scan=self.scan.to(device))

    def pin_memory(self) -> "Batch":
        """The same batch in page-locked memory."""
        return replace(self, scan=self.scan.pin_memory())

    def only(self, row: int) -> "Batch":
        """One of the scans."""
        visit, weight = self.step.visits[row], self.step.weights[row]
        step = replace(self.step, visits=(visit,), weights=(weight,))
        return Batch(self.scan[row : row + 1], step)

    def without(self, excluded: Collection[int]) -> "Batch":
        """A batch of the same size, in which another scan with weight 0 stands for each of those in
        ``excluded``; where all are, points at 0 do.
        """
        index = self.scan.index.tolist()
        left = [row for row, scan in enumerate(index) if scan not in excluded]
        if len(left) == len(index):
            return self
        rows = [row if row in left else (*left, 0)[0] for row in range(len(index))]
        weights = [w * (row in left) for row, w in enumerate(self.step.weights)]
        step = replace(self.step, weights=tuple(weights))
        return Batch(self.scan.pick(rows) if left else self.scan.emptied(), step)


class Steps(Sampler[Step]):
    """The steps of an epoch for this rank.

    Args:
        num_scans: scans in use, each visited ``repeats`` times an epoch.
        batch_size: scans of a step and rank; the last step of an epoch may have fewer.
        repeats: visits of each scan in an epoch.
        seed: of the order.
        shuffle: a new order each epoch.
        drop_last: leave out a last step that is smaller than the others.
        visits: done before, by all ranks, from the start of the training: where to begin.
    """

    def __init__(
        self,
        num_scans: int,
        batch_size: int = 1,
        repeats: int = 1,
        seed: int = 0,
        shuffle: bool = True,
        drop_last: bool = False,
        visits: int = 0,
    ) -> None:
        self.num_scans, self.batch_size, self.repeats = num_scans, batch_size, repeats
        self.seed, self.shuffle, self.drop_last = seed, shuffle, drop_last
        self.epoch, self.start = divmod(visits, self.num_visits)

    @property
    def num_visits(self) -> int:
        """Visits of an epoch, by all ranks."""
        return self.num_scans * self.repeats

    def set_epoch(self, epoch: int) -> None:
        """Called by Lightning at the start of each epoch."""
        if epoch != self.epoch:
            self.epoch, self.start = epoch, 0

    def __len__(self) -> int:
        return self.steps_after(0)

    def steps_after(self, visits: int) -> int:
        """Steps that are left of an epoch in which so many visits are done."""
        return num_steps(self.num_visits - visits, self.batch_size * world()[1], self.drop_last)

    def __iter__(self) -> Iterator[Step]:
        order = np.tile(np.arange(self.num_scans), self.repeats)
        if self.shuffle:
            np.random.default_rng((self.seed, self.epoch)).shuffle(order)
        before, size = self.epoch * self.num_visits, self.batch_size * world()[1]
        begins = range(self.start, self.num_visits, size)[: self.steps_after(self.start)]
        for begin in begins:
            end = self.num_visits if begin == begins[-1] else begin + size
            places = range(begin, min(begin + size, self.num_visits))
            yield dealt([(int(order[place]), before + place) for place in places], before + end)


def num_steps(num_visits: int, size: int, drop_last: bool) -> int:
    """Steps of ``size`` visits, of all ranks together, that so many visits make."""
    return num_visits // size if drop_last else -(-num_visits // size)


def dealt(visits: list[Visit], end: int) -> Step:
    """The share of this rank in a step of all ranks."""
    rank, count = world()
    own = visits[rank::count]
    filling = -(-len(visits) // count) - len(own)
    weights = (1 / len(visits),) * len(own) + (0.0,) * filling
    return Step((*own, *visits[:filling]), weights, len(visits), end)


def world() -> tuple[int, int]:
    """Rank of this process and number of ranks."""
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        return torch.distributed.get_rank(), torch.distributed.get_world_size()
    return 0, 1
