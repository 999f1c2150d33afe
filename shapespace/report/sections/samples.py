"""The section of new shapes: samples of the prior above their nearest training shapes."""

from pathlib import Path

from shapespace.errors import InputError, printable
from shapespace.evaluation.samples.draw import SAMPLES, Sample, figures, read_samples, shown_length
from shapespace.evaluation.samples.shapes import CoarseShapes
from shapespace.rendering.meshes import render_grid, save_image
from shapespace.report import html as report
from shapespace.report.run import SAMPLES_FOLDER, RunRecord

MOST_SHOWN = 8
"""Samples on the page, the first ones."""
HEIGHT = 240


def new_shapes(page: report.Page, record: RunRecord, *, folder: Path, up: str) -> None:
    """Add a picture of samples and of the training shapes nearest to them.

    Nothing is added to the page of a run without samples; with a remark where they are damaged or
    of other weights.

    Args:
        page: The page to add to.
        record: The run.
        folder: A folder for temporary pictures.
        up: The axis that points up, "x", "y" or "z".
    """
    if record.space.decoder.dimension != 3:
        return
    where = record.folder / SAMPLES_FOLDER
    try:
        found = read_samples(where) if where.is_dir() and not where.is_symlink() else None
        if found is None:
            return
        samples, facts = found
        if facts.get("space") != record.space.digest:
            raise InputError(
                f"{where / SAMPLES}: samples of other weights; run shapespace prior fit and "
                "shapespace prior sample again"
            )
        shown = samples[:MOST_SHOWN]
        rows = figures(where, shown, CoarseShapes(record.space), record.space.unit)
    except InputError as error:
        record.remarks.append(f"New shapes: {error}.")
        return
    if not shown:
        return
    path = folder / "samples.png"
    save_image(render_grid(rows, HEIGHT, up), path)
    page.section(
        "New shapes",
        f"{len(samples)} samples of the prior over the codes, the first {len(shown)} of them in "
        "blue, each above the training shape whose surface is nearest, in grey, with the mean "
        f"distance between the two. {_summary(samples, record.space.unit)}",
        report.picture(path, "samples above their nearest training shapes"),
    )


def _summary(samples: list[Sample], unit: str) -> str:
    """The sample that is nearest to a training shape, and the farthest, in a sentence."""
    known = [each for each in samples if each.distance is not None]
    if not known:
        return "The distances are not known."
    known.sort(key=lambda each: each.distance or 0.0)
    near, far = known[0], known[-1]
    least, most = shown_length(near.distance, unit), shown_length(far.distance, unit)
    return (
        f"Nearest to a training shape is {near.name}, {least} from {printable(near.nearest)}; "
        f"farthest is {far.name}, {most} off."
    )
