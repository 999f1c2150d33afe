"""``shapespace demo``: the whole job on people made from formulas, ending in one page.

Each stage leaves its files in the folder and is skipped where they are whole, so that a stopped
demo goes on where it stood.
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
from shapespace.config.options import FitOptions, MeshOptions
from shapespace.config.recipes import DEMO
from shapespace.data.prepare.run import prepare
from shapespace.data.sources import find_sources
from shapespace.evaluation import tables as card_text
from shapespace.evaluation.compare import scores_of
from shapespace.evaluation.metrics import NUM_SAMPLES
from shapespace.evaluation.scores import Scores, write_csv
from shapespace.geometry.proximity import point_to_mesh
from shapespace.reconstruction.interpolate import interpolate_shapes
from shapespace.reconstruction.reconstruct import reconstruct_files
from shapespace.reconstruction.record import with_dropped
from shapespace.rendering.meshes import GREY, Figure, colour_map, render_grid, save_image
from shapespace.rendering.plots import plot_curves
from shapespace.report import html as report
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

WORST_SHOWN = 0.03
"""Error, in metres, at the bright end of the error map."""
MOST_SHOWN = 8
"""Unseen scans in the picture; all are measured."""
SHOWN = tuple(
    short
    for short in (*card_text.DISTANCES, *card_text.MESH)
    if short.title not in ("accuracy", "completeness", "normals")
)
"""Columns of the table."""


@dataclass(frozen=True)
class Size:
    """How much the demo does. The defaults take some four minutes on two cores.

    subjects, motions, frames: of the data set; num_points: stored of each scan; fit_points: of a
    reconstruction; resolution: of meshes; train: options for ``shapespace train``.
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
    """Where everything lies."""

    folder: Path
    seed: int
    size: Size

    @property
    def data(self) -> Path:
        return self.folder / "data"

    @property
    def store(self) -> Path:
        return self.folder / "scans.hdf5"

    @property
    def run(self) -> Path:
        return self.folder / "run"

    @property
    def unseen(self) -> Path:
        return self.folder / "unseen"

    @property
    def walk(self) -> Path:
        return self.folder / "interpolation"


def run_demo(folder: Path, seed: int = 0, size: Size | None = None) -> str:
    """Run or finish the demo in ``folder``; the table and where the page is."""
    demo = _Demo(output_folder(folder), seed, size or Size())
    with _stage(demo, 1, "people from formulas, seen by a virtual scanner"):
        dataset = _scan_people(demo)
    with _stage(demo, 2, "raw scans into a store"):
        _prepare(demo)
    with _stage(demo, 3, "training the space"):
        checkpoint = _train(demo)
    with _stage(demo, 4, "reconstructing scans it has not seen"):
        _reconstruct(demo, checkpoint, dataset)
    with _stage(demo, 5, "measuring"):
        cards = [_card(demo, scan) for scan in dataset.unseen]
        write_csv(cards, demo.folder / "metrics.csv")
    with _stage(demo, 6, "interpolating"):
        _interpolate(demo, checkpoint)
    with _stage(demo, 7, "pictures and page"):
        page = _page(demo, dataset, cards)
    return f"{card_text.short_table(cards, SHOWN)}\n\nopen {page}"


@contextmanager
def _stage(demo: _Demo, number: int, title: str) -> Iterator[None]:
    """Say what happens and how long it took; the times are kept for the page."""
    sys.stderr.write(f"[{number}/7] {title}\n")
    start = time.perf_counter()
    try:
        yield
    finally:
        path = demo.folder / "seconds.json"
        seconds = json.loads(path.read_text()) if path.exists() else {}
        seconds[title] = round(seconds.get(title, 0) + time.perf_counter() - start, 1)
        with replacing(path) as part:
            part.write_text(json.dumps(seconds, indent=1))


def _scan_people(demo: _Demo) -> SyntheticDataset:
    size = demo.size
    people = SUBJECTS[: size.subjects]
    workers = len(os.sched_getaffinity(0))
    return write_dataset(demo.data, people, size.motions, size.frames, demo.seed, workers)


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
            demo.unseen,
            FitOptions(num_points=demo.size.fit_points, seed=demo.seed),
            MeshOptions(resolution=demo.size.resolution),
            strict=True,
        )


def _surface(demo: _Demo, scan: SyntheticScan) -> trimesh.Trimesh:
    return trimesh.load_mesh(demo.data / scan.surface_path, process=False)


def _result(demo: _Demo, scan: SyntheticScan) -> trimesh.Trimesh:
    facts = json.loads((demo.unseen / f"{scan.name}.json").read_text())
    mesh = trimesh.load_mesh(demo.unseen / f"{scan.name}.ply", process=False)
    return with_dropped(mesh, facts)


def _card(demo: _Demo, scan: SyntheticScan) -> Scores:
    return scores_of(scan.name, _result(demo, scan), {"registration": _surface(demo, scan)})


def _interpolate(demo: _Demo, checkpoint: Path) -> None:
    if (demo.walk / "strip.png").exists():
        return
    names = _ends(TrainedSpace.load(checkpoint).names)
    interpolate_shapes(checkpoint, names, demo.walk, steps=7, resolution=demo.size.resolution)


def _ends(names: Sequence[str]) -> tuple[str, str]:
    """Two training scans of different people in different poses."""
    first = next((name for name in names if "jumping_jacks" in name), names[0])
    return first, names[-1]


def _page(demo: _Demo, dataset: SyntheticDataset, cards: Sequence[Scores]) -> Path:
    space = TrainedSpace.load(demo.run / CHECKPOINT)
    page = report.Page(
        "A space of shapes, made by shapespace demo",
        f"{len(space.names)} raw scans of people made from formulas trained one decoder with a "
        f"{space.decoder.latent_size}-number code for each. Nothing was downloaded.",
    )
    page.section(
        "Unseen scans, reconstructed",
        "Each of these scans belongs to a sequence that was not trained on: the raw scan with its "
        "holes, the reconstruction from its code alone, and its error against the true surface, "
        f"dark 0 to bright {1000 * WORST_SHOWN:.0f} mm.",
        report.picture(_gallery(demo, dataset), "scan, reconstruction and error of unseen scans"),
    )
    page.section(
        "How far off",
        f"Against the true surfaces, in millimetres, by {NUM_SAMPLES} samples of each; metrics.csv "
        "has all the numbers there are.",
        report.table(*_head_and_rows(cards), "summary"),
        report.code("\n".join(map(_wrapped, card_text.short_legend(SHOWN)))),
    )
    page.section(
        "Between two shapes",
        "A straight line from the code of one person to the code of another.",
        report.picture(demo.walk / "strip.png", "seven bodies from one code to another"),
    )
    curves = demo.folder / "curves.png"
    terms = ("step", "loss", "surface", "normal", "eikonal")
    rows = [{key: row[key] for key in terms} for row in read_metrics(demo.run / METRICS)]
    plot_curves(rows, curves)
    page.section("Training", "The loss and its terms.", report.picture(curves, "loss curves"))
    page.section("Where the time went", "Seconds.", report.code(_seconds(demo)))
    return page.write(demo.folder / "index.html")


def _wrapped(line: str) -> str:
    return textwrap.fill(line, 110, subsequent_indent="    ")


def _head_and_rows(cards: Sequence[Scores]) -> tuple[list[str], list[list[str]]]:
    head, *rows = card_text.short_rows(cards, SHOWN)
    return head, rows


def _gallery(demo: _Demo, dataset: SyntheticDataset) -> Path:
    path = demo.folder / "unseen.png"
    rows: list[list[Figure]] = [[], [], []]
    every = max(1, -(-len(dataset.unseen) // MOST_SHOWN))
    for scan in dataset.unseen[::every]:
        raw = trimesh.load_mesh(demo.data / scan.scan_path, process=False)
        mesh = _result(demo, scan)
        error = point_to_mesh(mesh.vertices, _surface(demo, scan))
        colours = colour_map(error, 0.0, WORST_SHOWN)
        rows[0].append(Figure(raw, GREY))
        rows[1].append(Figure(mesh))
        rows[2].append(Figure(mesh, label=scan.name, vertex_colors=colours))
    save_image(render_grid(rows), path)
    return path


def _seconds(demo: _Demo) -> str:
    seconds = json.loads((demo.folder / "seconds.json").read_text())
    return "\n".join(f"{value:8.1f}  {title}" for title, value in seconds.items())
