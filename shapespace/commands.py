"""The commands ``prepare``, ``info`` and ``demo``: signatures are the syntax, docstrings the help.

Each works through the library and prints what it did; nothing else lives here.
"""

import sys
from pathlib import Path
from typing import Literal

from shapespace.errors import CheckFailed

Unit = Literal["m", "cm", "mm", "in"]
Normals = Literal["estimate", "source", "none"]


def say(text: object) -> None:
    """A line on standard output, for people and pipes; progress goes to standard error."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def prepare(
    source: str,
    store: str,
    *,
    num_points: int | None = None,
    scans: str | None = None,
    every: int = 1,
    workers: int | None = None,
    shard: str | None = None,
    unit: Unit = "m",
    normalise: bool = False,
    normals: Normals = "estimate",
    cameras: str | None = None,
    targets: int = 0,
    seed: int = 0,
    strict: bool = False,
) -> None:
    """Read scans and write them to one store, ready for training.

    SOURCE may be one file (PLY OBJ OFF STL GLB NPZ NPY XYZ), a folder of them, a D-FAUST
    registration file, a folder of those, or a D-FAUST scans folder. Meshes are sampled evenly by
    area. A bad scan is skipped and listed. Stop it at any time: the same command goes on where it
    stood, and scans that are in the store already are kept.

      shapespace prepare scans/ scans.hdf5
      shapespace prepare dfaust/ dfaust.hdf5 --config datasets/dfaust/prepare.yaml
      shapespace prepare scans/ scans.hdf5 --shard 3/8     one of an array of 8 jobs

    Args:
        source: what to read.
        store: the HDF5 file to write; an existing one is replaced when all is done.
        num_points: points of each scan; by default 250000, or all that a smaller cloud has.
        scans: text file with the names of the scans to keep, one a line.
        every: keep each n-th frame of a sequence, or each n-th file.
        workers: processes that read and sample; all cores by default.
        shard: i/n takes the i-th of n parts and writes STORE.i-of-n.hdf5; shapespace data merge
            joins them.
        unit: length unit of the source; the store is in metres.
        normalise: scale each scan to radius 1 instead, for objects without a common size.
        normals: source keeps those of the files; estimate also fits some to clouds that have none;
            none keeps none.
        cameras: text file with the positions from which the scans were taken, x y z a line, in
            their frame and unit; they tell the outer side of estimated normals.
        targets: points around each scan whose distances are stored, signed for closed meshes.
        seed: of sampling and shuffling.
        strict: stop at the first bad scan instead of skipping it.
    """
    from shapespace.data.prepare import prepare as run
    from shapespace.data.readers import read_positions
    from shapespace.files import read_lines
    from shapespace.workers import num_cores

    summary = run(
        source,
        store,
        num_points=num_points,
        scans=None if scans is None else read_lines(scans),
        every=every,
        workers=num_cores() if workers is None else workers,
        shard=shard,
        unit=unit,
        normalise=normalise,
        normals=normals,
        cameras=None if cameras is None else read_positions(cameras),
        targets=targets,
        seed=seed,
        strict=strict,
    )
    say(summary)
    say(f"wrote {summary.store}; before training: shapespace data check {summary.store}")


def info(path: str, *, names: bool = False, verify: bool = False) -> None:
    """Say what a store or a checkpoint holds.

      shapespace info scans.hdf5 --verify

    Args:
        path: a store written by shapespace prepare, or a checkpoint written by shapespace fit.
        names: list all scans, not the first ten.
        verify: read the whole store and compare its checksums; exit code 1 if it is damaged.
    """
    from shapespace.describe import describe, faults

    say(describe(path, names))
    if verify:
        found = faults(path)
        say("\n".join(found) or "verified: every scan is as it was written")
        if found:
            raise CheckFailed


def demo(*, out: str = "demo", seed: int = 0) -> None:
    """Make people from formulas, scan them, train a space, reconstruct unseen scans, interpolate.

    Ends with a table and one page, OUT/index.html. Needs no data, no account and no network; about
    four minutes on two cores. Stop it at any time: the same command goes on where it stood.

    Args:
        out: folder for everything.
        seed: of scanning, training and fitting.
    """
    from shapespace.demo import run_demo

    say(run_demo(Path(out), seed))
