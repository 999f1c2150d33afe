"""The commands ``prepare``, ``info`` and ``demo``: signatures are the syntax, docstrings the help.

Each works through the library and prints what it did; nothing else lives here.
"""

from typing import Literal

from shapespace.cli.output import Normals, Unit, say
from shapespace.errors import CheckFailed


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
    from shapespace.data.formats.readers import read_positions
    from shapespace.data.prepare.run import prepare as run
    from shapespace.utils.files import read_lines
    from shapespace.utils.workers import num_cores

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
        path: a store written by shapespace prepare, or a checkpoint written by shapespace train.
        names: list all scans, not the first ten.
        verify: read the whole store and compare its checksums; exit code 1 if it is damaged.
    """
    from shapespace.cli.describe import describe, faults

    say(describe(path, names))
    if verify:
        found = faults(path)
        say("\n".join(found) or "verified: every scan is as it was written")
        if found:
            raise CheckFailed


def check(
    source: str,
    *,
    scans: str | None = None,
    unit: Unit = "m",
    extent: float = 1.8,
    workers: int | None = None,
    json: bool = False,
    strict: bool = False,
) -> None:
    """Look for what spoils a training: wrong units, turned scans, flipped normals, clutter, holes.

    SOURCE is a store, or whatever shapespace prepare reads. Each finding comes with its remedy.
    Exit code 0: training may start; 1: it should not.

      shapespace data check scans.hdf5
      shapespace data check my_scans/ --unit mm --json > report.json

    Args:
        source: what to look at.
        scans: text file with the names of the scans to look at, one a line.
        unit: length unit of the files; a store has its own.
        extent: half side of the box that training samples, model.sampler.init_args.extent.
        workers: processes; all cores by default.
        json: print the report as JSON.
        strict: warnings count as errors.
    """
    from shapespace.data.check.run import check_scans
    from shapespace.utils.files import read_lines
    from shapespace.utils.workers import num_cores

    report = check_scans(
        source,
        workers=num_cores() if workers is None else workers,
        unit=unit,
        extent=extent,
        scans=None if scans is None else read_lines(scans),
    )
    say(report.as_json() if json else report)
    if not (report.strict_ok if strict else report.ok):
        raise CheckFailed


def split(
    source: str,
    *,
    out: str,
    by: Literal["subject", "sequence", "frames", "random"] = "sequence",
    share: float = 0.2,
    hold_out: list[str] | None = None,
    margin: int = 10,
    pattern: str | None = None,
    seed: int = 0,
) -> None:
    """Write OUT/train.txt and OUT/test.txt, and say how far the test scans are from the training.

    Neighbouring frames of a sequence are nearly equal: a random split measures memory. SOURCE is a
    store, or whatever shapespace prepare reads; names are <subject>_<sequence>_<frame>.

      shapespace data split dfaust.hdf5 --by subject --hold-out 50025 50026 --out splits/
      shapespace data split dfaust.hdf5 --by frames --share 0.2 --margin 10 --out splits/

    Args:
        source: whose names to split.
        out: folder for the lists.
        by: test whole subjects, whole sequences, one block of frames of each sequence, or scans
            at random (which leaks).
        share: of the scans to test on.
        hold_out: subjects or sequences to test on, in place of a share.
        margin: frames next to a test block that are left out of the training.
        pattern: regular expression with the groups subject, sequence and frame for other names.
        seed: of the choice.
    """
    from shapespace.data.splits import split_files

    say(
        split_files(
            source,
            out,
            by,
            share=share,
            hold_out=hold_out or [],
            margin=margin,
            pattern=pattern,
            seed=seed,
        )
    )
    say(f"wrote train.txt and test.txt to {out}")


def merge(stores: list[str], *, out: str) -> None:
    """Join stores into one, such as the shards of an array of jobs; every scan is verified.

      shapespace data merge dfaust.*-of-8.hdf5 --out dfaust.hdf5

    Args:
        stores: written by shapespace prepare.
        out: the store to write.
    """
    from shapespace.data.store.merge import merge as join

    store = join(stores, out)
    say(f"wrote {out}: {len(store)} scans, content {store.content[:16]}")
