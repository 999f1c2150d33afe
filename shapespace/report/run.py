"""The files of a run folder and of its evaluation, read for a report.

A run folder may come from anybody. Only regular files below it are read, and no file that they
name: scans, true surfaces and stores come from the command line. A damaged file costs its part of
the page and gives a remark.
"""

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import yaml

from shapespace.checkpoint import CHECKPOINT, EVALUATION, read_checkpoint
from shapespace.config.options import ReadOptions
from shapespace.config.trust import MAX_BYTES, check_limits
from shapespace.data.sources import AnySource, Source, collect_sources, find_sources
from shapespace.errors import InputError, one_line
from shapespace.evaluation.scores import SCORES, check_scores
from shapespace.evaluation.tables import LengthUnit
from shapespace.space import TrainedSpace
from shapespace.training.statistics import METRICS, metrics_of
from shapespace.utils.files import find_inside, read_inside
from shapespace.utils.kinds import kind_of
from shapespace.utils.plain import (
    MOST_JSON,
    is_list_of,
    is_mapping_of,
    is_text,
    is_value,
    json_object,
)

CONFIG = "config.yaml"
"""File of a run: the options of ``shapespace train``."""
SAMPLES_FOLDER = "samples"
"""Folder in the run in which new shapes are looked for."""
DIAGNOSTICS = "last.diagnostics.json"
"""File that ``shapespace diagnose`` writes beside the checkpoint of the run."""
EARLIER_NAMES = {SCORES: "card.json", DIAGNOSTICS: "last.certificate.json"}
"""Names of these files in earlier versions; :func:`name_in` falls back to them."""
MOST_ENTRIES = 1024
"""Most columns, or sentences, of a file of diagnostics that is read."""
_TRAIN = "shapespace train"
_EVALUATE = "shapespace evaluate"
_DIAGNOSE = "shapespace diagnose"
Content = TypeVar("Content")


@dataclass(frozen=True)
class RunRecord:
    """The content of a run folder. A field is empty or None where its file is missing or damaged.

    Args:
        folder: The folder of the run.
        space: The space of the last checkpoint.
        content: The content of that checkpoint without weights and optimiser states.
        config: The options of ``shapespace train``.
        recipe: The text of the file with these options.
        metrics: The rows of metrics.csv.
        evaluation: The folder that ``shapespace evaluate`` wrote.
        scores: The content of the evaluation's scores.json.
        scans: The scans that the user gave, by name.
        truths: The true surfaces that the user gave, by name of the shape.
        diagnostics: The content of the file that ``shapespace diagnose`` wrote.
        reading: How files of scans and true surfaces are read.
        remarks: Sentences about files that exist but are not used; sections add to them.
    """

    folder: Path
    space: TrainedSpace
    content: dict[str, Any]
    config: dict[str, Any]
    recipe: str = ""
    metrics: list[dict[str, str]] = field(default_factory=list)
    evaluation: Path | None = None
    scores: dict[str, Any] | None = None
    scans: Mapping[str, AnySource] = field(default_factory=dict)
    truths: Mapping[str, Source] = field(default_factory=dict)
    diagnostics: dict[str, Any] | None = None
    reading: ReadOptions = ReadOptions()
    remarks: list[str] = field(default_factory=list)

    @property
    def shapes(self) -> list[dict[str, Any]]:
        """The scores of each shape; empty without an evaluation."""
        return self.scores.get("shapes", []) if self.scores else []

    @property
    def facts(self) -> dict[str, Any]:
        """The options and circumstances of the evaluation; empty without an evaluation."""
        return self.scores.get("facts", {}) if self.scores else {}

    @property
    def unit(self) -> LengthUnit:
        """The unit of lengths in the scores: metres, or "none" where the unit is unknown."""
        return "m" if self.facts.get("unit", "m") == "m" else "none"

    def options(self, section: str) -> dict[str, Any]:
        """A section of the config, such as "data"; empty where there is none."""
        found = self.config.get(section)
        return found if isinstance(found, dict) else {}


def read_run(
    run: str | Path,
    evaluation: str | Path | None = None,
    truth: str | Path | None = None,
    scans: Sequence[str | Path] = (),
    reading: ReadOptions = ReadOptions(),
) -> RunRecord:
    """Read the folder of a run and the folder of its evaluation.

    Diagnostics, and an evaluation found by default, are left out with a remark if they are damaged
    or were made from other weights than the checkpoint's.

    Args:
        run: The folder of a training run.
        evaluation: A folder written by ``shapespace evaluate``. By default the folder
            ``evaluation`` in the run, if that exists.
        truth: The true surfaces, by name: a file or folder.
        scans: The scans that were evaluated, by name: files, folders and stores.
        reading: How files of scans and true surfaces are read.

    Raises:
        InputError: ``run`` holds no checkpoint; ``evaluation`` is given and holds no scores,
            damaged ones or scores of other weights; ``truth`` or ``scans`` is given and holds none
            of the evaluated shapes.
    """
    folder = Path(run)
    if folder.is_file():
        kind = kind_of(folder) or "a file"
        raise InputError(f"{run}: is {kind}; give the folder of the run")
    if find_inside(folder, CHECKPOINT) is None:
        raise InputError(f"{run}: holds no {CHECKPOINT}; give the folder of a {_TRAIN}")
    space = TrainedSpace.load(folder / CHECKPOINT)
    content = read_checkpoint(folder / CHECKPOINT)
    remarks: list[str] = []
    found = folder / EVALUATION if evaluation is None else Path(evaluation)
    scores = _scores(folder, found, space, named=evaluation is not None, remarks=remarks)
    names = [shape["name"] for shape in (scores or {}).get("shapes", [])]
    recipe = _tried(lambda: read_inside(folder, CONFIG, most=MAX_BYTES), remarks)
    return RunRecord(
        folder=folder,
        space=space,
        content={key: content[key] for key in content if key not in ("state_dict", "optimizers")},
        config=_config(folder / CONFIG, recipe or b"", remarks),
        recipe=(recipe or b"").decode("utf-8", "replace"),
        metrics=_tried(lambda: _metrics(folder), remarks) or [],
        evaluation=None if scores is None else found,
        scores=scores,
        scans=_scans(scans, names, remarks),
        truths=_truths(truth, names, (scores or {}).get("facts", {}), remarks),
        diagnostics=_diagnostics(folder, space, remarks),
        reading=reading,
        remarks=remarks,
    )


def name_in(folder: Path, *parts: str) -> str:
    """The name of a file below ``folder``, or its earlier name where only that file exists.

    Args:
        folder: The folder of a run or of an evaluation.
        *parts: Names of the folders below it, then a key of :data:`EARLIER_NAMES`.
    """
    *below, name = parts
    earlier = EARLIER_NAMES[name]
    path = folder.joinpath(*below)
    return earlier if os.path.lexists(path / earlier) and not os.path.lexists(path / name) else name


def _object(
    content: bytes | None, path: Path, maker: str, check: Callable[[dict[str, Any]], None]
) -> dict[str, Any] | None:
    """The object in a JSON file.

    Args:
        content: The bytes of the file; None if there is no such file.
        path: The file, for the error.
        maker: The command that writes the file, named in the error.
        check: Raises ValueError for an object that the page cannot use.

    Returns:
        The object, or None if there is no such file.

    Raises:
        InputError: The file is not JSON, holds no object or one that cannot be used.
    """
    if content is None:
        return None
    try:
        found = json_object(content)
        check(found)
    except ValueError as error:
        raise InputError(f"{path}: {one_line(error)}; redo {maker}") from error
    return found


def _tried(read: Callable[[], Content], remarks: list[str]) -> Content | None:
    """What ``read`` gives; None and a remark for a file that cannot be used."""
    try:
        return read()
    except InputError as error:
        remarks.append(f"{error}.")
        return None


def _metrics(folder: Path) -> list[dict[str, str]]:
    """The rows of metrics.csv; [] if there is no such file."""
    content = read_inside(folder, METRICS)
    try:
        return [] if content is None else metrics_of(content.decode("utf-8"))
    except ValueError as error:
        raise InputError(f"{folder / METRICS}: is damaged ({one_line(error)})") from error


def _scores(
    run: Path, folder: Path, space: TrainedSpace, *, named: bool, remarks: list[str]
) -> dict[str, Any] | None:
    """The scores of an evaluation; None if they are missing or of other weights.

    Args:
        run: The folder of the run.
        folder: The folder of the evaluation.
        space: The space of the run.
        named: Whether the user named the folder; missing or old scores are then an error.
        remarks: Gets a sentence about scores that are left out.
    """
    # A folder that the user names may be a link, one that stands in a run folder may not.
    root, below = (folder, ()) if named else (run, (EVALUATION,))
    name = name_in(root, *below, SCORES)
    path = folder / name

    def read() -> dict[str, Any] | None:
        content = read_inside(root, *below, name, most=MOST_JSON)
        return _object(content, path, _EVALUATE, check_scores)

    scores = read() if named else _tried(read, remarks)
    if scores is None:
        if named:
            raise InputError(f"{folder}: holds no {SCORES}; make it by {_EVALUATE}")
        return None
    # Scores without a digest of the weights cannot be checked: they are taken as they are.
    if scores.get("facts", {}).get("space", space.digest) == space.digest:
        return scores
    if named:
        raise InputError(
            f"{path}: is of other weights than {space.path}; redo {_EVALUATE} into another folder"
        )
    remarks.append(f"{path} is of an earlier state of the run: redo {_EVALUATE}.")
    return None


def _diagnostics(folder: Path, space: TrainedSpace, remarks: list[str]) -> dict[str, Any] | None:
    """The diagnostics of the run; None if they are missing, damaged or of other weights."""
    path = folder / name_in(folder, DIAGNOSTICS)

    def read() -> dict[str, Any] | None:
        content = read_inside(folder, path.name, most=MOST_JSON)
        return _object(content, path, _DIAGNOSE, _check_diagnostics)

    found = _tried(read, remarks)
    if found is None or found.get("digest", space.digest) == space.digest:
        return found
    remarks.append(f"{path} is of an earlier state of the run: redo {_DIAGNOSE}.")
    return None


def _check_diagnostics(content: Mapping[str, Any]) -> None:
    """Raise ValueError unless diagnostics, which anybody may have made, are well formed."""
    if not is_list_of(content.get("verdict", []), is_text, MOST_ENTRIES):
        raise ValueError("verdict is no list of sentences")
    if not is_mapping_of(content.get("meaning", {}), is_text, MOST_ENTRIES):
        raise ValueError("meaning holds more than texts")
    if not isinstance(content.get("shapes", []), list):
        raise ValueError("shapes are no list")

    def ends(value: object) -> bool:
        return is_mapping_of(value, is_value, MOST_ENTRIES)

    if not is_mapping_of(content.get("summary", {}), ends, MOST_ENTRIES):
        raise ValueError("summary holds more than numbers by column")


def _scans(
    given: Sequence[str | Path], names: Sequence[str], remarks: list[str]
) -> dict[str, AnySource]:
    """The scans that the user gave, by name."""
    if not given:
        if names:
            remarks.append(
                "Scans and the errors on them: give --scans with the scans that were evaluated; "
                "no file is opened because a file of the run names it."
            )
        return {}
    found = {source.name: source for source in collect_sources([str(path) for path in given])}
    if names and not found.keys() & set(names):
        raise InputError(
            f"{one_line(given[0])}: has no scan with the name of a shape such as {names[0]!r}"
        )
    return found


def _truths(
    given: str | Path | None,
    names: Sequence[str],
    facts: Mapping[str, Any],
    remarks: list[str],
) -> dict[str, Source]:
    """The true surfaces that the user gave, by name."""
    if given is None:
        if facts.get("truth") is not None:
            remarks.append(f"Errors on the true surfaces: give --truth, as to {_EVALUATE}.")
        return {}
    found = {source.name: source for source in find_sources(Path(given))}
    if names and not found.keys() & set(names):
        raise InputError(f"{given}: has no surface with the name of a shape such as {names[0]!r}")
    return found


def _config(path: Path, content: bytes, remarks: list[str]) -> dict[str, Any]:
    """The options of the run; empty, with a remark, if the file holds no plain mapping."""
    try:
        text = content.decode("utf-8")
        check_limits(text)
        found = yaml.safe_load(text)
    except (ValueError, TypeError, yaml.YAMLError) as error:
        remarks.append(f"{path}: is not plain YAML ({one_line(error)}); its options are left out.")
        return {}
    return found if isinstance(found, dict) else {}
