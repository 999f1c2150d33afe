"""The commands that make and show meshes: signatures are the syntax, docstrings the help.

Each command calls the library and prints what was done. An options dataclass in a signature stands
for its fields, which are options of the command.
"""

from shapespace.cli.output import say_line
from shapespace.config.options import (
    AnyUnit,
    Axis,
    FitOptions,
    MeshOptions,
    ReadOptions,
    RenderOptions,
    SurfaceOptions,
    ViewOptions,
    WalkOptions,
)
from shapespace.errors import CheckFailed


def reconstruct(
    checkpoint: str,
    sources: list[str] | None = None,
    *,
    out: str,
    scans: str | None = None,
    shard: str | None = None,
    fit: FitOptions = FitOptions(),
    meshing: MeshOptions = MeshOptions(),
    seen: ViewOptions = ViewOptions(),
    strict: bool = False,
    again: bool = False,
    pictures: bool = False,
    sequence: bool = False,
) -> None:
    """Reconstruct scans that the space was not trained on, by finding their codes.

    Writes to OUT for each scan: NAME.ply, the mesh in the scan's own frame and units, coloured by
    its uncertainty; NAME.json, facts of the fit; NAME.npy, the code. A scan takes half a minute on
    a core, with --detail none seconds. Floors and flying pixels are left out. Results of an earlier
    call with the same options are kept. The exit code is 1 if the points of a scan lie far from its
    mesh, which then is FAILED.

      shapespace reconstruct runs/bodies-cpu/last.ckpt new/*.ply --out reconstructed/
      shapespace reconstruct runs/bodies-cpu/last.ckpt scans.hdf5 --scans test.txt --out test/
      torchrun --nproc-per-node 8 -m shapespace reconstruct ...     each takes its share
      shapespace reconstruct SPACE --depth d/*.png --cameras d/transforms.json --out out/

    With --depth, --masks or --sensor the space that a sensor saw through is kept free.

    Args:
        checkpoint: checkpoint made by shapespace train.
        sources: scan files, folders of them, or stores written by shapespace prepare.
        out: folder for the results.
        scans: text file with the names of the scans to reconstruct, one a line; all by default.
        shard: i/n takes the i-th of n parts of the scans, such as one of an array of jobs, whatever
            torchrun or srun say; 1/1 takes all. Calls with other parts keep what is done.
        fit: how codes are found.
        meshing: how scans are read and meshes are made.
        seen: what is known of the sensors.
        strict: stop at the first bad scan instead of skipping it.
        again: reconstruct again what an earlier call has done.
        pictures: write NAME.png too: scan, reconstruction, distance, uncertainty.
        sequence: the scans are the frames of a motion, in order: start each search at the code of
            the frame before.
    """
    from shapespace.data.sources import collect_sources
    from shapespace.reconstruction.reconstruct import reconstruct_files
    from shapespace.reconstruction.views.check import seen_sources, split_silhouettes
    from shapespace.reconstruction.views.silhouettes import reconstruct_silhouettes
    from shapespace.utils.files import empty_again, read_lines
    from shapespace.utils.launch import own_share

    found = collect_sources(sources or [], None if scans is None else read_lines(scans))
    with_points, outlines = split_silhouettes(seen_sources(found, seen, meshing.unit))
    lines: list[str] = []
    failed = False
    with empty_again(out):
        if outlines is not None:
            shape = reconstruct_silhouettes(checkpoint, outlines, out, fit, meshing)
            lines.append(shape.line())
            failed = bool(shape.failure)
        if with_points:
            results = reconstruct_files(
                checkpoint,
                with_points,
                out,
                fit=fit,
                meshing=meshing,
                strict=strict,
                again=again,
                pictures=pictures,
                sequence=sequence,
                share=own_share(shard),
            )
            lines += results.lines()
            failed |= any(done.failure for done in results.done)
    for line in lines:
        say_line(line)
    if failed:
        raise CheckFailed


def interpolate(
    checkpoint: str,
    shapes: list[str],
    *,
    out: str,
    walk: WalkOptions = WalkOptions(),
    unit: AnyUnit = "auto",
    seed: int = 0,
    reading: ReadOptions = ReadOptions(),
) -> None:
    """Interpolate codes from shape to shape, and say what the shapes between are like.

    Writes to OUT one mesh for each step, strip.png with all of them, and walk.json. It holds for
    each shape: parts, volume, area, genus, bending energy, nearest training shape. A line says the
    same of each leg, and warns of crumbs and of volumes off the line between both ends, as where
    limbs vanish. A shape is the name of a training scan (shapespace info CHECKPOINT --names lists
    them) or a scan file, whose code is found first.

      shapespace interpolate runs/bodies-cpu/last.ckpt NAME_A NAME_B new.ply --out walk
      shapespace interpolate runs/bodies-cpu/last.ckpt NAME_A NAME_B --out walk --path best

    Args:
        checkpoint: checkpoint made by shapespace train.
        shapes: two or more names of training scans, or scan files.
        out: folder for the results.
        walk: the path and the meshes.
        unit: length unit of the scan files. auto takes the unit in which a scan is about as large
            as the shapes of the space, and says so.
        seed: seed of the sampling of scan files.
        reading: how scan files are read.
    """
    from shapespace.reconstruction.walks.interpolate import interpolate_shapes
    from shapespace.utils.files import empty_again

    with empty_again(out):
        paths = interpolate_shapes(
            checkpoint,
            shapes,
            out,
            walk,
            unit=unit,
            seed=seed,
            reading=reading,
            on_remark=say_line,
        )
    for path in paths:
        say_line(f"wrote {path}")


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
        checkpoint: checkpoint made by shapespace train.
        names: names of training scans; shapespace info CHECKPOINT --names lists them.
        out: folder for the meshes.
        resolution: grid nodes along the longest side of a mesh.
        cell: side of a grid cell in the unit of the scan, in place of resolution.
    """
    from shapespace.reconstruction.export import mesh_names

    for path in mesh_names(checkpoint, names, out, resolution=resolution, cell=cell):
        say_line(f"wrote {path}")


def render(
    checkpoint: str,
    name: str | None = None,
    *,
    out: str,
    code: str | None = None,
    cameras: str | None = None,
    rendering: RenderOptions = RenderOptions(),
) -> None:
    """Render a shape of a space by sphere tracing: depth, normals, masks, shaded pictures.

    Writes to OUT for each camera: depth_000.png, 16 bits, thousandths of the space's unit along the
    axis of the camera, 0 where nothing is seen; mask_000.png; normals_000.png, the outward normal n
    in the frame of the space as 127.5 (n + 1); shaded_000.png. transforms.json holds the cameras as
    nerfstudio reads them: camera-to-world, OpenGL axes. reconstruct takes all of them back.

      shapespace render runs/bodies-cpu/last.ckpt 60001_hips_001466 --out views/
      shapespace render runs/bodies-cpu/last.ckpt --code out/scan.npy --views 8 --out views/
      shapespace reconstruct SPACE --depth views/depth_*.png --cameras views/transforms.json --out o

    Args:
        checkpoint: checkpoint made by shapespace train.
        name: name of a training scan; shapespace info CHECKPOINT --names lists them.
        out: folder for the images.
        code: NPY file of a code, as reconstruct writes it, in place of a name.
        cameras: camera file in place of a ring around the shape: transforms.json, or a folder of
            COLMAP's text files, in the frame of the space.
        rendering: cameras and images.
    """
    from shapespace.reconstruction.views.render import render_shape

    for path in render_shape(checkpoint, name, out, code=code, cameras=cameras, options=rendering):
        say_line(f"wrote {path}")


def surface(scan: str, *, out: str, options: SurfaceOptions = SurfaceOptions()) -> None:
    """Reconstruct one scan by itself: a space of one shape, code length 0.

    The exit code is 1 if the points of the scan lie far from the mesh, which then is FAILED.

      shapespace surface bunny.ply --out bunny_surface.ply

    Args:
        scan: a mesh or a cloud, with normals if it has any.
        out: mesh to write; PLY OBJ OFF STL or GLB by its suffix.
        options: size of the training and of the mesh.
    """
    from shapespace.reconstruction.single_scan import reconstruct_surface

    result = reconstruct_surface(scan, out, options)
    for line in result.lines():
        say_line(line)
    if result.failure:
        raise CheckFailed


def view(
    target: str,
    *,
    port: int = 8080,
    watch: bool = False,
    results: str | None = None,
    out: str = "view",
    resolution: int = 128,
    up: Axis = "y",
) -> None:
    """Open a page with the shapes of a space: sliders, names to walk between, a scan to drop.

    The page is open to this machine alone, at 127.0.0.1, until Ctrl-C. Sliders move along the
    principal axes of the codes. On the map of the codes a click shows a shape, and Shift and a
    click walks to it. A scan file that is dropped is read and fitted as reconstruct does
    it, and shown beside its reconstruction. New shape draws one from the prior beside the
    checkpoint, or from a mixture made at once. Save writes mesh, code and an animated walk to OUT.

      shapespace view runs/bodies-cpu
      shapespace view runs                            choose among the runs in a folder
      shapespace view runs/bodies-cpu --results out/  reconstructions made before
      shapespace view runs/bodies-cpu --watch         follows a training
      ssh -L 8080:127.0.0.1:8080 SERVER               the page of another machine

    Args:
        target: checkpoint, folder of a run, or folder that holds runs.
        port: port of the page. Where it is in use, the next free one is taken.
        watch: follow a run that is training: its newest checkpoint and its losses.
        results: folder that reconstruct wrote with this space.
        out: folder for what is saved.
        resolution: grid nodes along the longest side of a mesh at rest.
        up: axis of the shapes that points up.
    """
    from shapespace.viewer.page import serve_page

    serve_page(
        target,
        port=port,
        watch=watch,
        results=results,
        out=out,
        resolution=resolution,
        up=up,
        say=say_line,
    )
