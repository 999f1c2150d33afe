"""What every column of the scores means: one sentence each, with formula and source."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

LETTERS = (
    "P is what is measured, T its target (a true surface or a raw scan); d(x, S) is the distance "
    "of x to the nearest point of S; mean_P, median_P, max_P go over samples of P, as mean_T over T"
)
"""What the formulas are written in."""
Kind = Literal[
    "length", "squared length", "area", "volume", "share", "count", "seconds", "yes or no"
]


@dataclass(frozen=True)
class Definition:
    """kind: of the numbers, which says their unit; text: what they are."""

    kind: Kind
    text: str


DISTANCES: dict[str, Definition] = {
    "chamfer_to": Definition("length", "mean_P d(x, samples of T), one-sided"),
    "chamfer_from": Definition(
        "length", "mean_T d(x, samples of P), one-sided (IGR, DiGS: scan -> reconstruction)"
    ),
    "chamfer_half_unsquared": Definition(
        "length",
        "(mean_P d(x, T) + mean_T d(x, P)) / 2, between samples (IGR, DGP, DiGS on SRB; the "
        "Chamfer-L1 of Occupancy Networks)",
    ),
    "chamfer_l2_half_squared": Definition(
        "squared length", "(mean_P d(x, T)^2 + mean_T d(x, P)^2) / 2 (Occupancy Networks CD-L2)"
    ),
    "chamfer_sum_squared": Definition(
        "squared length",
        "mean_P d(x, T)^2 + mean_T d(x, P)^2, not halved (SAL and DeepSDF at 30000 samples, "
        "AtlasNet at 2500)",
    ),
    "chamfer_l1_times_10": Definition(
        "length", "10 (mean_P d(x, T) + mean_T d(x, P)) / 2 (N2NM, NKSR: CD-L1 x 10)"
    ),
    "median_to": Definition("length", "median_P d(x, samples of T)"),
    "median_from": Definition(
        "length", "median_T d(x, samples of P), robust to the clutter of a scan"
    ),
    "hausdorff_to": Definition("length", "max_P d(x, samples of T), one-sided"),
    "hausdorff_from": Definition("length", "max_T d(x, samples of P), one-sided (scan -> P)"),
    "hausdorff": Definition("length", "max(max_P d(x, T), max_T d(x, P)), between samples"),
    "mesh_accuracy_90": Definition(
        "length", "90th percentile over P of d(x, samples of T) (DeepSDF, mesh accuracy)"
    ),
    "normal_consistency_to": Definition(
        "share", "mean_P |n(x) . n(nearest sample of T)|, where both normals are known"
    ),
    "normal_consistency_from": Definition(
        "share", "mean_T |n(x) . n(nearest sample of P)|, where both normals are known"
    ),
    "normal_consistency": Definition(
        "share",
        "half of mean_P and mean_T of |n(x) . n(nearest sample of the other)| (Occupancy "
        "Networks, NC): blind to orientation",
    ),
    "normal_consistency_signed": Definition(
        "share", "normal_consistency without | |: -1 for a surface that is inside out"
    ),
    "accuracy_exact": Definition("length", "mean_P of the exact distance to the triangles of T"),
    "accuracy_exact_median": Definition(
        "length", "median_P of the exact distance to the triangles of T"
    ),
    "accuracy_exact_95": Definition(
        "length", "95th percentile over P of the exact distance to the triangles of T"
    ),
    "completeness_exact": Definition(
        "length", "mean_T of the exact distance to the triangles of P"
    ),
    "completeness_exact_median": Definition(
        "length",
        "median_T of the exact distance to the triangles of P; floors and flying pixels of a scan "
        "leave it",
    ),
    "completeness_exact_95": Definition(
        "length", "95th percentile over T of the exact distance to the triangles of P"
    ),
    "point_to_mesh": Definition(
        "length",
        "half of mean_P and mean_T of the exact distance to the triangles of the other: a Chamfer "
        "without sampling floor",
    ),
    "hausdorff_exact": Definition(
        "length", "the largest exact distance of a sample of either to the triangles of the other"
    ),
    "sampling_floor": Definition(
        "length",
        "chamfer_half_unsquared of two independent samplings of T: what a perfect reconstruction "
        "would score at this number of samples",
    ),
    "volume_iou": Definition(
        "share",
        "shared volume / joint volume, at as many random points in the box of both as "
        "there are samples; where both are watertight",
    ),
}
THRESHOLDED: dict[str, Definition] = {
    "precision": Definition(
        "share", "share of P nearer than {at} to T, to its triangles if it has any, else its points"
    ),
    "recall": Definition(
        "share",
        "share of T nearer than {at} to P, to its triangles if it has any, else its points (mesh "
        "completion of DeepSDF)",
    ),
    "fscore": Definition(
        "share", "harmonic mean of the shares of P and T nearer than {at} to the other"
    ),
    "far_share": Definition(
        "share", "share of the surface of P farther than {at} from T: ghost sheets"
    ),
}
MESH: dict[str, Definition] = {
    "faces": Definition("count", "triangles"),
    "components": Definition("count", "connected components, with those that meshing dropped"),
    "watertight": Definition("yes or no", "every edge is shared by just two triangles"),
    "genus": Definition("count", "handles, by the Euler characteristic of a closed surface"),
    "area": Definition("area", "area of the surface"),
    "volume": Definition("volume", "enclosed volume of a watertight mesh"),
    "ghost_components": Definition("count", "components beside the largest, dropped ones too"),
    "ghost_area_share": Definition("share", "their share of the area of all components"),
}
FIT: dict[str, Definition] = {
    "steps": Definition("count", "steps of the search for the code"),
    "converged": Definition("yes or no", "whether the search ended before its last step"),
    "outliers": Definition("share", "points of the scan that the fit left out"),
    "strangeness": Definition("count", "how far out the code is, 1 is usual"),
    "share_without_points": Definition("share", "share of the mesh that has no point of the scan"),
}
SECONDS: dict[str, Definition] = {
    "fit": Definition("seconds", "wall time to find the code, a scan's share of its batch"),
    "mesh": Definition("seconds", "wall time to mesh"),
    "metrics": Definition("seconds", "wall time to measure"),
    "baselines": Definition("seconds", "wall time to find, mesh and measure the baselines"),
}
DEFINITIONS = DISTANCES | MESH | FIT | SECONDS
"""Of all columns whose name holds no threshold."""


@dataclass(frozen=True)
class Thresholds:
    """Distances of the shares: lengths of F-scores, far of ghost sheets.

    In metres, or shares of the diagonal of the target if ``relative``.
    """

    lengths: Sequence[float] = (0.001, 0.002, 0.005, 0.010)
    far: float = 0.050
    relative: bool = False

    def suffix(self, value: float) -> str:
        """How a threshold is written in the name of a column."""
        return f"{100 * value:g}_percent" if self.relative else f"{1000 * value:g}mm"

    def length(self, value: float, diagonal: float) -> float:
        """A threshold in the unit of the points."""
        return value * diagonal if self.relative else value


def definition(column: str) -> Definition:
    """What a column of the scores means; KeyError for an unknown one."""
    if column in DEFINITIONS:
        return DEFINITIONS[column]
    found = re.fullmatch(r"([a-z_]+)_([0-9.e-]+)(mm|_percent)", column)
    if found is None:
        raise KeyError(column)
    name, value, unit = found.groups()
    at = f"{value} mm" if unit == "mm" else f"{value} % of the diagonal of T"
    known = THRESHOLDED[name]
    return Definition(known.kind, known.text.format(at=at))


def sentences(columns: Iterable[str]) -> dict[str, str]:
    """Column -> what it means, each once, in the order of ``columns``."""
    return {column: definition(column).text for column in dict.fromkeys(columns)}
