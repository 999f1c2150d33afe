"""The files of a run folder and of its evaluation, read for a report."""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from shapespace.checkpoint import CHECKPOINT, read_checkpoint
from shapespace.data.sources import Source, find_sources
from shapespace.errors import InputError, one_line
from shapespace.evaluation.scores import SCORES, SHAPES
from shapespace.evaluation.tables import LengthUnit
from shapespace.space import TrainedSpace
from shapespace.training.statistics import METRICS, read_metrics

CONFIG = "config.yaml"
"""File of a run: the options of ``shapespace train``."""
EVALUATION = "evaluation"
"""Folder in the run that holds its evaluation."""
DIAGNOSTICS = "last.diagnostics.json"
"""File that ``shapespace diagnose`` writes beside the checkpoint of the run."""
EARLIER_NAMES = {SCORES: "card.json", DIAGNOSTICS: "last.certificate.json"}
"""Names of these files in earlier versions; :func:`file_in` falls back to them."""
_EVALUATE = "shapespace evaluate"
_DIAGNOSE = "shapespace diagnose"


@dataclass(frozen=True)
class RunRecord:
    """The content of a run folder. A field is empty or None where its file is missing.

    Args:
        folder: The folder of the run.
        space: The space of the last checkpoint.
        content: The content of that checkpoint without weights and optimiser states.
        config: The options of ``shapespace train``.
        metrics: The rows of metrics.csv.
        evaluation: The folder that ``shapespace evaluate`` wrote.
        scores: The content of the evaluation's scores.json.
        truths: The true surfaces that the evaluation measured against, by name of the shape.
        diagnostics: The content of the file that ``shapespace diagnose`` wrote.
        remarks: Sentences about files that exist but are not used.
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

    def file_of(self, name: str, suffix: str) -> Path | None:
        """The path of a file of a reconstruction; None if there is no such file.

        Args:
            name: The name of the shape.
            suffix: The ending of the file, such as ".ply" for the mesh.
        """
        path = None if self.evaluation is None else self.evaluation / SHAPES / f"{name}{suffix}"
        return path if path is not None and path.is_file() else None


def read_run(
    run: str | Path, evaluation: str | Path | None = None, truth: str | Path | None = None
) -> RunRecord:
    """Read the folder of a run and the folder of its evaluation.

    Diagnostics, and an evaluation found by default, are left out with a remark if they were made
    from other weights than the checkpoint's.

    Args:
        run: The folder of a training run.
        evaluation: A folder written by ``shapespace evaluate``. By default the folder
            ``evaluation`` in the run, if that exists.
        truth: The true surfaces, by name. By default the place that the scores name, if the
            surfaces are still there.

    Raises:
        InputError: ``run`` holds no checkpoint; ``evaluation`` is given and holds no scores, or
            scores of other weights; ``truth`` is given and holds no surface of the evaluated
            shapes; or a file is damaged.
    """
    folder = Path(run)
    if not (folder / CHECKPOINT).is_file():
        raise InputError(f"{run}: holds no {CHECKPOINT}; give the folder of a shapespace train")
    space = TrainedSpace.load(folder / CHECKPOINT)
    content = read_checkpoint(folder / CHECKPOINT)
    remarks: list[str] = []
    found = folder / EVALUATION if evaluation is None else Path(evaluation)
    scores = _scores(found, space, named=evaluation is not None, remarks=remarks)
    return RunRecord(
        folder=folder,
        space=space,
        content={key: content[key] for key in content if key not in ("state_dict", "optimizers")},
        config=_config(folder / CONFIG),
        metrics=read_metrics(folder / METRICS),
        evaluation=None if scores is None else found,
        scores=scores,
        truths=_truths(truth, scores or {}, remarks),
        diagnostics=_diagnostics(folder, space, remarks),
        remarks=tuple(remarks),
    )


def file_in(folder: Path, name: str) -> Path:
    """The path of a file in ``folder``, under its earlier name where only that file exists.

    Args:
        folder: The folder of a run or of an evaluation.
        name: A key of :data:`EARLIER_NAMES`.
    """
    path = folder / name
    earlier = folder / EARLIER_NAMES[name]
    return earlier if earlier.is_file() and not path.is_file() else path


def read_object(path: Path, maker: str) -> dict[str, Any] | None:
    """Read a JSON file that holds one object.

    Args:
        path: The file.
        maker: The command that writes the file, named in the error.

    Returns:
        The object, or None if there is no such file.

    Raises:
        InputError: The file is not JSON or holds no object.
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
    """The scores of an evaluation; None if they are missing or of other weights.

    Args:
        folder: The folder of the evaluation.
        space: The space of the run.
        named: Whether the user named the folder; missing or old scores are then an error.
        remarks: Gets a sentence about scores that are left out.
    """
    path = file_in(folder, SCORES)
    scores = read_object(path, _EVALUATE)
    if scores is None:
        if named:
            raise InputError(f"{folder}: holds no {SCORES}; make it by {_EVALUATE}")
        return None
    shapes = scores.get("shapes", [])
    facts = scores.get("facts", {})
    if not isinstance(shapes, list) or not isinstance(facts, dict):
        raise InputError(f"{path}: shapes and facts are no list and object; redo {_EVALUATE}")
    if not all(isinstance(shape, dict) and "name" in shape for shape in shapes):
        raise InputError(f"{path}: holds a shape without a name; redo {_EVALUATE}")
    # Scores without a digest of the weights cannot be checked: they are taken as they are.
    if facts.get("space", space.digest) == space.digest:
        return scores
    if named:
        raise InputError(
            f"{path}: is of other weights than {space.path}; redo {_EVALUATE} into another folder"
        )
    remarks.append(f"{path} is of an earlier state of the run: redo {_EVALUATE}.")
    return None


def _diagnostics(folder: Path, space: TrainedSpace, remarks: list[str]) -> dict[str, Any] | None:
    """The diagnostics of the run; None if they are missing or of other weights."""
    path = file_in(folder, DIAGNOSTICS)
    found = read_object(path, _DIAGNOSE)
    if found is None or found.get("digest", space.digest) == space.digest:
        return found
    remarks.append(f"{path} is of an earlier state of the run: redo {_DIAGNOSE}.")
    return None


def _truths(
    given: str | Path | None, scores: dict[str, Any], remarks: list[str]
) -> dict[str, Source]:
    """The true surfaces by name, from ``given`` or from the place that the scores name."""
    location = scores.get("facts", {}).get("truth") if given is None else given
    if location is None:
        return {}
    try:
        sources = find_sources(Path(location))
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
    """The options of the run; empty if the file is missing or holds no mapping."""
    if not path.is_file():
        return {}
    try:
        found = yaml.safe_load(path.read_text("utf-8"))
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise InputError(f"{path}: is not YAML ({one_line(error)}); remove it") from error
    return found if isinstance(found, dict) else {}
