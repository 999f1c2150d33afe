"""Diagnostics of a space: the sampled diagnostics of some shapes, a verdict, and a JSON file.

Lengths are in the unit of the space.
"""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from shapespace.diagnostics.sdf import (
    FACTS,
    LOW_IS_WORSE,
    MEANING,
    OFF,
    SdfDiagnostics,
    diagnose_field,
)
from shapespace.errors import InputError, at_least
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
"""Columns of the short table, with their headings there."""
LEGEND = (
    "|g|-1, |f|-d: root mean squares of |grad f| - 1 and of |f| less the distance, in the box and "
    "near the surface; signs, ghosts: shares of the box with another sign than the zero set's, "
    "than its largest component's; sheets: further components; factor: of safe steps; through: "
    "shares of rays of which a step goes through the surface, with steps of f and safe ones"
)


@dataclass(frozen=True)
class DiagnosticsOptions:
    """What the numbers depend on beside the checkpoint; see :func:`diagnose_field`."""

    num_points: int = 50_000
    seed: int = 0
    resolution: int = 128
    num_rays: int = 1024


@dataclass(frozen=True)
class DiagnosedSpace:
    """Diagnostics of at least one shape of a space, by the name of the shape."""

    space: TrainedSpace
    settings: DiagnosticsOptions
    shapes: Mapping[str, SdfDiagnostics]

    @property
    def summary(self) -> dict[str, dict[str, float | None]]:
        """Median and worst of each column over the shapes that have it."""
        columns = [name for name in MEANING if name not in FACTS]
        return {name: {"median": self.median(name), "worst": self.worst(name)} for name in columns}

    def median(self, column: str) -> float | None:
        """The median of a column; None where no shape has it."""
        values = self._values(column)
        return float(np.median(values)) if values else None

    def worst(self, column: str) -> float | None:
        """The value of a column that is farthest from what a distance has."""
        values = self._values(column)
        by = abs if column not in LOW_IS_WORSE else float.__neg__
        return max(values, key=by) if values else None

    def ordered(self) -> list[str]:
        """Names of the shapes, the best first: by distance, or where there is none by gradient."""
        return sorted(self.shapes, key=lambda name: _badness(self.shapes[name]))

    def plain(self) -> dict[str, Any]:
        """All of it as plain data."""
        return {
            "checkpoint": str(self.space.path),
            "digest": self.space.digest,
            "settings": {
                **asdict(self.settings),
                "extent": self.space.extent,
                "unit": self.space.unit,
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
        """The columns of :data:`HEAD` of each shape, then median and worst."""
        rows = [
            [name, *(significant(s.numbers[c]) for c in HEAD)] for name, s in self.shapes.items()
        ]
        ends = (("median", self.median), ("worst", self.worst))
        return [
            *rows,
            *([name, *(significant(of(column)) for column in HEAD)] for name, of in ends),
        ]

    def text(self) -> str:
        """A readable table, what its columns mean, and the verdict."""
        lines = aligned([["", *HEAD.values()], *self.rows()])
        return "\n".join([*lines, LEGEND, "", *verdict(self)])

    def _values(self, column: str) -> list[float]:
        return [v for s in self.shapes.values() if (v := s.numbers[column]) is not None]


def diagnose_space(
    space: TrainedSpace,
    names: Sequence[str] | None = None,
    num_shapes: int = 8,
    settings: DiagnosticsOptions | None = None,
) -> DiagnosedSpace:
    """Measure training shapes of a space.

    names: of the shapes, or one text file with them; None takes ``num_shapes`` evenly from the
    first to the last. InputError for a name that is not there.
    """
    settings = settings or DiagnosticsOptions()
    at_least(1, num_shapes=num_shapes, num_points=settings.num_points, num_rays=settings.num_rays)
    at_least(0, seed=settings.seed)
    at_least(2, resolution=settings.resolution)
    codes = {name: space.code(name) for name in _chosen(space, names, num_shapes)}
    options = {**asdict(settings), "dimension": space.decoder.dimension}
    shapes = {
        name: diagnose_field(space.decoder, code, space.extent, **options)
        for name, code in progress(codes.items(), "diagnose", unit="shape")
    }
    return DiagnosedSpace(space, settings, shapes)


def write_diagnostics(diagnosed: DiagnosedSpace, path: Path) -> Path:
    """Write all numbers as JSON; the file."""
    with replacing(path) as part:
        part.write_text(json.dumps(diagnosed.plain(), indent=1, allow_nan=False) + "\n", "utf-8")
    return path


def _chosen(space: TrainedSpace, names: Sequence[str] | None, count: int) -> Sequence[str]:
    if names is None:
        rows = np.linspace(0, len(space.names) - 1, min(count, len(space.names))).round()
        return [space.names[int(row)] for row in rows]
    if len(names) == 1 and names[0] not in space.names and Path(names[0]).is_file():
        names = read_lines(names[0])
    if not names:
        raise InputError("names: none is given; leave it out for some of all shapes")
    return names


def _badness(shape: SdfDiagnostics) -> tuple[float, float]:
    distance = shape["distance_rmse_space"]
    return math.inf if math.isnan(distance) else distance, shape["gradient_rms_space"]


def verdict(diagnosed: DiagnosedSpace) -> list[str]:
    """What the numbers say, in sentences."""
    parts = (_distance, _gradient, _steps, _bounds, _sheets, _signs, _remarks)
    return [sentence for part in parts for sentence in part(diagnosed)]


def _ends(diagnosed: DiagnosedSpace, column: str, factor: float = 1.0, unit: str = "") -> str:
    """A column as its median and, in brackets, its worst."""
    median, worst = diagnosed.median(column), diagnosed.worst(column)
    if median is None or worst is None:
        return "unknown"
    return f"{factor * median:.3g}{unit} (worst {factor * worst:.3g}{unit})"


def _distance(diagnosed: DiagnosedSpace) -> list[str]:
    if diagnosed.median("size") is None:
        return []
    unit = f" {diagnosed.space.unit}"
    box, near = (_ends(diagnosed, f"distance_rmse_{r}", 1.0, unit) for r in ("space", "near"))
    return [
        "As a distance |f| is off by "
        f"{_ends(diagnosed, 'distance_relative_space', 100.0, ' %')} at a median place of the box; "
        f"root mean square {box} in the box and {near} near the surface, of shapes of size "
        f"{significant(diagnosed.median('size'))}{unit}. The mesh that stands for the zero set is "
        f"itself off by up to {significant(diagnosed.worst('mesh_error'))}{unit} at 95 % of its "
        "area."
    ]


def _gradient(diagnosed: DiagnosedSpace) -> list[str]:
    text = (
        f"|grad f| is off from 1 by more than {OFF} at "
        f"{_ends(diagnosed, 'gradient_off_space', 100.0, ' %')} of the box"
    )
    if diagnosed.median("gradient_off_near") is None:
        return [text + "."]
    return [
        f"{text}, {_ends(diagnosed, 'gradient_off_near', 100.0, ' %')} near the surface. Near it "
        f"{_ends(diagnosed, 'medial_share_near', 100.0, ' %')} of the places have a medial axis "
        "beside them, where no smooth field is a distance; there the root mean square of "
        f"|grad f| - 1 is {_ends(diagnosed, 'medial_rms_near')}, elsewhere near the surface "
        f"{_ends(diagnosed, 'medial_else_rms_near')}."
    ]


def _steps(diagnosed: DiagnosedSpace) -> list[str]:
    factor, through = diagnosed.worst("safe_factor"), diagnosed.worst("overshoot_safe")
    if factor is None:
        return []
    text = f"Steps of sphere tracing are to be multiplied with {factor:.3g} to be safe"
    if through is None:
        return [text + " (not tried: no surface)."]
    passed = diagnosed.worst("passed_safe") or 0.0
    return [
        f"{text}: of {diagnosed.settings.num_rays} rays a shape, "
        f"{_ends(diagnosed, 'overshoot_one', 100.0, ' %')} go through the surface with steps of f "
        f"and {_ends(diagnosed, 'passed_one', 100.0, ' %')} miss a part of it; with each shape's "
        f"own factor at most {100 * through:.3g} % and {100 * passed:.3g} %, for "
        f"{_ends(diagnosed, 'steps_safe')} evaluations a ray in place of "
        f"{_ends(diagnosed, 'steps_one')}."
    ]


def _bounds(diagnosed: DiagnosedSpace) -> list[str]:
    found, certain = diagnosed.worst("lipschitz_found"), diagnosed.worst("lipschitz_certain")
    if found is None:
        return []
    bound = "no bound of it is guaranteed" if certain is None else f"guaranteed is {certain:.3g}"
    return [f"The steepest place met has |grad f| = {found:.3g}, which is no guarantee: {bound}."]


def _sheets(diagnosed: DiagnosedSpace) -> list[str]:
    counts = {name: shape["sheets"] for name, shape in diagnosed.shapes.items()}
    with_more = [name for name, count in counts.items() if count > 0]
    if diagnosed.median("sheets") is None:
        return []
    if not with_more:
        return ["No shape has a second component of its zero set."]
    most = max(with_more, key=lambda name: counts[name])
    return [
        f"{len(with_more)} of {len(counts)} shapes have more than one component of their zero set, "
        f"{most} the most: {counts[most]:.0f} extra. They are at most "
        f"{100 * (diagnosed.worst('sheet_area') or 0):.2g} % of the area and reach up to "
        f"{significant(diagnosed.worst('sheet_farthest'))} {diagnosed.space.unit} from the shape."
    ]


def _signs(diagnosed: DiagnosedSpace) -> list[str]:
    worst, ghosts = diagnosed.worst("sign_errors"), diagnosed.worst("ghost_share")
    if worst is None or ghosts is None:
        return []
    if not worst and not ghosts:
        return [
            f"The sign is right at all {diagnosed.settings.num_points} places of the box, within a "
            "cell of the surface not looked at."
        ]
    return [
        f"The sign differs from that of the meshed zero set at up to {100 * worst:.3g} % of the "
        f"{diagnosed.settings.num_points} places of the box, from that of its largest component "
        f"at up to {100 * ghosts:.3g} %."
    ]


def _remarks(diagnosed: DiagnosedSpace) -> list[str]:
    return [f"{n}: {text}." for n, shape in diagnosed.shapes.items() for text in shape.remarks]
