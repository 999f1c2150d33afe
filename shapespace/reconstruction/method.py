"""Codes of unseen scans, found by the method that the options name.

Letters: L code length.
"""

from collections import defaultdict
from collections.abc import Callable, Sequence

from jaxtyping import Float
from torch import Tensor

from shapespace.config.options import FitOptions
from shapespace.fitting.result import FitResult
from shapespace.fitting.search import Search
from shapespace.fitting.sight.lines import Sightlines
from shapespace.fitting.terms import usable_points
from shapespace.reconstruction.detail import NUM_STEPS
from shapespace.scan import PreparedScan
from shapespace.space import TrainedSpace


def fit_scans(
    options: FitOptions,
    space: TrainedSpace,
    scans: Sequence[PreparedScan],
    on_round: Callable[[], object] = lambda: None,
    guess: Float[Tensor, "1 L"] | None = None,
    sight: Sequence[Sightlines | None] = (),
) -> FitResult:
    """Find the codes of scans that have equally many usable points.

    A refinement (``options.refine``) is not done here: it changes meshes, not codes.

    Args:
        options: method and its settings.
        space: the space whose codes are searched.
        scans: scans in the unit of the space, of equally many usable points (:func:`alike`).
        on_round: called after each round of the search; :func:`num_rounds` counts them.
        guess: a code at which "second-order" starts too, beside the mean of the training codes.
        sight: lines of sight of each scan, for "second-order"; empty if no sensor is known.
    """
    if options.method == "second-order":
        search = Search(freedom=options.pose, up=options.up, guess=guess, even=options.even)
        held = None if options.held is None else space.held(*options.held)
        return space.fit(
            scans, options.num_points, search, options.seed, on_round, held=held, sight=sight
        )
    return space.fit_reference(scans, options.num_points, options.steps, options.seed, on_round)


def num_rounds(options: FitOptions) -> int:
    """Rounds of one scan that a progress bar counts, with those of a refinement or of detail."""
    second_order = options.method == "second-order"
    of_search = len(Search(freedom=options.pose).rounds) if second_order else options.steps
    return of_search + options.refine + (NUM_STEPS if options.detailed else 0)


def alike(scans: Sequence[PreparedScan], num_points: int) -> list[list[PreparedScan]]:
    """Group scans that can be fitted together: those of equally many usable points.

    Args:
        scans: any scans.
        num_points: the most points that a fit uses of a scan.
    """
    groups: defaultdict[int, list[PreparedScan]] = defaultdict(list)
    for scan in scans:
        groups[usable_points(scan, num_points)].append(scan)
    return list(groups.values())
