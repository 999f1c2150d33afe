"""All that a run folder and what was measured of it hold, read for a report."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from shapespace.callbacks import METRICS, read_metrics
from shapespace.checkpoint import CHECKPOINT, read_checkpoint
from shapespace.errors import InputError, one_line
from shapespace.space import TrainedSpace

CONFIG, CARD, CERTIFICATE = "config.yaml", "card.json", "last.certificate.json"
"""Files of a run, of an evaluation, and of a certificate, which lies beside its checkpoint."""
EVALUATION, SHAPES = "evaluation", "shapes"
"""Folders: of an evaluation in its run, of the reconstructions in an evaluation."""


@dataclass(frozen=True)
class RunRecord:
    """What is known of a run; what is missing is empty or None.

    folder: of the run. space: of its last checkpoint. content: of that checkpoint, without
    weights. config: as given to ``shapespace fit``. metrics: rows of metrics.csv. evaluation:
    folder of what ``shapespace evaluate`` wrote; card: its card.json; truth: where the surfaces lie
    that it measured against. certificate: of ``shapespace certify``.
    """

    folder: Path
    space: TrainedSpace
    content: dict[str, Any]
    config: dict[str, Any]
    metrics: list[dict[str, str]]
    evaluation: Path | None = None
    card: dict[str, Any] | None = None
    truth: Path | None = None
    certificate: dict[str, Any] | None = None

    @property
    def shapes(self) -> list[dict[str, Any]]:
        """The shapes of the card, none without one."""
        return self.card.get("shapes", []) if self.card else []

    @property
    def metres(self) -> bool:
        """Whether lengths of the card are in metres, not in a unit that nobody named."""
        return self.card is None or self.card.get("facts", {}).get("unit", "m") == "m"

    def file_of(self, name: str, suffix: str) -> Path | None:
        """A file of a reconstruction, such as its mesh; None if it is not there."""
        path = None if self.evaluation is None else self.evaluation / SHAPES / f"{name}{suffix}"
        return path if path is not None and path.is_file() else None


def read_run(
    run: str | Path, evaluation: str | Path | None = None, truth: str | Path | None = None
) -> RunRecord:
    """Read the folder of a run, and of an evaluation (that in the run, if there is one).

    truth: the true surfaces, by name; where the card says they lie by default, if it does.
    InputError if ``run`` holds no checkpoint, an evaluation that is named no card, or a file is
    damaged.
    """
    folder = Path(run)
    if not (folder / CHECKPOINT).is_file():
        raise InputError(f"{run}: holds no {CHECKPOINT}; give the folder of a shapespace fit")
    found = folder / EVALUATION if evaluation is None else Path(evaluation)
    card = _json(found / CARD, "shapespace evaluate")
    if card is None and evaluation is not None:
        raise InputError(f"{evaluation}: holds no {CARD}; make it by shapespace evaluate")
    if truth is None and card is not None:
        truth = card.get("facts", {}).get("truth")
    content = read_checkpoint(folder / CHECKPOINT)
    return RunRecord(
        folder,
        TrainedSpace.load(folder / CHECKPOINT),
        {key: value for key, value in content.items() if key not in ("state_dict", "optimizers")},
        _config(folder / CONFIG),
        read_metrics(folder / METRICS),
        None if card is None else found,
        card,
        None if truth is None else Path(truth),
        _json(folder / CERTIFICATE, "shapespace certify"),
    )


def _json(path: Path, maker: str) -> dict[str, Any] | None:
    """The object in a file, None if there is no such file."""
    if not path.is_file():
        return None
    try:
        found = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: is not JSON ({one_line(error)}); redo {maker}") from error
    if not isinstance(found, dict):
        raise InputError(f"{path}: holds no object; redo {maker}")
    return found


def _config(path: Path) -> dict[str, Any]:
    if not path.is_file():
        return {}
    try:
        found = yaml.safe_load(path.read_text("utf-8"))
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise InputError(f"{path}: is not YAML ({one_line(error)}); remove it") from error
    return found if isinstance(found, dict) else {}
