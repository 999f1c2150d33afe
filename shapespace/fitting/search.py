"""The best code, and pose, of scans that were not trained on: several starts, second-order steps.

Letters: B scans, N points, D dimension, L code length, S training scans, P problems (a scan and one
of its starts).
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from shapespace.decoders.base import Decoder
from shapespace.errors import at_least, positive
from shapespace.fitting.levenberg_marquardt import solve
from shapespace.fitting.pose import Freedom
from shapespace.fitting.residuals import (
    Prior,
    Residuals,
    State,
    distances,
    even_weights,
    median_distance,
)
from shapespace.fitting.result import FitResult
from shapespace.fitting.robust import Loss, Robust
from shapespace.fitting.starts import starts, turns_about
from shapespace.fitting.uncertainty import covariance
from shapespace.scan import Scan


class Stage(NamedTuple):
    """One round of the search.

    points: of each scan. width: of the robust loss, in ``noise``. iterations: at most. kept: starts
    of each scan that it leaves. again: starts that are tried beside the best so far, which are the
    training codes nearest under its pose.
    """

    points: int
    width: float
    iterations: int
    kept: int
    again: int = 0


STAGES = (Stage(500, 16.0, 8, 3), Stage(2000, 6.0, 12, 1), Stage(8000, 3.0, 15, 1))
TURNED_STAGES = (
    Stage(500, 40.0, 8, 6),
    Stage(1000, 16.0, 8, 1),
    Stage(500, 16.0, 8, 3, again=6),
    *STAGES[1:],
)


@dataclass(frozen=True)
class Search:
    """How codes are searched for; called, it finds them.

    Lengths are shares of the size of a scan, the median distance of its points from their centre.

    Args:
        noise: a residual of ordinary size, of the scan and of what no code can draw.
        delta: distance from the surface at which normals are read.
        independent: points that count as independent, against the prior: the Gaussian of the
            training codes.
        loss: of residuals. The width of the robust ones shrinks from stage to stage.
        even: weigh points by the surface that they stand for, for scans whose density varies; it
            gives outliers, which lie apart, more weight.
        starts: the mean code and the nearest training codes.
        freedom: what of the pose is to be found. A scan is centred on the mean of its points, which
            holes and floors move, so that at least its place is worth finding.
        up, angles, turned_starts: where a turn is to be found, that many evenly spaced ones about
            that axis, upright and tilted, are looked at with many codes, and so many tried. For a
            scan that lies, name the axis along which it stands.
        guess: codes that are tried first in place of the nearest training codes, as of the frame
            before.
        stages: from few points of many starts to many points of the best; None takes STAGES, or
            TURNED_STAGES where a turn is to be found: they begin with a wider loss and, with the
            pose found, look at the training codes again.
        tolerance: relative decrease of the cost below which a scan is done.
    """

    noise: float = 0.01
    delta: float = 0.02
    independent: float = 5000.0
    loss: Loss = "geman-mcclure"
    even: bool = False
    starts: int = 6
    freedom: Freedom = "shift"
    up: Literal["x", "y", "z"] = "y"
    angles: int = 16
    turned_starts: int = 12
    guess: Float[Tensor, "G L"] | None = None
    stages: Sequence[Stage] | None = None
    tolerance: float = 1e-3

    def __post_init__(self) -> None:
        positive(noise=self.noise, delta=self.delta, independent=self.independent)
        at_least(1, starts=self.starts, turned_starts=self.turned_starts, angles=self.angles)
        at_least(1, stages=len(self.rounds))

    @property
    def turned(self) -> bool:
        """Whether a turn is to be found."""
        return self.freedom in ("rigid", "similarity")

    @property
    def rounds(self) -> Sequence[Stage]:
        """The stages that are taken."""
        usual = TURNED_STAGES if self.turned else STAGES
        return usual if self.stages is None else self.stages

    def __call__(
        self,
        decoder: Decoder,
        scan: Scan,
        codes: Float[Tensor, "S L"],
        num_points: int | None = None,
        on_stage: Callable[[], object] = lambda: None,
    ) -> FitResult:
        """Codes of all scans of a batch, none of which depends on another; no terms yet.

        codes: of the training scans. num_points: bounds the points of a stage. ``on_stage`` is
        called after each. The decoder stays as it is.
        """
        begin, num_scans = time.perf_counter(), len(scan.points)
        size, prior = median_distance(scan.points), Prior.of_codes(codes)
        state = self._starts(decoder, scan, codes, prior.mean)
        tried = len(state.code) // max(num_scans, 1)
        rows = torch.arange(num_scans, device=codes.device).repeat_interleave(tried)
        spread, steps = codes.new_zeros(num_scans), torch.zeros_like(rows)
        converged, hessian = steps > 0, codes.new_zeros(0)
        for stage in self.rounds:
            if stage.again:
                state, rows, steps = _again(decoder, scan, codes, state, steps, stage.again)
            problem = self._problem(decoder, scan, rows, size, stage, num_points)
            robust = Robust(self.loss, stage.width * self.noise)
            information = self.independent / self.noise**2
            limits = stage.iterations, self.tolerance
            solution = solve(problem, state, prior, robust, information, *limits)
            costs = solution.cost.view(num_scans, -1)
            chosen, spread = _best(costs, stage.kept), _spread(costs, spread)
            rows, state = rows[chosen], solution.state.rows(chosen)
            steps, converged = (steps + solution.iterations)[chosen], solution.converged[chosen]
            hessian = solution.hessian[chosen]
            on_stage()
        one = _first_rows(state, num_scans)
        state = state.rows(one)
        result = FitResult(
            *state,
            terms={},
            steps=steps[one],
            converged=converged[one],
            spread=spread,
            seconds=0.0,
            distances=distances(decoder, scan.points, state),
            sizes=size,
            freedom=self.freedom,
            prior_distance=prior.prior_distance(state.code, codes),
        )
        covariances = self._covariances(hessian[one], prior, result)
        return replace(result, covariances=covariances, seconds=time.perf_counter() - begin)

    def _covariances(
        self, hessian: Float[Tensor, "B K K"], prior: Prior, result: FitResult
    ) -> Float[Tensor, "B K K"]:
        """With the scatter that was found in place of the noise that was supposed."""
        length = len(prior.mean)
        data = hessian.clone()
        data[:, :length, :length] -= prior.precision
        share = result.scatter * result.poses.scale / result.sizes
        information = data * (self.noise**2 / self.independent)
        return covariance(information, prior.precision, share.clamp(min=1e-6))

    def _starts(
        self, decoder: Decoder, scan: Scan, codes: Float[Tensor, "S L"], mean: Float[Tensor, " L"]
    ) -> State:
        if self.guess is not None:
            codes = self.guess.to(codes)
        if not self.turned:
            return starts(decoder, scan.points, codes, mean, self.starts)
        turns = turns_about("xyz".index(self.up), self.angles, scan.points)
        return starts(decoder, scan.points, codes, mean, self.turned_starts, turns)

    def _problem(
        self,
        decoder: Decoder,
        scan: Scan,
        rows: Int[Tensor, " P"],
        size: Float[Tensor, " B"],
        stage: Stage,
        num_points: int | None,
    ) -> Residuals:
        count = min(stage.points, scan.num_points if num_points is None else num_points)
        every = max(1, scan.num_points // max(count, 1))
        points = scan.points[rows, ::every][:, :count]
        normals = None if scan.normals is None else scan.normals[rows, ::every][:, :count]
        weights = None
        if self.even:
            weights = even_weights(scan.sigma, points.shape[-1])[rows, ::every][:, :count]
        return Residuals(decoder, points, normals, size[rows], self.delta, self.freedom, weights)


def _again(
    decoder: Decoder,
    scan: Scan,
    codes: Float[Tensor, "S L"],
    state: State,
    steps: Int[Tensor, " P"],
    num: int,
) -> tuple[State, Int[Tensor, " Q"], Int[Tensor, " Q"]]:
    """The best of each scan, then codes near under its pose; the scans and the steps of all."""
    best = _first_rows(state, len(scan.points))
    found, taken = state.rows(best), steps[best]
    pairs = zip(found.pose(scan.points).split(1), found.code, strict=True)
    near = [starts(decoder, points, codes, code, num + 1).code for points, code in pairs]
    rows = torch.arange(len(near), device=codes.device).repeat_interleave(len(near[0]))
    return State(torch.cat(near), found.pose.rows(rows)), rows, taken[rows]


def _first_rows(state: State, num_scans: int) -> Int[Tensor, " B"]:
    """Where the best of each scan stands."""
    each = len(state.code) // max(num_scans, 1)
    return torch.arange(num_scans, device=state.code.device) * each


def _best(cost: Float[Tensor, "B T"], kept: int) -> Int[Tensor, " P"]:
    """Rows of the ``kept`` lowest costs of each scan, the lowest first."""
    num_scans, num = cost.shape
    column = cost.argsort(1)[:, :kept]
    return (column + num * torch.arange(num_scans, device=cost.device)[:, None]).flatten()


def _spread(cost: Float[Tensor, "B T"], before: Float[Tensor, " B"]) -> Float[Tensor, " B"]:
    """Relative difference of the two lowest costs, or what it was when there were two."""
    if cost.shape[1] < 2:
        return before
    low, second = cost.sort(1).values[:, :2].unbind(1)
    return (second - low) / low.clamp(min=torch.finfo(low.dtype).tiny)
