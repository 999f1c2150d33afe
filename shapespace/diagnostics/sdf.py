"""How far a field is from a signed distance to its own zero set, in numbers, for one shape.

A signed distance has |grad f| = 1, |f| = distance, the sign of the inside, a Lipschitz constant of
1, and may be traced by steps of f. All this is measured at random places: a share of 0 of N points
says that the true share is below 3 / N with a confidence of 95 %.

Frame and unit: the field's. Letters: D dimension, L code length.
"""

import math
from dataclasses import dataclass
from itertools import product

import numpy as np
from jaxtyping import Float
from torch import Tensor

from shapespace.decoders.base import Field
from shapespace.diagnostics.lipschitz import Lipschitz, lipschitz
from shapespace.diagnostics.rays import ray_check
from shapespace.diagnostics.samples import FieldSamples, SampledField, field_samples, sample_field
from shapespace.errors import at_least
from shapespace.surface.projection import project

OFF = 0.1
"""|grad f| this far from 1 is called off."""
ROUNDING = 1e-5
"""Of a value of f in single precision, in extents: less is no violation."""
REGIONS = {
    "space": "in the whole box",
    "near": "near the surface (within 5 % of its size)",
    "far": "in the box, farther from the surface than that",
}
_GRADIENT = {
    "gradient_rms": "root mean square of |grad f| - 1",
    "gradient_mean": "mean of |grad f| - 1",
    "gradient_q95": "95 % quantile of ||grad f| - 1|",
    "gradient_max": "maximum of ||grad f| - 1|",
    "gradient_off": f"share of points where ||grad f| - 1| > {OFF}",
}
_DISTANCE = {
    "distance_rmse": "root mean square of |f| - d, d the exact distance to the zero set",
    "distance_max": "maximum of ||f| - d|",
    "distance_relative": "median of ||f| - d| / d",
}
_MEDIAL = {
    "medial_share": "share of places whose medial axis, where a distance has a kink that no smooth "
    "field can have, is at most 5 % of the size away",
    "medial_rms": "root mean square of |grad f| - 1 at those",
    "medial_else_rms": "root mean square of |grad f| - 1 at the others",
}
_SAMPLED = ("space", "near")
FACTS = {
    "size": "longest side of the box around the largest component of the zero set",
    "cell": "median edge of the mesh that stands for the zero set",
    "mesh_error": "95 % quantile of |f| / |grad f| on that mesh: what it adds to the distances",
    "mesh_error_max": "the maximum of the same",
    "rays": "rays that were traced",
}
"""Columns that say what was measured, not how well it is."""
MEANING = {
    **FACTS,
    **{f"{n}_{r}": f"{t}, {REGIONS[r]}" for (n, t), r in product(_GRADIENT.items(), REGIONS)},
    **{f"{n}_{r}": f"{t}, {REGIONS[r]}" for (n, t), r in product(_DISTANCE.items(), REGIONS)},
    **{f"{n}_{r}": f"{t}, {REGIONS[r]}" for (n, t), r in product(_MEDIAL.items(), _SAMPLED)},
    "sign_errors": "share of the box where the sign of f is not that of its meshed zero set ("
    "places within a cell of it not counted): sheets that the mesh lacks, or no inside at all",
    "sign_errors_far": "the same among the points far from the surface",
    "ghost_share": "share of the box where the sign of f is not that of the largest component",
    "normal_mean": "mean of grad f . n on the surface, n the normals of the mesh",
    "normal_q05": "5 % quantile of grad f . n on the surface",
    "sheets": "components of the zero set beside the largest",
    "sheet_area": "their share of the area of the zero set",
    "sheet_nearest": "distance of their nearest vertex to the largest component",
    "sheet_farthest": "distance of their farthest vertex to the largest component",
    "lipschitz_found": "largest |grad f| that was met in the box, by samples and by climbing: the "
    "Lipschitz constant is no smaller",
    "lipschitz_likely": "estimate of the Lipschitz constant from above, not a guarantee",
    "lipschitz_certain": "guaranteed bound of the Lipschitz constant, from the norms of the "
    "matrices; loose",
    "safe_factor": "1 / lipschitz_likely: what steps of sphere tracing are to be multiplied with",
    "pair_violations": "share of pairs of points with f(x) > f(y) + |x - y|",
    "pair_excess": "maximum of f(x) - f(y) - |x - y|, 0 if it is negative",
    "overshoot_one": "share of rays of which a step of f went through the surface",
    "overshoot_safe": "the same with the safe factor",
    "passed_one": "share of rays that missed a part of the shape with steps of f",
    "passed_safe": "the same with the safe factor",
    "steps_one": "mean evaluations of f a ray with steps of f",
    "steps_safe": "the same with the safe factor",
    "ray_mismatch": "share of rays where only one of the tracing with the safe factor and the mesh "
    "is hit: grazing rays",
    "ray_depth": "median difference of the depths of both",
    "not_finite": "share of the box where f or grad f is not finite; the others leave it out",
}
"""Every column of the diagnostics, in a sentence; lengths in the unit of the space."""
LOW_IS_WORSE = ("normal_mean", "normal_q05", "safe_factor", "sheet_nearest")


@dataclass(frozen=True)
class SdfDiagnostics:
    """The numbers of one shape: ``numbers`` holds each column of :data:`MEANING`.

    None where a number does not exist, such as a distance to an empty zero set. remarks: why.
    """

    numbers: dict[str, float | None]
    remarks: tuple[str, ...] = ()

    def __getitem__(self, column: str) -> float:
        """One number, NaN where there is none."""
        value = self.numbers[column]
        return math.nan if value is None else value


def diagnose_field(
    field: Field,
    latent: Float[Tensor, " L"],
    extent: float,
    *,
    num_points: int = 50_000,
    seed: int = 0,
    resolution: int = 128,
    num_rays: int = 1024,
    dimension: int = 3,
) -> SdfDiagnostics:
    """Measure how far ``field(., latent)`` is from a signed distance in [-extent, extent]^D.

    Args:
        field: as :data:`shapespace.decoders.Field`.
        latent: one code; may be of length 0.
        extent: half side of the box, in the field's unit.
        num_points: places in the box, and as many near the surface.
        seed: of all that is drawn.
        resolution: nodes along the longest side of the mesh that stands for the zero set.
        num_rays: rays that are traced.
        dimension: D; in other than 3 only numbers that need no surface are found.

    Raises:
        InputError: for a size that is not positive, or where libigl or embreex is missing.
    """
    found = sample_field(field, latent, extent, num_points, seed, resolution, dimension)
    return diagnostics_of(field, latent, found, num_rays)


def diagnostics_of(
    field: Field, latent: Float[Tensor, " L"], found: SampledField, num_rays: int = 1024
) -> SdfDiagnostics:
    """The numbers of a survey of ``field(., latent)``."""
    at_least(1, num_rays=num_rays)
    space, surface = found.space, found.surface
    steep = _steepest(field, latent, found)
    numbers = {
        "not_finite": 1 - float(space.sound.mean()),
        **_slopes(space.take(space.sound), "space"),
        **_pairs(found),
        "lipschitz_found": steep.found,
        "lipschitz_likely": steep.likely,
        "lipschitz_certain": steep.certain,
        "safe_factor": 1 / steep.likely if steep.likely > 0 else math.nan,
    }
    if surface is not None:
        for region in REGIONS:
            part: FieldSamples = getattr(found, region)
            part = part.take(part.sound)
            numbers |= {**_slopes(part, region), **_distances(part, region)}
            if region in _SAMPLED:
                numbers |= _medial(part, region)
        numbers |= {**_on_surface(found), **_signs(found), **surface.sheets()}
        if steep.likely > 0:
            numbers |= ray_check(
                field, latent, surface, found.extent, steep.likely, num_rays, found.seed
            )
    shown = {name: numbers.get(name, math.nan) for name in MEANING}
    plain = {name: float(v) if math.isfinite(v) else None for name, v in shown.items()}
    return SdfDiagnostics(plain, tuple(_remarks(field, latent, found)))


def _slopes(places: FieldSamples, region: str) -> dict[str, float]:
    off = places.length - 1
    values = {
        "gradient_rms": _rms(off),
        "gradient_mean": off.mean() if len(off) else np.nan,
        "gradient_q95": _quantile(np.abs(off), 0.95),
        "gradient_max": np.abs(off).max(initial=0) if len(off) else np.nan,
        "gradient_off": (np.abs(off) > OFF).mean() if len(off) else np.nan,
    }
    return {f"{name}_{region}": float(value) for name, value in values.items()}


def _distances(places: FieldSamples, region: str) -> dict[str, float]:
    error = places.error
    relative = error[places.distance > 0] / places.distance[places.distance > 0]
    return {
        f"distance_rmse_{region}": _rms(error),
        f"distance_max_{region}": float(error.max()) if len(error) else math.nan,
        f"distance_relative_{region}": _quantile(relative, 0.5),
    }


def _medial(places: FieldSamples, region: str) -> dict[str, float]:
    off = places.length - 1
    values = {
        "medial_share": float(places.medial.mean()) if len(off) else math.nan,
        "medial_rms": _rms(off[places.medial]),
        "medial_else_rms": _rms(off[~places.medial]),
    }
    return {f"{name}_{region}": value for name, value in values.items()}


def _on_surface(found: SampledField) -> dict[str, float]:
    assert found.surface is not None
    along = (found.on.slope * found.normals).sum(1)
    beside = np.abs(found.on.value) / np.maximum(found.on.length, 1e-12)
    return {
        "size": found.surface.size,
        "cell": found.surface.cell,
        "mesh_error": _quantile(beside, 0.95),
        "mesh_error_max": float(beside.max()),
        "normal_mean": float(along.mean()),
        "normal_q05": _quantile(along, 0.05),
    }


def _signs(found: SampledField) -> dict[str, float]:
    assert found.surface is not None
    sound = np.isfinite(found.space.value)
    space, cell = found.space.take(sound), found.surface.cell
    negative = space.value < 0
    wrong = (negative != space.inside) & (space.distance > cell)
    far = space.distance > found.surface.band
    ghost = negative != found.surface.inside_largest(space.points)
    return {
        "sign_errors": float(wrong.mean()),
        "sign_errors_far": float(wrong[far].mean()) if far.any() else math.nan,
        "ghost_share": float((ghost & (space.distance > cell)).mean()),
    }


def _pairs(found: SampledField) -> dict[str, float]:
    """Random pairs of places of the box, and of places near the surface: the viscosity test."""
    excess = np.concatenate([_excess(part) for part in (found.space, found.near)])
    if not len(excess):
        return {}
    return {
        "pair_violations": float((excess > ROUNDING * found.extent).mean()),
        "pair_excess": float(excess.max(initial=0.0)),
    }


def _excess(places: FieldSamples) -> Float[np.ndarray, " K"]:
    """|f(x) - f(y)| - |x - y| of each place and the next, which were drawn independently."""
    apart = np.linalg.norm(np.diff(places.points, axis=0), axis=1)
    excess = np.abs(np.diff(places.value)) - apart
    return excess[np.isfinite(excess)]


def _steepest(field: Field, latent: Tensor, found: SampledField) -> Lipschitz:
    points = np.concatenate([found.space.points, found.near.points])
    length = np.concatenate([found.space.length, found.near.length])
    return lipschitz(field, latent, points, length, found.extent, found.seed)


def _remarks(field: Field, latent: Tensor, found: SampledField) -> list[str]:
    if found.space.points.shape[1] != 3:
        return ["not 3-D: only what needs no surface is measured"]
    if found.surface is None:
        return [_why_empty(field, latent, found)]
    remarks = []
    if not found.surface.mesh.is_watertight:
        remarks.append("the zero set is open: it leaves the box; sides near the cut are uncertain")
    return remarks


def _why_empty(field: Field, latent: Tensor, found: SampledField) -> str:
    """Whether f has no zero set, touches zero without changing sign, or could not be meshed."""
    known = found.space.value[np.isfinite(found.space.value)]
    if not len(known):
        return "f is finite nowhere in the box"
    if known.min() < 0 < known.max():
        return "f changes sign, but no sound surface was found at this resolution"
    low = np.argsort(np.abs(found.space.value))[:64]
    landed = project(field, latent, found.space.points[low], 12, found.extent)
    value = np.abs(field_samples(field, latent, landed, None).value).min(initial=np.inf)
    if value < 1e-3 * found.extent and not (found.space.value < 0).any():
        return "f comes to 0 and is nowhere negative: an unsigned distance, without an inside"
    side = "positive" if (found.space.value > 0).all() else "negative"
    return f"the zero set is empty: f is {side} in the whole box"


def _rms(values: Float[np.ndarray, " N"]) -> float:
    return float(np.sqrt(np.square(values).mean())) if len(values) else math.nan


def _quantile(values: Float[np.ndarray, " N"], share: float) -> float:
    return float(np.quantile(values, share)) if len(values) else math.nan
