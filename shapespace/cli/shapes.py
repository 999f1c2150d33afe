"""The commands that make meshes: signatures are the syntax, docstrings the help.

Each works through the library and prints what it did; nothing else lives here.
"""

from typing import Literal

from shapespace.cli.output import Normals, say

AnyUnit = Literal["auto", "m", "cm", "mm", "in"]
Method = Literal["second-order", "adam-published"]
Axis = Literal["x", "y", "z"]
Freedom = Literal["none", "shift", "rigid", "similarity"]


def reconstruct(
    checkpoint: str,
    sources: list[str],
    *,
    out: str,
    scans: str | None = None,
    shard: str | None = None,
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
    even: bool = False,
    refine: int = 0,
) -> None:
    """Reconstruct scans that the space was not trained on, by finding their codes.

    Writes to OUT for each scan: NAME.ply, the mesh in the scan's own frame and units, coloured by
    how sure it is; NAME.json, the fit; NAME.npy, the code. A scan takes seconds; floors and flying
    pixels are left out. Scans that were done before with the same options are kept.

      shapespace reconstruct runs/bodies-cpu/last.ckpt new/*.ply --out reconstructed/
      shapespace reconstruct runs/bodies-cpu/last.ckpt scans.hdf5 --scans test.txt --out test/
      torchrun --nproc-per-node 8 -m shapespace reconstruct ...     each takes its share

    Args:
        checkpoint: made by shapespace train.
        sources: scan files, folders of them, or stores written by shapespace prepare.
        out: folder for the results.
        scans: text file with the names of the scans to do, one a line; all by default.
        shard: i/n takes the i-th of n parts of the scans, such as one of an array of jobs, whatever
            torchrun or srun say; 1/1 takes all. Calls with other parts keep what is done.
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
            A store has its own.
        seed: of sampling, and of the first code of adam-published.
        strict: stop at the first bad scan instead of skipping it.
        again: do again what was done before.
        pictures: write NAME.png too: scan, reconstruction, distance, how sure it is.
        sequence: the scans are frames in order: begin each where the last ended.
        even: of second-order: weigh points by the surface that they stand for: for clouds that are
            much denser in places, without many outliers.
        refine: steps, such as 200, in which the decoder moves too, near each scan: detail beyond
            the space, where points are near its shape, in a minute on one core. The code and how
            sure it is are those before.
    """
    from shapespace.data.sources import collect_sources
    from shapespace.reconstruction.method import FitOptions
    from shapespace.reconstruction.reconstruct import reconstruct_files
    from shapespace.utils.files import read_lines
    from shapespace.utils.launch import own_share

    results = reconstruct_files(
        checkpoint,
        collect_sources(sources, None if scans is None else read_lines(scans)),
        out,
        FitOptions(method, pose, up, num_points, steps, seed, even, refine),
        resolution=resolution,
        cell=cell,
        batch=batch,
        unit=unit,
        strict=strict,
        again=again,
        pictures=pictures,
        sequence=sequence,
        share=own_share(shard),
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
        checkpoint: made by shapespace train.
        shapes: two or more names of training scans, or scan files.
        out: folder for the results.
        steps: places from each shape to the next, both included.
        resolution: grid nodes along the longest side of a mesh.
        unit: length unit of the scan files; auto takes the one in which a scan is about as large as
            the shapes of the space, and says so.
        seed: of the sampling of scan files.
    """
    from shapespace.reconstruction.interpolate import interpolate_shapes

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
        checkpoint: made by shapespace train.
        names: training scans; shapespace info CHECKPOINT --names lists them.
        out: folder for the meshes.
        resolution: grid nodes along the longest side of a mesh.
        cell: side of a grid cell in the unit of the scan, in place of resolution.
    """
    from shapespace.reconstruction.export import mesh_names

    for path in mesh_names(checkpoint, names, out, resolution, cell):
        say(f"wrote {path}")


def surface(
    scan: str,
    *,
    out: str,
    config: str | None = None,
    steps: int = 2000,
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
    from shapespace.reconstruction.single_scan import reconstruct_surface

    say(reconstruct_surface(scan, out, config, steps, num_points, resolution, run, seed, normals))
