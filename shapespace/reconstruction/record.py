"""What is said about a reconstruction: in its .json, and in one line.

Letters: V vertices.
"""

from typing import Any

import numpy as np
import trimesh
from jaxtyping import Float
from scipy.spatial import KDTree

from shapespace.fitting.result import FitResult
from shapespace.fitting.search import Search
from shapespace.scan import PreparedScan

STRANGE = 1.6
"""Beyond so many times the usual distance from the mean a code is unlike the training codes."""
NEAR, POINTS_FOR_COVER = 0.06, 20_000
"""A point is near a vertex within this share of the scan's size, or half way to its own 50th
neighbour; of no more points than these."""
FAR_OFF = 3.0
"""A point is an outlier of a fit beyond so many times the ordinary residual of a search."""


def line_of(facts: dict[str, Any]) -> str:
    """What matters of a reconstruction, in one line."""
    ended = f"{facts['steps']} steps" + ("" if facts["converged"] else ", NOT converged")
    off = f"{facts['off_median']:.3g} median, {facts['off_95_percent']:.3g} at 95 %"
    fit = f"points off by {off} ({facts['off_unit']}), outliers {facts['outliers']:.1%}"
    if "refined_off_median" in facts:
        fit += f"; refined to {facts['refined_off_median']:.3g} median"
    if facts["deviation_95_percent"] is not None:
        fit += f"; surface sure to {facts['deviation_95_percent']:.3g} at 95 %"
    fit += f", {facts['share_without_points']:.0%} of it without points"
    if facts["strangeness"] is not None and facts["strangeness"] > STRANGE:
        fit += f"; STRANGE: its code is {facts['strangeness']:.1f} times as far out as usual"
    unit = "" if facts["unit"] in ("m", facts["made_by"]["unit"]) else f"read as {facts['unit']}; "
    return f"{unit}{facts['remark']}; {fit}; {ended}, {facts['seconds']:.1f} s"


def bare_share(mesh: trimesh.Trimesh, scan: PreparedScan, size: float) -> float:
    """Share of the vertices of a mesh that have no point of the scan near; 1 of an empty mesh."""
    if not len(mesh.vertices) or not len(scan.points):
        return 1.0
    local = scan.frame.to_store(np.asarray(mesh.vertices))
    known = slice(POINTS_FOR_COVER)
    distance, _ = KDTree(scan.points[known]).query(local)
    near = max(NEAR * size, 0.5 * float(np.median(scan.sigma[known])))
    return float((distance > near).mean())


def _shown(unit: str) -> tuple[float, str]:
    """What a length in the space's unit is multiplied by to be read, and what it is then called."""
    return (1000.0, "mm") if unit == "m" else (100.0, "% of the radius")


def facts_of_surface(
    deviation: Float[np.ndarray, " V"] | None, scale: float, unit: str
) -> dict[str, Any]:
    """Standard deviation of the surface, over its vertices, in the unit of ``off_unit``."""
    if deviation is None or not len(deviation):
        return {"deviation_median": None, "deviation_95_percent": None}
    shares = np.percentile(deviation, [50, 95]) / scale * _shown(unit)[0]
    return {"deviation_median": float(shares[0]), "deviation_95_percent": float(shares[1])}


def facts_of_meshing(mesh: trimesh.Trimesh, seconds: float) -> dict[str, Any]:
    """A mesh as :func:`~shapespace.surface.mesh.extract_mesh` left it, with what it dropped."""
    return {
        "watertight": bool(mesh.is_watertight),
        "faces": len(mesh.faces),
        "dropped_components": mesh.metadata.get("dropped_components", 0),
        "dropped_area_share": mesh.metadata.get("dropped_area_share", 0.0),
        "mesh_seconds": round(seconds, 3),
    }


def with_dropped(mesh: trimesh.Trimesh, facts: dict[str, Any]) -> trimesh.Trimesh:
    """A mesh that was read from a file, with what was dropped of it as its metadata again."""
    known = ("dropped_components", "dropped_area_share")
    mesh.metadata.update({key: facts[key] for key in known if key in facts})
    return mesh


def facts_of_fit(fitted: FitResult, row: int, unit: str) -> dict[str, Any]:
    """How one scan of a batch was fitted; lengths in ``off_unit``."""
    per_unit, name = _shown(unit)
    off = fitted.distances[row].double().cpu().numpy()
    rotation, shift, scale = (part[row].tolist() for part in fitted.poses)
    far = FAR_OFF * Search().noise * float(fitted.sizes[row])
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
    """How far the points are from a refined surface, in ``off_unit``."""
    median, most = _shown(unit)[0] * np.percentile(off, [50, 95])
    return {"refined_off_median": float(median), "refined_off_95_percent": float(most)}
