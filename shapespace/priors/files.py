"""Priors by name, and their files: tensors and plain text in one safetensors file, no pickle.

Letters: S codes, L code length.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from jaxtyping import Float
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from shapespace.errors import InputError, one_line
from shapespace.priors.base import CodePrior
from shapespace.priors.diffusion import Diffusion
from shapespace.priors.flow import Flow
from shapespace.priors.held_out import Splits
from shapespace.priors.mixture import GaussianMixture
from shapespace.utils.files import replacing
from shapespace.utils.kinds import kind_of
from shapespace.utils.plain import is_number, json_object

FORMAT = 1
KINDS: dict[str, type[CodePrior]] = {each.kind: each for each in (GaussianMixture, Flow, Diffusion)}
"""The class of each kind."""
FACTS = "shapespace_prior"
"""Key of the plain text in the file."""
MOST_BYTES = 1 << 30
"""Largest file that is read."""


@dataclass(frozen=True)
class PriorFacts:
    """What a file says of a prior beside its numbers.

    Args:
        space: digest of the space whose codes it was made of.
        num_codes: S.
        seed: of all that was random.
        held_out: mean log density of codes held out, in nats a code; None if there were too few.
        reference: the same by one Gaussian.
        by: what was held out, such as "subject"; "" if nothing was.
    """

    space: str
    num_codes: int
    seed: int
    held_out: float | None = None
    reference: float | None = None
    by: Splits | Literal[""] = ""


def fit_prior(kind: str, codes: Float[Tensor, "S L"], generator: torch.Generator) -> CodePrior:
    """The prior of a kind over codes.

    Args:
        kind: mixture, flow or diffusion.
        codes: of the training scans.
        generator: of all that is random, on the CPU.

    Raises:
        InputError: the kind is unknown, its library is missing, or there are no codes.
    """
    return _class_of(kind).fit(codes, generator)


def save_prior(prior: CodePrior, facts: PriorFacts, path: str | Path) -> Path:
    """Write a prior, whole or not at all.

    Args:
        prior: the prior.
        facts: what the file says of it.
        path: of the file; InputError unless it ends in .safetensors.
    """
    path = Path(path)
    if path.suffix != ".safetensors":
        raise InputError(f"{path}: a prior is written to a .safetensors file; name one")
    plain = asdict(facts) | {
        "format": FORMAT,
        "kind": prior.kind,
        "num_leading": prior.num_leading,
    }
    tensors = {name: value.contiguous().clone() for name, value in prior.state_dict().items()}
    with replacing(path) as part:
        save_file(tensors, part, {FACTS: json.dumps(plain)})
    return path


def load_prior(path: str | Path, space: str | None = None) -> tuple[CodePrior, PriorFacts]:
    """Read a prior; nothing in the file is executed.

    Args:
        path: written by :func:`save_prior`.
        space: digest of the space that it is to serve; None takes any.

    Raises:
        InputError: the file is no prior, is damaged, or was made of the codes of another space.
    """
    path = Path(path)
    if not path.is_file():
        what = kind_of(path)
        said = f"is {what}" if what else "no such file"
        raise InputError(f"{path}: {said}; shapespace prior fit CHECKPOINT writes a prior")
    if path.stat().st_size > MOST_BYTES:
        raise InputError(f"{path}: is larger than {MOST_BYTES} bytes and is not read")
    try:
        with safe_open(path, "pt") as file:
            text = (file.metadata() or {}).get(FACTS, "")
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError, ValueError) as error:
        raise InputError(
            f"{path}: is not a readable prior ({one_line(error, 120)}); shapespace prior fit "
            "CHECKPOINT writes one"
        ) from error
    facts, plain = _facts(path, text)
    if space is not None and facts.space != space:
        raise InputError(
            f"{path}: was made of the codes of another space ({facts.space[:16]}, not "
            f"{space[:16]}); run shapespace prior fit on this checkpoint"
        )
    return _built(path, plain, tensors), facts


def _class_of(kind: object) -> type[CodePrior]:
    """The class of a kind."""
    if not isinstance(kind, str) or kind not in KINDS:
        raise InputError(f"kind={one_line(kind, 40)!r}: no such prior; one of {', '.join(KINDS)}")
    return KINDS[kind]


def _facts(path: Path, text: str) -> tuple[PriorFacts, dict[str, Any]]:
    """The plain text of a file, checked."""
    try:
        plain = json_object(text.encode()) if text else {}
    except ValueError as error:
        raise InputError(f"{path}: its facts are damaged ({one_line(error, 80)})") from error
    if plain.get("format") != FORMAT:
        raise InputError(
            f"{path}: is no prior of format {FORMAT}; shapespace prior fit CHECKPOINT writes one"
        )
    whole = all(
        isinstance(plain.get(key), int) and not isinstance(plain.get(key), bool)
        for key in ("num_codes", "seed", "num_leading")
    )
    texts = all(isinstance(plain.get(key), str) for key in ("space", "by", "kind"))
    numbers = all(
        plain.get(key) is None or is_number(plain[key]) for key in ("held_out", "reference")
    )
    if not (whole and texts and numbers and plain["by"] in ("", "subject", "sequence", "random")):
        raise InputError(f"{path}: its facts are damaged; run shapespace prior fit again")
    facts = PriorFacts(
        space=plain["space"],
        num_codes=plain["num_codes"],
        seed=plain["seed"],
        held_out=plain.get("held_out"),
        reference=plain.get("reference"),
        by=plain["by"],
    )
    return facts, plain


def _built(path: Path, plain: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> CodePrior:
    """The prior of checked facts and of tensors, whose shapes say how large it is."""
    mean = tensors.get("axes.mean")
    leading = plain["num_leading"]
    if mean is None or mean.dim() != 1 or not 0 <= leading <= len(mean):
        raise InputError(f"{path}: is damaged: it has no axes; run shapespace prior fit again")
    kind = _class_of(plain["kind"])
    more = {}
    if kind is GaussianMixture:
        weights = tensors.get("log_weights", torch.zeros(0))
        more["num_components"] = max(1, weights.numel())
    prior = kind(len(mean), leading, **more)
    wanted = {name: value.shape for name, value in prior.state_dict().items()}
    given = {name: value.shape for name, value in tensors.items()}
    if wanted != given or not all(bool(torch.isfinite(each).all()) for each in tensors.values()):
        raise InputError(
            f"{path}: is damaged: its tensors are not those of a {kind.kind}; run shapespace prior "
            "fit again"
        )
    prior.load_state_dict(dict(tensors))
    return prior.eval().requires_grad_(False)
