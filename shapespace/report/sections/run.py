"""Sections about the course of a run: model and data, curves, previews, missing parts.

Each function adds one or two sections to a page, or nothing where the run lacks the files.
:func:`missing` lists the commands that write these files.
"""

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from shapespace.checkpoint import CHECKPOINT
from shapespace.data.names import frame_gaps, parse_names
from shapespace.data.sources import StoredScan
from shapespace.errors import InputError
from shapespace.rendering.plots import plot_curves
from shapespace.report import html as report
from shapespace.report.run import CONFIG, EVALUATION, SAMPLES_FOLDER, RunRecord
from shapespace.training.statistics import PREVIEWS
from shapespace.utils.files import read_inside
from shapespace.utils.text import in_words
from shapespace.version import __version__

VALIDATED = ("val_seen", "val_unseen")
"""Columns of metrics.csv with the errors of held-out scans."""
BESIDE_TERMS = ("epoch", "seconds", "lr", "refused", *VALIDATED)
"""Columns of metrics.csv that are no term of the loss."""
MOST_PREVIEWS = 3
MOST_PICTURE = 1 << 24
"""Largest preview that is shown, in bytes."""
PNG = b"\x89PNG\r\n\x1a\n"
"""First bytes of a PNG file."""
MOST_POINTS = 20_000
"""Points of a curve, at most."""
RATES = ("optimiser", "lr", "matrix_lr", "code_optimiser", "code_lr", "schedule", "warm_up")
"""Options of the model that say how the weights and codes are optimised."""
DEVICES = ("accelerator", "devices", "num_nodes", "precision")
"""Options of the trainer that say on what the run was trained."""


def trained_on(page: report.Page, record: RunRecord) -> None:
    """Add store, scans, decoder, recipe, seed, device, versions, date and duration."""
    names = record.space.names
    rows = [row for row in [*_data(record), *_model(record), *_circumstances(record)] if row[1]]
    blocks = [
        report.definition_list(rows),
        report.details(f"all {len(names)} names", report.code("\n".join(names))),
    ]
    if record.recipe:
        blocks.append(report.details(f"the recipe, {CONFIG}", report.code(record.recipe)))
    page.section("Model and data", "As recorded in the files of the run.", *blocks)


def curves(page: report.Page, record: RunRecord, folder: Path) -> None:
    """Add the curves of the loss, its terms and the learning rate, and the previews of the run.

    Args:
        page: The page to add to.
        record: The run.
        folder: A folder for temporary pictures.
    """
    drawn = _thinned(record.metrics)
    terms = [_positive(row, without=BESIDE_TERMS) for row in drawn]
    rates = [{key: row[key] for key in ("step", "lr") if key in row} for row in drawn]
    errors = [{key: row[key] for key in ("step", *VALIDATED) if key in row} for row in drawn]
    blocks = []
    for name, rows, alt in (
        ("terms", terms, "loss terms"),
        ("rates", rates, "learning rate"),
        ("errors", errors, "errors of held-out scans"),
    ):
        try:
            plot_curves(rows, folder / f"{name}.svg", log_step=name == "terms")
        except InputError:
            # The run logged no such number, as where metrics.csv is missing: no curve.
            continue
        blocks.append(report.picture(folder / f"{name}.svg", f"{alt} over the steps"))
    if blocks:
        text = "Per epoch: the mean loss and the means of its unweighted terms; the learning rate."
        if any(_above_zero(row.get(name, "")) for row in drawn for name in VALIDATED):
            text += (
                " Of held-out scans, now and then: the mean distance to the surface, in the unit "
                "of the store, of their points (val_seen) and of the places of their true surfaces "
                "that they have not seen (val_unseen)."
            )
        page.section("Training", text, report.side_by_side(*blocks))
    shown = _previews(record)
    if shown:
        text = f"The same shapes after the epochs {', '.join(map(_epoch, shown))}."
        blocks = [report.image(shown[name], ".png", f"shapes, {Path(name).stem}") for name in shown]
        page.section("Previews during training", text, *blocks)


def _previews(record: RunRecord) -> dict[str, bytes]:
    """The first, the middle and the last preview of the run: name of the file -> its content."""
    folder = record.folder / PREVIEWS
    names = [] if folder.is_symlink() else sorted(path.name for path in folder.glob("*.png"))
    if folder.is_symlink():
        record.remarks.append(f"{folder}: is a symbolic link, which is not followed.")
    chosen = np.unique(np.linspace(0, len(names) - 1, MOST_PREVIEWS).round().astype(int))
    found: dict[str, bytes] = {}
    for name in [names[row] for row in chosen] if names else []:
        try:
            content = read_inside(record.folder, PREVIEWS, name, most=MOST_PICTURE)
        except InputError as error:
            record.remarks.append(f"{error}.")
            continue
        if content is not None and content.startswith(PNG):
            found[name] = content
        else:
            record.remarks.append(f"{folder / name}: is no PNG file.")
    return found


def _thinned(rows: Sequence[dict[str, str]]) -> Sequence[dict[str, str]]:
    """At most :data:`MOST_POINTS` rows, evenly spaced, the first and the last included."""
    if len(rows) <= MOST_POINTS:
        return rows
    return [rows[row] for row in np.linspace(0, len(rows) - 1, MOST_POINTS).round().astype(int)]


def missing(page: report.Page, record: RunRecord) -> None:
    """Add the parts that the page lacks, and the command that makes each of them."""
    checkpoint = record.folder / CHECKPOINT
    lines = list(record.remarks)
    if not record.metrics:
        lines.append("Curves: metrics.csv is missing or empty; shapespace train writes it.")
    if record.scores is None:
        lines.append(
            "Scores, reconstructions and nearest training shapes: shapespace evaluate "
            f"{checkpoint} STORE --scans SPLIT --out {record.folder / EVALUATION}"
        )
    if record.diagnostics is None:
        lines.append(f"Diagnostics (is it a distance?): shapespace diagnose {checkpoint}")
    if not (record.folder / SAMPLES_FOLDER).exists() and record.space.decoder.dimension == 3:
        lines.append(
            f"New shapes: shapespace prior fit {checkpoint}, then shapespace prior sample "
            f"{checkpoint} --out {record.folder / SAMPLES_FOLDER}"
        )
    if lines:
        page.section(
            "Not on this page",
            "Each missing part, and the command that makes it.",
            report.bullets(lines),
        )


def _positive(row: Mapping[str, str], without: tuple[str, ...]) -> dict[str, str]:
    """A row of metrics.csv without some columns; cells that a log axis cannot show are empty."""
    shown = {name: cell for name, cell in row.items() if name not in without}
    return {name: cell if _above_zero(cell) else "" for name, cell in shown.items()}


def _above_zero(cell: str) -> bool:
    """True if a cell holds a positive, finite number, False if it is empty or text."""
    try:
        return 0 < float(cell) < float("inf")
    except ValueError:
        return False


def _epoch(name: str) -> str:
    """The epoch in the name of a preview such as epoch_00100.png."""
    stem = Path(name).stem
    return stem.rpartition("_")[2].lstrip("0") or stem


def _data(record: RunRecord) -> list[tuple[str, str]]:
    """Rows about the store and the scans that the run was trained on."""
    names = record.space.names
    data = record.options("data")
    parsed = parse_names(names)
    subjects = Counter(name.subject for name in parsed.values())
    motions = len({name.motion for name in parsed.values()})
    split = data.get("scans")
    selection = in_words(split) if split else "all scans of the store" if data else ""
    return [
        ("store", _store(record)),
        ("scans", f"{len(names)} of {motions} sequences" if parsed else f"{len(names)}"),
        ("subjects", ", ".join(f"{subject} ({count})" for subject, count in subjects.items())),
        ("selection", selection),
        ("held out", _held_out(record)),
    ]


def _store(record: RunRecord) -> str:
    """The path of the store, as recorded, and what a store that the user gave says of its scans."""
    path = in_words(record.options("data").get("store", ""))
    known = set(record.space.names)
    stores = {scan.store for scan in record.scans.values() if isinstance(scan, StoredScan)}
    for store in stores:
        names = [name for name in store.names if name in known]
        if not names:
            continue
        points = sorted(store.num_points(name) for name in names)
        kinds = Counter(store.normals_kind(name) for name in names)
        normals = ", ".join(f"{kind} {count}" for kind, count in kinds.items())
        counts = f"{points[0]}" if points[0] == points[-1] else f"{points[0]} to {points[-1]}"
        facts = f"{counts} points a scan, normals: {normals}, unit {store.unit}"
        return f"{path or store.path}: {facts}"
    return path


def _held_out(record: RunRecord) -> str:
    """A sentence on how close the evaluated scans are to the training scans.

    Empty without an evaluation. Subjects, sequences and frames are known for names in the D-FAUST
    style only.
    """
    names = [str(shape["name"]) for shape in record.shapes]
    if not names:
        return ""
    training = set(record.space.names)
    parsed = parse_names([*record.space.names, *names])
    gaps = frame_gaps(record.space.names, names, parsed)
    phrases = [f"{len(names)} shapes evaluated"]
    num_trained = len(set(names) & training)
    if num_trained:
        phrases.append(f"{num_trained} of them TRAINED ON")
    evaluated = [parsed[name] for name in names if name in parsed]
    if evaluated:
        subjects = {place.subject for name, place in parsed.items() if name in training}
        new_subjects = sum(name.subject not in subjects for name in evaluated)
        in_known_sequence = sum(gap is not None for gap in gaps.values())
        phrases.append(f"{new_subjects} of a subject that was not trained on")
        phrases.append(
            f"{len(evaluated) - in_known_sequence} of a sequence that was not trained on"
        )
    unseen = [gap for name, gap in gaps.items() if gap and name not in training]
    if unseen:
        phrases.append(f"the others at least {min(unseen)} frames from a training scan")
    return ", ".join(phrases)


def _model(record: RunRecord) -> list[tuple[str, str]]:
    """Rows about the decoder, the objective, the sampler and the optimisation."""
    # A run folder without its config still has the options of the model in its checkpoint.
    model = record.options("model") or record.content["hyper_parameters"]
    data = record.options("data")
    decoder = record.space.decoder
    weights = sum(weight.numel() for weight in decoder.parameters())
    batch = [
        f"{in_words(data[key])} {unit}"
        for key, unit in (("batch_size", "scans"), ("num_points", "points each"))
        if data.get(key)
    ]
    return [
        ("shapes", f"{decoder.dimension}-D, codes of {decoder.latent_size} numbers"),
        ("decoder", f"{_part(model.get('decoder'))}; {weights:,} weights"),
        ("objective", _part(model.get("objective"))),
        ("sampler", _part(model.get("sampler"))),
        ("optimisation", _given(model, RATES)),
        ("batch", ", ".join(batch)),
        ("seed", in_words(record.config.get("seed_everything", model.get("seed", "")))),
    ]


def _part(part: Any) -> str:
    """A part of a recipe (``class_path`` and ``init_args``) as its class name and arguments."""
    if not isinstance(part, Mapping):
        return ""
    name = str(part.get("class_path", "")).rpartition(".")[2]
    given = part.get("init_args") or {}
    arguments = in_words(given)
    return f"{name}: {arguments}" if arguments else name


def _given(options: Mapping[str, Any], keys: tuple[str, ...]) -> str:
    """The options among ``keys`` that have a value, as "key value" with commas between."""
    return in_words({key: options[key] for key in keys if options.get(key) is not None})


def _circumstances(record: RunRecord) -> list[tuple[str, str]]:
    """Rows about device, duration, date, versions and the digest of the weights."""
    content = record.content
    last = record.metrics[-1] if record.metrics else {}
    trained = f"{in_words(content.get('global_step'))} steps"
    # Digits alone: cells of a damaged file may be anything.
    if last.get("epoch", "").isdecimal():
        trained = f"{_epochs(record, int(last['epoch'][:18]) + 1)}, {trained}"
    if _above_zero(last.get("seconds", "")):
        trained = f"{trained} in {_duration(float(last['seconds']))}"
    written = time.gmtime((record.folder / CHECKPOINT).stat().st_mtime)
    versions = (
        f"shapespace {in_words(content['shapespace'].get('version'))}, "
        f"Lightning {in_words(content.get('pytorch-lightning_version'))}; page by shapespace "
        f"{__version__}"
    )
    return [
        ("device", _given(record.options("trainer"), DEVICES)),
        ("trained", trained),
        ("checkpoint", time.strftime("%Y-%m-%d %H:%M UTC", written)),
        ("versions", versions),
        ("space", f"sha256 {record.space.digest[:16]}"),
    ]


def _epochs(record: RunRecord, done: int) -> str:
    """The epochs that were trained, of those that the config asks for if the run stopped before."""
    asked = record.options("trainer").get("max_epochs")
    stopped = isinstance(asked, int) and done < asked
    return f"{done} of {asked} epochs, not at its end" if stopped else f"{done} epochs"


def _duration(seconds: float) -> str:
    """A duration in hours and minutes, or in minutes and seconds below an hour."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s"
