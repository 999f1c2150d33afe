"""The terms of an objective at the codes of some scans, as training computes them.

Scans that were not trained on get here what the objective reads beside points.

Letters: B scans, L code length.
"""

from collections.abc import Sequence
from dataclasses import replace

import torch
from jaxtyping import Float
from torch import Tensor

from shapespace.data.distances import measured_targets
from shapespace.decoders.base import Decoder
from shapespace.errors import InputError, one_line
from shapespace.fitting.pose import Pose
from shapespace.objectives.base import Objective
from shapespace.sampling import Sampler, samples_of, seeded_generator
from shapespace.scan import PreparedScan, Samples, Scan, TargetSamples, with_tensors

POINTS_PER_CHUNK = 70_000
"""Points of one backward pass, in whole scans: 3 GiB for the published network."""


@torch.no_grad()
def terms_of(
    decoder: Decoder, objective: Objective, samples: Samples, latent: Float[Tensor, "B L"]
) -> dict[str, Tensor]:
    """The unweighted terms of each scan, evaluated a bounded number of points at a time.

    Args:
        decoder: f(x; z).
        objective: names the terms.
        samples: of each scan, in the frame of the space.
        latent: the code of each scan.
    """
    return _joined(
        [objective.terms(decoder, samples[rows], latent[rows]) for rows in _chunks(samples, latent)]
    )


def terms_and_gradient(
    decoder: Decoder, objective: Objective, samples: Samples, latent: Float[Tensor, "B L"]
) -> tuple[dict[str, Tensor], Tensor]:
    """The unweighted terms of each scan, and the gradient of its total in its code [B,L].

    Args:
        decoder: f(x; z); its own gradients stay untouched.
        objective: names and weighs the terms.
        samples: of each scan, in the frame of the space.
        latent: the code of each scan.
    """
    found: list[dict[str, Tensor]] = []
    gradients = []
    for rows in _chunks(samples, latent):
        with torch.enable_grad():
            codes = latent.detach()[rows].requires_grad_()
            terms = objective.terms(decoder, samples[rows], codes)
            gradients.append(torch.autograd.grad(objective.total(terms).sum(), codes)[0])
        found.append({name: value.detach() for name, value in terms.items()})
    return _joined(found), torch.cat(gradients)


def _chunks(samples: Samples, latent: Tensor) -> list[slice]:
    """Rows of whole scans, at least one at a time."""
    size = max(1, POINTS_PER_CHUNK // samples.num_points)
    return [slice(start, start + size) for start in range(0, len(latent), size)]


def _joined(found: list[dict[str, Tensor]]) -> dict[str, Tensor]:
    """The terms of all chunks."""
    return {name: torch.cat([terms[name] for terms in found]) for name in found[0]}


def draw_samples(sampler: Sampler, scan: Scan, *, seed: int, step: int) -> Samples:
    """Samples of each scan from a generator of its own: no scan depends on its row in the batch.

    Args:
        sampler: draws the samples.
        scan: a batch, in the frame of the space.
        seed: of the fit.
        step: of the fit; each step draws other samples.
    """
    rows = [scan[row : row + 1] for row in range(len(scan.index))]
    device = scan.points.device
    return Samples.cat(
        [samples_of(sampler, row, seeded_generator(device, seed, step)) for row in rows]
    )


def posed(batch: Scan, poses: Pose) -> Scan:
    """The scans in the frame of the space."""
    targets = batch.targets
    if targets is not None:
        targets = replace(
            targets,
            points=poses(targets.points),
            distance=targets.distance * poses.scale[:, None],
            gradient=None if targets.gradient is None else poses.turn(targets.gradient),
        )
    return Scan(
        index=batch.index,
        points=poses(batch.points),
        normals=None if batch.normals is None else poses.turn(batch.normals),
        sigma=None if batch.sigma is None else batch.sigma * poses.scale[:, None],
        targets=targets,
    )


def with_targets(
    batch: Scan, scans: Sequence[PreparedScan], *, objective: Objective, seed: int
) -> Scan:
    """A batch of scans with as many targets as points, where the objective needs targets.

    Args:
        batch: of the scans.
        scans: as they were prepared.
        objective: whose needs count.
        seed: of the targets that are drawn.

    Raises:
        InputError: a scan lacks what the objective needs.
    """
    missing = missing_of(scans, objective)
    if missing is not None:
        raise InputError(
            f"{missing}, which {type(objective).__name__} reads: prepare the scan with normals, or "
            "fit it by --method second-order without --refine, which reads neither"
        )
    found = [
        measured_targets(scan, objective.needs, count=batch.num_points, seed=seed) for scan in scans
    ]
    known = [targets for targets in found if targets is not None]
    if not known:
        return batch
    targets = with_tensors(TargetSamples.cat(known), lambda part: part.to(batch.points.device))
    return replace(batch, targets=targets)


def missing_of(scans: Sequence[PreparedScan], objective: Objective) -> str | None:
    """What a scan lacks that the objective needs, as a message; None if nothing."""
    for scan in scans:
        has_side = scan.trusted_normals is not None
        own = scan.targets is not None and scan.targets.signed and len(scan.targets.points)
        if "normals" in objective.needs and not has_side:
            return f"{one_line(scan.name)!r} has no normals whose side is known"
        if "signed" in objective.needs and not has_side and not own:
            return f"{one_line(scan.name)!r} has no signed distances, and no normals to tell sides"
    return None


def usable_points(scan: PreparedScan, num_points: int) -> int:
    """The number of points that a fit uses: ``num_points``, or all of a smaller scan."""
    return min(num_points, len(scan.points))


def as_batch(scans: Sequence[PreparedScan], num_points: int) -> Scan:
    """One batch of the first ``num_points`` points of each scan, or of all points of small scans.

    Points are stored shuffled, so that the first are random ones. ValueError if the scans would
    have different numbers of points.
    """
    counts = {usable_points(scan, num_points) for scan in scans}
    if len(counts) > 1:
        raise ValueError(f"scans of {sorted(counts)} points: fit each count by itself")
    (count,) = counts
    return Scan.cat([_first_points(scan, index, count) for index, scan in enumerate(scans)])


def _first_points(scan: PreparedScan, index: int, count: int) -> Scan:
    """A batch of one scan, with normals only where their direction can be trusted."""
    trusted = scan.trusted_normals
    return Scan(
        index=torch.tensor([index]),
        points=torch.from_numpy(scan.points)[None, :count],
        normals=None if trusted is None else torch.from_numpy(trusted[None, :count]),
        sigma=None if scan.sigma is None else torch.from_numpy(scan.sigma)[None, :count],
    )
