"""The order of the scans in an epoch, cut into steps and dealt out to the ranks.

A visit is one use of one scan. The order depends on seed, epoch and position in the epoch, not on
the number of ranks: a step of two ranks equals the step of one process with a batch twice as large.
"""

from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace

import numpy as np
import torch
import torch.distributed
from torch.utils.data import Sampler

from shapespace.scan import Scan

Visit = tuple[int, int]
"""Scan index, and number of the visit, counted over all scans from the start of the training."""


@dataclass(frozen=True)
class Step:
    """The scans that one rank visits in one step.

    Args:
        visits: visits of this rank; all ranks have the same number of them, at least one.
        weights: weight of each visit in the mean over the scans of all ranks; 0 for a visit that
            only makes the ranks equal in number.
        num_scans: number of visits of all ranks, without those that only make ranks equal.
        end: visits of all ranks that are done after this step, from the start of the training.
    """

    visits: tuple[Visit, ...]
    weights: tuple[float, ...]
    num_scans: int
    end: int


@dataclass(frozen=True)
class Batch:
    """The scans of one rank in one step.

    Args:
        scan: the scans, in the order of ``step.visits``.
        step: visits and weights of the scans.
    """

    scan: Scan
    step: Step

    def to(self, device: torch.device | str) -> "Batch":
        """Return the same batch with its scans on ``device``."""
        return replace(self, scan=self.scan.to(device))

    def pin_memory(self) -> "Batch":
        """Return the same batch in page-locked memory."""
        return replace(self, scan=self.scan.pin_memory())

    def only(self, row: int) -> "Batch":
        """Return a batch of one of the scans, with its visit and weight."""
        visits = (self.step.visits[row],)
        weights = (self.step.weights[row],)
        step = replace(self.step, visits=visits, weights=weights)
        return Batch(self.scan[row : row + 1], step)

    def without(self, excluded: Collection[int]) -> "Batch":
        """Return a batch of the same size without the scans whose index is in ``excluded``.

        Another scan, with weight 0, takes the place of each excluded scan. If all scans are
        excluded, their points are set to 0. The batch keeps its size because all ranks exchange
        the same number of code gradients.
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
    """The steps of one epoch for this rank, as a sampler of a data loader.

    Args:
        num_scans: number of scans in use.
        batch_size: number of scans of each rank in a step; the last step may have fewer.
        repeats: number of visits of each scan in an epoch.
        seed: seed of the order.
        shuffle: take a new order each epoch.
        drop_last: leave out a last step that is smaller than the others.
        visits: visits that all ranks have done since the start of the training; the steps begin
            after them.
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
        self.num_scans = num_scans
        self.batch_size = batch_size
        self.repeats = repeats
        self.seed = seed
        self.shuffle = shuffle
        self.drop_last = drop_last
        self.epoch, self.start = divmod(visits, self.num_visits)

    @property
    def num_visits(self) -> int:
        """Number of visits of all ranks in an epoch."""
        return self.num_scans * self.repeats

    def set_epoch(self, epoch: int) -> None:
        """Begin an epoch; Lightning calls this at the start of each."""
        # A resumed epoch keeps its start in the middle.
        if epoch != self.epoch:
            self.epoch = epoch
            self.start = 0

    def __len__(self) -> int:
        return self.steps_after(0)

    def steps_after(self, visits: int) -> int:
        """Number of steps that are left in an epoch of which ``visits`` visits are done."""
        return num_steps(self.num_visits - visits, self.batch_size * world()[1], self.drop_last)

    def __iter__(self) -> Iterator[Step]:
        order = np.tile(np.arange(self.num_scans), self.repeats)
        if self.shuffle:
            np.random.default_rng((self.seed, self.epoch)).shuffle(order)
        before = self.epoch * self.num_visits
        size = self.batch_size * world()[1]
        begins = range(self.start, self.num_visits, size)[: self.steps_after(self.start)]
        for begin in begins:
            # After the last step all visits count as done, those that drop_last leaves out too.
            end = self.num_visits if begin == begins[-1] else begin + size
            positions = range(begin, min(begin + size, self.num_visits))
            visits = [(int(order[position]), before + position) for position in positions]
            yield dealt(visits, before + end)


def num_steps(num_visits: int, size: int, drop_last: bool) -> int:
    """Return the number of steps of an epoch.

    Args:
        num_visits: number of visits of all ranks.
        size: number of visits of all ranks in a full step.
        drop_last: do not count a last step that is smaller.
    """
    return num_visits // size if drop_last else -(-num_visits // size)


def dealt(visits: list[Visit], end: int) -> Step:
    """Return the part of this rank in a step of all ranks: every W-th visit, W the ranks.

    A rank that would have a visit less than the others repeats one with weight 0, because ranks
    that exchange gradients must have the same number of visits.
    """
    rank, count = world()
    own = visits[rank::count]
    filling = -(-len(visits) // count) - len(own)
    weights = (1 / len(visits),) * len(own) + (0.0,) * filling
    return Step(visits=(*own, *visits[:filling]), weights=weights, num_scans=len(visits), end=end)


def world() -> tuple[int, int]:
    """Return the rank of this process and the number of ranks; 0 and 1 without ranks."""
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        return torch.distributed.get_rank(), torch.distributed.get_world_size()
    return 0, 1
