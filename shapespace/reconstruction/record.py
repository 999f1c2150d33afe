"""Facts about a reconstruction, for its .json file and for one line of text.

Letters: V vertices, N points of the scan that the fit used, L code
length.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import trimesh
from jaxtyping import Float
from scipy.spatial import KDTree
from torch import Tensor

from shapespace.data.formats.contents import ORDINARY
from shapespace.data.prepare.neighbours import neighbour_distance
from shapespace.fitting.result import FitResult
from shapespace.fitting.search import Search
from shapespace.reconstruction.export import failure
from shapespace.scan import PreparedScan

UNUSUAL = 1.6
"""Distance of a code from the mean training code, relative to the usual one, that is remarked."""
NEAR = 0.06
"""A vertex has a point near it within this share of the size of the scan, at least."""
COVER_POINTS = 20_000
"""Most points of a scan that are looked at for the share of a mesh without points."""
OUTLIER = 3.0
"""A point is an outlier beyond so many times the noise that a search assumes."""
MILLIMETRES, PERCENT = (1000.0, "mm"), (100.0, "% of the radius")
"""Factor from the unit of a space to the unit that is shown, and the name of that unit."""


@dataclass(frozen=True)
class Reconstruction:
    """One scan that was reconstructed.

    Args:
        name: name of the scan.
        code: the code that was found.
        facts: content of its .json file.
        path: file of its mesh.
    """

    name: str
    code: Float[Tensor, " L"]
    facts: dict[str, Any]
    path: Path

    @property
    def mesh(self) -> trimesh.Trimesh:
        """The mesh, read from its file."""
        return with_dropped(trimesh.load_mesh(self.path, process=False), self.facts)

    @property
    def terms(self) -> dict[str, float]:
        """The unweighted terms of the objective at the end of the fit."""
        return self.facts["terms"]

    @property
    def failure(self) -> str:
        """Why the mesh is not the scan, "" if it is or an earlier version did not compare."""
        return failure(self.facts.get("share_far", 0.0))

    def line(self) -> str:
        """The file of the mesh, and in one line how good the reconstruction is."""
        failed = f"; {self.failure}" if self.failure else ""
        return f"{self.path}: {summary_line(self.facts)}{failed}"


def summary_line(facts: dict[str, Any]) -> str:
    """The most important facts of a reconstruction in one line, without the name of its file."""
    ended = f"{facts['steps']} steps" + ("" if facts["converged"] else ", NOT converged")
    off = f"{facts['off_median']:.3g} median, {facts['off_95_percent']:.3g} at 95 %"
    fit = f"points off by {off} ({facts['off_unit']}), outliers {facts['outliers']:.1%}"
    if "refined_off_median" in facts:
        fit += f"; refined to {facts['refined_off_median']:.3g} median"
    if facts["deviation_95_percent"] is not None:
        fit += f"; surface sure to {facts['deviation_95_percent']:.3g} at 95 %"
    fit += f", {facts['share_without_points']:.0%} of it without points"
    if not ORDINARY.fullmatch(facts.get("account", "")):
        fit += f"; {facts['account']}"
    distance = facts["strangeness"]
    if distance is not None and distance > UNUSUAL:
        fit += f"; UNUSUAL: its code is {distance:.1f} times as far from the mean as training codes"
    unit = "" if facts["unit"] in ("m", facts["made_by"]["unit"]) else f"read as {facts['unit']}; "
    return f"{unit}{facts['remark']}; {fit}; {ended}, {facts['seconds']:.1f} s"


def share_without_points(mesh: trimesh.Trimesh, scan: PreparedScan, size: float) -> float:
    """Share of the vertices of a mesh without a point of the scan near them; 1 for an empty mesh.

    Args:
        mesh: mesh in the frame of the source.
        scan: the scan that was reconstructed.
        size: size of the scan in stored units, as in ``FitResult.sizes``.
    """
    if not len(mesh.vertices) or not len(scan.points):
        return 1.0
    local = scan.frame.to_store(np.asarray(mesh.vertices))
    # Points are shuffled when they are stored, so the first ones are a random subset.
    distance, _ = KDTree(scan.points[:COVER_POINTS]).query(local)
    # sigma is the distance to the 50th neighbour: in a sparse scan, gaps of that size are no holes.
    some = scan.points[:COVER_POINTS]
    sigma = scan.sigma if scan.sigma is not None else neighbour_distance(some)
    near = max(NEAR * size, 0.5 * float(np.median(sigma[:COVER_POINTS])))
    return float((distance > near).mean())


def _shown(unit: str) -> tuple[float, str]:
    """Factor and name of the unit in which lengths of a space are shown."""
    return MILLIMETRES if unit == "m" else PERCENT


def facts_of_surface(
    deviation: Float[np.ndarray, " V"] | None, scale: float, unit: str
) -> dict[str, Any]:
    """Percentiles over the vertices of the standard deviation of the surface, in ``off_unit``.

    Args:
        deviation: standard deviation at each vertex, in the unit of the source; None if unknown.
        scale: source units in one stored unit.
        unit: unit of the space, "m" or "radius".
    """
    if deviation is None or not len(deviation):
        return {"deviation_median": None, "deviation_95_percent": None}
    shares = np.percentile(deviation, [50, 95]) / scale * _shown(unit)[0]
    return {"deviation_median": float(shares[0]), "deviation_95_percent": float(shares[1])}


def facts_of_meshing(mesh: trimesh.Trimesh, seconds: float) -> dict[str, Any]:
    """Facts of a mesh from ``extract_mesh``, with the components that were dropped from it."""
    return {
        "watertight": bool(mesh.is_watertight),
        "faces": len(mesh.faces),
        "dropped_components": mesh.metadata.get("dropped_components", 0),
        "dropped_area_share": mesh.metadata.get("dropped_area_share", 0.0),
        "mesh_seconds": round(seconds, 3),
    }


def with_dropped(mesh: trimesh.Trimesh, facts: dict[str, Any]) -> trimesh.Trimesh:
    """Put the facts of the dropped components back into the metadata of a mesh from a file."""
    known = ("dropped_components", "dropped_area_share")
    mesh.metadata.update({key: facts[key] for key in known if key in facts})
    return mesh


def facts_of_fit(fitted: FitResult, row: int, unit: str) -> dict[str, Any]:
    """Facts of the fit of one scan of a batch; lengths are in ``off_unit``.

    Args:
        fitted: fit of the batch.
        row: row of the scan in the batch.
        unit: unit of the space, "m" or "radius".
    """
    per_unit, name = _shown(unit)
    off = fitted.distances[row].double().cpu().numpy()
    rotation, shift, scale = (part[row].tolist() for part in fitted.poses)
    far = OUTLIER * Search().noise * float(fitted.sizes[row])
    return {
        "terms": {term: float(value[row]) for term, value in fitted.terms.items()},
        "steps": int(fitted.steps[row]),
        "converged": bool(fitted.converged[row]),
        "spread_of_starts": float(fitted.spread[row]),
        "seconds": round(fitted.seconds / len(fitted.codes), 3),
        "off_median": per_unit * float(np.median(off)),
        "off_95_percent": per_unit * float(np.percentile(off, 95)),
        "off_unit": name,
        "outliers": float((off > far).mean()) if len(off) else 0.0,
        "strangeness": None if fitted.prior_distance is None else float(fitted.prior_distance[row]),
        "pose": {"rotation": rotation, "shift": shift, "scale": scale},
    }


def facts_of_refinement(off: Float[np.ndarray, " N"], unit: str) -> dict[str, float]:
    """Percentiles of the distances of the points to a refined surface, in ``off_unit``."""
    median, most = _shown(unit)[0] * np.percentile(off, [50, 95])
    return {"refined_off_median": float(median), "refined_off_95_percent": float(most)}
