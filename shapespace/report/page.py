"""``shapespace report``: one page about a training run that needs no network."""

import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from shapespace.config.options import ReadOptions
from shapespace.errors import InputError, at_least
from shapespace.report import html as report
from shapespace.report.run import RunRecord, read_run
from shapespace.report.sections import cases as case_sections
from shapespace.report.sections import run as run_sections
from shapespace.report.sections import samples as sample_sections
from shapespace.report.sections import scores as score_sections
from shapespace.report.sections import space as space_sections
from shapespace.utils.files import output_folder

PAGE = "report.html"


def write_report(
    run: str | Path,
    evaluation: str | Path | None = None,
    out: str | Path | None = None,
    *,
    truth: str | Path | None = None,
    scans: Sequence[str | Path] = (),
    on_remark: Callable[[str], object] = lambda _: None,
    up: str = "y",
    steps: int = 9,
    resolution: int = 80,
    reading: ReadOptions = ReadOptions(),
) -> Path:
    """Write the page of a run; the file is complete or not written.

    Args:
        run: The folder of a training run.
        evaluation: A folder written by ``shapespace evaluate``. By default the folder
            ``evaluation`` in the run, if that exists.
        out: The file to write, by default ``report.html`` in the run.
        truth: The true surfaces, for error maps; files are found by the names of the shapes.
        scans: The scans that were evaluated, found by the names of the shapes: files, folders and
            stores. No file is opened because a file of the run names it.
        on_remark: Called with each sentence about a part that the page lacks because a file is
            damaged, of other weights or not given.
        up: The axis that points up, "x", "y" or "z".
        steps: Frames of the animation from one training shape to the next, at least 1.
        resolution: Grid nodes along the longest side of the space for the meshes of the animation
            and of the nearest training shapes, at least 2.
        reading: How files of scans and true surfaces are read.

    Returns:
        The path of the page.

    Raises:
        InputError: The run holds no checkpoint, a folder that was named lacks its files, or the
            page cannot be written.
    """
    at_least(1, steps=steps)
    at_least(2, resolution=resolution)
    record = read_run(run, evaluation, truth, scans, reading)
    target = record.folder / PAGE if out is None else Path(out)
    if target.is_dir():
        raise InputError(f"{target}: is a folder; name the page in it, such as {target / PAGE}")
    # A folder that cannot be written is an error before minutes of meshing, not after them.
    output_folder(target.parent)
    page = _page_head(record)
    space = record.space
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        space_sections.animation(
            page, space, folder=folder, up=up, steps=steps, resolution=resolution
        )
        run_sections.trained_on(page, record)
        score_sections.scores(page, record)
        case_sections.reconstructions(page, record, folder=folder, up=up, resolution=resolution)
        sample_sections.new_shapes(page, record, folder=folder, up=up)
        score_sections.diagnostics(page, record)
        space_sections.codes(page, space, folder)
        run_sections.curves(page, record, folder)
        run_sections.missing(page, record)
    for remark in record.remarks:
        on_remark(remark)
    return page.write(target)


def _page_head(record: RunRecord) -> report.Page:
    """A page with a title and a lead, without sections."""
    num_shapes = len(record.space.names)
    decoder = record.space.decoder
    return report.Page(
        "A space of one shape" if num_shapes == 1 else f"A space of {num_shapes} shapes",
        f"Training run “{record.folder.resolve().name}”: {type(decoder).__name__} with codes of "
        f"{decoder.latent_size} numbers. This page is one file and needs no network.",
    )
