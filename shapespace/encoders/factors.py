"""Codes of two factors: an identity for each subject and a posture for each scan, joined.

The posture is what papers call the pose code (NPMs, Palafox et al. 2021). It is no
:class:`~shapespace.fitting.pose.Pose`, which moves a scan as a whole. A code is
``[identity, posture]``, so that decoders, objectives and fits see codes as ever.

Letters: B scans in a batch, N points, D dimension, S training scans, P subjects, K rows, L code
length, I length of the identity, F numbers of a code that are free.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from shapespace.codes import LatentCodes
from shapespace.config.options import Factor
from shapespace.decoders.base import Decoder
from shapespace.errors import InputError
from shapespace.scan import Frame

SubjectsOf = Callable[[Sequence[str]], list[str]]
"""Gives the subject of each scan by its name."""
IDENTITY = "codes.identity.weight"
"""Key of the table of identities in the state of a module, subjects in alphabetical order."""
TABLE = "codes.table.weight"
"""Key of the table of whole codes in the state of a module."""
POSTURE = "codes.posture.weight"
"""Key of the table of postures in the state of a module."""


class FactorCodes(LatentCodes):
    """Codes ``[identity, posture]``: scans of one subject share the first I numbers exactly.

    The two factors are learnt. The table of whole codes follows them after each step, so that
    whatever reads codes by the name of a scan needs not know of factors.

    Args:
        num_scans: S.
        latent_size: L.
        identity_size: I, from 1 to L.
        subjects_of: gives the subject of each scan.
        init_std: as of :class:`~shapespace.codes.LatentCodes`.
        seed: of the initial codes.
        max_norm: longest identity and longest posture that are allowed; None sets no limit.
    """

    def __init__(
        self,
        num_scans: int,
        latent_size: int,
        identity_size: int,
        subjects_of: SubjectsOf,
        *,
        init_std: float = 0.0,
        seed: int = 0,
        max_norm: float | None = None,
    ) -> None:
        check_identity_size(identity_size, latent_size)
        super().__init__(num_scans, latent_size, init_std, seed=seed, max_norm=max_norm)
        self.identity_size = identity_size
        self.subjects: tuple[str, ...] = ()
        self._subjects_of = subjects_of
        self._init_std = init_std
        self._seed = seed
        self.table.weight.requires_grad_(False)
        self.posture = nn.Embedding(num_scans, latent_size - identity_size, sparse=True)
        self.posture.weight.data.copy_(self.table.weight[:, identity_size:])
        # The subjects are known with the names of the scans.
        self.identity = nn.Embedding(0, identity_size, sparse=True)
        self.register_buffer("subject_rows", torch.zeros(num_scans).long(), persistent=False)
        self.subject_rows: Tensor

    @property
    def learnt(self) -> tuple[Tensor, ...]:
        """The postures, a row for each scan, and the identities."""
        return self.posture.weight, self.identity.weight

    def extra_repr(self) -> str:
        """The two parts in words."""
        posture = self.posture.embedding_dim
        return (
            f"identity, {self.identity_size} numbers for each of {len(self.subjects)} subjects; "
            f"posture, {posture} for each scan"
        )

    def forward(self, index: Int[Tensor, " B"]) -> Float[Tensor, "B L"]:
        """The codes of the scans ``index``."""
        identity = self.identity(self.subject_rows[index])
        return torch.cat([identity, self.posture(index)], -1)

    def settle(self, rows: Int[Tensor, " K"] | None, gathered: Callable[[Tensor], Tensor]) -> None:
        """Finish a step that was taken: shorten what has become too long, renew the table.

        Args:
            rows: scans whose posture moved.
            gathered: not used; all ranks have moved alike.
        """
        if rows is None:
            return
        subjects = self.subject_rows[rows].unique()
        _shorten(self.posture.weight, rows, self.max_norm)
        _shorten(self.identity.weight, subjects, self.max_norm)
        # The identity of a subject has moved for scans that are not in the batch too.
        self._renew(torch.isin(self.subject_rows, subjects).nonzero()[:, 0])

    def assign(self, names: Sequence[str], frames: Sequence[Frame]) -> None:
        """Set the scan of each row, as :meth:`LatentCodes.assign`, and with it the subjects.

        Raises:
            InputError: a name does not state its subject.
        """
        super().assign(names, frames)
        self._number_subjects()

    def set_extra_state(self, state: dict[str, Any]) -> None:
        """Take names and frames from a checkpoint, and with them the subjects."""
        super().set_extra_state(state)
        # torch loads the tables after this: they have the right sizes then.
        self._number_subjects()

    def held(self, factor: Factor, name: str) -> "Held":
        """The identity of a scan or subject, or the posture of a scan, to be held.

        Raises:
            InputError: there is no such scan.
        """
        if factor == "identity" and name not in self.names and name in self.subjects:
            row = int((self.subject_rows == self.subjects.index(name)).nonzero()[0, 0])
        else:
            row = self.row(name)
        return Held(factor, self.table.weight[row].detach())

    def renew_table(self) -> None:
        """Make the table of whole codes anew from the factors."""
        self._renew(torch.arange(len(self), device=self.table.weight.device))

    @torch.no_grad()
    def _put_in_order(self, names: Sequence[str]) -> None:
        row = {name: row for row, name in enumerate(self.names)}
        self.posture.weight.copy_(self.posture.weight[[row[name] for name in names]])
        super()._put_in_order(names)

    def _number_subjects(self) -> None:
        """Number the subjects; make identities unless there are those of these subjects."""
        each = self._subjects_of(self.names)
        subjects = tuple(sorted(set(each)))
        number = {subject: row for row, subject in enumerate(subjects)}
        device = self.table.weight.device
        self.subject_rows = torch.tensor([number[one] for one in each], device=device).long()
        if subjects != self.subjects:
            self.subjects = subjects
            generator = torch.Generator().manual_seed(self._seed + 1)
            size = (len(subjects), self.identity_size)
            start = torch.randn(size, generator=generator) * self._init_std
            self.identity = nn.Embedding.from_pretrained(
                start.to(self.table.weight), freeze=False, sparse=True
            )
        if len(self.subject_rows) == len(self):
            self.renew_table()

    @torch.no_grad()
    def _renew(self, rows: Int[Tensor, " K"]) -> None:
        """Write the whole codes of some scans."""
        self.table.weight.index_copy_(0, rows, self(rows))


def check_identity_size(identity_size: int, latent_size: int) -> None:
    """Raise InputError unless a code of length L has room for an identity of that length."""
    if not 1 <= identity_size <= latent_size:
        raise InputError(
            f"model.identity_size={identity_size}: give a part of the code, which has "
            f"{latent_size} numbers (decoder.latent_size), or 0 for codes of one part"
        )


@torch.no_grad()
def _shorten(weight: Tensor, rows: Tensor, max_norm: float | None) -> None:
    """Shorten rows of a table to at most ``max_norm``; no row may be given twice."""
    if max_norm is not None and weight.shape[1]:
        held = torch.renorm(weight[rows], p=2, dim=0, maxnorm=max_norm)
        weight.index_copy_(0, rows, held)


def columns_of(factor: Factor, identity_size: int) -> slice:
    """The place of a factor in a code."""
    return slice(0, identity_size) if factor == "identity" else slice(identity_size, None)


def with_subjects(
    state: Mapping[str, Any],
    before: Sequence[str],
    now: Sequence[str],
    *,
    subjects_of: SubjectsOf,
    table: Float[Tensor, "K L"],
) -> tuple[dict[str, Tensor], list[int]]:
    """The tables of a checkpoint with factors for other scans.

    A subject keeps its identity. A new subject gets the mean of the identities of its new codes.

    Args:
        state: of the module before.
        before: names of its scans.
        now: names of the scans, in the order of ``table``.
        subjects_of: gives the subject of each scan.
        table: whole codes of the scans; those of known subjects may have any identity.

    Returns:
        The new tensors by key, and for each subject its row before, -1 for a new one.
    """
    identities = state[IDENTITY]
    size = identities.shape[1]
    known = {subject: row for row, subject in enumerate(sorted(set(subjects_of(before))))}
    each = subjects_of(now)
    subjects = sorted(set(each))
    rows = [known.get(subject, -1) for subject in subjects]
    new = [
        identities[row]
        if row >= 0
        else table[[place for place, one in enumerate(each) if one == subject], :size].mean(0)
        for row, subject in zip(rows, subjects, strict=True)
    ]
    identity = torch.stack(new).to(identities)
    mine = identity[[subjects.index(one) for one in each]]
    tables = {
        IDENTITY: identity,
        POSTURE: table[:, size:].clone(),
        TABLE: torch.cat([mine, table[:, size:]], 1),
    }
    return tables, rows


class Held(NamedTuple):
    """A part of a code that is held while the rest is found.

    Args:
        factor: the part that is held.
        code: a whole code that has it.
    """

    factor: Factor
    code: Float[Tensor, " L"]


def with_part(code: Float[Tensor, " L"], held: Held, identity_size: int) -> Float[Tensor, " L"]:
    """A code with the held part in place of its own.

    Args:
        code: the other part.
        held: the part.
        identity_size: I.
    """
    columns = columns_of(held.factor, identity_size)
    found = code.clone()
    found[columns] = held.code.to(code)[columns]
    return found


class HeldPart(Decoder):
    """A decoder some of whose code is held: its own codes are the free numbers alone.

    Args:
        inner: f(x; z).
        code: a whole code, with the numbers that are held.
        held: the numbers that are held.
    """

    def __init__(self, inner: Decoder, code: Float[Tensor, " L"], held: slice) -> None:
        super().__init__()
        self.inner = inner
        self.dimension = inner.dimension
        places = torch.arange(inner.latent_size, device=code.device)
        kept = torch.ones_like(places, dtype=torch.bool)
        kept[held] = False
        self.register_buffer("code", code.detach(), persistent=False)
        self.register_buffer("free", places[kept], persistent=False)
        self.code: Tensor
        self.free: Tensor
        self.latent_size = len(self.free)

    @classmethod
    def of(cls, inner: Decoder, held: Held, identity_size: int) -> "HeldPart":
        """A decoder with a factor of the code held.

        Args:
            inner: f(x; z).
            held: the factor.
            identity_size: I.
        """
        return cls(inner, held.code, columns_of(held.factor, identity_size))

    def whole(self, latent: Float[Tensor, "B F"]) -> Float[Tensor, "B L"]:
        """Whole codes from their free numbers."""
        whole = self.code.to(latent).expand(len(latent), -1)
        return whole.index_copy(1, self.free, latent)

    def forward(
        self, points: Float[Tensor, "B N D"], latent: Float[Tensor, "B F"]
    ) -> Float[Tensor, "B N"]:
        """f at the whole codes."""
        return self.inner(points, self.whole(latent))

    def value_and_gradient(
        self,
        points: Float[Tensor, "B N D"],
        latent: Float[Tensor, "B F"],
        *,
        gradient_from: int = 0,
        value_until: int | None = None,
    ) -> tuple[Float[Tensor, "B V"], Float[Tensor, "B K D"]]:
        """f and grad f at the whole codes, by the decoder's own method.

        Args:
            points: of each scan.
            latent: free numbers of the code of each scan.
            gradient_from: the first point whose gradient is wanted.
            value_until: the first point whose value is not wanted any more; None wants all.
        """
        return self.inner.value_and_gradient(
            points, self.whole(latent), gradient_from=gradient_from, value_until=value_until
        )

    def jacobian(
        self, points: Float[Tensor, "B N D"], latent: Float[Tensor, "B F"]
    ) -> tuple[Float[Tensor, "B N"], Float[Tensor, "B N D"], Float[Tensor, "B N F"]]:
        """f, grad f and the derivatives in the free numbers, by the decoder's own method."""
        sdf, gradient, code = self.inner.jacobian(points, self.whole(latent))
        return sdf, gradient, code[..., self.free]
