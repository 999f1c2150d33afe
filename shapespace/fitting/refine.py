"""Detail that no code can draw: the decoder itself moves near one scan, and nowhere else.

Letters: N points, M space points, D dimension, L code length.
"""

import copy
from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from shapespace.decoders.base import Decoder
from shapespace.errors import at_least, positive
from shapespace.fitting.terms import draw_samples
from shapespace.objectives.base import Objective
from shapespace.sampling import Sampler, seeded_generator
from shapespace.scan import Scan
from shapespace.utils.schedules import cosine

MOST_KNOWN = 4000
"""Points of the scan that tell how far a place is from it."""


@dataclass(frozen=True)
class Refinement:
    """Some steps of Adam on a copy of the decoder, by the objective of the training.

    Lengths are shares of the size of the scan.

    Args:
        steps: of Adam.
        lr: its first rate, which ends at zero along half a cosine.
        num_points: of the scan, drawn anew at each step.
        reach: beyond this distance from the scan the field is held; nearer, the less the nearer.
        outlier: points that lie further from the surface of the code do not count.
        hold: weight of the squared change of the field far from the scan, whose unit is ``reach``.
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
    ) -> Decoder:
        """A decoder for this scan and code alone; the given one stays as it is.

        objective: of the scan's own places alone, as ``Objective.for_refinement``.
        scan: one, in the frame of the space; without points that count nothing moves. size: of it,
        by ``median_distance``.
        """
        refined = copy.deepcopy(decoder)
        scan = _inliers(decoder, scan, code, self.outlier * size)
        optimiser = torch.optim.Adam(refined.requires_grad_(True).parameters(), self.lr)
        known = scan.points[:, :: max(1, -(-scan.num_points // MOST_KNOWN))]
        for step in range(self.steps if scan.num_points else 0):
            optimiser.param_groups[0]["lr"] = self.lr * cosine(step / self.steps, warm_up=0.0)
            some = _some(scan, self.num_points, seed, step)
            samples = draw_samples(sampler, some, seed, step)
            share = _share_held(samples.space, known, self.reach * size)
            before = _values(decoder, samples.space, code)
            optimiser.zero_grad()
            with torch.enable_grad():
                loss = objective.total(objective.terms(refined, samples, code)).sum()
                change = (refined(samples.space, code) - before) / (self.reach * size)
                (loss + self.hold * (share * change.square()).mean()).backward()
            optimiser.step()
            on_step()
        return refined.requires_grad_(False)


def _inliers(decoder: Decoder, scan: Scan, code: Float[Tensor, "1 L"], far: float) -> Scan:
    return _chosen(scan, _values(decoder, scan.points, code)[0].abs() <= far)


@torch.no_grad()
def _values(
    decoder: Decoder, points: Float[Tensor, "1 N D"], code: Float[Tensor, "1 L"]
) -> Float[Tensor, "1 N"]:
    return decoder(points, code)


def _some(scan: Scan, count: int, seed: int, step: int) -> Scan:
    generator = seeded_generator("cpu", seed, step, 1)
    rows = torch.randint(scan.num_points, (count,), generator=generator)
    return _chosen(scan, rows.to(scan.points.device))


def _chosen(scan: Scan, rows: Tensor) -> Scan:
    normals = None if scan.normals is None else scan.normals[:, rows]
    return Scan(scan.index, scan.points[:, rows], normals, scan.sigma[:, rows])


def _share_held(
    space: Float[Tensor, "1 M D"], known: Float[Tensor, "1 N D"], reach: float
) -> Float[Tensor, "1 M"]:
    distance = torch.cdist(space, known).min(-1).values
    return (distance / reach).clamp(max=1).square()
