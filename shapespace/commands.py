"""The commands of ``shapespace`` but for ``fit``: signatures are the syntax, docstrings the help.

Each works through the library and prints what it did; nothing else lives here.
"""

import sys
from pathlib import Path
from typing import Literal

from shapespace.errors import CheckFailed

Unit = Literal["m", "cm", "mm", "in"]
AnyUnit = Literal["auto", "m", "cm", "mm", "in"]
Normals = Literal["estimate", "source", "none"]
Method = Literal["second-order", "adam-published"]
Axis = Literal["x", "y", "z"]
Freedom = Literal["none", "shift", "rigid", "similarity"]


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


def reconstruct(
    checkpoint: str,
    scans: list[str],
    *,
    out: str,
    method: Method = "second-order",
    pose: Freedom = "shift",
    up: Axis = "y",
    num_points: int = 16384,
    steps: int = 800,
    resolution: int = 256,
    cell: float | None = None,
    batch: int = 8,
    unit: AnyUnit = "auto",
    seed: int = 0,
    strict: bool = False,
    again: bool = False,
    pictures: bool = False,
    sequence: bool = False,
) -> None:
    """Reconstruct scans that the space was not trained on, by finding their codes.

    Writes to OUT for each scan: NAME.ply, the mesh in the scan's own frame and units, coloured by
    how sure it is; NAME.json, the fit; NAME.npy, the code. A scan takes seconds; floors and flying
    pixels are left out. Scans that were done before with the same options are kept.

      shapespace reconstruct runs/bodies-cpu/last.ckpt new/*.ply --out reconstructed/

    Args:
        checkpoint: made by shapespace fit.
        scans: scan files, or folders of them.
        out: folder for the results.
        method: second-order, or adam-published, the optimisation of the IGR paper, to compare with.
        pose: what of the pose second-order finds beside the code: none, shift, rigid (any turn
            about the upright axis, tilts to some 20 degrees) or similarity.
        up: the upright axis of the scans, for rigid and similarity.
        num_points: points of each scan that the fit sees; second-order takes at most 8000.
        steps: of adam-published; its rate drops to a tenth half way.
        resolution: grid nodes along the longest side of the mesh.
        cell: side of a grid cell in the unit of the scan files, in place of resolution.
        batch: scans fitted together.
        unit: length unit of the scan files; auto takes the one that fits the space, and says so.
        seed: of sampling, and of the first code of adam-published.
        strict: stop at the first bad scan instead of skipping it.
        again: do again what was done before.
        pictures: write NAME.png too: scan, reconstruction, distance, how sure it is.
        sequence: the scans are frames in order: begin each where the last ended.
    """
    from shapespace.reconstruct import Fit, collect_sources, reconstruct_files

    results = reconstruct_files(
        checkpoint,
        collect_sources(scans),
        out,
        Fit(method, pose, up, num_points, steps, seed),
        resolution=resolution,
        cell=cell,
        batch=batch,
        unit=unit,
        strict=strict,
        again=again,
        pictures=pictures,
        sequence=sequence,
    )
    for line in results.lines():
        say(line)


def interpolate(
    checkpoint: str,
    shapes: list[str],
    *,
    out: str,
    steps: int = 7,
    resolution: int = 192,
    unit: AnyUnit = "auto",
    seed: int = 0,
) -> None:
    """Walk in a straight line from shape to shape through the space.

    Writes to OUT one mesh for each place, and strip.png with all of them. A shape is the name of a
    training scan (shapespace info CHECKPOINT --names lists them) or a scan file, whose code is
    found first.

      shapespace interpolate runs/bodies-cpu/last.ckpt NAME_A NAME_B new.ply --out walk

    Args:
        checkpoint: made by shapespace fit.
        shapes: two or more names of training scans, or scan files.
        out: folder for the results.
        steps: places from each shape to the next, both included.
        resolution: grid nodes along the longest side of a mesh.
        unit: length unit of the scan files; auto takes the one in which a scan is about as large as
            the shapes of the space, and says so.
        seed: of the sampling of scan files.
    """
    from shapespace.exports import interpolate_shapes

    paths = interpolate_shapes(
        checkpoint,
        shapes,
        out,
        steps=steps,
        resolution=resolution,
        unit=unit,
        seed=seed,
    )
    for path in paths:
        say(f"wrote {path}")


def mesh(
    checkpoint: str,
    names: list[str],
    *,
    out: str,
    resolution: int = 256,
    cell: float | None = None,
) -> None:
    """Write the training shapes of a space as meshes, in the frame of their scans.

      shapespace mesh runs/bodies-cpu/last.ckpt 60001_hips_001466 --out meshes/

    Args:
        checkpoint: made by shapespace fit.
        names: training scans; shapespace info CHECKPOINT --names lists them.
        out: folder for the meshes.
        resolution: grid nodes along the longest side of a mesh.
        cell: side of a grid cell in the unit of the scan, in place of resolution.
    """
    from shapespace.exports import mesh_names

    for path in mesh_names(checkpoint, names, out, resolution, cell):
        say(f"wrote {path}")


def surface(
    scan: str,
    *,
    out: str,
    config: str | None = None,
    steps: int = 3000,
    num_points: int = 1024,
    resolution: int = 256,
    run: str | None = None,
    seed: int = 0,
    normals: Normals = "estimate",
) -> None:
    """Reconstruct one scan by itself: a space of one shape, code length 0.

      shapespace surface bunny.ply --out bunny_surface.ply

    Args:
        scan: a mesh or a cloud, with normals if it has any.
        out: the mesh to write; PLY OBJ OFF STL or GLB by its suffix.
        config: recipe in place of the built-in one, which is configs/surface.yaml.
        steps: optimisation steps.
        num_points: points of the scan in each step, or all if it has fewer.
        resolution: grid nodes along the longest side of the mesh.
        run: folder that keeps checkpoint and metrics, and from which a stopped run goes on;
            none is kept by default.
        seed: of sampling and of the weights.
        normals: source keeps those of the file; estimate also fits some to a cloud that has none;
            none uses none.
    """
    from shapespace.surface import reconstruct_surface

    say(reconstruct_surface(scan, out, config, steps, num_points, resolution, run, seed, normals))


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
    six minutes on two cores. Stop it at any time: the same command goes on where it stood.

    Args:
        out: folder for everything.
        seed: of scanning, training and fitting.
    """
    from shapespace.demo import run_demo

    say(run_demo(Path(out), seed))
