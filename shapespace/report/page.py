"""``shapespace report``: a training run on one page that needs nothing else."""

import tempfile
from pathlib import Path

from shapespace.errors import InputError, at_least
from shapespace.report import html as report
from shapespace.report.run import read_run
from shapespace.report.sections import cases as case_sections
from shapespace.report.sections import run as run_sections
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
    up: str = "y",
    steps: int = 9,
    resolution: int = 80,
) -> Path:
    """Write the page of a run, whole or not at all; its path.

    evaluation: folder written by ``shapespace evaluate``; that within the run by default, if there
    is one. out: the page, ``report.html`` in the run by default. truth: the true surfaces, by the
    names of the shapes, for maps of the error. up: the axis that points up. steps, resolution: of
    the film, places from a shape to the next and nodes along the longest side. InputError if the
    run holds no checkpoint, a file is damaged, or the page cannot be written.
    """
    at_least(1, steps=steps)
    at_least(2, resolution=resolution)
    record = read_run(run, evaluation, truth)
    target = record.folder / PAGE if out is None else Path(out)
    if target.is_dir():
        raise InputError(f"{target}: is a folder; name the page in it, such as {target / PAGE}")
    output_folder(target.parent)
    space = record.space
    count, length = len(space.names), space.decoder.latent_size
    page = report.Page(
        "A space of one shape" if count == 1 else f"A space of {count} shapes",
        f"Training run “{record.folder.resolve().name}”: {type(space.decoder).__name__} with codes "
        f"of {length} numbers. This page needs nothing but itself.",
    )
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        space_sections.animation(page, space, folder, up, steps, resolution)
        run_sections.trained_on(page, record)
        score_sections.scores(page, record)
        case_sections.reconstructions(page, record, folder, up, resolution)
        score_sections.diagnostics(page, record)
        space_sections.codes(page, space, folder)
        run_sections.curves(page, record, folder)
        run_sections.missing(page, record)
    return page.write(target)
