"""Codes of unseen scans, found by the method that the options name.

Letters: L code length.
"""

import hashlib
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from jaxtyping import Float
from torch import Tensor

from shapespace.config.options import FitOptions
from shapespace.data.formats.readers import read_bytes
from shapespace.errors import InputError
from shapespace.fitting.refine import Refinement
from shapespace.fitting.residuals import MixturePrior
from shapespace.fitting.result import FitResult
from shapespace.fitting.search import Search
from shapespace.fitting.sight.lines import Sightlines
from shapespace.fitting.terms import usable_points
from shapespace.priors.files import load_prior
from shapespace.priors.mixture import GaussianMixture
from shapespace.reconstruction.bending import NUM_STEPS
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
        search = Search(
            freedom=options.pose,
            up=options.up,
            guess=guess,
            even=options.even,
            prior=fitting_prior(options.prior, space),
        )
        held = None if options.held is None else space.held(*options.held)
        return space.fit(
            scans, options.num_points, search, options.seed, on_round, held=held, sight=sight
        )
    return space.fit_reference(scans, options.num_points, options.steps, options.seed, on_round)


def fitting_prior(path: str | None, space: TrainedSpace) -> MixturePrior | None:
    """The prior of a file, for a search; None for no file.

    Args:
        path: written by ``shapespace prior fit``.
        space: the space whose codes are searched.

    Raises:
        InputError: the file is no prior, is that of another space, or of another kind.
    """
    if path is None:
        return None
    prior, _ = load_prior(path, space.digest)
    if not isinstance(prior, GaussianMixture):
        raise InputError(
            f"{path}: is a prior of kind {prior.kind}, a fit takes a mixture; run shapespace prior "
            "fit --kind mixture"
        )
    return MixturePrior.of_gaussians(*prior.in_codes())


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


def refined_space(
    space: TrainedSpace,
    fitted: FitResult,
    row: int,
    scan: PreparedScan,
    *,
    options: FitOptions,
    on_step: Callable[[], object],
) -> TrainedSpace:
    """The space that draws the mesh of a scan: the trained one, or a copy refined for the scan.

    Args:
        space: the trained space.
        fitted: the fit of several scans.
        row: the scan's row in it.
        scan: the scan.
        options: how codes are found and refined.
        on_step: called after each step of the refinement.
    """
    if not options.refine:
        return space
    refinement = Refinement(options.refine)
    return space.refined(
        fitted, row, scan, refinement=refinement, seed=options.seed, on_step=on_step
    )


def identity_of_options(options: FitOptions) -> dict[str, Any]:
    """The options as plain data by which a result knows whether it was made by the same ones.

    Options that are younger than the results of earlier calls count where they are given. A prior
    is known by its content, wherever its file lies.
    """
    younger = ("identity_of", "posture_of", "prior")
    found = {
        key: value
        for key, value in asdict(options).items()
        if key not in younger or value is not None
    }
    if options.prior is not None:
        found["prior"] = hashlib.sha256(read_bytes(Path(options.prior))).hexdigest()
    return found | {"detail": "full" if options.detailed else "none"}
