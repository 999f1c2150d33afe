"""Sections of a report that tell how a run went: what was trained on what, curves, previews.

Each adds a section to a page, or nothing where the run has nothing to show; :func:`missing` says
what would make it.
"""

import time
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from shapespace.checkpoint import CHECKPOINT
from shapespace.data.names import frame_gaps, parse_names
from shapespace.data.store.store import ScanStore
from shapespace.errors import InputError
from shapespace.rendering.plots import plot_curves
from shapespace.report import html as report
from shapespace.report.run import CONFIG, EVALUATION, RunRecord
from shapespace.version import __version__

BESIDE_TERMS = ("epoch", "seconds", "lr", "refused")
"""Columns of metrics.csv that are no term of the loss."""
MOST_PREVIEWS = 3


def trained_on(page: report.Page, record: RunRecord) -> None:
    """Store, scans, decoder, recipe, seed, device, versions, date and duration."""
    names = record.space.names
    rows = [row for row in [*_data(record), *_model(record), *_circumstances(record)] if row[1]]
    blocks = [
        report.definition_list(rows),
        report.details(f"all {len(names)} names", _listed(names)),
    ]
    config = record.folder / CONFIG
    if config.is_file():
        text = config.read_text("utf-8", errors="replace")
        blocks.append(report.details(f"the recipe, {CONFIG}", report.code(text)))
    page.section("What was trained on what", "As the run's own files say it.", *blocks)


def curves(page: report.Page, record: RunRecord, folder: Path) -> None:
    """Terms of the loss, the learning rate, and previews of the run."""
    terms = [_positive(row, without=BESIDE_TERMS) for row in record.metrics]
    rates = [{key: row[key] for key in ("step", "lr") if key in row} for row in record.metrics]
    blocks = []
    for name, rows, alt in (("terms", terms, "loss terms"), ("rates", rates, "learning rate")):
        try:
            plot_curves(rows, folder / f"{name}.svg", log_step=name == "terms")
        except InputError:
            continue
        blocks.append(report.picture(folder / f"{name}.svg", f"{alt} over the steps"))
    if blocks:
        text = (
            "Means of each epoch: the loss, its terms before they are weighted; the learning rate."
        )
        page.section("Training", text, report.side_by_side(*blocks))
    pictures = sorted((record.folder / "previews").glob("*.png"))
    if pictures:
        chosen = np.unique(np.linspace(0, len(pictures) - 1, MOST_PREVIEWS).round().astype(int))
        shown = [pictures[i] for i in chosen]
        text = f"The same shapes after the epochs {', '.join(_epoch(path) for path in shown)}."
        blocks = [report.picture(path, f"shapes, {path.stem}") for path in shown]
        page.section("As it learned", text, *blocks)


def missing(page: report.Page, record: RunRecord) -> None:
    """What the page would show beside, and which command makes it."""
    checkpoint, folder = record.folder / CHECKPOINT, record.folder / EVALUATION
    lines = list(record.remarks)
    if not record.metrics:
        lines.append("Curves: metrics.csv is missing or empty; shapespace train writes it.")
    if record.scores is None:
        lines.append(
            "Scores, reconstructions and their neighbours: shapespace evaluate "
            f"{checkpoint} STORE --scans SPLIT --out {folder}"
        )
    if record.diagnostics is None:
        lines.append(f"Is it a distance: shapespace diagnose {checkpoint}")
    if lines:
        page.section(
            "Not on this page",
            "What is not there, and the command that makes it.",
            report.bullets(lines),
        )


def _positive(row: Mapping[str, str], without: tuple[str, ...]) -> dict[str, str]:
    """The columns of a row that fit on a logarithmic axis, and the step."""
    shown = {name: cell for name, cell in row.items() if name not in without}
    return {name: cell if _above_zero(cell) else "" for name, cell in shown.items()}


def _above_zero(cell: str) -> bool:
    try:
        return float(cell) > 0
    except ValueError:
        return False


def _epoch(path: Path) -> str:
    return path.stem.rpartition("_")[2].lstrip("0") or path.stem


def _data(record: RunRecord) -> list[tuple[str, str]]:
    names, data = record.space.names, record.config.get("data", {})
    places = parse_names(names)
    subjects = Counter(place.subject for place in places.values())
    motions = len({place.motion for place in places.values()})
    named = ", ".join(f"{subject} ({count})" for subject, count in subjects.items())
    listed = data.get("scans")
    return [
        ("store", _store(data.get("store"), names)),
        ("scans", f"{len(names)}" + (f" of {motions} sequences" if places else "")),
        ("subjects", named),
        ("chosen by", str(listed) if listed else "all scans of the store" if data else ""),
        ("held out", _held_out(record)),
    ]


def _store(path: str | None, names: tuple[str, ...]) -> str:
    """Where the store is and what it holds, as far as it is still there."""
    if path is None:
        return ""
    try:
        with ScanStore(path) as store:
            manifest: list[dict[str, Any]] = store.manifest()
    except InputError:
        return f"{path} (not there any more)"
    known = set(names)
    rows = [row for row in manifest if row["name"] in known]
    if not rows:
        return f"{path} (holds none of these scans now)"
    points = sorted(row["num_points"] for row in rows)
    kinds = Counter(row["normals"] for row in rows)
    normals = ", ".join(f"{kind} {count}" for kind, count in kinds.items())
    many = f"{points[0]}" if points[0] == points[-1] else f"{points[0]} to {points[-1]}"
    return f"{path}: {many} points a scan, normals: {normals}, unit {store.unit}"


def _held_out(record: RunRecord) -> str:
    """How near the evaluated scans are to those that were trained on."""
    names = [str(shape["name"]) for shape in record.shapes]
    if not names:
        return ""
    places = parse_names([*record.space.names, *names])
    gaps = frame_gaps(record.space.names, names, places)
    known = [gap for gap in gaps.values() if gap is not None]
    beside = [gap for name, gap in gaps.items() if gap and name not in record.space.names]
    said = [f"{len(names)} shapes evaluated"]
    if trained := len(set(names) & set(record.space.names)):
        said.append(f"{trained} of them TRAINED ON")
    people = {place.subject for name, place in places.items() if name in record.space.names}
    placed = [places[name] for name in names if name in places]
    if placed:
        strangers = sum(place.subject not in people for place in placed)
        said.append(f"{strangers} of a subject that was not trained on")
        said.append(f"{len(placed) - len(known)} of a sequence that was not trained on")
    if beside:
        said.append(f"the others at least {min(beside)} frames from a training scan")
    return ", ".join(said)


def _model(record: RunRecord) -> list[tuple[str, str]]:
    model = record.config.get("model") or record.content["hyper_parameters"]
    data, decoder = record.config.get("data", {}), record.space.decoder
    weights = sum(weight.numel() for weight in decoder.parameters())
    rates = ("optimiser", "lr", "matrix_lr", "code_optimiser", "code_lr", "schedule", "warm_up")
    step = _some(data, "batch_size", "scans") + _some(data, "num_points", "points each")
    return [
        ("shapes", f"{decoder.dimension}-D, codes of {decoder.latent_size} numbers"),
        ("decoder", f"{_part(model.get('decoder'))}; {weights:,} weights"),
        ("objective", _part(model.get("objective"))),
        ("sampler", _part(model.get("sampler"))),
        ("steps", ", ".join(f"{key} {model[key]}" for key in rates if model.get(key) is not None)),
        ("a step", ", ".join(step)),
        ("seed", str(record.config.get("seed_everything", model.get("seed", "")))),
    ]


def _part(part: Any) -> str:
    """A class and its arguments."""
    if not isinstance(part, Mapping):
        return ""
    name = str(part.get("class_path", "")).rpartition(".")[2]
    given = part.get("init_args") or {}
    arguments = ", ".join(f"{key} {value}" for key, value in given.items())
    return f"{name}: {arguments}" if arguments else name


def _some(data: Mapping[str, Any], key: str, what: str) -> list[str]:
    return [f"{data[key]} {what}"] if data.get(key) else []


def _circumstances(record: RunRecord) -> list[tuple[str, str]]:
    trainer, content = record.config.get("trainer", {}), record.content
    last = record.metrics[-1] if record.metrics else {}
    kinds = ("accelerator", "devices", "num_nodes", "precision")
    device = [f"{kind} {trainer[kind]}" for kind in kinds if trainer.get(kind) is not None]
    made = time.gmtime((record.folder / CHECKPOINT).stat().st_mtime)
    epochs = f"{int(last['epoch']) + 1} epochs, " if "epoch" in last else ""
    lightning = content.get("pytorch-lightning_version")
    return [
        ("device", ", ".join(device)),
        (
            "trained",
            f"{epochs}{content['global_step']} steps"
            + (f" in {_duration(float(last['seconds']))}" if "seconds" in last else ""),
        ),
        ("finished", time.strftime("%Y-%m-%d %H:%M UTC", made)),
        (
            "versions",
            f"shapespace {content['shapespace']['version']}, Lightning {lightning}; "
            f"page by shapespace {__version__}",
        ),
        ("space", f"sha256 {record.space.digest[:16]}"),
    ]


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s"


def _listed(names: tuple[str, ...]) -> str:
    return report.code("\n".join(names))
