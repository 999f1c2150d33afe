"""Codes that an encoder gives, behind the interface of the table of codes.

Letters: B scans in a batch, K rows, L code length.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from shapespace.codes import LatentCodes
from shapespace.decoders.base import Decoder
from shapespace.encoders.base import Encoder
from shapespace.encoders.factors import FactorCodes, SubjectsOf
from shapespace.errors import InputError, at_least
from shapespace.sampling import seeded_generator


class EncodedCodes(LatentCodes):
    """Codes of an encoder; the table holds the mean code of each scan at its last visit.

    The table is not learnt. It gives training codes by name, as a table that is learnt does: to
    meshes, to the prior and to the starts of a fit.

    Args:
        num_scans: S.
        encoder: from surface points to codes.
        seed: of the draws of a variational encoder.
    """

    def __init__(self, num_scans: int, encoder: Encoder, seed: int = 0) -> None:
        super().__init__(num_scans, encoder.latent_size)
        self.encoder = encoder
        self.seed = seed
        self._seen: list[tuple[Tensor, Tensor]] = []

    def of_batch(
        self,
        index: Int[Tensor, " B"],
        points: Float[Tensor, "B N D"],
        visits: Sequence[int],
    ) -> tuple[Float[Tensor, "B L"], dict[str, Float[Tensor, " B"]]]:
        """The codes of some scans in a training step, and the weighted penalty of each.

        What a variational encoder draws depends on the seed and the number of the visit alone.

        Args:
            index: rows of the scans.
            points: on their surfaces.
            visits: number of the visit of each scan.
        """
        mean, log_deviation = self.encoder(points)
        self._seen.append((index, mean.detach()))
        if log_deviation is None:
            return mean, {}
        noise = [
            torch.randn(
                mean.shape[1],
                generator=seeded_generator(mean.device, self.seed, visit, 2),
                dtype=mean.dtype,
                device=mean.device,
            )
            for visit in visits
        ]
        penalty = self.encoder.weight * self.encoder.penalty(mean, log_deviation)
        return mean + log_deviation.exp() * torch.stack(noise), {"encoder": penalty}

    @torch.no_grad()
    def settle(self, rows: Int[Tensor, " K"] | None, gathered: Callable[[Tensor], Tensor]) -> None:
        """Write the mean codes of the step into the table, those of all ranks.

        Args:
            rows: not used; the table has no gradient.
            gathered: stacks the tensors of all ranks along a new first axis.
        """
        index = gathered(torch.cat([index for index, _ in self._seen])).flatten()
        mean = gathered(torch.cat([mean for _, mean in self._seen])).flatten(0, 1)
        # A scan that was visited twice gets the mean of both, in whatever order ranks saw it.
        each, place = index.unique(return_inverse=True)
        total = torch.zeros_like(mean[: len(each)]).index_add_(0, place, mean)
        count = torch.bincount(place, minlength=len(each))
        self.table.weight.index_copy_(0, each, total / count[:, None])
        self._seen.clear()

    def begin(self) -> None:
        """Forget the codes of a step that moved nothing."""
        self._seen.clear()


@dataclass(frozen=True)
class CodeOptions:
    """How the codes of a table begin and what bounds them.

    Args:
        init_std: standard deviation of the first codes.
        max_norm: longest code, or part of a code; None sets no limit.
        seed: of first codes, and of the draws of an encoder.
        identity_size: numbers of a code that all scans of a subject share; 0 shares none.
    """

    init_std: float = 0.0
    max_norm: float | None = None
    seed: int = 0
    identity_size: int = 0

    def __post_init__(self) -> None:
        at_least(0, seed=self.seed, identity_size=self.identity_size)


def codes_of(
    decoder: Decoder,
    encoder: Encoder | None,
    num_scans: int,
    options: CodeOptions = CodeOptions(),
    subjects_of: SubjectsOf = list,
) -> LatentCodes:
    """The codes of a space: those of an encoder, or a table that is learnt, or two of them.

    Args:
        decoder: that takes the codes.
        encoder: None for a table.
        num_scans: S.
        options: of the codes.
        subjects_of: gives the subject of each scan by its name.

    Raises:
        InputError: the encoder does not fit the decoder, or an option does not fit.
        ValueError: codes and the decoder's columns for them both begin as zero.
    """
    if encoder is None:
        # The gradient of each is proportional to the other.
        if options.init_std == 0 and decoder.zero_latent_columns:
            raise ValueError(
                "code_init_std=0 with zero_latent_columns=true: neither would ever get a gradient; "
                "set one of the two"
            )
        size = decoder.latent_size
        if not options.identity_size:
            return LatentCodes(
                num_scans, size, options.init_std, seed=options.seed, max_norm=options.max_norm
            )
        return FactorCodes(
            num_scans,
            size,
            options.identity_size,
            subjects_of,
            init_std=options.init_std,
            seed=options.seed,
            max_norm=options.max_norm,
        )
    if options.identity_size:
        raise InputError(
            f"model.identity_size={options.identity_size}: is of codes that are learnt, not of "
            "those of an encoder; leave one of the two out"
        )
    for name in ("latent_size", "dimension"):
        own, other = getattr(encoder, name), getattr(decoder, name)
        if own != other:
            raise InputError(
                f"model.encoder.{name}={own}: the decoder has {other}; give both the same"
            )
    if options.max_norm is not None or options.init_std:
        raise InputError(
            "model.code_max_norm and model.code_init_std: are of a table of codes, not of an "
            "encoder; leave them out"
        )
    return EncodedCodes(num_scans, encoder, options.seed)
