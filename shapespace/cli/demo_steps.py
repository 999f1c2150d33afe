"""The steps of ``shapespace demo``: from people made by formulas to one page of results.

Each step leaves its files in the folder. A step whose files are complete is skipped, so that a demo
that was stopped continues.
"""

import json
import os
import sys
import textwrap
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import trimesh

from shapespace.checkpoint import CHECKPOINT
from shapespace.config.options import NUM_SAMPLES, FitOptions, MeshOptions, WalkOptions
from shapespace.config.recipes import DEMO
from shapespace.data.prepare.run import prepare
from shapespace.data.sources import find_sources
from shapespace.evaluation import tables
from shapespace.evaluation.compare import scores_of
from shapespace.evaluation.scores import Scores, write_csv
from shapespace.reconstruction.reconstruct import reconstruct_files
from shapespace.reconstruction.record import with_dropped
from shapespace.reconstruction.walks.interpolate import interpolate_shapes
from shapespace.rendering.plots import plot_curves
from shapespace.report import html
from shapespace.report.sections import space as space_sections
from shapespace.report.sections.demo import DemoCase, best_and_worst, gallery
from shapespace.space import TrainedSpace
from shapespace.synthetic.dataset import (
    MOTIONS_OF_DEMO,
    SUBJECTS,
    SyntheticDataset,
    SyntheticScan,
    write_dataset,
)
from shapespace.training.statistics import METRICS, read_metrics
from shapespace.utils.files import output_folder, read_lines, replacing

PLAYER_STEPS, PLAYER_NODES = 6, 72
"""Shapes from one training shape of the walk to the next, and nodes along their longest side."""
RUN, UNSEEN = "run", "unseen"
"""Names of the folders of the training and of the reconstructions."""
COLUMNS = tuple(
    column
    for column in (*tables.DISTANCES, *tables.MESH)
    if column.title not in ("accuracy", "completeness", "normals")
)
"""Columns of the table."""


@dataclass(frozen=True)
class DemoSize:
    """Amount of work of the demo. The defaults take four to six minutes on two cores.

    Args:
        subjects: number of people.
        motions: motions of each person.
        frames: frames of each motion.
        num_points: stored points of each scan.
        fit_points: points that a code is fitted to.
        resolution: grid nodes along the longest side of a mesh.
        train: further options of ``shapespace train``.
    """

    subjects: int = 4
    motions: tuple[str, ...] = MOTIONS_OF_DEMO
    frames: int = 3
    num_points: int = 20_000
    fit_points: int = 8000
    resolution: int = 160
    train: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Demo:
    """The arguments of a demo, and the paths of its files.

    Args:
        folder: folder for all files.
        seed: seed of scanning, training and fitting.
        size: amount of work.
    """

    folder: Path
    seed: int
    size: DemoSize

    @property
    def data(self) -> Path:
        return self.folder / "data"

    @property
    def store(self) -> Path:
        return self.folder / "scans.hdf5"

    @property
    def run(self) -> Path:
        return self.folder / RUN

    @property
    def unseen(self) -> Path:
        return self.folder / UNSEEN

    @property
    def interpolation(self) -> Path:
        return self.folder / "interpolation"


def run_demo(folder: Path, seed: int = 0, size: DemoSize | None = None) -> str:
    """Run the demo in ``folder``, or finish one that was stopped.

    Args:
        folder: folder for all files, made if missing.
        seed: seed of scanning, training and fitting.
        size: amount of work.

    Returns:
        The table of results, and a line with the path of the page.
    """
    demo = _Demo(output_folder(folder), seed, size or DemoSize())
    with _step(demo, 1, "people from formulas, seen by a virtual scanner"):
        dataset = _scan_people(demo)
    with _step(demo, 2, "raw scans into a store"):
        _prepare(demo)
    with _step(demo, 3, "training the space"):
        checkpoint = _train(demo)
    with _step(demo, 4, "reconstructing scans it has not seen"):
        _reconstruct(demo, checkpoint, dataset)
    with _step(demo, 5, "measuring"):
        scores = [_scores(demo, scan) for scan in dataset.unseen]
        write_csv(scores, demo.folder / "metrics.csv")
    with _step(demo, 6, "interpolating"):
        _interpolate(demo, checkpoint)
    with _step(demo, 7, "pictures and page"):
        page = _page(demo, dataset, scores)
    return f"{tables.short_table(scores, COLUMNS)}\n\nopen {page}"


@contextmanager
def _step(demo: _Demo, number: int, title: str) -> Iterator[None]:
    """Announce a step on standard error, and add its seconds to seconds.json for the page."""
    sys.stderr.write(f"[{number}/7] {title}\n")
    start = time.perf_counter()
    try:
        yield
    finally:
        path = demo.folder / "seconds.json"
        # Added up: a demo that was stopped has spent time on this step before.
        seconds = json.loads(path.read_text()) if path.exists() else {}
        seconds[title] = round(seconds.get(title, 0) + time.perf_counter() - start, 1)
        with replacing(path) as part:
            part.write_text(json.dumps(seconds, indent=1))


def _scan_people(demo: _Demo) -> SyntheticDataset:
    size = demo.size
    people = SUBJECTS[: size.subjects]
    workers = len(os.sched_getaffinity(0))
    return write_dataset(
        demo.data,
        subjects=people,
        motions=size.motions,
        frames=size.frames,
        seed=demo.seed,
        workers=workers,
    )


def _prepare(demo: _Demo) -> None:
    if not demo.store.exists():
        names = read_lines(demo.data / "train.txt")
        points = demo.size.num_points
        scans = demo.data / "scans"
        prepare(scans, demo.store, num_points=points, scans=names, seed=demo.seed, strict=True)


def _train(demo: _Demo) -> Path:
    from shapespace.training.cli import train

    options = {
        "config": DEMO,
        "seed_everything": demo.seed,
        "model.seed": demo.seed,
        "data.seed": demo.seed,
        "data.store": demo.store,
        "trainer.default_root_dir": demo.run,
    }
    return train([*(f"--{name}={value}" for name, value in options.items()), *demo.size.train])


def _reconstruct(demo: _Demo, checkpoint: Path, dataset: SyntheticDataset) -> None:
    missing = [
        scan.name for scan in dataset.unseen if not (demo.unseen / f"{scan.name}.json").exists()
    ]
    if missing:
        sources = find_sources(demo.data / "scans", missing)
        reconstruct_files(
            checkpoint,
            sources,
            out=demo.unseen,
            fit=FitOptions(num_points=demo.size.fit_points, seed=demo.seed, detail="none"),
            meshing=MeshOptions(resolution=demo.size.resolution),
            strict=True,
        )


def _surface(demo: _Demo, scan: SyntheticScan) -> trimesh.Trimesh:
    """Load the true surface that was scanned."""
    return trimesh.load_mesh(demo.data / scan.surface_path, process=False)


def _reconstruction(demo: _Demo, scan: SyntheticScan) -> trimesh.Trimesh:
    """Load a reconstruction, with the record of the components that were dropped from it."""
    facts = json.loads((demo.unseen / f"{scan.name}.json").read_text())
    mesh = trimesh.load_mesh(demo.unseen / f"{scan.name}.ply", process=False)
    return with_dropped(mesh, facts)


def _scores(demo: _Demo, scan: SyntheticScan) -> Scores:
    return scores_of(scan.name, _reconstruction(demo, scan), {"registration": _surface(demo, scan)})


def _interpolate(demo: _Demo, checkpoint: Path) -> None:
    if (demo.interpolation / "strip.png").exists():
        return
    names = _two_shapes(TrainedSpace.load(checkpoint).names)
    options = WalkOptions(resolution=demo.size.resolution, path="training")
    interpolate_shapes(checkpoint, names, demo.interpolation, options)


def _two_shapes(names: Sequence[str]) -> tuple[str, str]:
    """Choose two training scans of different people in different poses."""
    first = next((name for name in names if "jumping_jacks" in name), names[0])
    return first, names[-1]


def _page(demo: _Demo, dataset: SyntheticDataset, scores: Sequence[Scores]) -> Path:
    space = TrainedSpace.load(demo.run / CHECKPOINT)
    page = html.Page(
        "A space of shapes, made by shapespace demo",
        f"{len(space.names)} raw scans of people made from formulas trained one decoder with a "
        f"{space.decoder.latent_size}-number code for each. Nothing was downloaded, and this page "
        "needs no network. To move through the space and to try scans of your own: shapespace view "
        f"{demo.run}",
    )
    space_sections.animation(
        page, space, folder=demo.folder, up="y", steps=PLAYER_STEPS, resolution=PLAYER_NODES
    )
    cases = [_case(demo, scan) for scan in dataset.unseen]
    best_and_worst(page, cases, demo.folder / "best_and_worst.png")
    gallery(page, cases, demo.folder / "unseen.png")
    head, *rows = tables.short_rows(scores, COLUMNS)
    legend = [_wrapped(line) for line in tables.short_legend(COLUMNS)]
    page.section(
        "How far off",
        f"Against the true surfaces, in millimetres, by {NUM_SAMPLES} samples of each; metrics.csv "
        "has all the numbers there are.",
        html.table(head, rows, kind="summary"),
        html.code("\n".join(legend)),
    )
    page.section(
        "Between two shapes",
        "A walk from one person to another, over training shapes whose codes lie between.",
        html.picture(demo.interpolation / "strip.png", "seven bodies from one code to another"),
        html.note(
            "Nothing in the training asks that a shape in between is a person: limbs may change "
            "their length on the way. interpolation/walk.json says how much volume and area do."
        ),
    )
    curves = demo.folder / "curves.png"
    terms = ("step", "loss", "surface", "normal", "eikonal")
    losses = [{key: row[key] for key in terms} for row in read_metrics(demo.run / METRICS)]
    plot_curves(losses, curves)
    page.section(
        "Training",
        "The loss and its terms.",
        html.picture(curves, "loss curves"),
        html.note("They are those of the training scans, and say nothing of unseen ones."),
    )
    page.section("Where the time went", "Seconds.", html.code(_seconds(demo)))
    return page.write(demo.folder / "index.html")


def _case(demo: _Demo, scan: SyntheticScan) -> DemoCase:
    raw = trimesh.load_mesh(demo.data / scan.scan_path, process=False)
    return DemoCase(scan.name, raw, _reconstruction(demo, scan), _surface(demo, scan))


def _wrapped(line: str) -> str:
    return textwrap.fill(line, 110, subsequent_indent="    ")


def _seconds(demo: _Demo) -> str:
    seconds = json.loads((demo.folder / "seconds.json").read_text())
    return "\n".join(f"{value:8.1f}  {title}" for title, value in seconds.items())
