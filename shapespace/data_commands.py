"""The commands ``shapespace data ...``: signatures are the syntax, docstrings the help."""

from typing import Literal

from shapespace.commands import Unit, say
from shapespace.errors import CheckFailed


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
    from shapespace.data.check import check_scans
    from shapespace.files import read_lines
    from shapespace.workers import num_cores

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
    from shapespace.data.split import split_files

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
    from shapespace.data.merge import merge as join

    store = join(stores, out)
    say(f"wrote {out}: {len(store)} scans, content {store.content[:16]}")
