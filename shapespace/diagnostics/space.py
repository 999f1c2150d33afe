"""Diagnostics of a space: the sampled diagnostics of some shapes, a verdict and a JSON file.

Lengths are in the unit of the space.
"""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from shapespace.config.options import DiagnosticsOptions
from shapespace.decoders.derivatives import FirstOrderDistance
from shapespace.diagnostics.sdf import (
    FACTS,
    LOW_IS_WORSE,
    MEANING,
    OFF,
    SdfDiagnostics,
    diagnose_field,
)
from shapespace.errors import InputError, at_least
from shapespace.objectives.base import FIELDS
from shapespace.space import TrainedSpace
from shapespace.utils.files import read_lines, replacing
from shapespace.utils.progress import progress
from shapespace.utils.text import aligned, significant

HEAD = {
    "gradient_rms_space": "|g|-1 box",
    "gradient_rms_near": "|g|-1 near",
    "distance_rmse_space": "|f|-d box",
    "distance_rmse_near": "|f|-d near",
    "sign_errors": "signs",
    "ghost_share": "ghosts",
    "sheets": "sheets",
    "lipschitz_found": "max |g|",
    "safe_factor": "factor",
    "overshoot_one": "through f",
    "overshoot_safe": "through safe",
}
"""Columns of the short table -> their headings."""
LEGEND = (
    "|g|-1, |f|-d: root mean squares of |grad f| - 1 and of |f| minus the distance, in the box and "
    "near the surface; signs: share of the box where the sign of f is not that of the zero set; "
    "ghosts: share of the box where the sign of f is not that of the largest component; sheets: "
    "components beside the largest; max |g|: largest |grad f| found; factor: factor of safe steps; "
    "through: share of rays with a step through the surface, with steps of f and with safe steps"
)
"""Explanation of the headings, printed below the short table."""


@dataclass(frozen=True)
class DiagnosedSpace:
    """Diagnostics of at least one shape of a space.

    Args:
        space: the space.
        settings: options of the sampling.
        shapes: name -> diagnostics.
    """

    space: TrainedSpace
    settings: DiagnosticsOptions
    shapes: Mapping[str, SdfDiagnostics]

    @property
    def summary(self) -> dict[str, dict[str, float | None]]:
        """Column -> median and worst value over the shapes that have the column."""
        columns = [name for name in MEANING if name not in FACTS]
        return {name: {"median": self.median(name), "worst": self.worst(name)} for name in columns}

    def median(self, column: str) -> float | None:
        """Median of a column over the shapes that have the column; None if no shape has it."""
        values = self._values(column)
        return float(np.median(values)) if values else None

    def worst(self, column: str) -> float | None:
        """Value of a column that is farthest from that of a distance; None if no shape has one."""
        values = self._values(column)
        if not values:
            return None
        return min(values) if column in LOW_IS_WORSE else max(values, key=abs)

    def ordered(self) -> list[str]:
        """Names of the shapes from best to worst: by distance, without distances by gradient."""
        return sorted(self.shapes, key=lambda name: _badness(self.shapes[name]))

    def plain(self) -> dict[str, Any]:
        """Settings, numbers, their meaning, summary and verdict as plain data for JSON."""
        return {
            "checkpoint": str(self.space.path),
            "digest": self.space.digest,
            "settings": {
                **asdict(self.settings),
                "extent": self.space.extent,
                "unit": self.space.unit,
                "field": self.space.kind,
            },
            "meaning": MEANING,
            "shapes": [
                {"name": name, **shape.numbers, "remarks": list(shape.remarks)}
                for name, shape in self.shapes.items()
            ],
            "summary": self.summary,
            "verdict": verdict(self),
        }

    def rows(self) -> list[list[str]]:
        """Rows of the short table: :data:`HEAD` of each shape, then median and worst."""
        rows = [
            [name, *(significant(shape.numbers[column]) for column in HEAD)]
            for name, shape in self.shapes.items()
        ]
        ends = (("median", self.median), ("worst", self.worst))
        return [
            *rows,
            *([name, *(significant(of(column)) for column in HEAD)] for name, of in ends),
        ]

    def text(self) -> str:
        """The verdict, and the short table with its legend."""
        lines = aligned([["", *HEAD.values()], *self.rows()])
        return "\n".join([*verdict(self), "", *lines, LEGEND])

    def _values(self, column: str) -> list[float]:
        values = [shape.numbers[column] for shape in self.shapes.values()]
        return [value for value in values if value is not None]


def diagnose_space(
    space: TrainedSpace,
    names: Sequence[str] | None = None,
    num_shapes: int = 8,
    settings: DiagnosticsOptions | None = None,
) -> DiagnosedSpace:
    """Diagnose training shapes of a space.

    Args:
        space: the space.
        names: names of the shapes, or the path of one text file with a name on each line; None
            takes ``num_shapes`` shapes at equal steps from the first to the last.
        num_shapes: number of shapes without ``names``.
        settings: options of the sampling.

    Raises:
        InputError: for an unknown name, or an option out of its range.
    """
    settings = settings or DiagnosticsOptions()
    at_least(1, num_shapes=num_shapes, num_points=settings.num_points, num_rays=settings.num_rays)
    at_least(0, seed=settings.seed)
    at_least(2, resolution=settings.resolution)
    codes = {name: space.code(name) for name in _chosen(space, names, num_shapes)}
    options = {**asdict(settings), "dimension": space.decoder.dimension}
    shapes = {
        name: diagnose_field(space.metric, code, space.extent, **options)
        for name, code in progress(codes.items(), "diagnose", unit="shape")
    }
    return DiagnosedSpace(space, settings, shapes)


def write_diagnostics(diagnosed: DiagnosedSpace, path: Path) -> Path:
    """Write all numbers as JSON to ``path``; returns the path."""
    with replacing(path) as temporary:
        temporary.write_text(
            json.dumps(diagnosed.plain(), indent=1, allow_nan=False) + "\n", "utf-8"
        )
    return path


def _chosen(space: TrainedSpace, names: Sequence[str] | None, count: int) -> Sequence[str]:
    """Names of the shapes to diagnose."""
    if names is None:
        rows = np.linspace(0, len(space.names) - 1, min(count, len(space.names))).round()
        return [space.names[int(row)] for row in rows]
    if len(names) == 1 and names[0] not in space.names and Path(names[0]).is_file():
        names = read_lines(names[0])
    if not names:
        raise InputError(
            "names=: no name is given; give names, or leave names out to diagnose some shapes"
        )
    return names


def _badness(shape: SdfDiagnostics) -> tuple[float, float]:
    """Key that sorts shapes from best to worst; a shape without a surface is worst."""
    distance = shape["distance_rmse_space"]
    return math.inf if math.isnan(distance) else distance, shape["gradient_rms_space"]


def verdict(diagnosed: DiagnosedSpace) -> list[str]:
    """The verdict: sentences that put the numbers of all shapes into words.

    Sentences about numbers that no shape has are left out.
    """
    return [
        *_kind(diagnosed.space),
        *_distance(diagnosed),
        *_gradient(diagnosed),
        *_steps(diagnosed),
        *_bounds(diagnosed),
        *_sheets(diagnosed),
        *_signs(diagnosed),
        *_remarks(diagnosed),
    ]


def _ends(diagnosed: DiagnosedSpace, column: str, factor: float = 1.0, unit: str = "") -> str:
    """Median of a column and, in brackets, its worst value, both times ``factor``."""
    median = diagnosed.median(column)
    worst = diagnosed.worst(column)
    if median is None or worst is None:
        return "unknown"
    return f"{significant(factor * median)}{unit} (worst {significant(factor * worst)}{unit})"


def _percent(diagnosed: DiagnosedSpace, column: str) -> str:
    """The ends of a column of shares, in percent."""
    return _ends(diagnosed, column, factor=100.0, unit=" %")


def _kind(space: TrainedSpace) -> list[str]:
    metric = space.metric
    if not isinstance(metric, FirstOrderDistance):
        return []
    return [
        f"The field is {FIELDS[space.kind]}, not a distance: in all numbers f stands for "
        f"f / |grad f|, the distance to first order, with |grad f| at least "
        f"{significant(metric.least)}; the usual |grad f| at the surface is "
        f"{significant(metric.slope)}."
    ]


def _distance(diagnosed: DiagnosedSpace) -> list[str]:
    if diagnosed.median("size") is None:
        return []
    unit = f" {diagnosed.space.unit}"
    box = _ends(diagnosed, "distance_rmse_space", unit=unit)
    near = _ends(diagnosed, "distance_rmse_near", unit=unit)
    mesh_error = significant(diagnosed.worst("mesh_error"))
    return [
        f"As a distance, |f| is off by {_percent(diagnosed, 'distance_relative_space')} at the "
        f"median sample of the box. The root mean square error is {box} in the box and {near} near "
        f"the surface, for shapes of size {significant(diagnosed.median('size'))}{unit}. The mesh "
        f"that stands for the zero set is itself off by up to {mesh_error}{unit} at 95 % of its "
        "area."
    ]


def _gradient(diagnosed: DiagnosedSpace) -> list[str]:
    text = (
        f"|grad f| differs from 1 by more than {OFF} at "
        f"{_percent(diagnosed, 'gradient_off_space')} of the samples of the box"
    )
    if diagnosed.median("gradient_off_near") is None:
        return [text + "."]
    return [
        f"{text} and at {_percent(diagnosed, 'gradient_off_near')} of those near the surface. Of "
        f"the samples near the surface, {_percent(diagnosed, 'medial_share_near')} lie beside the "
        "medial axis, where no smooth field is a distance: the root mean square of |grad f| - 1 is "
        f"{_ends(diagnosed, 'medial_rms_near')} there and "
        f"{_ends(diagnosed, 'medial_else_rms_near')} at all other samples near the surface."
    ]


def _steps(diagnosed: DiagnosedSpace) -> list[str]:
    factor = diagnosed.worst("safe_factor")
    overshot = diagnosed.worst("overshoot_safe")
    if factor is None:
        return []
    text = f"The safe factor for steps of sphere tracing is {significant(factor)}"
    if overshot is None:
        return [text + " (not tried: no surface)."]
    passed = diagnosed.worst("passed_safe") or 0.0
    return [
        f"{text}. With steps of f, {_percent(diagnosed, 'overshoot_one')} of "
        f"{diagnosed.settings.num_rays} rays for each shape go through the surface and "
        f"{_percent(diagnosed, 'passed_one')} miss the front of the shape. With the factor of each "
        f"shape, at most {significant(100 * overshot)} % go through and at most "
        f"{significant(100 * passed)} % miss it, at {_ends(diagnosed, 'steps_safe')} evaluations "
        f"of f on a ray in place of {_ends(diagnosed, 'steps_one')}."
    ]


def _bounds(diagnosed: DiagnosedSpace) -> list[str]:
    found = diagnosed.worst("lipschitz_found")
    certain = diagnosed.worst("lipschitz_certain")
    if found is None:
        return []
    bound = (
        "no upper bound is known"
        if certain is None
        else f"the guaranteed upper bound is {significant(certain)}"
    )
    return [f"The largest |grad f| found is {significant(found)}. This is sampled; {bound}."]


def _sheets(diagnosed: DiagnosedSpace) -> list[str]:
    counts = {name: shape["sheets"] for name, shape in diagnosed.shapes.items()}
    with_more = [name for name, count in counts.items() if count > 0]
    if diagnosed.median("sheets") is None:
        return []
    if not with_more:
        return ["No shape has a second component of its zero set."]
    most = max(with_more, key=lambda name: counts[name])
    share = significant(100 * (diagnosed.worst("sheet_area") or 0.0), 2)
    farthest = significant(diagnosed.worst("sheet_farthest"))
    return [
        f"{len(with_more)} of {len(counts)} shapes have extra components of the zero set; {most} "
        f"has the most, {counts[most]:.0f} extra. The extra components make up at most {share} % "
        f"of the area and reach up to {farthest} {diagnosed.space.unit} from the shape."
    ]


def _signs(diagnosed: DiagnosedSpace) -> list[str]:
    wrong = diagnosed.worst("sign_errors")
    ghosts = diagnosed.worst("ghost_share")
    if wrong is None or ghosts is None:
        return []
    count = diagnosed.settings.num_points
    if not wrong and not ghosts:
        return [
            f"The sign of f is right at all {count} samples of the box, except those within a cell "
            "of the surface, which are not checked."
        ]
    return [
        f"The sign of f differs from that of the meshed zero set at up to "
        f"{significant(100 * wrong)} % of the {count} samples of the box, and from that of its "
        f"largest component at up to {significant(100 * ghosts)} %."
    ]


def _remarks(diagnosed: DiagnosedSpace) -> list[str]:
    return [
        f"{name}: {text}." for name, shape in diagnosed.shapes.items() for text in shape.remarks
    ]
