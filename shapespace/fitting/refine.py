"""Refinement of a decoder near one scan, for detail that no code can draw.

A copy of the decoder is trained on the scan. Far from the scan its field is held as it was.

Letters: N points, M space points, D dimension, L code length.
"""

import copy
from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float
from torch import Tensor

from shapespace.decoders.base import Decoder
from shapespace.decoders.derivatives import FirstOrderDistance
from shapespace.errors import at_least, positive
from shapespace.fitting.terms import draw_samples
from shapespace.objectives.base import Objective
from shapespace.sampling import Sampler, seeded_generator
from shapespace.scan import Scan, with_tensors
from shapespace.utils.schedules import cosine

MOST_KNOWN = 4000
"""Points of the scan to which the distance of a space point is measured."""


@dataclass(frozen=True)
class Refinement:
    """Some steps of Adam on a copy of the decoder, by the objective of the training.

    Lengths are shares of the size of the scan.

    Args:
        steps: of Adam.
        lr: the first rate; the rate falls to zero along half a cosine.
        num_points: of the scan, drawn anew at each step.
        reach: the field is held at space points farther than this from the scan. Nearer, the hold
            weakens with the square of the distance.
        outlier: points of the scan that lie farther than this from the surface of the code are left
            out.
        hold: weight of the squared change of the field, in units of ``reach``, where it is held.
    """

    steps: int = 200
    lr: float = 3e-4
    num_points: int = 1000
    reach: float = 0.1
    outlier: float = 0.05
    hold: float = 1.0

    def __post_init__(self) -> None:
        at_least(1, steps=self.steps, num_points=self.num_points)
        positive(lr=self.lr, reach=self.reach, outlier=self.outlier, hold=self.hold)

    def __call__(
        self,
        decoder: Decoder,
        scan: Scan,
        code: Float[Tensor, "1 L"],
        size: float,
        objective: Objective,
        sampler: Sampler,
        seed: int = 0,
        on_step: Callable[[], object] = lambda: None,
        metric: Decoder | None = None,
    ) -> Decoder:
        """A decoder for this scan and code alone; the given decoder stays as it is.

        Args:
            decoder: f(x; z) of the space.
            scan: one scan, in the frame of the space. Without inliers nothing moves.
            code: the fitted code of the scan.
            size: of the scan, by :func:`~shapespace.fitting.residuals.median_distance`.
            objective: says nothing of regions without points; ``Objective.for_refinement``.
            sampler: draws the space points.
            seed: of the points of each step.
            on_step: called after each step.
            metric: the field as a distance; None for ``decoder``.
        """
        # A change of f moves the surface by the change over |grad f|.
        slope = metric.slope if isinstance(metric, FirstOrderDistance) else 1.0
        refined = copy.deepcopy(decoder)
        scan = _inliers(metric or decoder, scan, code, far=self.outlier * size)
        optimiser = torch.optim.Adam(refined.requires_grad_(True).parameters(), self.lr)
        known = scan.points[:, :: max(1, -(-scan.num_points // MOST_KNOWN))]
        for step in range(self.steps if scan.num_points else 0):
            optimiser.param_groups[0]["lr"] = self.lr * cosine(step / self.steps, warm_up=0.0)
            some = _some(scan, self.num_points, seed=seed, step=step)
            samples = draw_samples(sampler, some, seed=seed, step=step)
            share = _share_held(samples.space, known, self.reach * size)
            # Where the scan has holes, space points are far from it: the field of the code holds.
            before = _values(decoder, samples.space, code)
            optimiser.zero_grad()
            with torch.enable_grad():
                loss = objective.total(objective.terms(refined, samples, code)).sum()
                change = (refined(samples.space, code) - before) / (self.reach * size * slope)
                (loss + self.hold * (share * change.square()).mean()).backward()
            optimiser.step()
            on_step()
        return refined.requires_grad_(False)


def _inliers(decoder: Decoder, scan: Scan, code: Float[Tensor, "1 L"], far: float) -> Scan:
    """The points of the scan within ``far`` of the surface of the code, by |f|."""
    return _chosen(scan, _values(decoder, scan.points, code)[0].abs() <= far)


@torch.no_grad()
def _values(
    decoder: Decoder, points: Float[Tensor, "1 N D"], code: Float[Tensor, "1 L"]
) -> Float[Tensor, "1 N"]:
    """f without a graph."""
    return decoder(points, code)


def _some(scan: Scan, count: int, *, seed: int, step: int) -> Scan:
    """``count`` random points of the scan, the same on every device."""
    # The last key keeps these draws apart from those of the sampler at the same step.
    generator = seeded_generator("cpu", seed, step, 1)
    rows = torch.randint(scan.num_points, (count,), generator=generator)
    some = _chosen(scan, rows.to(scan.points.device))
    if scan.targets is None:
        return some
    around = torch.randint(scan.targets.points.shape[1], (count,), generator=generator)
    around = around.to(scan.points.device)
    return replace(some, targets=with_tensors(scan.targets, lambda part: part[:, around]))


def _chosen(scan: Scan, rows: Tensor) -> Scan:
    """The scan with some of its points."""
    return replace(
        scan,
        points=scan.points[:, rows],
        normals=None if scan.normals is None else scan.normals[:, rows],
        sigma=None if scan.sigma is None else scan.sigma[:, rows],
    )


def _share_held(
    space: Float[Tensor, "1 M D"], known: Float[Tensor, "1 N D"], reach: float
) -> Float[Tensor, "1 M"]:
    """The weight of the hold at each space point: 0 on the scan, 1 beyond ``reach``."""
    distance = torch.cdist(space, known).min(-1).values
    return (distance / reach).clamp(max=1).square()
