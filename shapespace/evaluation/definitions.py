"""The definition of every column of the scores: one sentence, with formula and source.

Chamfer distance means many things in the papers. Each meaning has a column of its own here, and the
sentence names the papers that use it.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

LETTERS = (
    "P is the measured surface, T its target (a true surface or a raw scan); d(x, S) is the "
    "distance from x to the nearest point of S; mean_P, median_P and max_P are over samples of P, "
    "and mean_T, median_T and max_T over samples of T"
)
"""Letters of the formulas in the definitions."""
Kind = Literal[
    "length", "squared length", "area", "volume", "share", "count", "seconds", "yes or no"
]
"""Kind of a number, which decides its unit and its digits."""


@dataclass(frozen=True)
class Definition:
    """Definition of one column.

    Args:
        kind: kind of the numbers, which decides their unit.
        text: sentence that defines the numbers.
    """

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
        "half the sum of mean_P and mean_T of |n(x) . n(nearest sample of the other surface)| "
        "(Occupancy Networks, NC): blind to orientation",
    ),
    "normal_consistency_signed": Definition(
        "share",
        "normal_consistency without the absolute value: -1 for a surface that is inside out",
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
        "median_T of the exact distance to the triangles of P, robust to floors and flying pixels "
        "of a scan",
    ),
    "completeness_exact_95": Definition(
        "length", "95th percentile over T of the exact distance to the triangles of P"
    ),
    "point_to_mesh": Definition(
        "length",
        "half the sum of mean_P and mean_T of the exact distance to the triangles of the other "
        "surface: a Chamfer distance without sampling floor",
    ),
    "hausdorff_exact": Definition(
        "length",
        "largest exact distance of a sample of P or T to the triangles of the other surface",
    ),
    "sampling_floor": Definition(
        "length",
        "chamfer_half_unsquared of two independent samplings of T: what a perfect reconstruction "
        "would score at this number of samples",
    ),
    "volume_iou": Definition(
        "share",
        "volume of the intersection / volume of the union, counted at as many random points in the "
        "common box as there are samples, if both surfaces are watertight",
    ),
}
PLACES = (
    "half the sum of the means over P and over T; a sample of P counts where the place of T "
    "that is nearest to it does; the mean over T stands alone where no sample of P counts"
)
"""How an error is split by places of the true surface."""
REGIONS: dict[str, Definition] = {
    "point_to_mesh_seen": Definition(
        "length", f"point_to_mesh over the places of T that are seen (seen_share): {PLACES}"
    ),
    "point_to_mesh_unseen": Definition(
        "length", f"point_to_mesh over the places of T that are not seen (seen_share): {PLACES}"
    ),
    "seen_share": Definition(
        "share",
        "share of T that is seen: within 5 mm (without unit, 0.5 % of the diagonal of T) of the "
        "triangles of the scan, or of its points where it is a cloud",
    ),
}
"""Columns of the distances to the true surface that depend on the scan, too."""
LABELLED = "point_to_mesh_"
"""Begin of the column of a labelled part, which ends with the name of the part."""
THRESHOLDED: dict[str, Definition] = {
    "precision": Definition(
        "share", "share of P nearer than {at} to T (to its triangles, or the points of a cloud)"
    ),
    "recall": Definition(
        "share",
        "share of T nearer than {at} to P (to its triangles, or the points of a cloud; mesh "
        "completion of DeepSDF)",
    ),
    "fscore": Definition("share", "harmonic mean of precision and recall at {at}"),
    "far_share": Definition(
        "share", "share of the surface of P farther than {at} from T: ghost sheets"
    ),
}
MESH: dict[str, Definition] = {
    "faces": Definition("count", "triangles"),
    "components": Definition("count", "connected components, including those that meshing dropped"),
    "watertight": Definition("yes or no", "every edge is shared by just two triangles"),
    "genus": Definition("count", "handles, by the Euler characteristic of a closed surface"),
    "area": Definition("area", "area of the surface"),
    "volume": Definition("volume", "enclosed volume of a watertight mesh"),
    "ghost_components": Definition(
        "count", "components beside the largest, including those that meshing dropped"
    ),
    "ghost_area_share": Definition(
        "share", "share of the ghost components in the area of all components"
    ),
}
FIT: dict[str, Definition] = {
    "steps": Definition("count", "steps of the search for the code"),
    "converged": Definition(
        "yes or no", "yes if the search for the code ended before its last step"
    ),
    "outliers": Definition("share", "share of the points of the scan that the fit left out"),
    "strangeness": Definition(
        "count",
        "Mahalanobis distance of the code from the mean training code, divided by the median of "
        "the training codes; about 1 for a usual code",
    ),
    "share_without_points": Definition("share", "share of the mesh that has no point of the scan"),
}
SECONDS: dict[str, Definition] = {
    "fit": Definition(
        "seconds", "wall time of the fit: the time of the batch divided by its scans"
    ),
    "mesh": Definition("seconds", "wall time to mesh"),
    "metrics": Definition("seconds", "wall time to measure"),
    "baselines": Definition("seconds", "wall time to find, mesh and measure the baselines"),
}
DEFINITIONS = DISTANCES | REGIONS | MESH | FIT | SECONDS
"""Definitions of all columns whose name has no threshold; :data:`THRESHOLDED` has the others."""


@dataclass(frozen=True)
class Thresholds:
    """Distances at which shares of a surface are counted.

    Args:
        lengths: thresholds of precision, recall and F-score.
        far: threshold of the far share, which finds ghost sheets.
        seen: largest distance from the scan to a place of the true surface that is seen.
        relative: if True, thresholds are shares of the diagonal of the target; otherwise metres.
    """

    lengths: Sequence[float] = (0.001, 0.002, 0.005, 0.010)
    far: float = 0.050
    seen: float = 0.005
    relative: bool = False

    def suffix(self, value: float) -> str:
        """End of the name of a column with this threshold, such as 5mm or 1_percent."""
        return f"{100 * value:g}_percent" if self.relative else f"{1000 * value:g}mm"

    def length(self, value: float, diagonal: float) -> float:
        """The threshold as a length in the unit of the points, for a target of this diagonal."""
        return value * diagonal if self.relative else value


def definition(column: str) -> Definition:
    """Definition of a column of the scores, with its threshold filled in.

    Raises:
        KeyError: if the column is unknown.
    """
    if column in DEFINITIONS:
        return DEFINITIONS[column]
    if column.startswith(LABELLED):
        label = column.removeprefix(LABELLED)
        return Definition("length", f"point_to_mesh over the part {label!r} of T: {PLACES}")
    found = re.fullmatch(r"([a-z_]+)_([0-9.e-]+)(mm|_percent)", column)
    if found is None:
        raise KeyError(column)
    name, value, unit = found.groups()
    at = f"{value} mm" if unit == "mm" else f"{value} % of the diagonal of T"
    known = THRESHOLDED[name]
    return Definition(known.kind, known.text.format(at=at))


def sentences(columns: Iterable[str]) -> dict[str, str]:
    """Column -> the sentence that defines it, each column once, in the order of ``columns``."""
    return {column: definition(column).text for column in dict.fromkeys(columns)}
