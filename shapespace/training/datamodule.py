"""Batches from a store: the scans in use, and one window of surface points for each visit.

All random numbers depend on seed, epoch and position in the epoch alone. So any number of ranks can
repeat an epoch, or resume the epoch anywhere. Letters: B scans of a batch, N points, D dimension.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from torch.utils.data import DataLoader, Dataset

from shapespace.data.copies import Copy, CopyOptions, Points
from shapespace.data.store.cache import cached_path, copy_to_cache, verify_store
from shapespace.data.store.store import ScanStore
from shapespace.data.target_windows import TargetWindows, target_windows
from shapespace.decoders.base import Decoder
from shapespace.decoders.derivatives import check_second_derivatives
from shapespace.errors import InputError, at_least, one_line
from shapespace.objectives.base import Objective
from shapespace.sampling import Sampler
from shapespace.scan import OF_TARGETS, Frame, Scan, TargetSamples, decoded_normals
from shapespace.training.batches import Batch, Step, Steps, Visit, world
from shapespace.training.validation.held_out import check_held_out, open_truth
from shapespace.utils.files import read_lines


class Windows(Dataset[Batch]):
    """One contiguous window of a scan's points for each visit.

    Points lie shuffled in the store, so a window is a random subset. A window that reaches the end
    of the scan continues at the beginning, so all points are equally likely. Normals that are not
    trusted are left out.

    Args:
        store: store of the scans.
        names: names of the scans in use; a visit gives an index into them.
        num_points: number of points N of a window.
        seed: seed of the windows.
        targets: windows of the targets; None where the objective needs none.
        copies: which copies of the scans are made; their codes follow those of the scans, unless
            they are tied.
    """

    def __init__(
        self,
        store: ScanStore,
        names: tuple[str, ...],
        num_points: int,
        seed: int,
        targets: TargetWindows | None = None,
        copies: CopyOptions = CopyOptions(),
    ) -> None:
        self.targets = targets
        self.copies = copies
        self._made = copies.of(names)
        self.store = store
        self.names = names
        self.num_points = num_points
        self.seed = seed

    def __len__(self) -> int:
        return len(self.names if self.copies.tied else self._made)

    def __getitem__(self, step: Step) -> Batch:
        return Batch(self.read(step.visits), step)

    def read(self, visits: Sequence[Visit]) -> Scan:
        """Read the windows of all visits, without a copy between store and batch."""
        made = [self._shape(*visit) for visit in visits]
        names = [copy.source for copy in made]
        size = (len(visits), self.num_points)
        points = np.empty((*size, self.store.dimension), np.float32)
        sigma = np.empty(size, np.float32) if self.store.has_sigma else None
        trusted = [self.store.has_trusted_normals(name) for name in names]
        normals = np.zeros(points.shape, np.int16) if any(trusted) else None
        for row, (index, number) in enumerate(visits):
            total = self.store.num_points(names[row])
            start = int(np.random.default_rng((self.seed, index, number)).integers(total))
            own = normals[row] if normals is not None and trusted[row] else None
            self.store.read_into(
                names[row],
                start,
                points=points[row],
                sigma=None if sigma is None else sigma[row],
                normals=own,
            )
        decoded = None if normals is None else decoded_normals(normals)
        for row, copy in enumerate(made):
            if not copy.is_source:
                own = Points(
                    points=points[row],
                    normals=None if decoded is None else decoded[row],
                    sigma=None if sigma is None else sigma[row],
                )
                found = self.copies.applied(copy, own, self.seed)
                for part, new in zip(own, found, strict=True):
                    if part is not None:
                        part[:] = new
        targets = None if self.targets is None else self.targets.read(names, visits)
        return Scan(
            index=torch.tensor([index for index, _ in visits]),
            points=torch.from_numpy(points),
            normals=None if decoded is None else torch.from_numpy(decoded),
            sigma=None if sigma is None else torch.from_numpy(sigma),
            targets=None if targets is None else self._of_copies(targets, made),
        )

    def _shape(self, index: int, number: int) -> Copy:
        """Return the shape of a visit; a tied copy is drawn by the seed and the visit alone."""
        if not self.copies.tied:
            return self._made[index]
        # The last key keeps these draws apart from those of the windows and the targets.
        rng = np.random.default_rng((self.seed, index, number, 2))
        return self._made[index + len(self.names) * int(rng.integers(self.copies.num))]

    def _of_copies(self, targets: TargetSamples, made: Sequence[Copy]) -> TargetSamples:
        """Mirror the targets of mirror images: their distances stay."""
        if self.copies.mirror is None:
            return targets
        sign = torch.ones_like(targets.points[:, :1])
        mirrored = torch.tensor([copy.mirrored for copy in made])
        sign[mirrored, 0, "xyz".index(self.copies.mirror)] = -1
        gradient = None if targets.gradient is None else targets.gradient * sign
        return replace(targets, points=targets.points * sign, gradient=gradient)


def _whole(batch: Any) -> Batch:
    """Return the batch as it is: default_collate refuses None for normals."""
    return batch


def _check_names(path: str | None, names: Sequence[str], store: ScanStore) -> None:
    """Raise InputError, with the path of the list, for a name that is unknown or given twice."""
    seen: set[str] = set()
    for name in names:
        if name in seen:
            raise InputError(f"{path}: names {one_line(name)!r} twice; name each scan once")
        seen.add(name)
        try:
            store.check_name(name)
        except InputError as error:
            raise InputError(f"{path}: {error}; a split has one name a line") from error


def _check_sizes(store: ScanStore, names: Sequence[str], num_points: int) -> None:
    """Raise InputError for a scan that has fewer points than a window."""
    for name in names:
        if store.num_points(name) < num_points:
            raise InputError(
                f"{store.path}: scan {name!r} holds {store.num_points(name)} points but "
                f"data.num_points is {num_points}: lower it, or prepare with more points"
            )


class ScanData(pl.LightningDataModule):
    """Training scans of one store.

    Args:
        store: HDF5 file written by ``shapespace prepare``.
        scans: text file with one scan name a line (a split); None takes all scans of the store.
        batch_size: number of scans of each rank in a step.
        num_points: number of surface points of each scan in a step.
        repeats: number of visits of each scan in an epoch; many for a store of one scan.
        num_workers: number of processes that read ahead; 0 reads in the training process.
        shuffle: visit the scans in a new order each epoch.
        drop_last: leave out a last step of an epoch that is smaller than the others.
        seed: seed of order and windows.
        cache: folder on a disk of each node, to which the store is copied (once, and verified)
            before training; for stores on a network file system.
        verify: read the whole store before training and compare its checksums.
        num_targets: number of targets (points with distances) of each scan in a step, where the
            objective reads them; None takes ``num_points``, or fewer if a scan has fewer.
        validation: text file with the names of scans of the store that are not trained on, as
            ``shapespace data split`` writes it; some are reconstructed now and then (``validation``
            says how often), and ``best.ckpt`` is kept by their error. None validates nothing.
        truth: store of the true surfaces of these scans under the same names, such as their
            registrations; for the error where a scan has not seen. None if there is none.
        copies: mirror images and warped copies that are made of each scan as it is read.
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
        num_targets: int | None = None,
        validation: str | None = None,
        truth: str | None = None,
        copies: CopyOptions = CopyOptions(),
    ) -> None:
        super().__init__()
        at_least(1, batch_size=batch_size, num_points=num_points, repeats=repeats)
        at_least(1, num_targets=1 if num_targets is None else num_targets)
        at_least(0, num_workers=num_workers, seed=seed)
        self.store = self._near = self.open_store(store)
        self.cache = cache
        self.verify = verify
        self.sources = self.store.names if scans is None else tuple(read_lines(scans))
        self.batch_size = batch_size
        self.num_points = num_points
        self.repeats = repeats
        self.num_workers = num_workers
        self.shuffle = shuffle
        self.drop_last = drop_last
        self.seed = seed
        self.num_targets = num_targets
        self._targets: TargetWindows | None = None
        self._visits = 0
        if not self.sources:
            raise InputError(f"{store}: holds no scan; prepare some, or merge all shards")
        _check_names(scans, self.sources, self.store)
        copies.check_dimension(self.dimension)
        self.copies = copies
        # A tied copy has no code of its own, and so no name.
        made = copies.of(self.sources)
        self.names = self.sources if copies.tied else tuple(copy.name for copy in made)
        _check_sizes(self.store, self.sources, num_points)
        if drop_last and batch_size > self.num_scans * repeats:
            raise InputError(
                f"{store}: data.drop_last with batch_size={batch_size} leaves no batch of "
                f"{self.num_scans} scans: lower data.batch_size or raise data.repeats"
            )
        self.held_out, self.truth = self._held_out(validation, truth)

    def _held_out(
        self, validation: str | None, truth: str | None
    ) -> tuple[tuple[str, ...] | None, ScanStore | None]:
        """Names of the held-out scans and the store of their true surfaces; None where not given.

        Args:
            validation: path of the list of names.
            truth: path of the store.
        """
        if validation is None:
            if truth is not None:
                raise InputError(
                    f"data.truth={one_line(truth)}: is of the scans of data.validation; give that "
                    "list too"
                )
            return None, None
        names = tuple(read_lines(validation))
        check_held_out(validation, names, self.store, training=self.sources)
        return names, None if truth is None else open_truth(truth, self.store, names)

    def open_store(self, path: str) -> ScanStore:
        """Open the store at ``path``; a subclass may return dummy data."""
        return ScanStore(path)

    @property
    def num_scans(self) -> int:
        """Number of scans in use, copies with a code of their own included."""
        return len(self.names)

    @property
    def dimension(self) -> int:
        """Dimension D of the store, 3 or 2."""
        return self.store.dimension

    @property
    def frames(self) -> list[Frame]:
        """Frames of the scans in use, in the order of ``names``; a copy has that of its scan."""
        frames = [self.store.frame(name) for name in self.sources]
        return frames * (len(self.names) // len(self.sources))

    def prepare_data(self) -> None:
        """Verify and copy the store, if asked; Lightning calls this once on each node."""
        if self.verify:
            verify_store(self.store)
        if self.cache is not None:
            copy = copy_to_cache(self.store, self.cache)
            if self.verify:
                verify_store(ScanStore(copy))

    def setup(self, stage: str) -> None:
        """Read from the copy, if there is one; Lightning calls this in each process."""
        if self.cache is not None:
            self._near = ScanStore(cached_path(self.store, self.cache))

    def serve(self, decoder: Decoder, objective: Objective, sampler: Sampler) -> None:
        """Let batches hold what the parts of a model read.

        Args:
            decoder: of the same dimension as the scans.
            objective: which names what it needs beside points.
            sampler: which may read sigma.

        Raises:
            InputError: the store lacks something; the message says how to prepare it. Or the
                decoder lacks second derivatives that the objective needs.
        """
        store = self.store
        if self.dimension != decoder.dimension:
            raise InputError(
                f"{store.path}: scans have dimension {self.dimension} but the decoder "
                f"{decoder.dimension}: set model.decoder.init_args.dimension"
            )
        if sampler.needs_sigma and not store.has_sigma:
            raise InputError(
                f"{store.path}: holds no sigma, which {type(sampler).__name__} reads; "
                "run: shapespace prepare again with --sigma, or give model.sampler.init_args.sigma"
            )
        if "second_derivatives" in objective.needs:
            check_second_derivatives(decoder)
        if self.copies.warps and objective.needs & OF_TARGETS:
            raise InputError(
                f"data.copies.warps={self.copies.warps}: {type(objective).__name__} reads "
                "distances, which a warp does not keep; leave it out. Mirror images keep them"
            )
        self._targets = target_windows(
            self._near,
            self.sources,
            objective.needs,
            num_targets=self.num_targets,
            num_points=self.num_points,
            seed=self.seed,
            reader=type(objective).__name__,
        )

    @property
    def steps(self) -> Steps:
        """Steps of this rank in the current epoch, from the next visit on."""
        return Steps(
            num_scans=self.num_scans,
            batch_size=self.batch_size,
            repeats=self.repeats,
            seed=self.seed,
            shuffle=self.shuffle,
            drop_last=self.drop_last,
            visits=self._visits,
        )

    def train_dataloader(self) -> DataLoader[Batch]:
        """Return a loader with one batch for each step, in the order of the trainer's epoch."""
        steps = self.steps
        if not len(steps):
            raise InputError(
                f"{self.store.path}: data.drop_last leaves no step of {self.num_scans} scans with "
                f"data.batch_size={self.batch_size} on each of {world()[1]} ranks: lower it, or "
                "raise data.repeats"
            )
        windows = Windows(
            self._near,
            self.sources,
            num_points=self.num_points,
            seed=self.seed,
            targets=self._targets,
            copies=self.copies,
        )
        return DataLoader(
            windows,
            batch_size=None,
            sampler=steps,
            num_workers=self.num_workers,
            collate_fn=_whole,
            persistent_workers=self.num_workers > 0,
            pin_memory=torch.cuda.is_available(),
        )

    def transfer_batch_to_device(
        self, batch: Batch, device: torch.device, dataloader_idx: int
    ) -> Batch:
        """Move a batch to a device and count its visits as done.

        Args:
            batch: batch of the next step.
            device: device of the trainer.
            dataloader_idx: number of the data loader; there is one.
        """
        # Worker processes read ahead, so only here is it known which batch is next.
        self._visits = batch.step.end
        return batch.to(device)

    def state_dict(self) -> dict[str, Any]:
        """Return the number of visits done, and of an epoch, for a checkpoint."""
        return {"visits": self._visits, "visits_of_an_epoch": self.steps.num_visits}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Resume after the visits of a checkpoint; an epoch of another length begins anew."""
        epoch, done = divmod(state_dict["visits"], state_dict["visits_of_an_epoch"])
        now = self.steps.num_visits
        self._visits = epoch * now + (done if now == state_dict["visits_of_an_epoch"] else 0)
