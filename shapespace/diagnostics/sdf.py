"""Diagnostics of one shape: how far its field is from the signed distance to its own zero set.

A signed distance has |grad f| = 1, |f| equal to the distance, the right sign, a Lipschitz constant
of 1, and can be traced by steps of f. All numbers are sampled at random points. A share of 0 of N
points means that the true share is below 3 / N with a confidence of 95 % (the rule of three).

Frame and unit are those of the field. Letters: D dimension, L code length, N samples, K pairs.
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
"""Deviation of |grad f| from 1 above which a point counts as off."""
ROUNDING = 1e-5
"""Rounding error of f in single precision, in extents; a smaller excess is no violation."""
NUM_PROJECTED = 64
"""Samples with the smallest |f| that are projected where f does not change sign."""
PROJECTION_STEPS = 12
"""Newton steps of that projection."""
TOUCHES = 1e-3
"""|f| after the projection, in extents, below which f touches zero."""
REGIONS = {
    "space": "in the whole box",
    "near": "near the surface (within 5 % of its size)",
    "far": "in the box, farther from the surface than that",
}
"""Region -> the words for it in a definition."""
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
    "medial_share": "share of points at most 5 % of the size away from the medial axis, where a "
    "distance has a kink that no smooth field can have",
    "medial_rms": "root mean square of |grad f| - 1 at these points",
    "medial_else_rms": "root mean square of |grad f| - 1 at all other points",
}
_MEDIAL_REGIONS = ("space", "near")
FACTS = {
    "size": "longest side of the box around the largest component of the zero set",
    "cell": "median edge of the mesh that stands for the zero set",
    "mesh_error": "95 % quantile of |f| / |grad f| on that mesh, which is its error in distances",
    "mesh_error_max": "maximum of |f| / |grad f| on that mesh",
    "rays": "rays that were traced",
}
"""Columns that describe the sampled shape and do not judge its field."""
MEANING = {
    **FACTS,
    **{f"{n}_{r}": f"{t}, {REGIONS[r]}" for (n, t), r in product(_GRADIENT.items(), REGIONS)},
    **{f"{n}_{r}": f"{t}, {REGIONS[r]}" for (n, t), r in product(_DISTANCE.items(), REGIONS)},
    **{f"{n}_{r}": f"{t}, {REGIONS[r]}" for (n, t), r in product(_MEDIAL.items(), _MEDIAL_REGIONS)},
    "sign_errors": "share of the box where the sign of f is not that of the meshed zero set, "
    "without the points within a cell of the mesh: sheets that the mesh lacks, or a field without "
    "an inside",
    "sign_errors_far": "share of sign errors among the points far from the surface",
    "ghost_share": "share of the box where the sign of f is not that of the largest component",
    "normal_mean": "mean of grad f . n on the surface, n the normals of the mesh",
    "normal_q05": "5 % quantile of grad f . n on the surface",
    "sheets": "components of the zero set beside the largest",
    "sheet_area": "share of these extra sheets in the area of the zero set",
    "sheet_nearest": "distance of the nearest vertex of an extra sheet to the largest component",
    "sheet_farthest": "distance of the farthest vertex of an extra sheet to the largest component",
    "lipschitz_found": "largest |grad f| found in the box, by samples and by climbing: a lower "
    "bound of the Lipschitz constant",
    "lipschitz_likely": "estimate of the Lipschitz constant from above, not a guarantee",
    "lipschitz_certain": "guaranteed but loose upper bound of the Lipschitz constant, from the "
    "norms of the weight matrices",
    "safe_factor": "1 / lipschitz_likely, the factor that makes steps of sphere tracing safe",
    "pair_violations": "share of pairs of points with f(x) > f(y) + |x - y|",
    "pair_excess": "maximum of f(x) - f(y) - |x - y|, 0 if it is negative",
    "overshoot_one": "share of rays with a step through the surface, with steps of f",
    "overshoot_safe": "share of rays with a step through the surface, with the safe factor",
    "passed_one": "share of rays that missed the front of the shape, with steps of f",
    "passed_safe": "share of rays that missed the front of the shape, with the safe factor",
    "steps_one": "mean number of evaluations of f on a ray, with steps of f",
    "steps_safe": "mean number of evaluations of f on a ray, with the safe factor",
    "ray_mismatch": "share of rays that hit only the mesh or only the field traced with the safe "
    "factor: grazing rays",
    "ray_depth": "median difference between the depths on the mesh and in the traced field",
    "not_finite": "share of the box where f or grad f is not finite; all other numbers leave it "
    "out",
}
"""Definition of every column of the diagnostics; lengths are in the unit of the space."""
LOW_IS_WORSE = ("normal_mean", "normal_q05", "safe_factor", "sheet_nearest")
"""Columns whose smallest value is the worst."""


@dataclass(frozen=True)
class SdfDiagnostics:
    """Diagnostics of one shape.

    Args:
        numbers: value of each column of :data:`MEANING`; None for a number that does not exist,
            such as a distance to an empty zero set.
        remarks: sentences that say why numbers are missing or uncertain.
    """

    numbers: dict[str, float | None]
    remarks: tuple[str, ...] = ()

    def __getitem__(self, column: str) -> float:
        """One number; NaN if it does not exist."""
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
        field: the field.
        latent: code of the shape, which may be of length 0.
        extent: half side of the box, in the unit of the field.
        num_points: samples in the box, and as many near the surface.
        seed: seed of all that is drawn.
        resolution: grid nodes along the longest side of the mesh that stands for the zero set.
        num_rays: rays that are drawn.
        dimension: D; in other dimensions than 3, only numbers that need no surface are measured.

    Raises:
        InputError: for a size that is not positive, or if libigl or embreex is missing.
    """
    found = sample_field(
        field,
        latent,
        extent=extent,
        num_points=num_points,
        seed=seed,
        resolution=resolution,
        dimension=dimension,
    )
    return diagnostics_of(field, latent, found, num_rays=num_rays)


def diagnostics_of(
    field: Field, latent: Float[Tensor, " L"], found: SampledField, num_rays: int = 1024
) -> SdfDiagnostics:
    """Compute the diagnostics from samples of ``field(., latent)``.

    Args:
        field: the field, which is evaluated further by the climb and the rays.
        latent: code of the shape.
        found: samples of the field.
        num_rays: rays that are drawn.
    """
    at_least(1, num_rays=num_rays)
    space = found.space
    surface = found.surface
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
        for region, samples in (("space", space), ("near", found.near), ("far", found.far)):
            sound = samples.take(samples.sound)
            numbers |= {**_slopes(sound, region), **_distances(sound, region)}
            if region in _MEDIAL_REGIONS:
                numbers |= _medial(sound, region)
        numbers |= {**_on_surface(found), **_signs(found), **surface.sheets()}
        # A field without a finite, nonzero gradient has no step factor to try.
        if steep.likely > 0:
            numbers |= ray_check(
                field,
                latent,
                surface,
                extent=found.extent,
                lipschitz=steep.likely,
                count=num_rays,
                seed=found.seed,
            )
    ordered = {name: numbers.get(name, math.nan) for name in MEANING}
    # JSON has no NaN and no infinity: both become None.
    plain = {
        name: float(value) if math.isfinite(value) else None for name, value in ordered.items()
    }
    return SdfDiagnostics(plain, tuple(_remarks(field, latent, found)))


def _slopes(samples: FieldSamples, region: str) -> dict[str, float]:
    """Columns of |grad f| - 1 in a region."""
    off = samples.length - 1
    values = {
        "gradient_rms": _rms(off),
        "gradient_mean": off.mean() if len(off) else np.nan,
        "gradient_q95": _quantile(np.abs(off), 0.95),
        "gradient_max": np.abs(off).max(initial=0) if len(off) else np.nan,
        "gradient_off": (np.abs(off) > OFF).mean() if len(off) else np.nan,
    }
    return {f"{name}_{region}": float(value) for name, value in values.items()}


def _distances(samples: FieldSamples, region: str) -> dict[str, float]:
    """Columns of |f| against the exact distance in a region."""
    error = samples.error
    apart = samples.distance > 0
    relative = error[apart] / samples.distance[apart]
    return {
        f"distance_rmse_{region}": _rms(error),
        f"distance_max_{region}": float(error.max()) if len(error) else math.nan,
        f"distance_relative_{region}": _quantile(relative, 0.5),
    }


def _medial(samples: FieldSamples, region: str) -> dict[str, float]:
    """Columns of |grad f| - 1 beside the medial axis and elsewhere, in a region."""
    off = samples.length - 1
    values = {
        "medial_share": float(samples.medial.mean()) if len(off) else math.nan,
        "medial_rms": _rms(off[samples.medial]),
        "medial_else_rms": _rms(off[~samples.medial]),
    }
    return {f"{name}_{region}": value for name, value in values.items()}


def _on_surface(found: SampledField) -> dict[str, float]:
    """Columns of the samples on the mesh of the zero set, and of the mesh itself."""
    assert found.surface is not None
    along = (found.on.slope * found.normals).sum(1)
    # The distance from the mesh to the true zero set, to first order.
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
    """Columns of the sign of f against inside and outside of the mesh."""
    assert found.surface is not None
    sound = np.isfinite(found.space.value)
    space = found.space.take(sound)
    # Within a cell of the zero set, the sign of the mesh is uncertain.
    cell = found.surface.cell
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
    """Columns of random pairs of points of the box and near the surface: the Lipschitz test.

    A signed distance has f(x) <= f(y) + |x - y| for every pair.
    """
    excess = np.concatenate([_excess(samples) for samples in (found.space, found.near)])
    if not len(excess):
        return {}
    return {
        "pair_violations": float((excess > ROUNDING * found.extent).mean()),
        "pair_excess": float(excess.max(initial=0.0)),
    }


def _excess(samples: FieldSamples) -> Float[np.ndarray, " K"]:
    """|f(x) - f(y)| - |x - y| for each sample and the next one, where finite."""
    # The samples are independent, so that neighbours in the array are random pairs.
    apart = np.linalg.norm(np.diff(samples.points, axis=0), axis=1)
    excess = np.abs(np.diff(samples.value)) - apart
    return excess[np.isfinite(excess)]


def _steepest(field: Field, latent: Tensor, found: SampledField) -> Lipschitz:
    """Lipschitz constant, searched from all samples of the box and near the surface."""
    points = np.concatenate([found.space.points, found.near.points])
    length = np.concatenate([found.space.length, found.near.length])
    return lipschitz(
        field, latent, points=points, length=length, extent=found.extent, seed=found.seed
    )


def _remarks(field: Field, latent: Tensor, found: SampledField) -> list[str]:
    """Sentences that say why numbers are missing or uncertain."""
    if found.space.points.shape[1] != 3:
        return ["not 3-D: only numbers that need no surface are measured"]
    if found.surface is None:
        return [_why_empty(field, latent, found)]
    remarks = []
    if not found.surface.mesh.is_watertight:
        remarks.append("the zero set is open: it leaves the box; sides near the cut are uncertain")
    return remarks


def _why_empty(field: Field, latent: Tensor, found: SampledField) -> str:
    """The reason why there is no surface.

    f is nowhere finite, has no zero, touches zero without a change of sign, or could not be meshed.
    """
    known = found.space.value[np.isfinite(found.space.value)]
    if not len(known):
        return "f is finite nowhere in the box"
    if known.min() < 0 < known.max():
        return "f changes sign, but no sound surface was found at this resolution"
    # An unsigned distance has zeros that no sample meets: Newton steps from the smallest |f| do.
    low = np.argsort(np.abs(found.space.value))[:NUM_PROJECTED]
    landed = project(
        field, latent, found.space.points[low], steps=PROJECTION_STEPS, reach=found.extent
    )
    at_zero = field_samples(field, latent, landed, surface=None)
    value = np.abs(at_zero.value).min(initial=np.inf)
    if value < TOUCHES * found.extent and not (found.space.value < 0).any():
        return "f reaches 0 and is nowhere negative: an unsigned distance, without an inside"
    side = "positive" if (found.space.value > 0).all() else "negative"
    return f"the zero set is empty: f is {side} in the whole box"


def _rms(values: Float[np.ndarray, " N"]) -> float:
    """Root mean square; NaN without values."""
    return float(np.sqrt(np.square(values).mean())) if len(values) else math.nan


def _quantile(values: Float[np.ndarray, " N"], share: float) -> float:
    """Quantile; NaN without values."""
    return float(np.quantile(values, share)) if len(values) else math.nan
