"""How far reconstructions are from the surfaces they should be.

Lengths are in the unit of the meshes; tables are printed in millimetres of metres.
"""

import csv
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import trimesh

from shapespace.errors import InputError
from shapespace.files import replacing
from shapespace.mesh import components
from shapespace.metrics import NUM_SAMPLES, point_distances, point_to_mesh, surface_points

CONVENTION = (
    "chamfer: mean nearest-point distance between surface samples, both ways, unsquared and halved "
    "(IGR, DGP, DiGS); accuracy: mean exact distance reconstruction -> surface; completeness: "
    "surface -> reconstruction; point-to-mesh: half their sum, free of the sampling floor; "
    f"{NUM_SAMPLES} samples of each surface, the largest component of a reconstruction"
)


@dataclass(frozen=True)
class Score:
    """One reconstruction against its surface, see :data:`CONVENTION`.

    height: length that errors are related to, 1 where there is none; hausdorff: larger one-sided
    maximum between the samples.
    """

    name: str
    chamfer: float
    accuracy: float
    completeness: float
    hausdorff: float
    watertight: bool
    components: int
    height: float = 1.0

    @property
    def point_to_mesh(self) -> float:
        """Half the sum of accuracy and completeness."""
        return 0.5 * (self.accuracy + self.completeness)


def score(
    name: str,
    mesh: trimesh.Trimesh,
    surface: trimesh.Trimesh,
    height: float = 1.0,
    num_samples: int = NUM_SAMPLES,
) -> Score:
    """Measure ``mesh`` against ``surface``, both in one frame.

    An empty ``mesh`` has infinite distances; InputError for an empty ``surface``.
    """
    if len(surface.faces) == 0:
        raise InputError(f"{name}: the surface has no faces, so that nothing can be measured")
    if len(mesh.faces) == 0:
        return Score(name, *4 * [math.inf], watertight=False, components=0, height=height)
    samples, target = surface_points(mesh, num_samples), surface_points(surface, num_samples, 1)
    distances = point_distances(samples, target)
    return Score(
        name,
        distances.chamfer,
        float(point_to_mesh(samples, surface).mean()),
        float(point_to_mesh(target, mesh).mean()),
        distances.hausdorff,
        bool(mesh.is_watertight),
        components(mesh)[0],
        height,
    )


LENGTHS = ("chamfer", "point-to-mesh", "accuracy", "completeness", "hausdorff", "% height")
COLUMNS = ("mm", *LENGTHS, "watertight", "parts")


def rows_in_mm(scores: Sequence[Score]) -> list[list[str]]:
    """The :data:`COLUMNS` of each score, and of the median as the last row."""
    values = np.array([_values(score) for score in scores])
    rows = [
        [s.name, *_shown(row), "yes" if s.watertight else "NO", str(s.components)]
        for s, row in zip(scores, values, strict=True)
    ]
    sound = f"{sum(s.watertight for s in scores)}/{len(scores)}"
    most = str(max(s.components for s in scores))
    return [*rows, ["median", *_shown(np.median(values, axis=0)), sound, most]]


def table(scores: Sequence[Score]) -> str:
    """A readable table in millimetres, one line a shape and the median, with the convention."""
    return "\n".join([aligned([COLUMNS, *rows_in_mm(scores)]), CONVENTION])


def aligned(lines: Sequence[Sequence[str]]) -> str:
    """Lines of cells, one below the other in columns."""
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    text = ["  ".join(c.rjust(w) for c, w in zip(line, widths, strict=True)) for line in lines]
    return "\n".join(text)


def write_scores(scores: Sequence[Score], path: Path) -> None:
    """All scores as CSV, lengths in the unit of the meshes."""
    rows = [{**asdict(item), "point_to_mesh": item.point_to_mesh} for item in scores]
    with replacing(path) as part, part.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def _values(item: Score) -> list[float]:
    lengths = (
        item.chamfer,
        item.point_to_mesh,
        item.accuracy,
        item.completeness,
        item.hausdorff,
    )
    return [1000 * length for length in lengths] + [100 * item.point_to_mesh / item.height]


def _shown(values: Sequence[float] | np.ndarray) -> list[str]:
    return [f"{value:.2f}" for value in values]
