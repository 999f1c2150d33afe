"""All that a run folder and what was measured of it hold, read for a report."""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from shapespace.checkpoint import CHECKPOINT, read_checkpoint
from shapespace.data.sources import Source, find_sources
from shapespace.errors import InputError, one_line
from shapespace.evaluation.scores import SHAPES
from shapespace.evaluation.tables import LengthUnit
from shapespace.space import TrainedSpace
from shapespace.training.statistics import METRICS, read_metrics

CONFIG = "config.yaml"
SCORES = "scores.json"
"""File of an evaluation that holds all numbers."""
DIAGNOSTICS = "last.diagnostics.json"
"""File of ``shapespace diagnose``, beside the checkpoint of the run."""
EARLIER_NAMES = {SCORES: "card.json", DIAGNOSTICS: "last.certificate.json"}
"""What earlier versions called these files; such a file is read where the new one is missing."""
EVALUATION = "evaluation"
"""Folder of an evaluation in its run."""
_EVALUATE = "shapespace evaluate"
_DIAGNOSE = "shapespace diagnose"


@dataclass(frozen=True)
class RunRecord:
    """What is known of a run; what is missing is empty or None.

    folder: of the run. space: of its last checkpoint. content: of that checkpoint, without
    weights. config: as given to ``shapespace train``. metrics: rows of metrics.csv. evaluation:
    folder of what ``shapespace evaluate`` wrote; scores: its scores.json; truths: by name, the
    surfaces that it measured against. diagnostics: of ``shapespace diagnose``. remarks: sentences
    about what is there but was not used.
    """

    folder: Path
    space: TrainedSpace
    content: dict[str, Any]
    config: dict[str, Any]
    metrics: list[dict[str, str]]
    evaluation: Path | None = None
    scores: dict[str, Any] | None = None
    truths: dict[str, Source] = field(default_factory=dict)
    diagnostics: dict[str, Any] | None = None
    remarks: tuple[str, ...] = ()

    @property
    def shapes(self) -> list[dict[str, Any]]:
        """The shapes of the card, none without one."""
        return self.scores.get("shapes", []) if self.scores else []

    @property
    def facts(self) -> dict[str, Any]:
        """How the shapes of the card were made and measured, nothing without one."""
        return self.scores.get("facts", {}) if self.scores else {}

    @property
    def unit(self) -> LengthUnit:
        """Of the lengths of the card: metres, or a unit that nobody named."""
        return "m" if self.facts.get("unit", "m") == "m" else "none"

    def file_of(self, name: str, suffix: str) -> Path | None:
        """A file of a reconstruction, such as its mesh; None if it is not there."""
        path = None if self.evaluation is None else self.evaluation / SHAPES / f"{name}{suffix}"
        return path if path is not None and path.is_file() else None


def read_run(
    run: str | Path, evaluation: str | Path | None = None, truth: str | Path | None = None
) -> RunRecord:
    """Read the folder of a run, and of an evaluation (that in the run, if there is one).

    truth: the true surfaces, by name; where the card says they lie by default, if they still do.
    An evaluation in the run and a certificate of other weights than the checkpoint's are left out.
    InputError if ``run`` holds no checkpoint, an evaluation that is named has no card or is of
    other weights, ``truth`` has no surface of its shapes, or a file is damaged.
    """
    folder = Path(run)
    if not (folder / CHECKPOINT).is_file():
        raise InputError(f"{run}: holds no {CHECKPOINT}; give the folder of a shapespace train")
    space, content = TrainedSpace.load(folder / CHECKPOINT), read_checkpoint(folder / CHECKPOINT)
    remarks: list[str] = []
    found = folder / EVALUATION if evaluation is None else Path(evaluation)
    scores = _scores(found, space, evaluation is not None, remarks)
    return RunRecord(
        folder,
        space,
        {key: value for key, value in content.items() if key not in ("state_dict", "optimizers")},
        _config(folder / CONFIG),
        read_metrics(folder / METRICS),
        None if scores is None else found,
        scores,
        _truths(truth, scores or {}, remarks),
        _diagnostics(folder, space, remarks),
        tuple(remarks),
    )


def file_in(folder: Path, name: str) -> Path:
    """The file of this name, or of its earlier name where only that one is there."""
    path = folder / name
    earlier = folder / EARLIER_NAMES[name]
    return earlier if earlier.is_file() and not path.is_file() else path


def read_object(path: Path, maker: str) -> dict[str, Any] | None:
    """The object in a JSON file, None if there is no such file.

    InputError if it is damaged; maker: the command that makes it.
    """
    if not path.is_file():
        return None
    try:
        found = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: is not JSON ({one_line(error)}); redo {maker}") from error
    if not isinstance(found, dict):
        raise InputError(f"{path}: holds no object; redo {maker}")
    return found


def _scores(
    folder: Path, space: TrainedSpace, named: bool, remarks: list[str]
) -> dict[str, Any] | None:
    """The card of an evaluation; named: whether the user asked for it."""
    path = file_in(folder, SCORES)
    scores = read_object(path, _EVALUATE)
    if scores is None:
        if named:
            raise InputError(f"{folder}: holds no {SCORES}; make it by {_EVALUATE}")
        return None
    shapes, facts = scores.get("shapes", []), scores.get("facts", {})
    if not isinstance(shapes, list) or not isinstance(facts, dict):
        raise InputError(f"{path}: shapes and facts are no list and object; redo {_EVALUATE}")
    if not all(isinstance(shape, dict) and "name" in shape for shape in shapes):
        raise InputError(f"{path}: holds a shape without a name; redo {_EVALUATE}")
    if facts.get("space", space.digest) == space.digest:
        return scores
    if named:
        raise InputError(
            f"{path}: is of other weights than {space.path}; redo {_EVALUATE} into another folder"
        )
    remarks.append(f"{path} is of an earlier state of the run: redo {_EVALUATE}.")
    return None


def _diagnostics(folder: Path, space: TrainedSpace, remarks: list[str]) -> dict[str, Any] | None:
    path = file_in(folder, DIAGNOSTICS)
    found = read_object(path, _DIAGNOSE)
    if found is None or found.get("digest", space.digest) == space.digest:
        return found
    remarks.append(f"{path} is of an earlier state of the run: redo {_DIAGNOSE}.")
    return None


def _truths(
    given: str | Path | None, scores: dict[str, Any], remarks: list[str]
) -> dict[str, Source]:
    """The true surfaces by name, by default from where the card says that they lie."""
    place = scores.get("facts", {}).get("truth") if given is None else given
    if place is None:
        return {}
    try:
        sources = find_sources(Path(place))
    except InputError as error:
        if given is not None:
            raise
        remarks.append(f"Errors on the true surfaces, which are gone ({error}): give --truth.")
        return {}
    found = {source.name: source for source in sources}
    names = [str(shape["name"]) for shape in scores.get("shapes", [])]
    if given is not None and names and not found.keys() & set(names):
        raise InputError(f"{given}: has no surface with the name of a shape such as {names[0]!r}")
    return found


def _config(path: Path) -> dict[str, Any]:
    if not path.is_file():
        return {}
    try:
        found = yaml.safe_load(path.read_text("utf-8"))
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise InputError(f"{path}: is not YAML ({one_line(error)}); remove it") from error
    return found if isinstance(found, dict) else {}
