"""From a store to batches: the scans in use, their order, and one window of points a visit.

Everything random depends on (seed, epoch, position) alone, so that any epoch can be repeated.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
import torch.distributed
from torch.utils.data import DataLoader, Dataset, Sampler

from shapespace.data.cache import cached_path, copy_to_cache, verify_store
from shapespace.data.store import ScanStore
from shapespace.errors import InputError, at_least, one_line
from shapespace.files import read_lines
from shapespace.scan import Frame, Scan, decoded_normals

Visit = tuple[int, int]
"""(scan index, number of the visit): what a data loader asks of :class:`Windows`."""


class Windows(Dataset[Scan]):
    """One contiguous window of ``num_points`` points for each (scan, visit).

    Points lie shuffled in the store, so that a window is a random subset; it goes on at the
    beginning where it meets the end, so that every point is as likely as any other. Normals that
    are not trusted are left out.
    """

    def __init__(
        self, store: ScanStore, names: tuple[str, ...], num_points: int, seed: int
    ) -> None:
        self.store, self.names, self.num_points, self.seed = store, names, num_points, seed

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, visit: Visit) -> Scan:
        return self.__getitems__([visit])

    def __getitems__(self, visits: Sequence[Visit]) -> Scan:
        """The batch of all ``visits``, read straight into its own memory."""
        names = [self.names[index] for index, _ in visits]
        size = (len(visits), self.num_points)
        points = np.empty((*size, self.store.dimension), np.float32)
        sigma = np.empty(size, np.float32)
        trusted = [self.store.has_trusted_normals(name) for name in names]
        normals = np.zeros(points.shape, np.int16) if any(trusted) else None
        for row, (index, number) in enumerate(visits):
            total = self.store.num_points(names[row])
            start = int(np.random.default_rng((self.seed, index, number)).integers(total))
            own = normals[row] if normals is not None and trusted[row] else None
            self.store.read_into(names[row], start, points[row], sigma[row], own)
        return Scan(
            torch.tensor([index for index, _ in visits]),
            torch.from_numpy(points),
            None if normals is None else torch.from_numpy(decoded_normals(normals)),
            torch.from_numpy(sigma),
        )


def _whole(batch: Any) -> Scan:
    return batch


class Visits(Sampler[Visit]):
    """A new order each epoch, the scans dealt out to the ranks, each visited ``repeats`` times."""

    def __init__(self, num_scans: int, repeats: int, seed: int, shuffle: bool) -> None:
        self.num_scans, self.repeats, self.seed, self.shuffle = num_scans, repeats, seed, shuffle
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Called by Lightning at the start of each epoch."""
        self.epoch = epoch

    def __len__(self) -> int:
        return -(-self.num_scans * self.repeats // _world()[1])

    def __iter__(self) -> Iterator[Visit]:
        order = np.tile(np.arange(self.num_scans), self.repeats)
        if self.shuffle:
            np.random.default_rng((self.seed, self.epoch)).shuffle(order)
        rank, world = _world()
        positions = np.resize(np.arange(len(order)), len(self) * world)[rank::world]
        for position in positions:
            yield int(order[position]), self.epoch * len(order) + int(position)


def _world() -> tuple[int, int]:
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        return torch.distributed.get_rank(), torch.distributed.get_world_size()
    return 0, 1


def _check_names(path: str | None, names: Sequence[str], store: ScanStore) -> None:
    """InputError that names the list ``path`` for a name that is unknown, or there twice."""
    seen: set[str] = set()
    for name in names:
        if name in seen:
            raise InputError(f"{path}: names {one_line(name)!r} twice; name each scan once")
        seen.add(name)
        try:
            store.check_name(name)
        except InputError as error:
            raise InputError(f"{path}: {error}; a split has one name a line") from error


class ScanData(pl.LightningDataModule):
    """Training scans of one store.

    Args:
        store: HDF5 file written by ``shapespace prepare``.
        scans: text file with one scan name a line (a split); None takes all of the store.
        batch_size: scans of a step and rank.
        num_points: surface points of a scan and step.
        repeats: visits of each scan in an epoch; many for a store of one scan.
        num_workers: processes that read ahead; 0 reads in the training process.
        shuffle: visit the scans in a new order each epoch.
        drop_last: leave out a last batch that is smaller than the others.
        seed: of order and windows.
        cache: folder on a disk of each node, to which the store is copied (once, and verified)
            before training; for stores on a network file system.
        verify: read the whole store before training and compare its checksums.
    """

    def __init__(
        self,
        store: str,
        scans: str | None = None,
        batch_size: int = 16,
        num_points: int = 8000,
        repeats: int = 1,
        num_workers: int = 0,
        shuffle: bool = True,
        drop_last: bool = False,
        seed: int = 0,
        cache: str | None = None,
        verify: bool = False,
    ) -> None:
        super().__init__()
        at_least(1, batch_size=batch_size, num_points=num_points, repeats=repeats)
        at_least(0, num_workers=num_workers, seed=seed)
        self.store = self._near = ScanStore(store)
        self.cache, self.verify = cache, verify
        self.names = self.store.names if scans is None else tuple(read_lines(scans))
        self.batch_size, self.num_points, self.repeats = batch_size, num_points, repeats
        self.num_workers, self.shuffle, self.drop_last = num_workers, shuffle, drop_last
        self.seed = seed
        if not self.names:
            raise InputError(f"{store}: holds no scan; prepare some, or merge all shards")
        _check_names(scans, self.names, self.store)
        for name in self.names:
            if self.store.num_points(name) < num_points:
                raise InputError(
                    f"{store}: scan {name!r} holds {self.store.num_points(name)} points but "
                    f"data.num_points is {num_points}: lower it, or prepare with more points"
                )
        if drop_last and batch_size > self.num_scans * repeats:
            raise InputError(
                f"{store}: data.drop_last with batch_size={batch_size} leaves no batch of "
                f"{self.num_scans} scans: lower data.batch_size or raise data.repeats"
            )

    @property
    def num_scans(self) -> int:
        """S, the number of scans in use."""
        return len(self.names)

    @property
    def dimension(self) -> int:
        """D of the store, 3 or 2."""
        return self.store.dimension

    @property
    def frames(self) -> list[Frame]:
        """The frame of each scan in use, in the order of ``names``."""
        return [self.store.frame(name) for name in self.names]

    def prepare_data(self) -> None:
        """Called by Lightning once on each node: verify and copy the store, if asked."""
        if self.verify:
            verify_store(self.store)
        if self.cache is not None:
            copy = copy_to_cache(self.store, self.cache)
            if self.verify:
                verify_store(ScanStore(copy))

    def setup(self, stage: str) -> None:
        """Called by Lightning in each process: read from the copy from now on."""
        if self.cache is not None:
            self._near = ScanStore(cached_path(self.store, self.cache))

    def train_dataloader(self) -> DataLoader[Scan]:
        """Batches of scans; the order follows the trainer's epoch."""
        return DataLoader(
            Windows(self._near, self.names, self.num_points, self.seed),
            self.batch_size,
            sampler=Visits(self.num_scans, self.repeats, self.seed, self.shuffle),
            num_workers=self.num_workers,
            collate_fn=_whole,
            drop_last=self.drop_last,
            persistent_workers=self.num_workers > 0,
            pin_memory=torch.cuda.is_available(),
        )

    def transfer_batch_to_device(
        self, batch: Scan, device: torch.device, dataloader_idx: int
    ) -> Scan:
        """The batch on the trainer's device."""
        return batch.to(device)
