"""The commands evaluate, compare, diagnose and report.

The signature of a command is its syntax, and the docstring is its help. A command only calls the
library and prints the result.
"""

from typing import Literal

from shapespace.cli.output import say, say_line
from shapespace.config.options import (
    NUM_SAMPLES,
    Axis,
    DiagnosticsOptions,
    EvaluationOptions,
    FitOptions,
    MeshOptions,
    ReadOptions,
)

KnownUnit = Literal["m", "cm", "mm", "in", "none"]
"""Length unit of files; none for files whose unit is unknown."""


def evaluate(
    checkpoint: str,
    sources: list[str],
    *,
    out: str,
    scans: str | None = None,
    truth: str | None = None,
    fit: FitOptions = FitOptions(),
    meshing: MeshOptions = MeshOptions(),
    options: EvaluationOptions = EvaluationOptions(),
    strict: bool = False,
) -> None:
    """Say how good a space is: reconstruct unseen scans and measure the reconstructions.

    Reconstructs the scans into OUT/shapes, as shapespace reconstruct does. Reconstructions that are
    there already are kept. Each reconstruction is measured to its own scan, and to its true surface
    if there is one: as a whole, where the scan has seen it, and where not.

    Writes OUT/scores.txt for people, and OUT/scores.csv with a row for each scan. OUT/scores.json
    holds every number with its definition, its 5, 50 and 95 percentiles and mean over the scans,
    and 95 % intervals of median and mean by bootstrap over people. OUT/measured keeps the scores of
    each scan, so that the same command goes on after an interruption.

      shapespace evaluate runs/bodies-cpu/last.ckpt scans.hdf5 --scans test.txt --out out/
      shapespace evaluate runs/dfaust/last.ckpt dfaust/scans --truth dfaust/ --baselines --out out/

    Args:
        checkpoint: made by shapespace train.
        sources: scan files, folders of scan files, or stores written by shapespace prepare.
        out: folder for the results.
        scans: text file with the names of the scans to evaluate, one on each line; all by default.
        truth: true surfaces with the names of the scans: a folder of meshes, or D-FAUST
            registrations. A scan without a true surface is measured to its own points only.
        fit: how codes are found; the seed is that of samples and bootstrap too.
        meshing: how scans are read and meshes are made; unit and columns are those of truth files
            too.
        options: how reconstructions are measured.
        strict: stop at the first scan that cannot be used, or that has points which are NaN or
            0 0 0, instead of skipping or mending it.
    """
    from pathlib import Path

    from shapespace.data.sources import collect_sources
    from shapespace.evaluation.evaluate import evaluate_scans
    from shapespace.evaluation.tables import scores_head
    from shapespace.utils.files import empty_again, read_lines

    with empty_again(out):
        found = evaluate_scans(
            checkpoint,
            collect_sources(sources, None if scans is None else read_lines(scans)),
            out,
            truth=truth,
            fit=fit,
            meshing=meshing,
            options=options,
            strict=strict,
        )
    say(f"{scores_head(found.all_scores, found.unit)}\n")
    for line in found.remarks():
        say_line(line)
    say_line(f"wrote scores.txt, scores.csv and scores.json to {Path(out)}")


def compare(
    surfaces: list[str],
    *,
    out: str | None = None,
    unit: KnownUnit = "m",
    num_samples: int = NUM_SAMPLES,
    seed: int = 0,
    reading: ReadOptions = ReadOptions(),
) -> None:
    """Measure meshes or point clouds, made by any method, against a target file.

    The last file is the target. Prints every distance with its definition (Chamfer, Hausdorff,
    F-scores, normals, volume), and the components, closedness and genus of each mesh. In the
    formulas, P is the measured surface and T the target. All files must be in one frame.

      shapespace compare reconstruction.ply truth.ply
      shapespace compare ours.ply theirs.obj scan.xyz --out distances.json

    Args:
        surfaces: two or more files (PLY OBJ OFF STL GLB PCD LAS E57 NPZ NPY XYZ), the target last.
        out: JSON file for the exact numbers, with lengths in metres; not written by default.
        unit: length unit of the files. With none, thresholds are shares of the diagonal of the
            target, and lengths are printed and written in the unit of the files.
        num_samples: points drawn from each mesh; a cloud of more points is thinned to as many.
        seed: seed of the samples.
        reading: how the files are read.
    """
    from pathlib import Path

    from shapespace.errors import InputError, at_least
    from shapespace.evaluation.compare import compare_files
    from shapespace.evaluation.scores import write_json
    from shapespace.evaluation.tables import pair_table

    if len(surfaces) < 2:
        raise InputError(f"surfaces={surfaces[0]}: give at least two files, the target last")
    at_least(1, num_samples=num_samples)
    at_least(0, seed=seed)
    *shapes, target = surfaces
    remarks: list[str] = []
    all_scores = compare_files(
        shapes,
        target,
        unit=unit,
        num_samples=num_samples,
        seed=seed,
        reading=reading,
        on_remark=remarks.append,
    )
    if out is not None:
        facts = {
            "target": target,
            "surfaces": shapes,
            "unit": "none" if unit == "none" else "m",
            "num_samples": num_samples,
            "seed": seed,
        }
        write_json(all_scores, facts, Path(out), seed=seed)
    say(pair_table(all_scores, "none" if unit == "none" else "m"))
    say(f"\n{num_samples} samples of each mesh, clouds of no more points")
    for remark in remarks:
        say_line(remark)


def diagnose(
    checkpoint: str,
    *,
    names: list[str] | None = None,
    num_shapes: int = 8,
    options: DiagnosticsOptions = DiagnosticsOptions(),
    out: str | None = None,
) -> None:
    """Say how far the field of a space is from a signed distance.

    Samples the field of training shapes and measures |grad f| - 1, |f| against the exact distance
    to the mesh of the zero set, signs, extra sheets, the steepest gradient found, and the factor
    that makes sphere tracing safe, tried on rays. All is sampled and no guarantee. Prints a table.
    Writes CHECKPOINT.diagnostics.json, every number with its meaning, and
    CHECKPOINT.diagnostics.html, a page with pictures.

      shapespace diagnose runs/bodies-cpu/last.ckpt
      shapespace diagnose runs/bodies-cpu/last.ckpt --names 60001_hips_001466 --out checked/

    Args:
        checkpoint: made by shapespace train.
        names: names of the shapes to diagnose, or a text file with a name on each line.
        num_shapes: number of shapes without names, taken at equal steps from the first to the last.
        options: how the fields are sampled.
        out: folder for the files; the folder of the checkpoint by default.
    """
    from pathlib import Path

    from shapespace.diagnostics.space import diagnose_space, write_diagnostics
    from shapespace.report.diagnostics import write_page
    from shapespace.space import TrainedSpace
    from shapespace.utils.files import output_folder

    space = TrainedSpace.load(checkpoint)
    folder = output_folder(Path(checkpoint).parent if out is None else out)
    diagnosed = diagnose_space(space, names, num_shapes=num_shapes, settings=options)
    say(diagnosed.text())
    stem = Path(checkpoint).stem
    say_line(f"wrote {write_diagnostics(diagnosed, folder / f'{stem}.diagnostics.json')}")
    say_line(f"wrote {write_page(diagnosed, folder / f'{stem}.diagnostics.html')}")


def report(
    run: str,
    *,
    evaluation: str | None = None,
    truth: str | None = None,
    scans: list[str] | None = None,
    out: str | None = None,
    up: Axis = "y",
    steps: int = 9,
    resolution: int = 80,
    reading: ReadOptions = ReadOptions(),
) -> None:
    """Write one page about a training run: what was trained, how it went, how good it is.

    The page is one HTML file that needs no network. An animation through the space can be played
    and turned. Below it stand the metrics with their definitions, the sampled diagnostics of the
    field, the best and worst reconstructions, the nearest training shapes, new shapes from
    RUN/samples, the codes, the training curves and the recipe. A section without data is left out,
    and the page names the command that makes the data.

      shapespace report runs/bodies-cpu
      shapespace report runs/bodies-cpu --evaluation test/ --scans scans.hdf5 --out bodies.html

    RUN may come from anybody: only regular files in it are read. No file is opened because a file
    of RUN names it, so that raw scans and true surfaces have to be given.

    Args:
        run: folder of a run of shapespace train.
        evaluation: folder written by shapespace evaluate; RUN/evaluation by default, if it exists.
        truth: true surfaces for maps of the error, as given to shapespace evaluate. Without a true
            surface, the map is on the scan.
        scans: the scans that were evaluated, as given to shapespace evaluate: files, folders or
            stores. Without them, the page has no scans and no maps on them.
        out: file of the page; RUN/report.html by default.
        up: the axis of the shapes that points up.
        steps: shapes of the animation from each training shape to the next.
        resolution: grid nodes along the longest side of a shape of the animation.
        reading: how scans and true surfaces are read.
    """
    from shapespace.report.page import write_report

    remarks: list[str] = []
    path = write_report(
        run,
        evaluation,
        out,
        truth=truth,
        scans=scans or [],
        on_remark=remarks.append,
        up=up,
        steps=steps,
        resolution=resolution,
        reading=reading,
    )
    for remark in remarks:
        say_line(f"not on the page: {remark}")
    say_line(f"wrote {path} ({path.stat().st_size / 1e6:.1f} MB)")
