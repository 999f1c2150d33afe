"""The prior over the codes of one space: made, judged on held-out codes, written and found again.

Letters: L code length.
"""

from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
from jaxtyping import Float

from shapespace.config.options import PriorKind
from shapespace.errors import InputError, at_least
from shapespace.priors.base import CodePrior
from shapespace.priors.files import KINDS, PriorFacts, fit_prior, load_prior, save_prior
from shapespace.priors.held_out import held_out, one_gaussian
from shapespace.priors.mixture import GaussianMixture
from shapespace.sampling import seeded_generator
from shapespace.space import TrainedSpace
from shapespace.utils.progress import progress

PRIOR = "prior.safetensors"
"""File of the prior beside the checkpoint."""


@dataclass(frozen=True)
class MadePrior:
    """A prior that was written.

    Args:
        prior: the prior.
        facts: what its file says.
        path: its file.
        others: held-out mean log density of each kind that was tried, in nats a code.
    """

    prior: CodePrior
    facts: PriorFacts
    path: Path
    others: dict[str, float]

    def lines(self) -> list[str]:
        """What a person wants to know, in lines."""
        prior = self.prior
        shape = f"{prior.num_leading} of {prior.latent_size} axes of {self.facts.num_codes} codes"
        what = prior.kind
        if isinstance(prior, GaussianMixture):
            count = len(prior.log_weights)
            what = f"mixture of {count} Gaussian{'' if count == 1 else 's'}"
        lines = [f"{what} along {shape}"]
        if not prior.num_leading:
            lines.append("the codes are all equal: each sample will be that one shape")
        if self.facts.held_out is None or self.facts.reference is None:
            return [*lines, "too few codes to hold some out: how well it generalises is unknown"]
        gain = self.facts.held_out - self.facts.reference
        said = "better" if gain > 0 else "no better"
        lines.append(
            f"held out by {self.facts.by}: {self.facts.held_out:.2f} nats a code, one Gaussian "
            f"{self.facts.reference:.2f}, {said} by {abs(gain):.2f}"
        )
        if len(self.others) > 1:
            said = ", ".join(f"{kind} {value:.2f}" for kind, value in self.others.items())
            lines.append(f"tried: {said}")
        return lines


def make_prior(
    checkpoint: str | Path, kind: PriorKind = "mixture", out: str | None = None, seed: int = 0
) -> MadePrior:
    """Make the prior over the codes of a space and write it.

    Args:
        checkpoint: of the space, or a folder that ``shapespace export`` wrote.
        kind: of the prior; "best" tries all whose libraries are there.
        out: file to write; by default prior.safetensors beside the checkpoint.
        seed: of all that is random.

    Raises:
        InputError: the checkpoint is none, codes have no numbers, or a library is missing.
    """
    at_least(0, seed=seed)
    space = TrainedSpace.load(checkpoint, "cpu")
    codes = space.codes.table.weight.detach()
    generator = partial(seeded_generator, "cpu", seed)
    reference = held_out(one_gaussian, codes, space.names, seed)
    kinds = list(KINDS) if kind == "best" else [kind]
    tried: dict[str, float] = {}
    made: dict[str, CodePrior] = {}
    for each in progress(kinds, "fitting priors", unit="prior", shown=len(kinds) > 1):
        try:
            made[each] = fit_prior(each, codes, generator())
            found = held_out(partial(fit_prior, each), codes, space.names, seed)
        except InputError:
            # Without its library one kind of several is left out; alone it is an error.
            if each == "mixture" or len(kinds) == 1:
                raise
            continue
        if found is not None:
            tried[each] = found.mean
    best = max(made, key=lambda each: tried.get(each, 0.0)) if tried else kinds[0]
    facts = PriorFacts(
        space=space.digest,
        num_codes=len(codes),
        seed=seed,
        held_out=tried.get(best),
        reference=None if reference is None else reference.mean,
        by="" if reference is None else reference.by,
    )
    path = save_prior(made[best], facts, prior_path(checkpoint) if out is None else out)
    return MadePrior(made[best], facts, path, tried)


def prior_path(checkpoint: str | Path) -> Path:
    """The file of the prior of a checkpoint, or of an exported folder, where none is named."""
    path = Path(checkpoint)
    return (path if path.is_dir() else path.parent) / PRIOR


def prior_of(space: TrainedSpace, path: str | Path | None) -> CodePrior:
    """The prior of a space from its file.

    Args:
        space: the space.
        path: of the file; None takes the one beside the checkpoint.

    Raises:
        InputError: there is no such file, or it is that of another space.
    """
    assert path is not None or space.path is not None
    found = prior_path(space.path or "") if path is None else Path(path)
    return load_prior(found, space.digest)[0]


def prior_or_mixture(space: TrainedSpace) -> CodePrior:
    """The prior beside the checkpoint if there is one of this space, else a mixture made at once.

    Raises:
        InputError: codes have no numbers.
    """
    if space.path is not None and prior_path(space.path).is_file():
        try:
            return prior_of(space, None)
        except InputError:
            # A prior of other weights, as after a longer training, does not serve.
            pass
    codes = space.codes.table.weight.detach()
    return fit_prior("mixture", codes, seeded_generator("cpu", 0))


def drawn_codes(
    prior: CodePrior,
    num: int,
    seed: int,
    held: tuple[Float[torch.Tensor, " L"], slice] | None = None,
) -> Float[torch.Tensor, "K L"]:
    """Codes [K,L], each from a generator of its own: more samples leave the first ones as they are.

    Args:
        prior: the prior.
        num: K.
        seed: of the samples.
        held: a code and which of its numbers all samples have; None holds none.

    Raises:
        InputError: numbers are held and the prior is no mixture.
    """
    if held is None:
        draw = partial(prior.sample, 1)
    elif isinstance(prior, GaussianMixture):
        draw = partial(prior.sample_holding, 1, code=held[0], held=held[1])
    else:
        raise InputError(
            f"the prior is a {prior.kind}, and only a mixture can hold a part of the code: make "
            "one with shapespace prior fit --kind mixture --out FILE and give it with --prior FILE"
        )
    rows = [draw(generator=seeded_generator("cpu", seed, row)) for row in range(num)]
    return torch.cat(rows) if rows else torch.zeros(0, prior.latent_size)
