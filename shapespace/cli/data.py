"""The commands ``prepare``, ``info`` and ``data``.

Signatures are the syntax of the commands, docstrings their help text. A command calls the library
and prints the outcome.
"""

from shapespace.cli.output import say
from shapespace.config.options import Normalise, Normals, SplitBy, Unit
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
    normalise: Normalise = False,
    normals: Normals = "estimate",
    cameras: str | None = None,
    targets: int = 0,
    sigma: bool = False,
    clean: bool = False,
    curvature: float = 0.0,
    seed: int = 0,
    columns: str | None = None,
    strict: bool = False,
) -> None:
    """Read scans and write them to one store, ready for training.

    SOURCE may be one file (PLY OBJ OFF STL GLB PCD LAS LAZ E57 NPZ NPY XYZ TXT CSV ASC PTS), a
    folder of them, a D-FAUST registration file, a folder of those, or a D-FAUST scans folder.
    Meshes are sampled evenly by area. A scan that cannot be used is skipped and listed; what is not
    used, mended or left out of a scan is said. The command can be stopped at any time:
    the same command continues, and keeps the scans that are in the store already.

      shapespace prepare scans/ scans.hdf5
      shapespace prepare dfaust/ dfaust.hdf5 --config datasets/dfaust/prepare.yaml
      shapespace prepare scans/ scans.hdf5 --shard 3/8     one of an array of 8 jobs

    Args:
        source: file or folder to read.
        store: HDF5 file to write. An existing store is replaced when the new one is complete.
        num_points: points of each scan. The default is 250000, or all points of a smaller cloud.
        scans: text file with the names of the scans to use, one a line.
        every: use each n-th frame of a sequence, or each n-th file.
        workers: processes that read and sample. The default is all cores.
        shard: i/n prepares the i-th of n shares and writes STORE.i-of-n.hdf5; shapespace data merge
            joins the shards.
        unit: length unit of the source. The store is in metres.
        normalise: scale each scan to radius 1 instead, for objects without a common size; with the
            word common, scale all by one number, so that the largest has radius 1.
        normals: source keeps the normals of the files; estimate also estimates normals for clouds
            without any; none stores no normals.
        cameras: text file with the positions from which the scans were taken, x y z a line, in
            the frame and unit of the scans. They decide the outer side of estimated normals.
        targets: points around each scan whose distances are stored, signed for closed meshes. The
            samples of a DeepSDF NPZ are stored without it.
        sigma: measure the distance of each point to its 50th neighbour, which takes longer than all
            else. Only samplers with sigma null read it, and training says so.
        clean: leave out what is not the shape: small parts apart from it, points in the air.
        curvature: weight of the bend of meshes in the density of their points, such as 1: more
            points on fingers and faces. 0 samples evenly by area. For training sets; clouds have
            the points they have, and are refused.
        seed: seed of sampling and shuffling.
        columns: names of the columns of text files, NPY and NPZ, as x,y,z,r,g,b, where numbers and
            header do not tell them apart. x y z nx ny nz are used; _ or any other name is not.
        strict: stop at the first scan that cannot be used, that has points which are NaN or 0 0 0,
            or fewer points than asked, instead of mending or skipping it.
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
        sigma=sigma,
        clean=clean,
        curvature=curvature,
        seed=seed,
        columns=columns,
        strict=strict,
    )
    say(summary)
    say(f"wrote {summary.store}; before training: shapespace data check {summary.store}")


def info(path: str, *, names: bool = False, verify: bool = False) -> None:
    """Describe a store or a checkpoint.

      shapespace info scans.hdf5 --verify

    Args:
        path: store written by shapespace prepare, or checkpoint written by shapespace train.
        names: list all scans, not only the first ten.
        verify: read the whole store and compare its checksums. The exit code is 1 if it is damaged.
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
    columns: str | None = None,
    json: bool = False,
    strict: bool = False,
) -> None:
    """Find what spoils a training: wrong units, rotated scans, flipped normals, clutter, holes.

    SOURCE is a store, or whatever shapespace prepare reads. Each finding comes with its remedy.
    The exit code is 0 if training may start, and 1 if it should not.

      shapespace data check scans.hdf5
      shapespace data check my_scans/ --unit mm --json > report.json

    Args:
        source: store, file or folder to check.
        scans: text file with the names of the scans to check, one a line.
        unit: length unit of the files. A store has its own unit.
        extent: half side of the box that training samples, model.sampler.init_args.extent.
        workers: number of processes. The default is all cores.
        columns: names of the columns of text files, NPY and NPZ, as for shapespace prepare.
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
        columns=columns,
    )
    say(report.as_json() if json else report)
    if not (report.strict_ok if strict else report.ok):
        raise CheckFailed


def split(
    source: str,
    *,
    out: str,
    by: SplitBy = "sequence",
    share: float = 0.2,
    hold_out: list[str] | None = None,
    margin: int = 10,
    pattern: str | None = None,
    seed: int = 0,
) -> None:
    """Write OUT/train.txt and OUT/test.txt, and say how far test scans are from training scans.

    Neighbouring frames of a sequence are nearly equal: a random split measures memory. SOURCE is a
    store, or whatever shapespace prepare reads. Names are <subject>_<sequence>_<frame>.

      shapespace data split dfaust.hdf5 --by subject --hold-out 50025 50026 --out splits/
      shapespace data split dfaust.hdf5 --by frames --share 0.2 --margin 10 --out splits/

    Args:
        source: store, file or folder whose scans are split.
        out: folder for the two lists.
        by: hold out whole subjects, whole sequences, one block of frames of each sequence, or scans
            at random (which leaks).
        share: share of the scans to hold out.
        hold_out: subjects or sequences to hold out, in place of a share.
        margin: frames next to a held-out block that are left out of the training.
        pattern: regular expression with the groups subject, sequence and frame for other names.
        seed: seed of the choice.
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
    """Join stores into one, such as the shards of an array of jobs. Every scan is verified.

      shapespace data merge dfaust.*-of-8.hdf5 --out dfaust.hdf5

    Args:
        stores: stores written by shapespace prepare.
        out: store to write.
    """
    from shapespace.data.store.merge import merge as join

    store = join(stores, out)
    say(f"wrote {out}: {len(store)} scans, content {store.content[:16]}")
