"""Batches of 16 x 8000 points from a store, against one .npy a scan read whole.

    python benchmarks/load.py [--scans 300] [--rounds 5] [--cold] [--json FILE]

The opponent is the published loader (IGR, code/datasets) re-typed plainly: one float64 array [n,6]
a scan, read whole, 8000 rows chosen at random. Both feed the same DataLoader with two workers and
are timed in turns. Bytes are those that the process asked the system for (rchar), memory is that
by which a fresh process grows that reads an epoch by itself. The step is one scan of the full
network of configs/dfaust.yaml, forward and backward.
"""

import argparse
import json
import os
import tempfile
import time
from multiprocessing import get_context
from pathlib import Path
from statistics import median

import numpy as np
import torch
from memory import largest_memory
from torch.utils.data import DataLoader, Dataset

from shapespace.data.store.store import ScanStore
from shapespace.data.store.writer import StoreWriter
from shapespace.decoders import SkipMLP
from shapespace.objectives import IGR
from shapespace.sampling import NearSurface, seeded_generator
from shapespace.scan import Frame, PreparedScan, Scan, rounded_normals
from shapespace.training.batches import Batch
from shapespace.training.datamodule import ScanData

NUM_POINTS, WINDOW, BATCH, WORKERS = 250_000, 8000, 16, 2
BATCHES = 60


class WholeFiles(Dataset):
    """The published way: the file of a scan is read whole, some of its rows are kept."""

    def __init__(self, folder, repeats):
        self.paths = sorted(folder.glob("*.npy")) * repeats

    def __len__(self):
        return len(self.paths)

    def __getitem__(self, index):
        rows = torch.from_numpy(np.load(self.paths[index])).float()
        return rows[torch.randperm(len(rows))[:WINDOW]], index


def write_inputs(folder, num_scans):
    """A store and the .npy files of the same points: spheres, all different."""
    folder.mkdir()
    rng = np.random.default_rng(0)
    with StoreWriter(folder / "scans.hdf5", "m", 3) as writer:
        for i in range(num_scans):
            normals = rng.normal(size=(NUM_POINTS, 3))
            normals /= np.linalg.norm(normals, axis=1, keepdims=True)
            points = (normals * (0.5 + i / num_scans)).astype(np.float32)
            unit, sigma = rounded_normals(normals), np.full(NUM_POINTS, 0.02, np.float32)
            facts = ("", "", 0, 0, 0, "measured")
            name = f"{i:05d}"
            writer.add(PreparedScan(name, points, unit, sigma, Frame(np.zeros(3)), *facts))
            np.save(folder / f"{name}.npy", np.hstack([points, normals]).astype(np.float64))


def store_loader(folder, workers, repeats=1):
    data = ScanData(
        str(folder / "scans.hdf5"), None, BATCH, WINDOW, repeats, workers, drop_last=True
    )
    return data.train_dataloader()


def file_loader(folder, workers, repeats=1):
    return DataLoader(
        WholeFiles(folder, repeats),
        BATCH,
        shuffle=True,
        num_workers=workers,
        drop_last=True,
        persistent_workers=workers > 0,
    )


LOADERS = {"store": store_loader, "npy": file_loader}


def peak_memory(loader_of, folder):
    """MiB by which a fresh process grows while it reads an epoch without workers."""
    with get_context("spawn").Pool(1) as pool:
        return round(pool.apply(_growth, (loader_of, folder)))


def _growth(loader_of, folder):
    loader = loader_of(folder, 0)
    before = largest_memory()
    for _ in loader:
        pass
    return largest_memory() - before


def epoch(loader):
    """Points a second of one epoch after its first batch."""
    batches = iter(loader)
    next(batches)
    seen, start = 0, time.perf_counter()
    for batch in batches:
        seen += count(batch)
    return seen / (time.perf_counter() - start)


def count(batch):
    points = batch.scan.points if isinstance(batch, Batch) else batch[0]
    return points.shape[0] * points.shape[1]


def bytes_read(loader):
    """Bytes that this process reads for each point of an epoch, without workers."""
    before = rchar()
    seen = sum(count(batch) for batch in loader)
    return (rchar() - before) / seen


def rchar():
    return int(Path("/proc/self/io").read_text().split()[1])


def forget(folder):
    """Drop the files from the page cache."""
    for path in folder.iterdir():
        with path.open("rb") as file:
            os.fsync(file.fileno())
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def points_of_step():
    """Surface points a second that the full network trains on, forward and backward."""
    torch.manual_seed(0)
    points = torch.nn.functional.normalize(torch.randn(1, WINDOW, 3), dim=-1)
    scan = Scan(torch.tensor([0]), points, points, torch.full((1, WINDOW), 0.02))
    decoder, objective = SkipMLP(latent_size=256), IGR()
    seconds = []
    for step in range(2):
        start = time.perf_counter()
        samples = NearSurface(sigma=0.01)(scan, seeded_generator("cpu", step))
        latent = torch.zeros(1, 256, requires_grad=True)
        objective.total(objective.terms(decoder, samples, latent)).sum().backward()
        seconds.append(time.perf_counter() - start)
    return WINDOW / min(seconds)


def check_equal(folder):
    """A batch holds windows of the store, whose points are those of the files."""
    store = ScanStore(folder / "scans.hdf5")
    batch = next(iter(store_loader(folder, 0)))
    for row, index in enumerate(batch.index):
        name = store.names[int(index)]
        points, normals, _ = store.read(name)
        start = int(np.flatnonzero((points == batch.points[row, 0].numpy()).all(1))[0])
        np.testing.assert_array_equal(np.roll(points, -start, 0)[:WINDOW], batch.points[row])
        np.testing.assert_array_equal(np.roll(normals, -start, 0)[:WINDOW], batch.normals[row])
        np.testing.assert_array_equal(points, np.load(folder / f"{name}.npy")[:, :3])


def measure(folder, num_scans, rounds, cold):
    repeats = -(-BATCHES * BATCH // num_scans)
    loaders = {name: of(folder, WORKERS, repeats) for name, of in LOADERS.items()}
    speed = {name: [] for name in loaders}
    for _ in range(rounds):
        for name, loader in loaders.items():
            if cold:
                forget(folder)
            speed[name].append(epoch(loader))
    return {
        "points a second": {name: round(median(rates)) for name, rates in speed.items()},
        "growth in MiB": {name: peak_memory(of, folder) for name, of in LOADERS.items()},
        "bytes a point": {
            name: round(bytes_read(of(folder, 0)), 1) for name, of in LOADERS.items()
        },
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--scans", type=int, default=300)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--cold", action="store_true", help="read from the disk, not its cache")
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    result = {"cold": args.cold, "rounds": args.rounds}
    with tempfile.TemporaryDirectory() as scratch:
        for num_scans in (max(args.scans // 10, BATCH), args.scans):
            folder = Path(scratch, str(num_scans))
            write_inputs(folder, num_scans)
            check_equal(folder)
            result[f"{num_scans} scans"] = measure(folder, num_scans, args.rounds, args.cold)
    found = result[f"{args.scans} scans"]
    rate, bytes_each = found["points a second"], found["bytes a point"]
    result["store to npy, points a second"] = round(rate["store"] / rate["npy"], 1)
    result["npy to store, bytes"] = round(bytes_each["npy"] / bytes_each["store"], 1)
    result["points a second of the full network"] = round(points_of_step())
    result["store to network"] = round(
        rate["store"] / result["points a second of the full network"]
    )
    print(json.dumps(result, indent=2))
    if args.json:
        args.json.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
