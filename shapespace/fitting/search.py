"""The search for the code, and the pose, of scans that were not trained on.

Several starts of each scan are improved by second-order steps, in stages: from few points of many
starts to many points of the best. The published optimisation it replaces is
:func:`~shapespace.fitting.reference.fit_codes_adam`; benchmarks/README.md compares the two.

Letters: B scans, N points, D dimension, L code length, S training scans, T starts of a scan, P and
Q problems (a scan and one of its starts), K unknowns of a step, G guessed codes.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from shapespace.config.options import Axis, Freedom
from shapespace.decoders.base import Decoder
from shapespace.encoders.factors import HeldPart
from shapespace.errors import InputError, at_least, positive
from shapespace.fitting.levenberg_marquardt import Solution, solve
from shapespace.fitting.residuals import (
    MixturePrior,
    Prior,
    Residuals,
    State,
    distances,
    even_weights,
    median_distance,
)
from shapespace.fitting.result import FitResult, widened
from shapespace.fitting.robust import Loss, Robust
from shapespace.fitting.sight.lines import SightBatch
from shapespace.fitting.sight.term import SightTerm, alpha_of
from shapespace.fitting.starts import starts, turns_about
from shapespace.fitting.uncertainty import covariance
from shapespace.scan import Scan


class Stage(NamedTuple):
    """One stage of the search.

    Args:
        points: of each scan.
        width: of the robust loss, in units of ``Search.noise``.
        iterations: of Levenberg-Marquardt, at most.
        kept: the best starts of each scan that go on to the next stage.
        again: before the stage, replace the starts of each scan by the best one and this number of
            training codes, those nearest under its pose; 0 keeps the starts.
    """

    points: int
    width: float
    iterations: int
    kept: int
    again: int = 0


STAGES = (
    # Few points are enough to rank the starts, and the robust loss is wide because the starts are
    # far off: a narrow one would take most of the scan for outliers.
    Stage(points=500, width=16.0, iterations=8, kept=3),
    # The costs of three good starts differ by less; more points tell which is best.
    Stage(points=2000, width=6.0, iterations=12, kept=1),
    # The best start alone uses the detail of the scan, and the narrow loss drops outliers. In a
    # first trial, 500 points alone were less exact than the published fit in three scans of four.
    Stage(points=8000, width=3.0, iterations=15, kept=1),
)
"""Stages where the turn is known. Twice the starts, or more of them kept, gave the same within
0.1 mm (experiments/fitting)."""
LEAST_RAYS, POINTS_PER_RAY = 256, 4
"""A stage looks along one ray for so many of its points, and along so many rays at least."""
TURNED_STAGES = (
    # A start may be 11 degrees of yaw and 7 of tilt off: the loss is wider still, and more starts
    # are kept.
    Stage(points=500, width=40.0, iterations=8, kept=6),
    # One start is left, to find the pose to a few degrees.
    Stage(points=1000, width=16.0, iterations=8, kept=1),
    # The code may stand in a wrong minimum, because the starts were ranked in a wrong pose. The
    # training codes are ranked again under the pose that was found. With this stage 78 of 80 turned
    # scans are fitted within 10 % of the unturned ones, without it 28 of 40 (experiments/fitting).
    Stage(points=500, width=16.0, iterations=8, kept=3, again=6),
    *STAGES[1:],
)
"""Stages where a turn is to be found."""


@dataclass(frozen=True)
class Search:
    """The search for codes and poses; called with scans, it gives a :class:`FitResult`.

    Lengths are shares of the size of a scan, the median distance of its points from their median.
    The defaults were chosen on ten raw scans of people (experiments/fitting).

    Args:
        noise: an ordinary residual: of the scan, and of detail that no code can draw.
        delta: distance from the surface at which normals are read.
        independent: points that count as independent against the prior, the Gaussian of the
            training codes. Fewer make the prior stronger.
        loss: of a residual. The width of the robust losses shrinks from stage to stage.
        even: weigh points by the surface that they stand for, for scans of uneven density.
            Outliers, which lie apart, get more weight.
        starts: of each scan, the mean code and the nearest training codes.
        freedom: the part of the pose that is found. A scan is centred on the mean of its points,
            which holes and floors move, so that at least the shift is worth finding.
        up: the upright axis of a turned scan; of a scan that lies, the axis along which it stands.
        angles: turns about the upright axis that are looked at, upright and tilted, where a turn is
            to be found.
        turned_starts: starts of each scan where a turn is to be found.
        guess: codes that take the place of the training codes among the starts, such as the code of
            the frame before; None for no guess.
        prior: a mixture of Gaussians in place of the one Gaussian of the training codes; each
            scan starts at its means too.
        stages: of the search; None takes ``STAGES``, or ``TURNED_STAGES`` where a turn is to be
            found.
        tolerance: a problem is done when a step lowers its cost by a smaller share than this.
    """

    noise: float = 0.01
    delta: float = 0.02
    independent: float = 5000.0
    loss: Loss = "geman-mcclure"
    even: bool = False
    starts: int = 6
    freedom: Freedom = "shift"
    up: Axis = "y"
    angles: int = 16
    turned_starts: int = 12
    guess: Float[Tensor, "G L"] | None = None
    prior: MixturePrior | None = None
    stages: Sequence[Stage] | None = None
    tolerance: float = 1e-3

    def __post_init__(self) -> None:
        positive(noise=self.noise, delta=self.delta, independent=self.independent)
        at_least(1, starts=self.starts, turned_starts=self.turned_starts, angles=self.angles)
        at_least(1, stages=len(self.rounds))

    @property
    def turned(self) -> bool:
        """True if a turn is to be found."""
        return self.freedom in ("rigid", "similarity")

    @property
    def rounds(self) -> Sequence[Stage]:
        """The stages of this search."""
        usual = TURNED_STAGES if self.turned else STAGES
        return usual if self.stages is None else self.stages

    def __call__(
        self,
        decoder: Decoder,
        scan: Scan,
        codes: Float[Tensor, "S L"],
        num_points: int | None = None,
        on_stage: Callable[[], object] = lambda: None,
        sight: SightBatch | None = None,
        size: Float[Tensor, " B"] | None = None,
    ) -> FitResult:
        """Codes and poses of all scans of a batch; the result has no terms yet.

        Each scan is fitted as if alone. The decoder stays as it is.

        Args:
            decoder: f(x; z).
            scan: a batch, in the store's frame of each scan.
            codes: of the training scans.
            num_points: bounds the points of every stage; None sets no bound.
            on_stage: called after each stage.
            sight: rays of each scan, in its frame; None if no sensor is known.
            size: of each scan; None measures it at the points, which silhouettes do not have.
        """
        begin = time.perf_counter()
        sizes = median_distance(scan.points) if size is None else size
        prior = Prior.of_codes(codes) if self.prior is None else self.prior.like(codes)
        state = self._starts(decoder, scan, codes=codes, means=prior.means)
        rows = _scans_of_starts(state, len(sizes))
        spread = torch.zeros_like(sizes)
        # The first stage sets all three, and there is always one.
        steps = converged = hessian = torch.zeros_like(rows)
        for number, stage in enumerate(self.rounds):
            state, rows, steps = _second_look(
                decoder, scan, stage.again, codes=codes, state=state, rows=rows, steps=steps
            )
            residuals = self._residuals(
                decoder, scan, rows=rows, size=sizes, stage=stage, num_points=num_points
            )
            term = self._sight(residuals, sight, rows=rows, number=number)
            solution = self._solve(residuals, state, prior=prior, stage=stage, sight=term)
            costs = solution.cost.view(len(sizes), -1)
            spread = _spread(costs, spread)
            chosen = _best(costs, stage.kept)
            rows = rows[chosen]
            steps, state, converged, hessian = _kept(solution, chosen, steps)
            on_stage()
        one = _first_rows(state, len(sizes))
        state = state.rows(one)
        result = FitResult(
            codes=state.code,
            poses=state.pose,
            terms={},
            steps=steps[one],
            converged=converged[one],
            spread=spread,
            seconds=time.perf_counter() - begin,
            distances=distances(decoder, scan.points, state),
            sizes=sizes,
            freedom=self.freedom,
            prior_distance=prior.prior_distance(state.code, codes),
        )
        return self._with_covariances(result, hessian[one], prior)

    def holding(
        self,
        part: HeldPart | None,
        decoder: Decoder,
        scan: Scan,
        *,
        codes: Float[Tensor, "S L"],
        on_stage: Callable[[], object] = lambda: None,
        sight: SightBatch | None = None,
    ) -> FitResult:
        """Whole codes of which a part is held, as by a search for the other part alone.

        Args:
            part: the decoder, with what is held; None holds nothing.
            decoder: f(x; z).
            scan: a batch.
            codes: whole codes of the training scans.
            on_stage: called after each stage.
            sight: lines of sight of the scans; None without any.
        """
        if part is None:
            return self(decoder, scan, codes, on_stage=on_stage, sight=sight)
        if self.prior is not None:
            raise InputError("a prior of whole codes and a held part of them: give one of the two")
        guess = None if self.guess is None else self.guess[:, part.free]
        search = replace(self, guess=guess)
        return widened(
            search(part, scan, codes[:, part.free], on_stage=on_stage, sight=sight), part
        )

    def _sight(
        self,
        residuals: Residuals,
        sight: SightBatch | None,
        *,
        rows: Int[Tensor, " P"],
        number: int,
    ) -> SightTerm | None:
        """What the lines of sight add to the cost of a stage; None without any."""
        if sight is None:
            return None
        stage = self.rounds[number]
        return SightTerm(
            residuals.decoder,
            rays=sight.picked(rows, max(LEAST_RAYS, stage.points // POINTS_PER_RAY)),
            size=residuals.size,
            freedom=self.freedom,
            width=stage.width * self.noise,
            alpha=alpha_of(number, len(self.rounds)),
            masks=bool((sight.side > 0).any()),
        )

    def _solve(
        self,
        residuals: Residuals,
        state: State,
        *,
        prior: Prior | MixturePrior,
        stage: Stage,
        sight: SightTerm | None,
    ) -> Solution:
        """One stage: Levenberg-Marquardt steps from every start that is left."""
        return solve(
            residuals,
            state,
            prior=prior,
            robust=Robust(self.loss, stage.width * self.noise),
            information=self.independent / self.noise**2,
            iterations=stage.iterations,
            tolerance=self.tolerance,
            sight=sight,
        )

    def _with_covariances(
        self, result: FitResult, hessian: Float[Tensor, "B K K"], prior: Prior | MixturePrior
    ) -> FitResult:
        """The result with the covariances of code and pose, and its own scatter for ``noise``.

        The solver's Hessian is (independent / noise^2) mean J^T J plus the prior: both are taken
        out again.
        """
        length = result.codes.shape[1]
        precision = prior.terms(result.codes).precision
        data = hessian.clone()
        data[:, :length, :length] -= precision
        information = data * (self.noise**2 / self.independent)
        # Residuals are shares of the size, in the unit of the space; the scatter is in the scan's.
        share = result.scatter * result.poses.scale / result.sizes
        covariances = covariance(information, precision, share.clamp(min=1e-6))
        return replace(result, covariances=covariances)

    def _starts(
        self,
        decoder: Decoder,
        scan: Scan,
        *,
        codes: Float[Tensor, "S L"],
        means: Float[Tensor, "C L"],
    ) -> State:
        """The starts of all scans, all starts of the first scan first."""
        if self.guess is not None:
            codes = self.guess.to(codes)
        if not self.turned:
            return starts(decoder, scan.points, codes=codes, mean=means, num=self.starts)
        turns = turns_about("xyz".index(self.up), self.angles, scan.points)
        return starts(
            decoder, scan.points, codes=codes, mean=means, num=self.turned_starts, turns=turns
        )

    def _residuals(
        self,
        decoder: Decoder,
        scan: Scan,
        *,
        rows: Int[Tensor, " P"],
        size: Float[Tensor, " B"],
        stage: Stage,
        num_points: int | None,
    ) -> Residuals:
        """The residuals of a stage: evenly chosen points of the scan of each problem."""
        count = min(stage.points, scan.num_points if num_points is None else num_points)
        every = max(1, scan.num_points // max(count, 1))
        points = scan.points[rows, ::every][:, :count]
        normals = None if scan.normals is None else scan.normals[rows, ::every][:, :count]
        weights = None
        if self.even:
            if scan.sigma is None:
                raise InputError("even weights are made of sigma, which the scans have not")
            weights = even_weights(scan.sigma, points.shape[-1])[rows, ::every][:, :count]
        return Residuals(
            decoder,
            points=points,
            normals=normals,
            size=size[rows],
            delta=self.delta,
            freedom=self.freedom,
            weights=weights,
        )


def _second_look(
    decoder: Decoder,
    scan: Scan,
    num: int,
    *,
    codes: Float[Tensor, "S L"],
    state: State,
    rows: Int[Tensor, " P"],
    steps: Int[Tensor, " P"],
) -> tuple[State, Int[Tensor, " Q"], Int[Tensor, " Q"]]:
    """New problems: the best of each scan, then ``num`` training codes nearest under its pose.

    Returns their state, their scans, and the steps that led to the pose of each. Nothing changes
    with ``num`` 0.
    """
    if not num:
        return state, rows, steps
    best = _first_rows(state, len(scan.points))
    found = state.rows(best)
    taken = steps[best]
    near = [
        starts(decoder, points, codes=codes, mean=code, num=num + 1).code
        for points, code in zip(found.pose(scan.points).split(1), found.code, strict=True)
    ]
    rows = torch.arange(len(near), device=codes.device).repeat_interleave(len(near[0]))
    return State(torch.cat(near), found.pose.rows(rows)), rows, taken[rows]


def _kept(
    solution: Solution, chosen: Int[Tensor, " P"], steps: Int[Tensor, " Q"]
) -> tuple[Int[Tensor, " P"], State, Bool[Tensor, " P"], Float[Tensor, "P K K"]]:
    """Of the starts that a stage keeps: all steps, the state, whether it converged, the Hessian.

    ``steps`` are those of all starts before the stage.
    """
    taken = (steps + solution.iterations)[chosen]
    state = solution.state.rows(chosen)
    return taken, state, solution.converged[chosen], solution.hessian[chosen]


def _scans_of_starts(state: State, num_scans: int) -> Int[Tensor, " P"]:
    """The scan of each start: starts stand in the order of their scans, equally many of each."""
    tried = len(state.code) // max(num_scans, 1)
    return torch.arange(num_scans, device=state.code.device).repeat_interleave(tried)


def _first_rows(state: State, num_scans: int) -> Int[Tensor, " B"]:
    """The row of the best problem of each scan, which is the first of its scan."""
    each = len(state.code) // max(num_scans, 1)
    return torch.arange(num_scans, device=state.code.device) * each


def _best(cost: Float[Tensor, "B T"], kept: int) -> Int[Tensor, " P"]:
    """Rows of the ``kept`` lowest costs of each scan, the lowest first, scan after scan."""
    num_scans, num = cost.shape
    column = cost.argsort(1)[:, :kept]
    return (column + num * torch.arange(num_scans, device=cost.device)[:, None]).flatten()


def _spread(cost: Float[Tensor, "B T"], before: Float[Tensor, " B"]) -> Float[Tensor, " B"]:
    """The relative difference of the two lowest costs; ``before`` where only one is left."""
    if cost.shape[1] < 2:
        return before
    low, second = cost.sort(1).values[:, :2].unbind(1)
    return (second - low) / low.clamp(min=torch.finfo(low.dtype).tiny)
