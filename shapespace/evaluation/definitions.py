"""What every column of a card means: one sentence each, with formula and source."""

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
class Convention:
    """kind: of the numbers, which says their unit; text: what they are."""

    kind: Kind
    text: str


DISTANCES: dict[str, Convention] = {
    "chamfer_to": Convention("length", "mean_P d(x, samples of T), one-sided"),
    "chamfer_from": Convention(
        "length", "mean_T d(x, samples of P), one-sided (IGR, DiGS: scan -> reconstruction)"
    ),
    "chamfer_half_unsquared": Convention(
        "length",
        "(mean_P d(x, T) + mean_T d(x, P)) / 2, between samples (IGR, DGP, DiGS on SRB; the "
        "Chamfer-L1 of Occupancy Networks)",
    ),
    "chamfer_l2_half_squared": Convention(
        "squared length", "(mean_P d(x, T)^2 + mean_T d(x, P)^2) / 2 (Occupancy Networks CD-L2)"
    ),
    "chamfer_sum_squared": Convention(
        "squared length",
        "mean_P d(x, T)^2 + mean_T d(x, P)^2, not halved (SAL and DeepSDF at 30000 samples, "
        "AtlasNet at 2500)",
    ),
    "chamfer_l1_times_10": Convention(
        "length", "10 (mean_P d(x, T) + mean_T d(x, P)) / 2 (N2NM, NKSR: CD-L1 x 10)"
    ),
    "median_to": Convention("length", "median_P d(x, samples of T)"),
    "median_from": Convention(
        "length", "median_T d(x, samples of P), robust to the clutter of a scan"
    ),
    "hausdorff_to": Convention("length", "max_P d(x, samples of T), one-sided"),
    "hausdorff_from": Convention("length", "max_T d(x, samples of P), one-sided (scan -> P)"),
    "hausdorff": Convention("length", "max(max_P d(x, T), max_T d(x, P)), between samples"),
    "mesh_accuracy_90": Convention(
        "length", "90th percentile over P of d(x, samples of T) (DeepSDF, mesh accuracy)"
    ),
    "normal_consistency_to": Convention(
        "share", "mean_P |n(x) . n(nearest sample of T)|, where both normals are known"
    ),
    "normal_consistency_from": Convention(
        "share", "mean_T |n(x) . n(nearest sample of P)|, where both normals are known"
    ),
    "normal_consistency": Convention(
        "share",
        "half of mean_P and mean_T of |n(x) . n(nearest sample of the other)| (Occupancy "
        "Networks, NC): blind to orientation",
    ),
    "normal_consistency_signed": Convention(
        "share", "normal_consistency without | |: -1 for a surface that is inside out"
    ),
    "accuracy_exact": Convention("length", "mean_P of the exact distance to the triangles of T"),
    "accuracy_exact_median": Convention(
        "length", "median_P of the exact distance to the triangles of T"
    ),
    "accuracy_exact_95": Convention(
        "length", "95th percentile over P of the exact distance to the triangles of T"
    ),
    "completeness_exact": Convention(
        "length", "mean_T of the exact distance to the triangles of P"
    ),
    "completeness_exact_median": Convention(
        "length",
        "median_T of the exact distance to the triangles of P; floors and flying pixels of a scan "
        "leave it",
    ),
    "completeness_exact_95": Convention(
        "length", "95th percentile over T of the exact distance to the triangles of P"
    ),
    "point_to_mesh": Convention(
        "length",
        "half of mean_P and mean_T of the exact distance to the triangles of the other: a Chamfer "
        "without sampling floor",
    ),
    "hausdorff_exact": Convention(
        "length", "the largest exact distance of a sample of either to the triangles of the other"
    ),
    "sampling_floor": Convention(
        "length",
        "chamfer_half_unsquared of two independent samplings of T: what a perfect reconstruction "
        "would score at this number of samples",
    ),
    "volume_iou": Convention(
        "share",
        "shared volume / joint volume, at as many random points in the box of both as "
        "there are samples; where both are watertight",
    ),
}
THRESHOLDED: dict[str, Convention] = {
    "precision": Convention(
        "share", "share of P nearer than {at} to T, to its triangles if it has any, else its points"
    ),
    "recall": Convention(
        "share",
        "share of T nearer than {at} to P, to its triangles if it has any, else its points (mesh "
        "completion of DeepSDF)",
    ),
    "fscore": Convention(
        "share", "harmonic mean of the shares of P and T nearer than {at} to the other"
    ),
    "far_share": Convention(
        "share", "share of the surface of P farther than {at} from T: ghost sheets"
    ),
}
MESH: dict[str, Convention] = {
    "faces": Convention("count", "triangles"),
    "components": Convention("count", "connected components, with those that meshing dropped"),
    "watertight": Convention("yes or no", "every edge is shared by just two triangles"),
    "genus": Convention("count", "handles, by the Euler characteristic of a closed surface"),
    "area": Convention("area", "area of the surface"),
    "volume": Convention("volume", "enclosed volume of a watertight mesh"),
    "ghost_components": Convention("count", "components beside the largest, dropped ones too"),
    "ghost_area_share": Convention("share", "their share of the area of all components"),
}
FIT: dict[str, Convention] = {
    "steps": Convention("count", "steps of the search for the code"),
    "converged": Convention("yes or no", "whether the search ended before its last step"),
    "outliers": Convention("share", "points of the scan that the fit left out"),
    "strangeness": Convention("count", "how far out the code is, 1 is usual"),
    "share_without_points": Convention("share", "share of the mesh that has no point of the scan"),
}
SECONDS: dict[str, Convention] = {
    "fit": Convention("seconds", "wall time to find the code, a scan's share of its batch"),
    "mesh": Convention("seconds", "wall time to mesh"),
    "metrics": Convention("seconds", "wall time to measure"),
    "baselines": Convention("seconds", "wall time to find, mesh and measure the baselines"),
}
CONVENTIONS = DISTANCES | MESH | FIT | SECONDS
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


def convention(column: str) -> Convention:
    """What a column of a card means; KeyError for one that no card has."""
    if column in CONVENTIONS:
        return CONVENTIONS[column]
    found = re.fullmatch(r"([a-z_]+)_([0-9.e-]+)(mm|_percent)", column)
    if found is None:
        raise KeyError(column)
    name, value, unit = found.groups()
    at = f"{value} mm" if unit == "mm" else f"{value} % of the diagonal of T"
    known = THRESHOLDED[name]
    return Convention(known.kind, known.text.format(at=at))


def sentences(columns: Iterable[str]) -> dict[str, str]:
    """Column -> what it means, each once, in the order of ``columns``."""
    return {column: convention(column).text for column in dict.fromkeys(columns)}
