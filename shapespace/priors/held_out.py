"""How likely a prior finds codes that it has not seen: people, motions, or single scans held out.

Letters: S codes, L code length.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float, Float64
from torch import Tensor

from shapespace.data.names import parse_names
from shapespace.priors.axes import CodeAxes
from shapespace.priors.base import CodePrior
from shapespace.priors.mixture import GaussianMixture
from shapespace.sampling import seeded_generator

Splits = Literal["subject", "sequence", "random"]
"""What is held out together: people, motions of people, or single scans."""
FOLDS = 5
"""Parts that are held out one after another, at most."""
LEAST_PEOPLE = 3
"""With fewer people motions are held out: one of two people would take half of the codes away."""
LEAST_CODES = 4
"""Fewer codes are not split."""


@dataclass(frozen=True)
class HeldOutCodes:
    """Log densities of codes by priors that have not seen them.

    Args:
        by: what was held out together.
        folds: the number of the part to which each code belongs.
        log_prob: of each code, in nats.
    """

    by: Splits
    folds: tuple[int, ...]
    log_prob: Float64[Tensor, " S"]

    @property
    def mean(self) -> float:
        """Mean over the codes, in nats a code."""
        return float(self.log_prob.mean())


def folds_of(names: Sequence[str], seed: int = 0) -> tuple[Splits, tuple[int, ...]]:
    """What is held out together, and the part of each scan, from 0.

    People are held out where names tell three or more, else motions, else single scans.

    Args:
        names: of the scans; at least two.
        seed: of the order in which groups, or scans, are dealt to the parts.
    """
    parsed = parse_names(names)
    groups: list[object] = list(range(len(names)))
    by: Splits = "random"
    if len(parsed) == len(names):
        people = [parsed[name].subject for name in names]
        motions = [parsed[name].motion for name in names]
        if len(set(people)) >= LEAST_PEOPLE:
            by, groups = "subject", list(people)
        elif len(set(motions)) > 1:
            by, groups = "sequence", list(motions)
    distinct = sorted(set(groups), key=str)
    dealt = np.random.default_rng(seed).permutation(len(distinct))
    part = {group: int(dealt[row]) % FOLDS for row, group in enumerate(distinct)}
    return by, tuple(part[group] for group in groups)


def held_out(
    make: Callable[[Float[Tensor, "S L"], torch.Generator], CodePrior],
    codes: Float[Tensor, "S L"],
    names: Sequence[str],
    seed: int = 0,
) -> HeldOutCodes | None:
    """The log density of each code by a prior of the codes in the other parts.

    Args:
        make: makes a prior of codes with a generator.
        codes: of the training scans.
        names: of the scans, which say who is held out together.
        seed: of the split and of the priors.

    Returns:
        None for fewer than four codes.
    """
    if len(codes) < LEAST_CODES:
        return None
    by, folds = folds_of(names, seed)
    part = torch.tensor(folds)
    found = torch.zeros(len(codes), dtype=torch.float64)
    for fold in sorted(set(folds)):
        here = part == fold
        prior = make(codes[~here], seeded_generator("cpu", seed, fold))
        found[here] = prior.log_prob(codes[here])
    return HeldOutCodes(by, folds, found)


def one_gaussian(codes: Float[Tensor, "S L"], generator: torch.Generator) -> CodePrior:
    """One Gaussian of codes, as the fit of a scan uses it by default: what a prior has to beat.

    Args:
        codes: of the training scans.
        generator: not used; other priors need one.
    """
    del generator
    axes = CodeAxes.of_codes(codes.detach().cpu())
    whole = GaussianMixture(len(axes.mean), 0)
    axes.num_leading = 0
    whole.axes = axes
    return whole.eval()
